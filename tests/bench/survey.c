// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * survey FILE RUNS: what it takes to find the frames of a file of huge pages, all of them in the
 * page table: as load and exec do it; by reading /proc/self/pagemap for every 4 KiB, as many
 * entries a read as fit into a second-level cache; and with a read for each entry, of which it
 * does every 16th part only. Prints "ours_us=N batch_us=N each_us=N extents=N" a run.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keep.h"
#include "ramap.h"
#include "util.h"

#define BATCH	    65536u
#define PART	    16u
#define PRESENT	    (1ull << 63)
#define PFN_MASK    ((1ull << 55) - 1)
#define ENTRY_BYTES sizeof(uint64_t)

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void read_every_page(const struct fr_keep *k, uint64_t pages, size_t batch,
			    struct fr_extents *ret)
{
	uint64_t *entry = malloc(batch * ENTRY_BYTES), n;
	uint64_t first = (uintptr_t)k->addr / FR_PAGE_BYTES;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	must(entry && fd >= 0, "pagemap");
	for (uint64_t done = 0; done < pages; done += n) {
		ssize_t got = pread(fd, entry, fr_min_u64(pages - done, batch) * ENTRY_BYTES,
				    (off_t)((first + done) * ENTRY_BYTES));

		must(got > 0, "pagemap");
		n = (uint64_t)got / ENTRY_BYTES;
		for (uint64_t i = 0; i < n; i++)
			if (entry[i] & PRESENT)
				must(!fr_extents_append(ret, entry[i] & PFN_MASK, 1, done + i),
				     "extents");
	}
	close(fd);
	free(entry);
}

int main(int argc, char **argv)
{
	struct fr_ctx ctx = {.root = ""};
	struct fr_error e = {0};
	struct fr_source src;
	struct fr_keep *k;

	must(argc == 3, "survey FILE RUNS");
	if (fr_source_parse(argv[1], &src, &e) || fr_keep_open(&ctx, &src, &k, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	for (int i = 0; i < atoi(argv[2]); i++) {
		uint64_t pages = k->map_bytes / FR_PAGE_BYTES, t[4];
		struct fr_extents ours = {0}, batch = {0}, each = {0};

		t[0] = now_us();
		must(!fr_keep_read_extents(&ctx, k, &ours, &e), "survey");
		t[1] = now_us();
		read_every_page(k, pages, BATCH, &batch);
		t[2] = now_us();
		read_every_page(k, pages / PART, 1, &each);
		t[3] = now_us();
		must(fr_extents_equal(&ours, &batch), "the same extents");
		printf("ours_us=%" PRIu64 " batch_us=%" PRIu64 " each_us=%" PRIu64 " extents=%zu\n",
		       t[1] - t[0], t[2] - t[1], (t[3] - t[2]) * PART, ours.nr);
		fr_extents_clear(&ours);
		fr_extents_clear(&batch);
		fr_extents_clear(&each);
	}
	fr_keep_close(k);
	return 0;
}
