// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptors that are damaged at random, with their checksums right, before both parsers:
 * the library's and, out of the patches, the kernel's.  What one takes the other takes
 * (but for names and digests, of which the kernel makes nothing), and encoding it gives
 * the same again.  The address and the undefined behaviour sanitizer watch.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "malformed.h"
#include "parsers.h"
#include "sample.h"
#include "test.h"

#define MUTATIONS 10000
#define SEED	  0x5eed

/* A field of 4 or 8 bytes, somewhere; more often where counts and offsets are. */
static size_t pick_field(uint64_t *seed, size_t bytes, size_t width)
{
	const size_t tables = offsetof(struct fr_wire_header, table);
	size_t end = bytes, start = sizeof(struct fr_wire_header);

	switch (test_random_below(seed, 8)) {
	case 0:
		start = 0;
		break;
	case 1:
		start = tables;
		end = tables + FR_NR_TABLES * sizeof(struct fr_wire_table);
		break;
	}
	if (end < start + width) /* cut off behind its header */
		start = 0;
	return start + test_random_below(seed, (end - start) / width) * width;
}

/* One of those that parsers get wrong, or one that stands elsewhere in it. */
static uint64_t pick_value(uint64_t *seed, const uint8_t *p, size_t bytes, uint64_t old)
{
	static const uint64_t special[] = {0,	       1,	   2,	       7,
					   8,	       4095,	   4096,       0xff,
					   0x100,      1ull << 20, 1ull << 21, 1ull << 30,
					   INT32_MAX,  UINT32_MAX, 1ull << 32, 1ull << 40,
					   1ull << 52, INT64_MAX,  1ull << 63, UINT64_MAX,
					   -8ull,      -4096ull,   1ull << 51};

	switch (test_random_below(seed, 6)) {
	case 0:
		return special[test_random_below(seed, sizeof(special) / sizeof(*special))];
	case 1:
		return old ^ 1ull << test_random_below(seed, 64);
	case 2:
		return old + 1;
	case 3:
		return old - 1;
	case 4:
		return old + special[test_random_below(seed, 12)];
	default:
		return fr_get_le64(p + pick_field(seed, bytes, 8));
	}
}

/* Two entries of a table change places, or one of them is there twice. */
static void mutate_entries(uint64_t *seed, uint8_t *p, size_t bytes)
{
	const uint8_t *t = p + offsetof(struct fr_wire_header, table) +
			   test_random_below(seed, FR_NR_TABLES) * sizeof(struct fr_wire_table);
	uint64_t offset = fr_get_le64(t + offsetof(struct fr_wire_table, offset));
	uint64_t nr = fr_get_le64(t + offsetof(struct fr_wire_table, nr));
	uint32_t entry = fr_get_le32(t + offsetof(struct fr_wire_table, entry_bytes));
	bool twice = test_random_below(seed, 2);
	uint8_t saved[sizeof(struct fr_wire_region)], *a, *b;

	if (!nr || entry > sizeof(saved) || offset > bytes || nr > bytes ||
	    nr * entry > bytes - offset)
		return;
	a = p + offset + test_random_below(seed, nr) * entry;
	b = p + offset + test_random_below(seed, nr) * entry;
	memcpy(saved, a, entry);
	memmove(a, b, entry);
	if (!twice)
		memcpy(b, saved, entry);
}

static void mutate(uint64_t *seed, uint8_t *p, size_t *bytes)
{
	size_t at;

	if (!test_random_below(seed, 50)) { /* cut off, with its length told or not */
		*bytes = sizeof(struct fr_wire_header) +
			 test_random_below(seed, *bytes - sizeof(struct fr_wire_header));
		*bytes &= ~(size_t)7;
		if (test_random_below(seed, 2))
			fr_put_le64(p + offsetof(struct fr_wire_header, total_bytes), *bytes);
	}
	for (uint64_t n = 1 + test_random_below(seed, 3); n; n--) {
		if (!test_random_below(seed, 8)) {
			mutate_entries(seed, p, *bytes);
		} else if (test_random_below(seed, 2)) {
			at = pick_field(seed, *bytes, 8);
			fr_put_le64(p + at, pick_value(seed, p, *bytes, fr_get_le64(p + at)));
		} else {
			at = pick_field(seed, *bytes, 4);
			fr_put_le32(p + at,
				    (uint32_t)pick_value(seed, p, *bytes, fr_get_le32(p + at)));
		}
	}
}

/* In memory of exactly its size, so that a step beyond is seen. */
static bool compare(const uint8_t *p, size_t bytes, const char *name, uint64_t nr)
{
	uint8_t *exact = malloc(bytes ? bytes : 1);
	const char *wrong;
	bool taken;

	assert_non_null(exact);
	memcpy(exact, p, bytes);
	wrong = compare_parsers(exact, bytes, &taken);
	free(exact);
	if (wrong)
		fail_msg("%s %llu: %s", name, (unsigned long long)nr, wrong);
	return taken;
}

static void damaged_at_random(void **state)
{
	uint64_t seed = SEED, taken = 0;

	(void)state;
	for (uint64_t base = 0; base < 20; base++) {
		struct fr_descriptor *d =
			base ? sample_random(base, 5 * base) : sample_descriptor();
		size_t bytes, cut;
		uint8_t *good = sample_encode(d, &bytes), *p = malloc(bytes);

		fr_descriptor_free(d);
		assert_true(compare(good, bytes, "sample", base));
		for (uint64_t i = 0; i < MUTATIONS / 20; i++) {
			memcpy(p, good, bytes);
			cut = bytes;
			mutate(&seed, p, &cut);
			sample_repair(p, cut);
			taken += compare(p, cut, "mutation", base * (MUTATIONS / 20) + i);
		}
		free(good);
		free(p);
	}
	/* stamps, sizes, owners may be anything; but most damage must be seen */
	if (taken < MUTATIONS / 20 || taken > MUTATIONS / 2)
		fail_msg("%llu of %u damaged ones are taken", (unsigned long long)taken, MUTATIONS);
}

static void every_malformed_case(void **state)
{
	struct fr_descriptor *d = sample_descriptor();
	size_t bytes, cut;
	uint8_t *good = sample_encode(d, &bytes), *p = malloc(bytes);

	(void)state;
	for (size_t i = 0; i < nr_malformed; i++) {
		memcpy(p, good, bytes);
		cut = bytes;
		malformed[i].apply(p, &cut);
		if (!malformed[i].keep_csum)
			sample_repair(p, cut);
		assert_false(compare(p, cut, malformed[i].name, i));
	}
	free(good);
	free(p);
	fr_descriptor_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_malformed_case),
		cmocka_unit_test(damaged_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
