// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>

#include "ramap.h"
#include "test.h"

static void test_append_merges(void **state)
{
	struct fr_extents x = {0};

	(void)state;
	assert_int_equal(fr_extents_append(&x, 100, 10, 0), 0);
	assert_int_equal(fr_extents_append(&x, 110, 5, 10), 0); /* continues both */
	assert_int_equal(x.nr, 1);
	assert_int_equal(fr_extents_append(&x, 115, 5, 16), 0); /* a hole in the file */
	assert_int_equal(fr_extents_append(&x, 121, 5, 21), 0); /* a gap in memory */
	assert_int_equal(x.nr, 3);
	assert_int_equal(fr_extents_pages(&x), 25);
	fr_extents_clear(&x);
	assert_int_equal(x.nr, 0);
}

static void test_append_refuses(void **state)
{
	struct fr_extents x = {0}, borrowed = {.borrowed = true};

	(void)state;
	assert_int_equal(fr_extents_append(&x, 1, 0, 0), -EINVAL);
	assert_int_equal(fr_extents_append(&x, UINT64_MAX, 2, 0), -EINVAL);
	assert_int_equal(fr_extents_append(&x, 0, 2, UINT64_MAX), -EINVAL);
	assert_int_equal(fr_extents_append(&borrowed, 1, 1, 0), -EINVAL);
	assert_int_equal(x.nr, 0);
}

static void test_borrowed_stays(void **state)
{
	struct fr_extent v = {1, 1, 0};
	struct fr_extents x = {.v = &v, .nr = 1, .borrowed = true};

	(void)state;
	fr_extents_clear(&x); /* would crash if it freed the stack */
	assert_null(x.v);
	fr_extents_clear(NULL);
}

static void test_equal(void **state)
{
	struct fr_extents a = {0}, b = {0};

	(void)state;
	assert_true(fr_extents_equal(&a, &b));
	fr_extents_append(&a, 1, 1, 0);
	assert_false(fr_extents_equal(&a, &b));
	fr_extents_append(&b, 1, 1, 1);
	assert_false(fr_extents_equal(&a, &b));
	fr_extents_clear(&b);
	fr_extents_append(&b, 1, 1, 0);
	assert_true(fr_extents_equal(&a, &b));
	fr_extents_clear(&a);
	fr_extents_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append_merges),
		cmocka_unit_test(test_append_refuses),
		cmocka_unit_test(test_borrowed_stays),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests_name("extent", tests, NULL, NULL);
}
