// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real files on tmpfs; frames and pins are scripted, so that no privilege is needed.
 * Page n of the file is in frame 0x1000 + 2 n when it is in the page table at all.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "fake-root.h"
#include "keep.h"
#include "kernel.h"
#include "ramap.h"
#include "test.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define PAGES	   64
#define HUGE_BYTES (2l << 20)

struct script {
	int pins, pin_error, frames_error;
	size_t pinned_bytes;
	uint64_t moved; /* added to each frame */
	bool is_hugetlbfs, is_broken;
};

static struct script script;
static char path[64];
static int fd;

/* pagemap shows which pages are there, also where it hides their frames. */
static bool is_mapped(const void *addr)
{
	uint64_t entry = 0;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_true(pagemap >= 0);
	assert_int_equal(pread(pagemap, &entry, 8, (off_t)((uintptr_t)addr / 4096 * 8)), 8);
	close(pagemap);
	return entry >> 63;
}

static int fake_frames(void *data, const void *addr, size_t page_bytes, size_t nr, uint64_t *pfns)
{
	struct script *s = data;

	assert_int_equal(page_bytes, 4096);
	for (size_t i = 0; i < nr; i++)
		pfns[i] = is_mapped((const char *)addr + i * 4096) ? 0x1000 + 2 * i + s->moved :
								     FR_PFN_NONE;
	return s->frames_error;
}

static int fake_pin(void *data, const struct iovec *iov, unsigned int nr, void **ret)
{
	struct script *s = data;

	if (s->pin_error)
		return s->pin_error;
	for (unsigned int i = 0; i < nr; i++)
		s->pinned_bytes += iov[i].iov_len;
	s->pins++;
	*ret = malloc(1);
	return 0;
}

static void fake_unpin(void *data, void *pin)
{
	((struct script *)data)->pins--;
	free(pin);
}

/* These stand in for those of libc: a file on hugetlbfs, and a page with a memory error. */

int fstatfs(int file, struct statfs *fs)
{
	int r = (int)syscall(SYS_fstatfs, file, fs);

	if (script.is_hugetlbfs) {
		fs->f_type = HUGETLBFS_MAGIC;
		fs->f_bsize = HUGE_BYTES;
	}
	return r;
}

int madvise(void *addr, size_t bytes, int advice)
{
	if (script.is_broken && advice == MADV_POPULATE_READ) {
		errno = EHWPOISON;
		return -1;
	}
	return (int)syscall(SYS_madvise, addr, bytes, advice);
}

int fake_ioctl(int file, unsigned long request, void *arg) __asm__("ioctl");
int fake_ioctl(int file, unsigned long request, void *arg)
{
	if (script.is_broken && request == UFFDIO_CONTINUE) {
		((struct uffdio_continue *)arg)->mapped = -EIO;
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_ioctl, file, request, arg);
}

static const struct fr_kernel_ops ops = {.frames = fake_frames,
					 .pin = fake_pin,
					 .unpin = fake_unpin};
static struct fr_ctx ctx = {.ops = &ops, .ops_data = &script};
static struct fr_source source = {.spec = path, .name = MUTABLE("x"), .path = path};

static void put(off_t page)
{
	assert_int_equal(pwrite(fd, "data", 4, page * 4096), 4);
}

/* Pages 3 to 9, 20 and 40 of 64, and a last one that is cut short. */
static int make(void **state)
{
	struct statfs fs;

	(void)state;
	memset(&script, 0, sizeof(script));
	strcpy(path, "/dev/shm/fr-test-XXXXXX");
	if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS_MAGIC || (fd = mkstemp(path)) < 0)
		return -1;
	assert_int_equal(ftruncate(fd, PAGES * 4096 - 100), 0);
	for (off_t i = 3; i < 10; i++)
		put(i);
	put(20);
	put(40);
	return fchmod(fd, 0640);
}

static int drop(void **state)
{
	(void)state;
	close(fd);
	unlink(path);
	return 0;
}

static int64_t blocks(void)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_blocks;
}

static struct fr_keep *keep(void)
{
	struct fr_keep *k;
	struct fr_error e;

	assert_int_equal(fr_keep_open(&ctx, &source, &k, &e), 0);
	return k;
}

static struct fr_keep *pinned(void)
{
	struct fr_keep *k = keep();

	assert_int_equal(fr_keep_pin(&ctx, k, NULL), 0);
	return k;
}

static void holes_stay(void **state)
{
	int64_t before = blocks();
	struct fr_keep *k = keep();
	const struct fr_region *g = fr_keep_region(k);

	(void)state;
	assert_int_equal(g->kind, FR_KIND_SHMEM);
	assert_int_equal(g->size_bytes, PAGES * 4096 - 100);
	assert_int_equal(g->mode, S_IFREG | 0640);
	assert_string_equal(g->path, path);
	assert_int_equal(fr_extents_pages(&g->extents), 9);
	assert_int_equal(g->extents.v[0].pgoff, 3);
	assert_int_equal(g->extents.v[8].pgoff, 40);
	assert_int_equal(g->extents.v[8].start_pfn, 0x1000 + 80);
	assert_int_equal(fr_keep_pin(&ctx, k, NULL), 0);
	assert_int_equal(script.pinned_bytes, 9 * 4096);
	assert_int_equal(fr_keep_seal(&ctx, k, false, NULL), 0);
	assert_int_equal(blocks(), before);
	fr_keep_close(k);
	assert_int_equal(script.pins, 0);
}

/* Also the last one, which the file fills in part only. */
static void first_and_last_page_are_kept(void **state)
{
	const struct fr_extents *x;
	struct fr_keep *k;

	(void)state;
	put(0);
	put(PAGES - 1);
	k = pinned();
	x = &fr_keep_region(k)->extents;
	assert_int_equal(fr_extents_pages(x), 11);
	assert_int_equal(x->v[0].pgoff, 0);
	assert_int_equal(x->v[0].start_pfn, 0x1000);
	assert_int_equal(x->v[x->nr - 1].pgoff, PAGES - 1);
	assert_int_equal(x->v[x->nr - 1].start_pfn, 0x1000 + 2 * (PAGES - 1));
	assert_int_equal(script.pinned_bytes, 11 * 4096);
	assert_int_equal(fr_keep_seal(&ctx, k, false, NULL), 0);
	fr_keep_close(k);
}

static void all_holes_and_empty(void **state)
{
	struct fr_keep *k;

	(void)state;
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGES * 4096),
			 0);
	k = pinned();
	assert_int_equal(fr_keep_region(k)->extents.nr, 0);
	assert_int_equal(script.pins, 0);
	assert_int_equal(fr_keep_seal(&ctx, k, true, NULL), 0);
	fr_keep_close(k);
	assert_int_equal(ftruncate(fd, 0), 0);
	k = pinned();
	assert_int_equal(fr_keep_seal(&ctx, k, true, NULL), 0);
	fr_keep_close(k);
}

static void sealed_as_stale(struct fr_keep *k, const char *what)
{
	struct fr_error e;

	assert_int_equal(fr_keep_seal(&ctx, k, false, &e), -ESTALE);
	assert_non_null(strstr(e.text, what));
	fr_keep_close(k);
}

static void changes_are_seen(void **state)
{
	struct fr_keep *k = pinned();

	(void)state;
	put(0);
	sealed_as_stale(k, "set of pages");
	k = pinned();
	assert_int_equal(ftruncate(fd, PAGES * 4096 * 2), 0);
	sealed_as_stale(k, "size");
	k = pinned();
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	sealed_as_stale(k, "set of pages");
	/* one punched out, another filled */
	k = pinned();
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * 4096, 4096),
			 0);
	put(50);
	sealed_as_stale(k, "frames");
	/* first written to after the pin, but counted since its fallocate() */
	assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 60 * 4096, 4096), 0);
	k = pinned();
	put(60);
	sealed_as_stale(k, "frames");
	k = pinned();
	script.moved = 1;
	sealed_as_stale(k, "frames");
}

/* Reclaim drops page table entries of pages that stay where they are. */
static void unmapped_is_not_gone(void **state)
{
	struct fr_keep *k = pinned();

	(void)state;
	assert_int_equal(madvise(k->addr, k->map_bytes, MADV_DONTNEED), 0);
	assert_int_equal(fr_keep_seal(&ctx, k, false, NULL), 0);
	fr_keep_close(k);
}

static void digests_are_those_of_xxhsum(void **state)
{
	char *bytes = calloc(PAGES, 4096);
	XXH128_canonical_t want;
	struct fr_keep *k = pinned();

	(void)state;
	assert_int_equal(pread(fd, bytes, PAGES * 4096, 0), PAGES * 4096 - 100);
	XXH128_canonicalFromHash(&want, XXH3_128bits(bytes, PAGES * 4096 - 100));
	assert_int_equal(fr_keep_seal(&ctx, k, true, NULL), 0);
	assert_int_equal(fr_keep_region(k)->digest_alg, FR_DIGEST_XXH3_128);
	assert_memory_equal(fr_keep_region(k)->digest, want.digest, sizeof(want.digest));
	fr_keep_close(k);
	free(bytes);
}

/* A core file has nothing of the region, nor has a child. */
static void contents_stay_here(void **state)
{
	struct fr_keep *k = pinned();
	unsigned long start = 0;
	char line[512], *flags = NULL;
	FILE *f = fopen("/proc/self/smaps", "re");

	(void)state;
	assert_non_null(f);
	while (!flags && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%*x %*4s", &start) == 1 && start == (uintptr_t)k->addr)
			while (!flags && fgets(line, sizeof(line), f))
				flags = strncmp(line, "VmFlags:", 8) ? NULL : line;
	}
	fclose(f);
	assert_non_null(flags);
	assert_non_null(strstr(flags, " dd "));
	assert_non_null(strstr(flags, " dc "));
	fr_keep_close(k);
}

static void errors_are_explained(void **state)
{
	struct fr_keep *k;
	struct fr_error e;

	(void)state;
	script.frames_error = -EPERM;
	assert_int_equal(fr_keep_open(&ctx, &source, &k, &e), -EPERM);
	assert_int_equal(e.fault, FR_FAULT_PERMISSION);
	script.frames_error = 0;
	k = keep();
	script.pin_error = -EPERM;
	assert_int_equal(fr_keep_pin(&ctx, k, &e), -EPERM);
	assert_non_null(strstr(e.text, "io_uring_disabled"));
	script.pin_error = -ENOMEM;
	assert_int_equal(fr_keep_pin(&ctx, k, &e), -ENOMEM);
	assert_int_equal(e.fault, FR_FAULT_SYSTEM);
	fr_keep_close(k);
	assert_int_equal(script.pins, 0);
}

static void open_broken(void)
{
	struct fr_keep *k;
	struct fr_error e;

	assert_int_equal(fr_keep_open(&ctx, &source, &k, &e), -EHWPOISON);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, "memory error"));
}

/* What to do about it is the operator's choice: what the page held is lost. */
static void memory_errors_are_refused(void **state)
{
	struct fr_keep *k = pinned();
	struct fr_error e;

	(void)state;
	script.is_broken = true;
	open_broken();
	/* one that broke after the pin: the kernel takes it out of the page table */
	assert_int_equal(madvise(k->addr, 4 * 4096, MADV_DONTNEED), 0);
	assert_int_equal(fr_keep_seal(&ctx, k, false, &e), -EHWPOISON);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	fr_keep_close(k);
	/* on hugetlbfs userfaultfd says so, and where there is none a plain fault */
	assert_int_equal(fallocate(fd, 0, 0, HUGE_BYTES), 0);
	script.is_hugetlbfs = true;
	open_broken();
}

static void refused(const char *what, int err, const char *named)
{
	struct fr_source s = {.spec = MUTABLE(what), .name = MUTABLE("x"), .path = MUTABLE(what)};
	struct fr_keep *k;
	struct fr_error e;

	assert_int_equal(fr_keep_open(&ctx, &s, &k, &e), -err);
	assert_non_null(strstr(e.text, named));
}

static void other_files_are_refused(void **state)
{
	(void)state;
	refused("/nonexistent", ENOENT, "/nonexistent");
	refused("/dev/shm", EISDIR, "/dev/shm");
	refused("/dev/null", EINVAL, "/dev/null");
	refused("/proc/self/oom_score_adj", EMEDIUMTYPE, "oom_score_adj");
}

/* A region that restore has not finished: neither its mode nor whether it is as it was is known. */
static void unfinished_files_are_refused(void **state)
{
	static const mode_t unfinished[] = {S_ISVTX, S_ISVTX | S_IRUSR,
					    S_ISVTX | S_IXUSR | S_IXGRP | S_IXOTH};
	struct fr_source s = {.spec = path, .name = MUTABLE("x"), .path = path};
	struct fr_keep *k;
	struct fr_error e;

	(void)state;
	for (size_t i = 0; i < sizeof(unfinished) / sizeof(*unfinished); i++) {
		assert_int_equal(fchmod(fd, unfinished[i]), 0);
		refused(path, EINVAL, "restore it first");
	}
	assert_int_equal(fchmod(fd, S_ISVTX | 0640), 0); /* somebody may have files of this one */
	assert_int_equal(fr_keep_open(&ctx, &s, &k, &e), 0);
	assert_int_equal(fchmod(fd, S_ISVTX), 0);
	sealed_as_stale(k, "mode");
}

static int open_as_fd_of(const struct fr_ctx *c, int what, uint64_t ino, struct fr_keep **ret,
			 struct fr_error *e)
{
	char spec[32], file[32];
	struct fr_source s = {
		.spec = spec, .name = MUTABLE("x"), .path = file, .is_fd = true, .ino = ino};

	snprintf(spec, sizeof(spec), "pid:%d/fd:%d", (int)getpid(), what);
	snprintf(file, sizeof(file), "/proc/%d/fd/%d", (int)getpid(), what);
	return fr_keep_open(c, &s, ret, e);
}

static int open_as_fd(int what, uint64_t ino, struct fr_keep **ret, struct fr_error *e)
{
	return open_as_fd_of(&ctx, what, ino, ret, e);
}

static void files_without_a_name(void **state)
{
	const struct fr_region *g;
	struct fr_keep *k;
	struct fr_error e;
	int memfd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	/* one that has a name is what it is called */
	assert_int_equal(open_as_fd(fd, 0, &k, &e), 0);
	assert_string_equal(fr_keep_region(k)->path, path);
	assert_int_equal(fr_keep_region(k)->flags, 0);
	fr_keep_close(k);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_as_fd(fd, 0, &k, &e), 0);
	g = fr_keep_region(k);
	assert_string_equal(g->path, "");
	assert_int_equal(g->flags, FR_REGION_UNLINKED);
	assert_int_equal(g->seals, F_SEAL_SEAL);
	assert_int_equal(g->mode, S_IFREG | 0640);
	assert_int_equal(fr_extents_pages(&g->extents), 9);
	fr_keep_close(k);

	assert_int_equal(ftruncate(memfd, 3 * 4096), 0);
	assert_int_equal(pwrite(memfd, "x", 1, 4096), 1);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(open_as_fd(memfd, 0, &k, &e), 0);
	g = fr_keep_region(k);
	assert_int_equal(g->kind, FR_KIND_SHMEM);
	assert_int_equal(g->seals, F_SEAL_SHRINK);
	assert_int_equal(g->extents.nr, 1);
	assert_int_equal(g->extents.v[0].pgoff, 1);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW), 0);
	assert_int_equal(fr_keep_seal(&ctx, k, false, &e), 0);
	assert_int_equal(g->seals, F_SEAL_SHRINK | F_SEAL_GROW);
	fr_keep_close(k);

	assert_int_equal(open_as_fd(memfd, 1, &k, &e), -ESTALE);
	assert_non_null(strstr(e.text, "another file"));
	close(memfd);
	assert_int_equal(open_as_fd(memfd, 0, &k, &e), -ENOENT);
	assert_int_equal(e.fault, FR_FAULT_NOT_FOUND);
}

/*
 * The kernel's own pins: it does not seal a file against writing while somebody refers to a page
 * of it, and what is sealed cannot be mapped for writing.
 */
static void files_sealed_against_writing(void **state)
{
	const struct fr_kernel_ops real = {.frames = fake_frames,
					   .pin_read_only = fr_kernel_ops_default.pin_read_only,
					   .unpin = fr_kernel_ops_default.unpin};
	const struct fr_ctx c = {.ops = &real, .ops_data = &script};
	int memfd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct fr_keep *k;
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(memfd, 9 * 4096), 0);
	assert_int_equal(pwrite(memfd, "x", 1, 2 * 4096), 1);
	assert_int_equal(pwrite(memfd, "xyz", 3, 6 * 4096 - 1), 3);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	assert_int_equal(open_as_fd_of(&c, memfd, 0, &k, NULL), 0);
	assert_int_equal(fr_extents_pages(&fr_keep_region(k)->extents), 3);
	assert_int_equal(fr_keep_pin(&c, k, NULL), 0);
	/* a reference to any page is enough: the pipe alone is to have one */
	assert_int_equal(madvise(k->addr, k->map_bytes, MADV_DONTNEED), 0);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(fr_keep_seal(&c, k, true, NULL), 0);
	fr_keep_close(k);

	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(open_as_fd_of(&c, memfd, 0, &k, NULL), 0);
	assert_int_equal(fr_keep_pin(&c, k, NULL), 0);
	assert_int_equal(fr_keep_seal(&c, k, false, NULL), 0);
	assert_int_equal(fr_keep_region(k)->seals, F_SEAL_FUTURE_WRITE | F_SEAL_WRITE);
	assert_int_equal(fr_extents_pages(&fr_keep_region(k)->extents), 3);
	fr_keep_close(k);
	assert_int_equal(fstat(memfd, &st), 0);
	assert_int_equal(st.st_blocks, 3 * 8);
	close(memfd);
}

static void carve_outs(void **state)
{
	static const struct {
		uint64_t start, bytes;
		int err;
	} bad[] = {
		{4 * GIB, 0, EINVAL},
		{4 * GIB + 1, 4096, EINVAL},
		{4 * GIB, 100, EINVAL},
		{0x80000, 0x1000, EINVAL},
		{UINT64_MAX - 4095, 4096, EINVAL},
		{1ull << 52, 4096, EINVAL},
		{0x7ffff000, 0x2000, EBUSY},
		{0x100000, 0x1000, EBUSY},
	};
	struct fake_root root;
	struct fr_ctx fake = {.root = root.path, .ops = &ops, .ops_data = &script};
	struct fr_source s = {.spec = MUTABLE("phys:"), .name = MUTABLE("p"), .is_phys = true};
	struct fr_keep *k;
	struct fr_error e;

	(void)state;
	fake_root_make(&root);
	fake_root_text(&root, "/proc/iomem",
		       "00100000-7fffffff : System RAM\n"
		       "80000000-ffffffff : Reserved\n");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		s.phys_start = bad[i].start;
		s.phys_bytes = bad[i].bytes;
		assert_int_equal(fr_keep_open(&fake, &s, &k, &e), -bad[i].err);
	}
	s.phys_start = 0x80000000;
	s.phys_bytes = 0x10000;
	assert_int_equal(fr_keep_open(&fake, &s, &k, &e), 0);
	assert_int_equal(fr_keep_region(k)->extents.v[0].start_pfn, 0x80000);
	assert_int_equal(fr_keep_region(k)->extents.v[0].nr_pages, 16);
	assert_int_equal(fr_keep_pin(&fake, k, &e), 0);
	assert_int_equal(fr_keep_seal(&fake, k, true, &e), 0);
	fr_keep_close(k);
	fake_root_remove(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(holes_stay, make, drop),
		cmocka_unit_test_setup_teardown(first_and_last_page_are_kept, make, drop),
		cmocka_unit_test_setup_teardown(all_holes_and_empty, make, drop),
		cmocka_unit_test_setup_teardown(changes_are_seen, make, drop),
		cmocka_unit_test_setup_teardown(unmapped_is_not_gone, make, drop),
		cmocka_unit_test_setup_teardown(digests_are_those_of_xxhsum, make, drop),
		cmocka_unit_test_setup_teardown(contents_stay_here, make, drop),
		cmocka_unit_test_setup_teardown(errors_are_explained, make, drop),
		cmocka_unit_test_setup_teardown(memory_errors_are_refused, make, drop),
		cmocka_unit_test_setup_teardown(unfinished_files_are_refused, make, drop),
		cmocka_unit_test_setup_teardown(files_without_a_name, make, drop),
		cmocka_unit_test(files_sealed_against_writing),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(carve_outs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
