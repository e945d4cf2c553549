// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pattern fill  FILE SEED BYTES [OFFSET]    write the pattern, extending FILE
 * pattern check FILE SEED [BYTES [OFFSET]]  compare; exit status 1 if words differ
 * pattern fill-holes, check-holes           the same, with every second 2 MiB a hole
 * pattern fill-thin, check-thin             the same, but in the end only each 16th page is there: what
 *                                           is left lies all over the memory that was filled
 * pattern punch FILE - BYTES OFFSET         make a hole
 * pattern check-gone FILE SEED [BYTES [OFFSET]]  no page may have it any more
 *
 * OFFSET is where a part begins; without it, FILE must have BYTES.
 * Through a shared mapping, so that it works on hugetlbfs and, with OFFSET, on
 * /dev/mem as well.
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
#include <sys/stat.h>
#include <unistd.h>

#include "pattern.h"

#define HUGE_PAGES	512	/* 4 KiB pages in 2 MiB */
#define THIN		16

static bool is_zero(const uint64_t *words)
{
	for (size_t i = 0; i < PATTERN_WORDS; i++)
		if (words[i])
			return false;
	return true;
}

/* Only each THINth page stays. */
static void thin_out(const char *path, int fd, uint64_t nr)
{
	for (uint64_t page = 0; page < nr; page += THIN) {
		uint64_t left = nr - page < THIN ? nr - page : THIN;

		if (left > 1 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					  (page + 1) * PATTERN_PAGE, (left - 1) * PATTERN_PAGE))
			err(2, "%s", path);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4 || (argc < 5 && strncmp(argv[1], "check", 5)))
		errx(2, "usage: pattern fill|check[-holes|-thin|-gone] FILE SEED [BYTES [OFFSET]]");

	const char *verb = argv[1], *path = argv[2];
	uint64_t seed = strtoull(argv[3], NULL, 16);
	uint64_t bytes = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	uint64_t offset = argc > 5 ? strtoull(argv[5], NULL, 0) : 0;
	bool check = !strncmp(verb, "check", 5), holes = strstr(verb, "-holes");
	bool gone = strstr(verb, "-gone"), thin = strstr(verb, "-thin");
	struct stat st;
	int fd = open(path, check ? O_RDONLY : O_RDWR | O_CREAT, 0600);

	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	if (S_ISREG(st.st_mode)) {
		if (!bytes)
			bytes = st.st_size;
		if (!check && (uint64_t)st.st_size < bytes && ftruncate(fd, bytes))
			err(2, "%s", path);
		if (check && argc < 6 && (uint64_t)st.st_size != bytes) {
			printf("%s: size is %jd, not %" PRIu64 "\n", path, (intmax_t)st.st_size,
			       bytes);
			return 1;
		}
	}

	if (!strcmp(verb, "punch")) {
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes))
			err(2, "%s", path);
		return 0;
	}

	uint8_t *map = mmap(NULL, bytes, check ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED,
			    fd, offset);
	if (map == MAP_FAILED)
		err(2, "%s: mmap of %" PRIu64 " bytes", path, bytes);

	uint64_t nr = bytes / PATTERN_PAGE, bad = 0, first = nr;

	for (uint64_t page = 0; page < nr; page++) {
		uint64_t *words = (uint64_t *)(map + page * PATTERN_PAGE);
		bool hole = holes && page / HUGE_PAGES % 2;
		size_t n;

		/* a look at a hole would fill it */
		if (check && thin && page % THIN)
			continue;
		if (!check) {
			if (!hole)
				pattern_fill(words, seed, 0, page);
			continue;
		}
		n = hole ? !is_zero(words) : pattern_check(words, seed, 0, page);
		if (gone)
			n = PATTERN_WORDS - n;
		if (n && first == nr)
			first = page;
		bad += n;
	}
	if (!check && thin)
		thin_out(path, fd, nr);
	if (thin && (fstat(fd, &st) ||
		     (uint64_t)st.st_blocks * 512 != (nr + THIN - 1) / THIN * PATTERN_PAGE))
		errx(1, "%s: has more than each page of %d, or less", path, THIN);
	if (bad) {
		printf("%s: %" PRIu64 " wrong words, the first in page %" PRIu64 "\n", path, bad,
		       first);
		return 1;
	}
	return 0;
}
