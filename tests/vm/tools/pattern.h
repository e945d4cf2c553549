/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pattern that differs in every word, page, seed and generation, so that a page
 * that is stale, misplaced or from another run is seen.
 */
#ifndef TESTS_PATTERN_H
#define TESTS_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#define PATTERN_PAGE	4096
#define PATTERN_WORDS	(PATTERN_PAGE / sizeof(uint64_t))
#define PATTERN_STEP	0x9e3779b97f4a7c15ull

/* splitmix64 */
static inline uint64_t pattern_mix(uint64_t x)
{
	x += PATTERN_STEP;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t pattern_first(uint64_t seed, uint64_t generation, uint64_t page)
{
	return pattern_mix(seed ^ pattern_mix(generation ^ pattern_mix(page)));
}

static inline void pattern_fill(uint64_t *words, uint64_t seed, uint64_t generation,
				uint64_t page)
{
	uint64_t v = pattern_first(seed, generation, page);

	for (size_t i = 0; i < PATTERN_WORDS; i++, v += PATTERN_STEP)
		words[i] = v;
}

/* The number of wrong words. */
static inline size_t pattern_check(const uint64_t *words, uint64_t seed, uint64_t generation,
				   uint64_t page)
{
	uint64_t v = pattern_first(seed, generation, page);
	size_t bad = 0;

	for (size_t i = 0; i < PATTERN_WORDS; i++, v += PATTERN_STEP)
		bad += words[i] != v;
	return bad;
}

/* pattern_check() of a generation, and pattern_fill() of the next one, in one go. */
static inline size_t pattern_turn(uint64_t *words, uint64_t seed, uint64_t generation,
				  uint64_t page)
{
	uint64_t v = pattern_first(seed, generation, page);
	uint64_t next = pattern_first(seed, generation + 1, page) - v, bad = 0;

	for (size_t i = 0; i < PATTERN_WORDS; i++, v += PATTERN_STEP) {
		bad |= words[i] ^ v;
		words[i] = v + next;
	}
	/* how many words were wrong is no longer known */
	return bad != 0;
}

#endif
