// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "test.h"

static void expect(const char *in, bool rewrite, const char *out, size_t warnings)
{
	struct fr_plan *p = calloc(1, sizeof(*p));
	struct fr_error e = {0};
	char *got = NULL;

	if (fr_cmdline_policy(in, rewrite, &got, p, &e))
		fail_msg("%s: %s", in, e.text);
	assert_string_equal(got, out);
	assert_int_equal(p->nr_warnings, warnings);
	free(got);
	fr_plan_free(p);
}

static void refused(const char *in, const char *says)
{
	struct fr_error e = {0};
	char *untouched = NULL;

	assert_int_equal(fr_cmdline_policy(in, false, &untouched, NULL, &e), -EINVAL);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, says));
	assert_null(untouched);
}

static void test_rewrite(void **state)
{
	(void)state;
	expect("BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet", true,
	       "BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet", 0);
	expect("  a \t b\n", true, "a b", 0);
	expect("a mem=4G b memmap=1G!4G,1G!8G c hugetlb_cma=1G lpj=1 d", true, "a b c d", 4);
	expect("default_hugepagesz=1G hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=0:9,1:9 x",
	       true, "default_hugepagesz=1G x", 2);
	expect("\"mem=1G\" x=\"a b\" y", true, "x=\"a b\" y", 1);
	expect("elfcorehdr=0x1000 crashkernel=256M", true, "crashkernel=256M", 1);
	expect("a -- mem=4G hugepages=2", true, "a -- mem=4G hugepages=2", 0);
	expect("memory=1 mem xmem=2", true, "memory=1 mem xmem=2", 0);
	expect("", true, "", 0);
}

static void test_explicit(void **state)
{
	(void)state;
	expect("root=/dev/vda1 hugepages=12 lpj=3", false, "root=/dev/vda1 hugepages=12 lpj=3", 0);
	expect("a -- mem=1G", false, "a -- mem=1G", 0);
	refused("a mem=4G", "mem=4G would cut");
	refused("memmap=1G!4G", "carve-outs");
	refused("elfcorehdr=1M", "crash dump");
}

static void expect_needs(const char *cmdline, uint64_t huge, uint64_t crash, uint64_t crash_low)
{
	struct fr_cmdline_needs n;

	fr_cmdline_needs(cmdline, &n);
	assert_int_equal(n.huge_bytes, huge);
	assert_int_equal(n.crash_bytes, crash);
	assert_int_equal(n.crash_low_bytes, crash_low);
}

static void test_needs(void **state)
{
	(void)state;
	expect_needs("quiet", 0, 0, 0);
	expect_needs("hugepages=10", 20 * MIB, 0, 0);
	expect_needs("hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=3", 2 * GIB + 6 * MIB, 0,
		     0);
	expect_needs("default_hugepagesz=1G hugepages=0:1,1:2", 3 * GIB, 0, 0);
	expect_needs("hugetlb_cma=0 hugepages=1 -- hugepages=5", 2 * MIB, 0, 0);
	expect_needs("hugepages=99999999999999999999", FR_PHYS_LIMIT, 0, 0);
	expect_needs("crashkernel=192M", 0, 192 * MIB, 192 * MIB);
	expect_needs("crashkernel=1G,high", 0, GIB, 256 * MIB);
	expect_needs("crashkernel=1G,high crashkernel=64M,low", 0, GIB, 64 * MIB);
	expect_needs("crashkernel=2G-4G:128M,4G-:512M", 0, 512 * MIB, 256 * MIB);
}

static void test_carve_outs(void **state)
{
	struct fr_ranges r;

	(void)state;
	assert_int_equal(fr_cmdline_carve_outs("memmap=1G!4G,512M$0x180000000 memmap=exactmap "
					       "memmap=4G memmap=64K#1M memmap=1G@8G x",
					       &r),
			 0);
	assert_int_equal(r.nr, 3);
	assert_int_equal(r.v[0].start, MIB);
	assert_int_equal(r.v[1].start, 4 * GIB);
	assert_int_equal(r.v[1].end, 5 * GIB);
	assert_int_equal(r.v[2].start, 6 * GIB);
	assert_int_equal(r.v[2].end, 6 * GIB + 512 * MIB);
	fr_ranges_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_explicit),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_carve_outs),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
