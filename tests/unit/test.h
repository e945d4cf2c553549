/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka with what it wants included before, and what the tests share. */
#ifndef FR_TEST_H
#define FR_TEST_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fastrestart.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)

/* A literal where a struct elsewhere owns its strings; nobody writes to it. */
#define MUTABLE(s) ((char *)(uintptr_t)(s))

static inline int test_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* xorshift64*: the same sequence for the same seed everywhere */
static inline uint64_t test_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline uint64_t test_random_below(uint64_t *state, uint64_t limit)
{
	return test_random(state) % limit;
}

#endif /* FR_TEST_H */
