// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A radix sort from the highest digit, over those bits only in which keys differ: of the 52 of
 * a physical address, 21 for every second page of 8 GiB.  What files have of memory is mostly
 * in some order, so that one pass leaves buckets that fit into a cache, in a stream of writes;
 * from the lowest digit each pass would go to all of memory, at strides that are powers of two.
 */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sort.h"
#include "util.h"

#define DIGIT_BITS 11
#define BUCKETS	   (1u << DIGIT_BITS)
#define FEW	   64u /* for which counting costs more than it saves */

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

/* Bits in which some keys differ, or 0 if @v is sorted. */
static uint64_t unsorted_bits(const uint8_t *v, size_t nr, size_t bytes)
{
	uint64_t first = key_of(v), last = first, differ = 0;
	bool sorted = true;

	for (size_t i = 0; i < nr; i++, v += bytes) {
		uint64_t key = key_of(v);

		sorted &= last <= key;
		differ |= first ^ key;
		last = key;
	}
	return sorted ? 0 : differ;
}

static void insert(uint8_t *v, uint8_t *spare, size_t nr, size_t bytes)
{
	for (size_t i = 1; i < nr; i++) {
		uint64_t key = key_of(v + i * bytes);
		size_t to = i;

		while (to && key_of(v + (to - 1) * bytes) > key)
			to--;
		if (to == i)
			continue;
		memcpy(spare, v + i * bytes, bytes);
		memmove(v + (to + 1) * bytes, v + to * bytes, (i - to) * bytes);
		memcpy(v + to * bytes, spare, bytes);
	}
}

/*
 * @from in the order of one digit to @to; @end says where each bucket ends.  Inlined for
 * each size of the library's elements, so that copying one is a few moves.
 */
static inline __attribute__((always_inline)) void
scatter(const uint8_t *from, uint8_t *to, size_t nr, size_t bytes, unsigned int shift, size_t *end)
{
	size_t at = 0;

	for (size_t i = 0; i < nr; i++)
		end[key_of(from + i * bytes) >> shift & (BUCKETS - 1)]++;
	for (size_t b = 0; b < BUCKETS; b++) {
		size_t n = end[b];

		end[b] = at;
		at += n;
	}
	for (size_t i = 0; i < nr; i++, from += bytes)
		memcpy(to + end[key_of(from) >> shift & (BUCKETS - 1)]++ * bytes, from, bytes);
}

static void scatter_by(const uint8_t *from, uint8_t *to, size_t nr, size_t bytes,
		       unsigned int shift, size_t *end)
{
	switch (bytes) {
	case 16:
		scatter(from, to, nr, 16, shift, end);
		break;
	case 24:
		scatter(from, to, nr, 24, shift, end);
		break;
	default:
		scatter(from, to, nr, bytes, shift, end);
	}
}

static void sort(uint8_t *v, uint8_t *spare, size_t nr, size_t bytes);

/* Each bucket of @v, if its keys differ in bits of which the highest is no higher than @shift. */
static void sort_by_digit(uint8_t *v, uint8_t *spare, size_t nr, size_t bytes, uint64_t differ)
{
	unsigned int low = (unsigned int)__builtin_ctzll(differ);
	unsigned int bits = 64 - (unsigned int)__builtin_clzll(differ);
	unsigned int shift = bits > low + DIGIT_BITS ? bits - DIGIT_BITS : low;
	size_t end[BUCKETS] = {0}, begin = 0;

	scatter_by(v, spare, nr, bytes, shift, end);
	memcpy(v, spare, nr * bytes);
	for (size_t b = 0; b < BUCKETS && shift > low; begin = end[b++])
		sort(v + begin * bytes, spare, end[b] - begin, bytes);
}

/* At most six deep: each level takes a digit away. */
static void sort(uint8_t *v, uint8_t *spare, size_t nr, size_t bytes)
{
	uint64_t differ = nr < FEW ? 0 : unsorted_bits(v, nr, bytes);

	if (nr < FEW)
		insert(v, spare, nr, bytes);
	else if (differ)
		sort_by_digit(v, spare, nr, bytes, differ);
}

void fr_sort(void *v, size_t nr, size_t bytes)
{
	_cleanup_free_ uint8_t *spare = NULL;

	if (nr < 2 || !unsorted_bits(v, nr, bytes))
		return;
	spare = reallocarray(NULL, nr, bytes);
	if (spare)
		sort(v, spare, nr, bytes);
	else
		qsort(v, nr, bytes, compare);
}
