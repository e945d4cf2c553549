// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A radix sort from the lowest digit.  Physical addresses differ in few digits (of 52
 * bits, the lowest 12 are often the same), and those in which all agree cost nothing but counting.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sort.h"
#include "util.h"

#define DIGIT_BITS 11
#define BUCKETS	   (1u << DIGIT_BITS)
#define DIGITS	   ((64 + DIGIT_BITS - 1) / DIGIT_BITS)
#define FEW	   512u /* for which counting costs more than it saves */

static uint64_t key_of(const uint8_t *element)
{
	uint64_t key;

	memcpy(&key, element, sizeof(key));
	return key;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = key_of(a), y = key_of(b);

	return (x > y) - (x < y);
}

static unsigned int digit_of(uint64_t key, unsigned int digit)
{
	return key >> digit * DIGIT_BITS & (BUCKETS - 1);
}

/* Inlined for each size of the library's elements, so that copying one is a few moves. */
static inline __attribute__((always_inline)) void
scatter(const uint8_t *from, uint8_t *to, size_t nr, size_t bytes, unsigned int digit, size_t *next)
{
	for (size_t i = 0; i < nr; i++, from += bytes)
		memcpy(to + next[digit_of(key_of(from), digit)]++ * bytes, from, bytes);
}

static void move(const uint8_t *from, uint8_t *to, size_t nr, size_t bytes, unsigned int digit,
		 size_t *next)
{
	switch (bytes) {
	case 16:
		scatter(from, to, nr, 16, digit, next);
		break;
	case 24:
		scatter(from, to, nr, 24, digit, next);
		break;
	default:
		scatter(from, to, nr, bytes, digit, next);
	}
}

void fr_sort(void *v, size_t nr, size_t bytes)
{
	_cleanup_free_ uint8_t *copy = NULL;
	_cleanup_free_ size_t(*count)[BUCKETS] = NULL;
	uint8_t *from = v, *to;

	if (nr >= FEW) {
		copy = reallocarray(NULL, nr, bytes);
		count = calloc(DIGITS, sizeof(*count));
	}
	if (!copy || !count) {
		if (nr)
			qsort(v, nr, bytes, compare);
		return;
	}
	for (size_t i = 0; i < nr; i++)
		for (unsigned int d = 0; d < DIGITS; d++)
			count[d][digit_of(key_of(from + i * bytes), d)]++;
	to = copy;
	for (unsigned int d = 0; d < DIGITS; d++) {
		uint8_t *swap = from;
		size_t at = 0;

		if (count[d][digit_of(key_of(from), d)] == nr)
			continue;
		for (size_t b = 0; b < BUCKETS; b++) {
			size_t n = count[d][b];

			count[d][b] = at;
			at += n;
		}
		move(from, to, nr, bytes, d, count[d]);
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, nr * bytes);
}
