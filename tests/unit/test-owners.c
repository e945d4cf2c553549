// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Owners in a fake /proc, frozen in a fake /sys/fs/cgroup, whose "kernel" is a thread: it says
 * in cgroup.events what cgroup.freeze was set to.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fake-root.h"
#include "journal.h"
#include "owners.h"
#include "test.h"
#include "util.h"

#define CGROUP "/sys/fs/cgroup"
#define CHILD  "/kexec-fastrestart-frozen"

static struct fake_root root;
static struct fr_ctx ctx = {.root = root.path};
static char kept[64]; /* a real file, for links of /proc/PID/fd */
static struct fr_file_id files[2];
static atomic_bool obeys, ends;

static const char *const cgroups[] = {"/own", "/shared", "/shared" CHILD};

static char first_byte(const char *cgroup, const char *file)
{
	char name[160], byte = 0;
	int fd;

	snprintf(name, sizeof(name), "%s" CGROUP "%s/%s", root.path, cgroup, file);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, &byte, 1) != 1)
		byte = 0;
	if (fd >= 0)
		close(fd);
	return byte;
}

/* In place, so that nobody reads half of it. */
static void overwrite(const char *file, const char *text)
{
	char name[160];
	int fd;

	snprintf(name, sizeof(name), "%s%s", root.path, file);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	close(fd);
}

/* Does what cgroup.freeze says, and moves process 11 where somebody wants it. */
static void *be_kernel(void *unused)
{
	char name[128];

	(void)unused;
	for (; !ends; usleep(1000)) {
		for (size_t i = 0; obeys && i < FR_ARRAY_SIZE(cgroups); i++) {
			snprintf(name, sizeof(name), CGROUP "%s/cgroup.events", cgroups[i]);
			overwrite(name, first_byte(cgroups[i], "cgroup.freeze") == '1' ?
						"frozen 1\n" :
						"frozen 0\n");
		}
		if (first_byte("/shared" CHILD, "cgroup.procs") == '1')
			overwrite("/proc/11/cgroup", "0::/shared" CHILD "\n");
	}
	return NULL;
}

static void make_process(int pid, const char *cgroup)
{
	char name[64], text[128];

	snprintf(name, sizeof(name), "/proc/%d/comm", pid);
	snprintf(text, sizeof(text), "p%d\n", pid);
	fake_root_text(&root, name, text);
	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	snprintf(text, sizeof(text), "1:cpu:/x\n0::%s\n", cgroup);
	fake_root_text(&root, name, text);
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	fake_root_text(&root, name,
		       "55a0-55b0 r-xp 00000000 08:01 77                         /usr/bin/x\n"
		       "7f00-7f01 rw-p 00000000 00:00 0 \n");
}

static void maps(int pid, const struct fr_file_id *f)
{
	char name[64], text[256];

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	snprintf(text, sizeof(text),
		 "7f00-7f01 rw-p 00000000 00:00 0 \n"
		 "7f01-7f02 rw-s 00000000 %02x:%02x %llu                /a b\n",
		 major(f->dev), minor(f->dev), (unsigned long long)f->ino);
	fake_root_text(&root, name, text);
}

static void opens(int pid, int fd, const char *target)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", pid, fd);
	fake_root_link(&root, name, target);
}

static void make_cgroup(const char *name)
{
	static const char *const v[] = {"freeze", "events", "procs"};
	char file[128];

	for (size_t i = 0; i < FR_ARRAY_SIZE(v); i++) {
		snprintf(file, sizeof(file), CGROUP "%s/cgroup.%s", name, v[i]);
		fake_root_text(&root, file, i ? "" : "0\n");
	}
}

static pthread_t kernel;

static int make(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	fake_root_make(&root);
	strcpy(kept, "/dev/shm/fr-test-XXXXXX");
	fd = mkstemp(kept);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	files[0] = (struct fr_file_id){.dev = makedev(0, 0x1a), .ino = 1ull << 40};
	files[1] = (struct fr_file_id){.dev = st.st_dev, .ino = st.st_ino};
	fake_root_text(&root, "/run/kexec-fastrestart/lock", "");
	fake_root_text(&root, CGROUP "/cgroup.controllers", "");
	fake_root_text(&root, CGROUP "/cgroup.procs", "");
	for (size_t i = 0; i < FR_ARRAY_SIZE(cgroups); i++)
		make_cgroup(cgroups[i]);
	make_process(1, "/init");
	make_process(getpid(), "/shared");
	make_process(10, "/own");
	make_process(11, "/shared");
	make_process(12, "/own");
	obeys = true;
	ends = false;
	return pthread_create(&kernel, NULL, be_kernel, NULL);
}

static int drop(void **state)
{
	(void)state;
	ends = true;
	pthread_join(kernel, NULL);
	unlink(kept);
	fake_root_remove(&root);
	return 0;
}

static struct fr_owners find(const pid_t *but, size_t nr_but)
{
	struct fr_owners o;
	struct fr_error e;

	if (fr_owners_find(&ctx, files, 2, but, nr_but, &o, &e))
		fail_msg("%s", e.text);
	return o;
}

static void finds_them(void **state)
{
	static const pid_t but[] = {12, 99};
	struct fr_file_id other = {.dev = files[0].dev, .ino = files[0].ino + 1};
	struct fr_owners o = find(NULL, 0);
	struct fr_error e;

	(void)state;
	assert_int_equal(o.nr, 0);
	fr_owners_clear(&o);
	maps(10, &other);
	opens(10, 3, "/dev/null");
	maps(12, &files[0]);
	maps(1, &files[0]);
	maps(getpid(), &files[0]);
	opens(11, 0, "/dev/null");
	opens(11, 7, kept);
	o = find(NULL, 0);
	assert_int_equal(o.nr, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(o.v[i].file, o.v[i].pid == 11);
		assert_string_equal(o.v[i].comm, o.v[i].pid == 11 ? "p11" : "p12");
	}
	assert_int_equal(fr_owners_check(&ctx, &o, &e), 0);
	fr_owners_clear(&o);
	opens(11, 8, "/dev/infiniband/uverbs0");
	o = find(but, 2);
	assert_int_equal(o.nr, 1);
	assert_int_equal(fr_owners_check(&ctx, &o, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.text, "p11"));
	fr_owners_clear(&o);
}

/* What the kernel says of an io_uring of process 11, and whether that is in its kept file. */
static bool is_refused(const char *fdinfo)
{
	struct fr_owners o;
	struct fr_error e;
	bool refused;
	int r;

	fake_root_text(&root, "/proc/11/fdinfo/5", fdinfo);
	o = find(NULL, 0);
	assert_int_equal(o.nr, 1);
	refused = o.v[0].fixed_buffers;
	r = fr_owners_check(&ctx, &o, &e);
	assert_int_equal(r, refused ? -EOPNOTSUPP : 0);
	if (refused)
		assert_non_null(strstr(e.text, "p11"));
	fr_owners_clear(&o);
	return refused;
}

static void fixed_buffers(void **state)
{
	(void)state;
	maps(11, &files[0]); /* 7f01 to 7f02 */
	opens(11, 5, "anon_inode:[io_uring]");
	assert_false(is_refused("pos:\t0\nUserFiles:\t0\nUserBufs:\t0\nPollList:\n"));
	assert_false(
		is_refused("x\nUserBufs:\t2\n    0: 0x7f00/1\n    1: 0x7f02/4096\nPollList:\n"));
	assert_false(is_refused("x\nUserBufs:\t2\n    0: <none>\n    1: 0x0/0\nPollList:\n"));
	assert_true(is_refused("x\nUserBufs:\t2\n    0: 0x8000/1\n    1: 0x7f01/1\nPollList:\n"));
	assert_true(is_refused("x\nUserBufs:\t1\n    0: 0x7000/4095\n"));
	/* a registered file may have any name */
	assert_true(is_refused("x\nUserFiles:\t1\n    0: a\nUserBufs:\t0\n"
			       "UserBufs:\t1\n    0: 0x7f01/1\nPollList:\n"));
	/* not shown: the ring was busy all the time */
	assert_true(is_refused("x\nUserBufs:\t1\nPollList:\n"));
	assert_true(is_refused("pos:\t0\n"));
	assert_true(is_refused("x\nUserBufs:\t1\n    0: 0x1/18446744073709551615\n"));
	/* also of a file that is open as well, and mapped */
	opens(11, 7, kept);
	assert_true(is_refused("x\nUserBufs:\t1\n    0: 0x7f01/1\n"));
	assert_false(is_refused("x\nUserBufs:\t1\n    0: 0x7f02/1\n"));
}

static int freeze(struct fr_owners *o, struct fr_error *e)
{
	*o = find(NULL, 0);
	return fr_owners_freeze(&ctx, o, NULL, 0, 200, e);
}

/* cgroup.freeze of @dir cannot be written any more. */
static void replace_by_folder(const char *dir)
{
	char file[160];

	obeys = false;
	snprintf(file, sizeof(file), "%s/cgroup.freeze", dir);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkdir(file, 0755), 0);
}

/* As a whole where that hits nobody else; /shared has this process in it, which stands for exec. */
static void freezes_and_thaws(void **state)
{
	struct fr_owners o;
	struct fr_error e;
	char file[128];

	(void)state;
	maps(10, &files[0]);
	maps(11, &files[0]);
	if (freeze(&o, &e))
		fail_msg("%s", e.text);
	assert_string_equal(fake_root_line(&root, CGROUP "/own/cgroup.freeze"), "1");
	assert_string_equal(fake_root_line(&root, CGROUP "/shared/cgroup.freeze"), "0");
	assert_string_equal(fake_root_line(&root, CGROUP "/shared" CHILD "/cgroup.freeze"), "1");
	assert_string_equal(fake_root_line(&root, CGROUP "/shared" CHILD "/cgroup.procs"), "11");
	assert_int_equal(fr_owners_thaw(&ctx), 0);
	assert_string_equal(fake_root_line(&root, CGROUP "/own/cgroup.freeze"), "0");
	assert_string_equal(fake_root_line(&root, CGROUP "/shared" CHILD "/cgroup.freeze"), "0");
	assert_string_equal(fake_root_line(&root, CGROUP "/shared/cgroup.procs"), "11");
	/* one that has gone meanwhile is no failure, one that cannot be thawed is */
	assert_int_equal(fr_journal_add(&ctx, FR_JOURNAL_CGROUP, "/nonexistent/gone"), 0);
	assert_int_equal(fr_owners_thaw(&ctx), 0);
	snprintf(file, sizeof(file), "%s" CGROUP "/own", root.path);
	replace_by_folder(file);
	assert_int_equal(fr_owners_thaw(&ctx), -EISDIR);
	assert_int_equal(fr_journal_remove(&ctx), 0);
	assert_int_equal(fr_owners_thaw(&ctx), 0); /* there is nothing to do */
	fr_owners_clear(&o);
}

/* Where version 2 is mounted beside version 1. */
static void hybrid_hierarchy(void **state)
{
	struct fr_owners o;
	struct fr_error e;
	char from[128], to[128];

	(void)state;
	obeys = false;
	usleep(20000);
	snprintf(from, sizeof(from), "%s" CGROUP, root.path);
	snprintf(to, sizeof(to), "%s/sys/fs/unified", root.path);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(mkdir(from, 0755), 0);
	snprintf(from, sizeof(from), "%s" CGROUP "/unified", root.path);
	assert_int_equal(rename(to, from), 0);
	maps(10, &files[0]);
	assert_int_equal(freeze(&o, &e), -ETIMEDOUT); /* nobody obeys there */
	assert_string_equal(fake_root_line(&root, CGROUP "/unified/own/cgroup.freeze"), "1");
	assert_int_equal(fr_owners_thaw(&ctx), 0);
	assert_string_equal(fake_root_line(&root, CGROUP "/unified/own/cgroup.freeze"), "0");
	fr_owners_clear(&o);
}

/* It names cgroups that are written to by root, who alone writes it. */
static void the_journal_is_private(void **state)
{
	mode_t old = umask(0);
	struct fr_owners o;
	struct fr_error e;
	char file[128], other[128];
	struct stat st;

	(void)state;
	maps(10, &files[0]);
	assert_int_equal(freeze(&o, &e), 0);
	snprintf(file, sizeof(file), "%s/run/kexec-fastrestart/journal", root.path);
	assert_int_equal(lstat(file, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	fr_owners_thaw(&ctx);
	fr_owners_clear(&o);
	umask(old);
	usleep(20000); /* until it has thawed */
	assert_int_equal(fr_journal_remove(&ctx), 0);
	/* nor is it written elsewhere */
	snprintf(other, sizeof(other), "%s/other", root.path);
	assert_int_equal(symlink(other, file), 0);
	assert_int_equal(freeze(&o, &e), -ELOOP);
	assert_int_equal(access(other, F_OK), -1);
	assert_string_equal(fake_root_line(&root, CGROUP "/own/cgroup.freeze"), "0");
	fr_owners_clear(&o);
}

static void those_that_cannot(void **state)
{
	struct fr_owners o;
	struct fr_error e;
	char file[128];

	(void)state;
	/* it does not stand still */
	obeys = false;
	usleep(20000);
	maps(10, &files[0]);
	assert_int_equal(freeze(&o, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "p10"));
	fr_owners_clear(&o);
	fr_owners_thaw(&ctx);
	assert_string_equal(fake_root_line(&root, CGROUP "/own/cgroup.freeze"), "0");
	assert_int_equal(fr_journal_remove(&ctx), 0);
	/* one that is frozen already stays so */
	overwrite(CGROUP "/own/cgroup.events", "frozen 1\n");
	assert_int_equal(freeze(&o, &e), 0);
	fr_owners_clear(&o);
	fr_owners_thaw(&ctx);
	assert_string_equal(fake_root_line(&root, CGROUP "/own/cgroup.freeze"), "0");
	/* nothing but version 1 */
	snprintf(file, sizeof(file), "%s" CGROUP "/cgroup.controllers", root.path);
	assert_int_equal(unlink(file), 0);
	o = find(NULL, 0);
	assert_int_equal(fr_owners_check(&ctx, &o, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "--no-freeze"));
	fr_owners_clear(&o);
	assert_int_equal(freeze(&o, &e), -ENOTSUP);
	fr_owners_clear(&o);
}

/* Seen from this process's cgroup namespace: a path below its root would be another one's. */
static void outside_of_the_namespace(void **state)
{
	struct fr_owners o;
	struct fr_error e;

	(void)state;
	make_process(10, "/../own");
	fake_root_text(&root, "/sys/fs/own/cgroup.freeze", "0\n");
	maps(10, &files[0]);
	assert_int_equal(freeze(&o, &e), -EXDEV);
	assert_int_equal(fr_owners_check(&ctx, &o, &e), -EXDEV);
	assert_non_null(strstr(e.text, "p10"));
	assert_string_equal(fake_root_line(&root, "/sys/fs/own/cgroup.freeze"), "0");
	fr_owners_clear(&o);
}

/* Threads may have cgroups of their own: all of them are frozen. */
static void threaded(void **state)
{
	struct fr_owners o;
	struct fr_error e;

	(void)state;
	make_cgroup("/own/thread");
	fake_root_text(&root, CGROUP "/own/thread/cgroup.type", "threaded\n");
	fake_root_text(&root, CGROUP "/own/cgroup.type", "domain threaded\n");
	make_process(10, "/own/thread");
	maps(10, &files[0]);
	if (freeze(&o, &e))
		fail_msg("%s", e.text);
	assert_string_equal(fake_root_line(&root, CGROUP "/own/cgroup.freeze"), "1");
	assert_string_equal(fake_root_line(&root, CGROUP "/own/thread/cgroup.freeze"), "0");
	fr_owners_thaw(&ctx);
	fr_owners_clear(&o);
}

static int waits, reads_end_at; /* after so many of the drain's pauses */

int fake_poll(struct pollfd *fds, nfds_t nr, int timeout_ms) __asm__("poll");
int fake_poll(struct pollfd *fds, nfds_t nr, int timeout_ms)
{
	if (!nr && ++waits == reads_end_at)
		overwrite("/sys/block/sdb/inflight", "       0        0\n");
	return (int)syscall(SYS_poll, fds, nr, timeout_ms);
}

static void reads_are_waited_for(void **state)
{
	struct fr_error e;

	(void)state;
	assert_int_equal(fr_owners_drain(&ctx, 10, &e), 0);
	fake_root_text(&root, "/sys/block/sda/inflight", "       0        5\n");
	assert_int_equal(fr_owners_drain(&ctx, 10, &e), 0);
	fake_root_text(&root, "/sys/block/sdb/inflight", "       2        0\n");
	assert_int_equal(fr_owners_drain(&ctx, 10, &e), -ETIMEDOUT);
	assert_non_null(strstr(e.text, "sdb"));
	/* they arrive while it waits */
	waits = 0;
	reads_end_at = 3;
	if (fr_owners_drain(&ctx, 10000, &e))
		fail_msg("%s", e.text);
	assert_int_equal(waits, 3);
	/* a disk that has gone is not waited for, one that cannot be read is not taken for idle */
	fake_root_text(&root, "/sys/block/sdc/size", "");
	assert_int_equal(fr_owners_drain(&ctx, 10, &e), 0);
	fake_root_text(&root, "/sys/block/sdd/inflight/x", "");
	assert_int_equal(fr_owners_drain(&ctx, 10, &e), -EISDIR);
	assert_non_null(strstr(e.text, "sdd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_them, make, drop),
		cmocka_unit_test_setup_teardown(fixed_buffers, make, drop),
		cmocka_unit_test_setup_teardown(freezes_and_thaws, make, drop),
		cmocka_unit_test_setup_teardown(hybrid_hierarchy, make, drop),
		cmocka_unit_test_setup_teardown(the_journal_is_private, make, drop),
		cmocka_unit_test_setup_teardown(those_that_cannot, make, drop),
		cmocka_unit_test_setup_teardown(outside_of_the_namespace, make, drop),
		cmocka_unit_test_setup_teardown(threaded, make, drop),
		cmocka_unit_test_setup_teardown(reads_are_waited_for, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
