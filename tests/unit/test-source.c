// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static struct fr_source parsed(const char *spec)
{
	struct fr_error e = {0};
	struct fr_source s;

	if (fr_source_parse(spec, &s, &e))
		fail_msg("%s", e.text);
	assert_string_equal(s.spec, spec);
	return s;
}

static void clear(struct fr_source *s)
{
	free(s->spec);
	free(s->name);
	free(s->path);
}

static void expect_file(const char *spec, const char *path, const char *name)
{
	struct fr_source s = parsed(spec);

	assert_false(s.is_phys);
	assert_string_equal(s.path, path);
	assert_string_equal(s.name, name);
	clear(&s);
}

static void expect_phys(const char *spec, uint64_t start, uint64_t bytes, const char *name)
{
	struct fr_source s = parsed(spec);

	assert_true(s.is_phys);
	assert_null(s.path);
	assert_int_equal(s.phys_start, start);
	assert_int_equal(s.phys_bytes, bytes);
	assert_string_equal(s.name, name);
	clear(&s);
}

static void refused(const char *spec, const char *says)
{
	struct fr_error e = {0};
	struct fr_source s;

	assert_true(fr_source_parse(spec, &s, &e) < 0);
	assert_int_equal(e.fault, FR_FAULT_USAGE);
	if (!strstr(e.text, says))
		fail_msg("%s: \"%s\"", spec, e.text);
}

static void test_files(void **state)
{
	(void)state;
	expect_file("/dev/shm/a", "/dev/shm/a", "a");
	expect_file("file:/dev/shm/a", "/dev/shm/a", "a");
	expect_file("/dev/shm/a b:c", "/dev/shm/a b:c", "a_b_c");
	expect_file("/dev/shm/.hidden", "/dev/shm/.hidden", "_hidden");
	expect_file("/dev/shm/-x.y-z", "/dev/shm/-x.y-z", "_x.y-z");
	expect_file("/mnt/a,b,name=c,name=d", "/mnt/a,b,name=c", "d");
}

static void test_phys(void **state)
{
	(void)state;
	expect_phys("phys:0x140000000+1G", 5 * GIB, GIB, "phys-0x140000000");
	expect_phys("phys:4G+0x1000,name=carve", 4 * GIB, 4096, "carve");
	expect_phys("phys:8192k+4K", 8 * MIB, 4096, "phys-0x800000");
}

static void expect_fd(const char *spec, const char *path, const char *name)
{
	struct fr_source s = parsed(spec);

	assert_true(s.is_fd);
	assert_false(s.is_phys);
	assert_string_equal(s.path, path);
	assert_string_equal(s.name, name);
	clear(&s);
}

static void test_fds(void **state)
{
	(void)state;
	expect_fd("pid:4711/fd:9", "/proc/4711/fd/9", "pid-4711-fd-9");
	expect_fd("pid:1/fd:0,name=init", "/proc/1/fd/0", "init");
}

static void test_refused(void **state)
{
	char spec[FR_PATH_BYTES + 100];

	(void)state;
	refused("", "neither");
	refused("relative", "neither");
	refused("file:relative", "neither");
	refused("phys:", "START+SIZE");
	refused("phys:1G", "START+SIZE");
	refused("phys:1G+", "START+SIZE");
	refused("phys:-1+4K", "START+SIZE");
	refused("phys:1G+1G ", "START+SIZE");
	refused("phys:0x10000000000000000+4K", "START+SIZE");
	refused("phys:1G+100000000E", "START+SIZE");
	refused("phys:1G+1", "4 KiB");
	refused("phys:1G+0", "4 KiB");
	refused("phys:4096T+4K", "52 bits");
	refused("phys:0xfffffffffffff000+0x1000", "52 bits");
	refused("pid:", "PID/fd:NUMBER");
	refused("pid:1", "PID/fd:NUMBER");
	refused("pid:0/fd:1", "PID/fd:NUMBER");
	refused("pid:-1/fd:1", "PID/fd:NUMBER");
	refused("pid:+1/fd:1", "PID/fd:NUMBER");
	refused("pid:1/fd:", "PID/fd:NUMBER");
	refused("pid:1/fd:1/../2", "PID/fd:NUMBER");
	refused("pid:1/fd:2147483648", "PID/fd:NUMBER");
	refused("pid:99999999999999999999/fd:1", "PID/fd:NUMBER");
	refused("/dev/shm/a,name=", "cannot name");
	refused("/dev/shm/a,name=a/b", "cannot name");
	refused("/dev/shm/a,name=..", "cannot name");
	refused("/dev/shm/", "cannot name");
	memset(spec, 'a', sizeof(spec));
	spec[0] = '/';
	spec[65] = '\0';
	refused(spec, "cannot name");
	spec[65] = 'a';
	spec[sizeof(spec) - 1] = '\0';
	refused(spec, "longer");
}

static void test_vm(void **state)
{
	struct fr_error e = {0};
	struct fr_vm_arg vm;

	(void)state;
	assert_int_equal(fr_vm_arg_parse("guest=/run/a=b.qmp", &vm, &e), 0);
	assert_string_equal(vm.name, "guest");
	assert_string_equal(vm.qmp_path, "/run/a=b.qmp");
	free(vm.name);
	free(vm.qmp_path);
	assert_int_equal(fr_vm_arg_parse("guest", &vm, &e), -EINVAL);
	assert_int_equal(fr_vm_arg_parse("guest=", &vm, &e), -EINVAL);
	assert_int_equal(fr_vm_arg_parse("guest=relative", &vm, &e), -EINVAL);
	assert_int_equal(fr_vm_arg_parse("=/a", &vm, &e), -EINVAL);
	assert_int_equal(fr_vm_arg_parse("a/b=/a", &vm, &e), -EINVAL);
	assert_int_equal(e.fault, FR_FAULT_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files), cmocka_unit_test(test_phys),
		cmocka_unit_test(test_fds),   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_vm),
	};

	return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
