// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake-root.h"
#include "host.h"
#include "test.h"

static struct fake_root root;
static struct fr_ctx ctx = {.root = root.path};

static int make(void **state)
{
	(void)state;
	fake_root_make(&root);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	fake_root_remove(&root);
	return 0;
}

static void boot_id(void **state)
{
	uint8_t id[16] = {0};
	struct fr_error e;

	(void)state;
	assert_int_equal(fr_boot_id_read(&ctx, id, &e), -ENOENT);
	fake_root_text(&root, "/proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0\n");
	assert_int_equal(fr_boot_id_read(&ctx, id, &e), -EPROTO);
	assert_int_equal(id[0], 0);
	fake_root_text(&root, "/proc/sys/kernel/random/boot_id",
		       "01234567-89ab-cdef-0011-223344556677\n");
	assert_int_equal(fr_boot_id_read(&ctx, id, &e), 0);
	assert_memory_equal(id, "\x01\x23\x45\x67\x89\xab\xcd\xef\x00\x11\x22\x33\x44\x55\x66\x77",
			    16);
}

static void cgroup_root(void **state)
{
	char *found;

	(void)state;
	assert_int_equal(fr_cgroup_root(&ctx, &found), -ENOTSUP);
	fake_root_text(&root, "/sys/fs/cgroup/unified/cgroup.controllers", "");
	assert_int_equal(fr_cgroup_root(&ctx, &found), 0);
	assert_string_equal(found + strlen(root.path), "/sys/fs/cgroup/unified");
	free(found);
	fake_root_text(&root, "/sys/fs/cgroup/cgroup.controllers", "");
	assert_int_equal(fr_cgroup_root(&ctx, &found), 0);
	assert_string_equal(found + strlen(root.path), "/sys/fs/cgroup");
	free(found);
}

static void tsc(void **state)
{
	(void)state;
	assert_int_equal(fr_tsc_khz(&ctx), 0);
	fake_root_text(&root, "/proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2499.998\n");
	assert_int_equal(fr_tsc_khz(&ctx), 2499998);
	fake_root_text(&root, "/sys/devices/system/cpu/cpu0/tsc_freq_khz", "2500000\n");
	assert_int_equal(fr_tsc_khz(&ctx), 2500000);
}

static void lpj(void **state)
{
	uint64_t value = 0;
	uint32_t hz = 0;

	(void)state;
	assert_int_equal(
		fr_lpj_parse(
			"6,1,2,-;Calibrating delay loop (skipped), value calculated using timer frequency.. 5000.00 BogoMIPS (lpj=10000000)\n",
			&value, &hz),
		0);
	assert_int_equal(value, 10000000);
	assert_int_equal(hz, 250);
	assert_int_equal(fr_lpj_parse("Calibrating delay loop... 4987.80 BogoMIPS (lpj=2493903)",
				      &value, &hz),
			 0);
	assert_int_equal(hz, 1000);
	/* no known CONFIG_HZ fits, or not that line at all */
	assert_int_equal(fr_lpj_parse("Calibrating delay loop... 4987.80 BogoMIPS (lpj=5)", &value,
				      &hz),
			 -ENOENT);
	assert_int_equal(fr_lpj_parse("Calibrating delay loop... BogoMIPS (lpj=0)", &value, &hz),
			 -ENOENT);
	assert_int_equal(fr_lpj_parse("lpj=10000000", &value, &hz), -ENOENT);
	assert_int_equal(fr_lpj_parse("", &value, &hz), -ENOENT);
	assert_int_equal(value, 2493903);
}

static void lock(void **state)
{
	bool locked = true;
	struct fr_error e;
	int fd, other;

	(void)state;
	assert_int_equal(fr_is_locked(&ctx, &locked), -ENOENT);
	fake_root_text(&root, "/run/x", "");
	fd = fr_lock(&ctx, true, &e);
	other = fr_lock(&ctx, true, &e);
	assert_true(fd >= 0 && other >= 0);
	assert_int_equal(fr_lock(&ctx, false, &e), -EBUSY);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	/* those that are shared change nothing of exec's */
	assert_int_equal(fr_is_locked(&ctx, &locked), 0);
	assert_false(locked);
	close(fd);
	close(other);
	fd = fr_lock(&ctx, false, &e);
	assert_true(fd >= 0);
	assert_int_equal(fr_lock(&ctx, true, &e), -EBUSY);
	assert_int_equal(fr_is_locked(&ctx, &locked), 0);
	assert_true(locked);
	close(fd);
	assert_int_equal(fr_is_locked(&ctx, &locked), 0);
	assert_false(locked);
}

/* What is in there is believed: nobody else may have put it there. */
static void run_is_for_root(void **state)
{
	char dir[96], other[96];
	struct fr_error e;
	int fd;

	(void)state;
	fake_root_text(&root, "/run/x", "");
	snprintf(dir, sizeof(dir), "%s/run/kexec-fastrestart", root.path);
	snprintf(other, sizeof(other), "%s/other", root.path);
	for (mode_t bad = S_IWOTH; bad <= S_IWGRP; bad <<= 3) {
		assert_int_equal(mkdir(dir, 0700), 0);
		assert_int_equal(chmod(dir, 0700 | bad), 0);
		assert_int_equal(fr_lock(&ctx, true, &e), -EPERM);
		assert_int_equal(e.fault, FR_FAULT_REFUSED);
		assert_non_null(strstr(e.text, dir));
		assert_int_equal(rmdir(dir), 0);
	}
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(symlink(other, dir), 0);
	assert_int_equal(fr_lock(&ctx, true, &e), -EPERM);
	assert_int_equal(rmdir(other), 0); /* nothing was made there */
	assert_int_equal(unlink(dir), 0);
	if (!geteuid()) {
		assert_int_equal(mkdir(dir, 0700), 0);
		assert_int_equal(chown(dir, 65534, 0), 0);
		assert_int_equal(fr_lock(&ctx, true, &e), -EPERM);
		assert_int_equal(rmdir(dir), 0);
	}
	fd = fr_lock(&ctx, true, &e);
	assert_true(fd >= 0);
	close(fd);
	/* nor may the lock be somewhere else */
	snprintf(dir, sizeof(dir), "%s/run/kexec-fastrestart/lock", root.path);
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(symlink(other, dir), 0);
	assert_int_equal(fr_lock(&ctx, true, &e), -ELOOP);
	assert_int_equal(access(other, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(boot_id, make, drop),
		cmocka_unit_test_setup_teardown(cgroup_root, make, drop),
		cmocka_unit_test_setup_teardown(tsc, make, drop),
		cmocka_unit_test(lpj),
		cmocka_unit_test_setup_teardown(lock, make, drop),
		cmocka_unit_test_setup_teardown(run_is_for_root, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
