// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * frames SHAPE FILE BYTES    write FILE so that its frames have a shape
 * frames check FILE BYTES    is every page of FILE the one that was written there?
 * frames extents FILE BYTES  print in how many pieces of RAM it lies
 *
 * Shapes:
 *   contiguous  2 MiB of the file in 2 MiB of RAM, both naturally aligned
 *   unaligned   contiguous, but no page on a frame of the same alignment
 *   shuffled    pages in the order of a permutation
 *   second      every second frame is somebody else's, and free in the end
 *   eighth      every eighth frame
 *
 * The page allocator hands frames of one mapping out in ascending order as long as
 * nobody else asks: pages of a second mapping take those that the file must not get.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	    4096ul
#define HUGE	    512ul	/* pages in 2 MiB */
#define FOREIGN	    (1ul << 20) /* pages of the second mapping, at most */
#define PAGEMAP_PFN ((1ull << 55) - 1)

static uint8_t *foreign;
static size_t nr_foreign;
static int pagemap_fd;

static uint64_t frame_of(const uint8_t *page)
{
	uint64_t entry;

	if (pread(pagemap_fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE * 8)) != 8)
		err(1, "/proc/self/pagemap");
	return entry & PAGEMAP_PFN;
}

/* The first word of page @i; no page of zeros, nor of another offset, has it. */
static uint64_t word(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static void touch(uint8_t *map, uint64_t i)
{
	*(uint64_t *)(map + i * PAGE) = word(i);
}

static uint64_t touch_foreign(void)
{
	uint8_t *page = foreign + nr_foreign++ * PAGE;

	if (nr_foreign > FOREIGN)
		errx(1, "the page allocator does not give frames in ascending order");
	*page = 1;
	return frame_of(page);
}

/* Touch foreign pages until the next frame is @offset behind the start of a huge page. */
static void skip_to(uint64_t offset)
{
	while ((touch_foreign() + 1) % HUGE != offset)
		;
}

static void fill_runs(uint8_t *map, uint64_t nr, uint64_t offset)
{
	for (uint64_t i = 0; i < nr; i++) {
		if (i % HUGE == 0 &&
		    (!i || frame_of(map + (i - 1) * PAGE) % HUGE != (offset + HUGE - 1) % HUGE))
			skip_to(offset);
		touch(map, i);
	}
}

static void fill_shuffled(uint8_t *map, uint64_t nr)
{
	uint64_t *order = calloc(nr, sizeof(*order));

	if (!order)
		err(1, "calloc");
	srandom(1);
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t j = (uint64_t)random() % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (uint64_t i = 0; i < nr; i++)
		touch(map, order[i]);
	free(order);
}

/* One foreign page behind each @run pages of the file. */
static void fill_between(uint8_t *map, uint64_t nr, uint64_t run)
{
	for (uint64_t i = 0; i < nr; i++) {
		touch(map, i);
		if (i % run == run - 1)
			touch_foreign();
	}
}

static int check(const uint8_t *map, uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++)
		if (*(const uint64_t *)(map + i * PAGE) != word(i))
			errx(1, "page %" PRIu64 " is not the one that was written", i);
	return 0;
}

static int extents(const volatile uint8_t *map, uint64_t nr)
{
	uint64_t nr_extents = 0, before = 0;

	for (uint64_t i = 0; i < nr; i++) {
		/* into the page table */
		(void)map[i * PAGE];
		uint64_t frame = frame_of((const uint8_t *)map + i * PAGE);

		nr_extents += !i || frame != before + 1;
		before = frame;
	}
	printf("%" PRIu64 "\n", nr_extents);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "usage: frames SHAPE|check|extents FILE BYTES");

	const char *shape = argv[1], *path = argv[2];
	uint64_t bytes = strtoull(argv[3], NULL, 0), nr = bytes / PAGE;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pagemap_fd < 0)
		err(1, "%s", fd < 0 ? path : "/proc/self/pagemap");
	if (strcmp(shape, "check") && strcmp(shape, "extents") && ftruncate(fd, (off_t)bytes))
		err(1, "%s", path);

	uint8_t *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	foreign = mmap(NULL, FOREIGN * PAGE, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED || foreign == MAP_FAILED)
		err(1, "mmap");

	if (!strcmp(shape, "check"))
		return check(map, nr);
	if (!strcmp(shape, "extents"))
		return extents(map, nr);
	if (!strcmp(shape, "contiguous"))
		fill_runs(map, nr, 0);
	else if (!strcmp(shape, "unaligned"))
		fill_runs(map, nr, 1);
	else if (!strcmp(shape, "shuffled"))
		fill_shuffled(map, nr);
	else if (!strcmp(shape, "second"))
		fill_between(map, nr, 1);
	else if (!strcmp(shape, "eighth"))
		fill_between(map, nr, 7);
	else
		errx(2, "no such shape: %s", shape);
	return 0;
}
