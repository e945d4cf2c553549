// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The operations that all other tests replace (kernel.h), on what an ordinary process may do
 * them to: memfds, files, FIFOs.  kexec_load(2) and reboot(2) are left alone.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake-root.h"
#include "kernel.h"
#include "test.h"

#define PAGE  4096l
#define PAGES 64 /* of a memfd */

static const struct fr_kernel_ops *ops = &fr_kernel_ops_default;
static struct fake_root root;
static char path[80];
static int fds_before, memfd;
static uint8_t *map;

static int make(void **state)
{
	(void)state;
	fake_root_make(&root);
	snprintf(path, sizeof(path), "%s/state", root.path);
	memfd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0 || ftruncate(memfd, PAGES * PAGE))
		return -1;
	map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	fds_before = test_count_fds();
	return map == MAP_FAILED ? -1 : 0;
}

/* Nothing stays open, and no child is left. */
static int drop(void **state)
{
	(void)state;
	assert_int_equal(test_count_fds(), fds_before);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	if (map)
		munmap(map, PAGES * PAGE);
	close(memfd);
	fake_root_remove(&root);
	return 0;
}

static int64_t blocks(void)
{
	struct stat st;

	assert_int_equal(fstat(memfd, &st), 0);
	return st.st_blocks;
}

/* The kernel refuses that as long as somebody refers to a page of the memfd. */
static bool can_be_sealed(void)
{
	munmap(map, PAGES * PAGE);
	map = NULL;
	if (!fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE))
		return true;
	assert_int_equal(errno, EBUSY);
	return false;
}

/* An io_uring may be forbidden: this is not for a test to change. */
static void *pin(const struct iovec *iov, unsigned int nr)
{
	void *p;
	int r = ops->pin(NULL, iov, nr, &p);

	if (r == -EPERM || r == -ENOSYS)
		skip();
	assert_int_equal(r, 0);
	return p;
}

static void pins_hold(void **state)
{
	const struct iovec iov[] = {{map, 3 * PAGE}, {map + 8 * PAGE, PAGE}};
	void *p;

	(void)state;
	map[0] = 1;
	p = pin(iov, 2);
	assert_int_equal(blocks(), 4 * PAGE / 512); /* holes are filled */
	assert_false(can_be_sealed());
	ops->unpin(NULL, p);
	assert_true(can_be_sealed()); /* at once */
	ops->unpin(NULL, NULL);
}

static void pins_that_fail(void **state)
{
	const struct iovec good = {map, PAGE}, gone = {map + 8 * PAGE, PAGE};
	static struct iovec many[16385];
	void *p = &p;

	(void)state;
	ops->unpin(NULL, pin(&good, 1));
	assert_int_equal(munmap(map + 8 * PAGE, PAGE), 0);
	assert_int_equal(ops->pin(NULL, &gone, 1, &p), -EFAULT);
	for (int i = 0; i < 16385; i++)
		many[i] = good;
	assert_int_equal(ops->pin(NULL, many, 16385, &p), -EINVAL);
	assert_ptr_equal(p, &p);
	assert_true(can_be_sealed());
}

/* Of more pages than one vmsplice() takes, unless the size of a pipe is limited. */
static void read_only_pins_hold(void **state)
{
	unsigned int nr = 1100;
	struct iovec *iov = calloc(nr, sizeof(*iov));
	uint8_t *view;
	void *p;
	int r;

	(void)state;
	assert_int_equal(ftruncate(memfd, nr * PAGE), 0);
	assert_int_equal(fallocate(memfd, 0, 0, nr * PAGE), 0);
	view = mmap(NULL, nr * (size_t)PAGE, PROT_READ, MAP_PRIVATE, memfd, 0);
	assert_true(view != MAP_FAILED);
	for (unsigned int i = 0; i < nr; i++)
		iov[i] = (struct iovec){view + i * PAGE, PAGE};
	r = ops->pin_read_only(NULL, iov, nr, &p);
	if (r == -EPERM)
		r = ops->pin_read_only(NULL, iov + nr - 256, 256, &p);
	assert_int_equal(r, 0);
	/* the last page is enough */
	assert_int_equal(munmap(view, nr * (size_t)PAGE), 0);
	assert_false(can_be_sealed());
	assert_int_equal(fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   (nr - 1) * PAGE),
			 0);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ops->unpin(NULL, p);
	assert_true(can_be_sealed());
	free(iov);
}

static void read_only_pins_that_fail(void **state)
{
	struct iovec iov[] = {{map, PAGE}, {map + 8 * PAGE, PAGE}, {map + 9 * PAGE, PAGE}};
	void *p = &p;

	(void)state;
	map[0] = 1;
	assert_int_equal(munmap(map, PAGE), 0);
	assert_int_equal(ops->pin_read_only(NULL, iov, 3, &p), -EFAULT);
	/* some of them are not enough */
	iov[0] = iov[1];
	iov[1].iov_base = map;
	assert_int_equal(ops->pin_read_only(NULL, iov, 3, &p), -EFAULT);
	assert_ptr_equal(p, &p);
	assert_true(can_be_sealed());
}

/* What the kernel shows of pages that are not there, and to whom it does not show frames. */
static void frames_of_this_process(void **state)
{
	uint64_t small[6], pair[3];
	int r;

	(void)state;
	assert_int_equal(ops->frames(NULL, map, PAGE, 6, small), 0);
	assert_int_equal(ops->frames(NULL, map, 2 * PAGE, 3, pair), 0);
	for (int i = 0; i < 6; i++)
		assert_true(small[i] == FR_PFN_NONE && pair[i / 2] == FR_PFN_NONE);
	map[1 * PAGE] = map[2 * PAGE] = 1;
	r = ops->frames(NULL, map, PAGE, 6, small);
	assert_true(r == 0 || r == -EPERM);
	for (int i = 0; !r && i < 6; i++)
		assert_int_equal(small[i] == FR_PFN_NONE, i < 1 || i > 2);
	assert_int_equal(ops->frames(NULL, map, 2 * PAGE, 3, pair), r);
	/* beyond what a process can have */
	assert_int_equal(ops->frames(NULL, (void *)-PAGE, PAGE, 1, small), -EFAULT);
}

/* In the place of /proc/self/pagemap, with what the kernel would show to root; -1: itself. */
static int pagemap = -1;

int fake_open(const char *name, int flags, mode_t mode) __asm__("open");
int fake_open(const char *name, int flags, mode_t mode)
{
	return pagemap >= 0 && !strcmp(name, "/proc/self/pagemap") ?
		       dup(pagemap) :
		       (int)syscall(SYS_open, name, flags, mode);
}

static void put_entry(int page, uint64_t entry)
{
	off_t at = (off_t)((uintptr_t)(map + page * PAGE) / PAGE * sizeof(entry));

	assert_int_equal(pwrite(pagemap, &entry, sizeof(entry), at), sizeof(entry));
}

/* A large page is found by the last or the first of the small ones that it consists of. */
static void frames_of_pages(void **state)
{
	const uint64_t present = 1ull << 63, other_bits = 0xfull << 55; /* soft-dirty, file... */
	uint64_t pfn[PAGES];

	(void)state;
	pagemap = memfd_create("pagemap", MFD_CLOEXEC);
	for (int i = 0; i < PAGES; i++)
		put_entry(i, i / 8 == 2 ? 1ull << 62 | 77 /* swapped out */ :
					  present | other_bits | (uint64_t)(1000 + i));
	assert_int_equal(ops->frames(NULL, map, PAGE, PAGES, pfn), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_true(pfn[i] == (i / 8 == 2 ? FR_PFN_NONE : 1000 + i));
	for (size_t nr = 7; nr <= 8; nr++) { /* by twos, and one that is left over */
		memset(pfn, 0, sizeof(pfn));
		assert_int_equal(ops->frames(NULL, map, 8 * PAGE, nr, pfn), 0);
		for (uint64_t i = 0; i < nr; i++)
			assert_true(pfn[i] == (i == 2 ? FR_PFN_NONE : 1000 + 8 * i));
		assert_int_equal(pfn[nr], 0);
	}
	put_entry(PAGES - 8, present); /* hidden */
	assert_int_equal(ops->frames(NULL, map, PAGE, PAGES, pfn), -EPERM);
	assert_int_equal(ops->frames(NULL, map, 8 * PAGE, PAGES / 8, pfn), -EPERM);
	close(pagemap);
	pagemap = -1;
}

static void huge_memfds(void **state)
{
	int fd = ops->huge_memfd(NULL);
	struct statfs fs;

	(void)state;
	if (fd < 0) /* a kernel without hugetlbfs, or without this size */
		skip();
	assert_int_equal(fstatfs(fd, &fs), 0);
	assert_int_equal(fs.f_type, HUGETLBFS_MAGIC);
	assert_int_equal(fs.f_bsize, 2 << 20);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void what_is_refused(void **state)
{
	static const struct fr_kexec_segment segments[17];
	struct fr_ioc_region arg = {.fd = -1};

	(void)state;
	assert_int_equal(ops->kexec_load(NULL, 0, 17, segments, 0), -EINVAL);
	assert_int_equal(ops->fastrestart_ioctl(NULL, -1, FR_IOC_STAMP, &arg), -EBADF);
	assert_int_equal(ops->fastrestart_ioctl(NULL, memfd, FR_IOC_STAMP, &arg), -ENOTTY);
}

/* ------------------------------------------------------------------------- set_block */

static void states_are_written(void **state)
{
	static const unsigned int timeouts_ms[] = {0, 60000};

	(void)state;
	for (int i = 0; i < 2; i++) {
		fake_root_text(&root, "/state", "online\n");
		assert_int_equal(ops->set_block(NULL, path, "offline", timeouts_ms[i], -1), 0);
		assert_string_equal(fake_root_line(&root, "/state"), "offline");
		/* what the kernel says to it, by a child or not */
		assert_int_equal(ops->set_block(NULL, "/dev/full", "offline", timeouts_ms[i], -1),
				 -ENOSPC);
		assert_int_equal(ops->set_block(NULL, "/nonexistent/x", "x", timeouts_ms[i], -1),
				 -ENOENT);
	}
}

/* Opening a FIFO to write takes until somebody reads: as long as pinned pages do. */
static void make_endless(void)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

/* Whoever waited to write has been killed, or would do so now. */
static void nobody_writes(void)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char byte;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
}

static void it_is_given_up(void **state)
{
	int cancel[2];

	(void)state;
	make_endless();
	assert_int_equal(ops->set_block(NULL, path, "offline", 20, -1), -ETIMEDOUT);
	nobody_writes();
	assert_int_equal(pipe(cancel), 0);
	assert_int_equal(ops->set_block(NULL, path, "offline", 20, cancel[0]), -ETIMEDOUT);
	assert_int_equal(write(cancel[1], "x", 1), 1);
	assert_int_equal(ops->set_block(NULL, path, "offline", 600000, cancel[0]), -ECANCELED);
	nobody_writes();
	close(cancel[0]);
	close(cancel[1]);
}

static bool has_child(pid_t pid)
{
	char file[64], text[64] = "";
	int fd;

	snprintf(file, sizeof(file), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return text[0];
}

/* A load that is killed leaves nobody who goes on to take memory away. */
static void it_ends_with_its_caller(void **state)
{
	pid_t caller, writer;
	int status;

	(void)state;
	if (access("/proc/thread-self/children", F_OK))
		skip(); /* the kernel does not tell when it has come so far */
	make_endless();
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	caller = fork();
	if (!caller)
		_exit(ops->set_block(NULL, path, "offline", 600000, -1) ? 1 : 0);
	while (!has_child(caller))
		usleep(1000);
	assert_int_equal(kill(caller, SIGKILL), 0);
	assert_int_equal(waitpid(caller, &status, 0), caller);
	writer = waitpid(-1, &status, 0);
	assert_true(writer > 0 && writer != caller);
	assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == EINTR)); /* born an orphan */
	nobody_writes();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pins_hold, make, drop),
		cmocka_unit_test_setup_teardown(pins_that_fail, make, drop),
		cmocka_unit_test_setup_teardown(read_only_pins_hold, make, drop),
		cmocka_unit_test_setup_teardown(read_only_pins_that_fail, make, drop),
		cmocka_unit_test_setup_teardown(frames_of_this_process, make, drop),
		cmocka_unit_test_setup_teardown(frames_of_pages, make, drop),
		cmocka_unit_test_setup_teardown(huge_memfds, make, drop),
		cmocka_unit_test_setup_teardown(what_is_refused, make, drop),
		cmocka_unit_test_setup_teardown(states_are_written, make, drop),
		cmocka_unit_test_setup_teardown(it_is_given_up, make, drop),
		cmocka_unit_test_setup_teardown(it_ends_with_its_caller, make, drop),
	};

	alarm(60); /* what is given up, is */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
