// SPDX-License-Identifier: GPL-2.0-or-later
/* Sets of ranges, against the same sets as bitmaps. */
#include "config.h"

#include <errno.h>

#include "ramap.h"
#include "sort.h"
#include "test.h"
#include "util.h"

#define UNIVERSE 64

static uint64_t bits(const struct fr_ranges *r)
{
	uint64_t set = 0;

	for (size_t i = 0; i < r->nr; i++)
		for (uint64_t x = r->v[i].start; x < r->v[i].end; x++)
			set |= 1ull << x;
	return set;
}

static void assert_normal(const struct fr_ranges *r)
{
	for (size_t i = 0; i < r->nr; i++) {
		assert_true(r->v[i].start < r->v[i].end);
		assert_true(!i || r->v[i - 1].end < r->v[i].start);
	}
}

static struct fr_ranges random_ranges(uint64_t *seed)
{
	struct fr_ranges r = {0};

	for (uint64_t n = test_random_below(seed, 8); n; n--) {
		uint64_t start = test_random_below(seed, UNIVERSE);
		uint64_t end = start + test_random_below(seed, UNIVERSE - start);

		assert_int_equal(fr_ranges_add(&r, start, end), 0);
	}
	return r;
}

static void check_queries(const struct fr_ranges *r, uint64_t set, uint64_t *seed)
{
	uint64_t start = test_random_below(seed, UNIVERSE - 1);
	uint64_t end = start + 1 + test_random_below(seed, UNIVERSE - start - 1);
	uint64_t window = (end - start == 64 ? ~0ull : (1ull << (end - start)) - 1) << start;

	assert_int_equal(fr_ranges_touch(r, start, end), (set & window) != 0);
	assert_int_equal(fr_ranges_contain(r, start, end), (set & window) == window);
}

static void test_algebra(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (unsigned int i = 0; i < 5000; i++) {
		struct fr_ranges a = random_ranges(&seed), b = random_ranges(&seed), r;
		uint64_t in_a = bits(&a), in_b = bits(&b);

		fr_ranges_normalise(&a);
		fr_ranges_normalise(&b);
		assert_normal(&a);
		assert_int_equal(bits(&a), in_a);
		assert_int_equal(fr_ranges_bytes(&a), __builtin_popcountll(in_a));
		check_queries(&a, in_a, &seed);

		assert_int_equal(fr_ranges_subtract(&a, &b, &r), 0);
		assert_normal(&r);
		assert_int_equal(bits(&r), in_a & ~in_b);
		fr_ranges_clear(&r);

		assert_int_equal(fr_ranges_intersect(&a, &b, &r), 0);
		assert_int_equal(bits(&r), in_a & in_b);
		fr_ranges_clear(&r);
		fr_ranges_clear(&a);
		fr_ranges_clear(&b);
	}
}

static void test_edges(void **state)
{
	struct fr_ranges r = {0};

	(void)state;
	assert_int_equal(fr_ranges_add(&r, 5, 4), -EINVAL);
	assert_int_equal(fr_ranges_add(&r, 5, 5), 0);
	assert_int_equal(r.nr, 0);
	fr_ranges_normalise(&r);
	assert_false(fr_ranges_contain(&r, 0, 1));
	assert_false(fr_ranges_touch(&r, 0, UINT64_MAX));
	fr_ranges_add(&r, 0, UINT64_MAX);
	assert_true(fr_ranges_contain(&r, 1, UINT64_MAX));
	assert_false(fr_ranges_touch(&r, 3, 3));
	fr_ranges_clear(&r);
	fr_ranges_clear(NULL);
}

static void test_map(void **state)
{
	struct fr_ram_map m = {0};
	struct fr_ranges r;

	(void)state;
	assert_int_equal(fr_ram_map_add(&m, 0, 10, FR_E820_RAM, 0), 0);
	assert_int_equal(fr_ram_map_add(&m, 10, 20, FR_E820_RAM, 0), 0);
	assert_int_equal(m.nr, 1);
	assert_int_equal(fr_ram_map_add(&m, 20, 30, FR_E820_RAM, 1), 0);
	assert_int_equal(fr_ram_map_add(&m, 30, 40, FR_E820_ACPI, 1), 0);
	assert_int_equal(m.nr, 3);
	assert_int_equal(fr_ram_map_ranges(&m, FR_E820_RAM, &r), 0);
	assert_int_equal(r.nr, 1);
	assert_int_equal(fr_ranges_bytes(&r), 30);
	fr_ranges_clear(&r);
	fr_ram_map_clear(&m);
	fr_ram_map_clear(NULL);
}

/* Ascending, stable, and nothing lost: each element has the place that it had. */
static void check_sort(size_t nr, size_t words, uint64_t mask)
{
	uint64_t *v = test_malloc(nr * words * sizeof(*v) + 1), seed = nr + words, sum = 0;

	for (size_t i = 0; i < nr; i++) {
		v[i * words] = test_random(&seed) & mask;
		for (size_t k = 1; k < words; k++)
			v[i * words + k] = i;
	}
	fr_sort(v, nr, words * sizeof(*v));
	for (size_t i = 0; i < nr; i++) {
		const uint64_t *e = &v[i * words], *before = e - words;

		assert_true(!i || before[0] < e[0] || (before[0] == e[0] && before[1] < e[1]));
		for (size_t k = 2; k < words; k++)
			assert_int_equal(e[k], e[1]);
		sum += e[1];
	}
	assert_int_equal(sum, nr ? nr * (nr - 1) / 2 : 0);
	test_free(v);
}

static void test_sort(void **state)
{
	static const uint64_t masks[] = {0, 1, 0xff000, 0xfffffffff000, UINT64_MAX, 1ull << 63};

	(void)state;
	for (size_t m = 0; m < FR_ARRAY_SIZE(masks); m++)
		for (size_t words = 2; words <= 5; words++) {
			check_sort(600, words, masks[m]);
			check_sort(4097, words, masks[m]);
		}
	for (size_t nr = 0; nr < 600; nr += 37)
		check_sort(nr, 3, UINT64_MAX); /* the ordinary sort, with keys that all differ */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algebra),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_sort),
	};

	return cmocka_run_group_tests_name("ramap", tests, NULL, NULL);
}
