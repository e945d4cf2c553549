// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files of tmpfs and hugetlbfs.
 *
 * /proc/self/pagemap shows a frame only for a page in this process's page table, so
 * the file's pages are entered there first, without filling its holes:
 *  - tmpfs tells its holes (SEEK_DATA), and a read fault maps what is there;
 *  - hugetlbfs does not (mincore() looks at the caller's page table only), but on a
 *    mapping registered for userfaultfd minor faults UFFDIO_CONTINUE maps a page of the
 *    page cache and fails with EFAULT at a hole.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "host.h"
#include "keep.h"
#include "kernel.h"
#include "parallel.h"
#include "ramap.h"
#include "util.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* include/uapi/asm-generic/mman-common.h */
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define FRAMES_PER_BATCH (1u << 20)
/* A thread's share of a batch: what is worth starting one; of huge pages a system call finds two. */
#define FRAMES_PER_CHUNK (1u << 17)
#define HUGE_PER_CHUNK	 512u

static int failed(const struct fr_keep *k, const char *what, int err, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, err, "%s: %s: %s", k->label, what, strerror(err));
}

/* What it held is lost, and reading it would kill whoever does. */
static int has_broken_page(const struct fr_keep *k, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_REFUSED, EHWPOISON,
		       "%s: a page of it is broken (uncorrected memory error): stop what uses it, "
		       "copy what can still be read to a new file and remove this one, or leave it "
		       "out",
		       k->label);
}

/* -------------------------------------------------------- pages into the page table */

static int populate(struct fr_keep *k, uint64_t start, uint64_t end, struct fr_error *e)
{
	int r;

	do {
		r = madvise(k->addr + start, end - start, MADV_POPULATE_READ);
	} while (r && errno == EINTR);
	if (r && errno == EHWPOISON)
		return has_broken_page(k, e);
	return r ? failed(k, "cannot bring its pages in", errno, e) : 0;
}

/* @fn gets each run of pages that tmpfs has, in the page cache or in swap. */
static int for_each_run(struct fr_keep *k,
			int (*fn)(struct fr_keep *k, uint64_t start, uint64_t end, void *data,
				  struct fr_error *e),
			void *data, struct fr_error *e)
{
	off_t start, hole = 0;
	int r;

	for (;;) {
		start = lseek(k->fd, hole, SEEK_DATA);
		if (start < 0)
			return errno == ENXIO ? 0 : failed(k, "SEEK_DATA", errno, e);
		hole = lseek(k->fd, start, SEEK_HOLE);
		if (hole < 0)
			return errno == ENXIO ? 0 : failed(k, "SEEK_HOLE", errno, e);
		start &= ~(off_t)(FR_PAGE_BYTES - 1);
		hole = (hole + (off_t)FR_PAGE_BYTES - 1) & ~(off_t)(FR_PAGE_BYTES - 1);
		if ((uint64_t)hole > k->map_bytes) /* it has grown; sealing will tell */
			hole = (off_t)k->map_bytes;
		if (start >= hole)
			return 0;
		r = fn(k, (uint64_t)start, (uint64_t)hole, data, e);
		if (r)
			return r;
	}
}

/* Pages that the file has and that are not in memory. */
static int count_swapped(struct fr_keep *k, uint64_t start, uint64_t end, void *data,
			 struct fr_error *e)
{
	unsigned char resident[4096];
	uint64_t *swapped = data;

	for (uint64_t bytes; start < end; start += bytes) {
		bytes = fr_min_u64(end - start, sizeof(resident) * FR_PAGE_BYTES);
		if (mincore(k->addr + start, bytes, resident))
			return failed(k, "mincore", errno, e);
		for (size_t i = 0; i < bytes / FR_PAGE_BYTES; i++)
			*swapped += resident[i] & 1 ? 0 : FR_PAGE_BYTES;
	}
	return 0;
}

/* What is swapped out comes in now, and stays: that must not take the host's last memory. */
static int check_swap(const struct fr_ctx *ctx, struct fr_keep *k, struct fr_error *e)
{
	uint64_t total, left, available, swapped = 0;
	int r;

	if (fr_meminfo(ctx, "SwapTotal", &total) || fr_meminfo(ctx, "SwapFree", &left) ||
	    left >= total || fr_meminfo(ctx, "MemAvailable", &available))
		return 0;
	r = for_each_run(k, count_swapped, &swapped, e);
	if (r || swapped <= available)
		return r;
	return fr_fail(e, FR_FAULT_REFUSED, ENOMEM,
		       "%s: %s of it are swapped out, and %s of memory are available to bring them "
		       "in: free some memory first",
		       k->label, fr_size_text(swapped).s, fr_size_text(available).s);
}

static int populate_run(struct fr_keep *k, uint64_t start, uint64_t end, void *data,
			struct fr_error *e)
{
	(void)data;
	return populate(k, start, end, e);
}

static int continue_pages(struct fr_keep *k, int uffd, struct fr_error *e)
{
	uint64_t at = 0;

	while (at < k->map_bytes) {
		struct uffdio_continue c = {
			.range = {.start = (uintptr_t)k->addr + at, .len = k->map_bytes - at},
			.mode = UFFDIO_CONTINUE_MODE_DONTWAKE,
		};

		if (!ioctl(uffd, UFFDIO_CONTINUE, &c))
			return 0;
		if (c.mapped > 0)
			at += (uint64_t)c.mapped; /* stopped by a hole, which comes next */
		else if (errno == EFAULT || errno == EEXIST)
			at += k->page_bytes; /* a hole, or mapped already */
		else if (errno == EIO || errno == EHWPOISON)
			return has_broken_page(k, e);
		else if (errno != EAGAIN && errno != EINTR)
			return failed(k, "UFFDIO_CONTINUE", errno, e);
	}
	return 0;
}

static int map_hugetlb(struct fr_keep *k, struct fr_error *e)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MINOR_HUGETLBFS};
	struct uffdio_register reg = {
		.range = {.start = (uintptr_t)k->addr, .len = k->map_bytes},
		.mode = UFFDIO_REGISTER_MODE_MINOR,
	};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY), r;

	if (uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		r = continue_pages(k, uffd, e);
	} else if ((uint64_t)k->blocks * 512 >= k->map_bytes) {
		r = populate(k, 0, k->map_bytes, e); /* no holes: a plain fault will do */
	} else if (errno == ENOMEM || errno == EINTR) {
		r = failed(k, "userfaultfd", errno, e);
	} else {
		r = fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
			    "%s: it has holes, and the running kernel cannot show where "
			    "(userfaultfd minor faults, Linux 5.13): fill the file, for a VM with "
			    "prealloc=on",
			    k->label);
	}
	if (uffd >= 0)
		close(uffd); /* unregisters; what is mapped stays */
	return r;
}

int fr_keep_map_present(struct fr_keep *k, struct fr_error *e)
{
	if (!k->addr)
		return 0;
	return k->region.kind == FR_KIND_HUGETLB ? map_hugetlb(k, e) :
						   for_each_run(k, populate_run, NULL, e);
}

/* ------------------------------------------------------------------------- frames */

static int frames_failed(const struct fr_keep *k, int err, struct fr_error *e)
{
	if (err == EPERM || err == EACCES)
		return fr_fail(
			e, FR_FAULT_PERMISSION, err,
			"%s: /proc/self/pagemap does not show frames: CAP_SYS_ADMIN is needed",
			k->label);
	return failed(k, "/proc/self/pagemap", err, e);
}

/* So many frames at a time: @nr of them from page @first on. */
struct batch {
	const struct fr_ctx *ctx;
	const struct fr_keep *k;
	uint64_t first;
	size_t nr, per_chunk;
	uint64_t *pfn;
};

static int read_chunk(void *data, size_t index, struct fr_error *e)
{
	struct batch *b = data;
	size_t at = index * b->per_chunk;
	int r;

	r = fr_ops(b->ctx)->frames(b->ctx->ops_data,
				   b->k->addr + (b->first + at) * b->k->page_bytes,
				   b->k->page_bytes, fr_min_u64(b->nr - at, b->per_chunk),
				   b->pfn + at);
	return r ? frames_failed(b->k, -r, e) : 0;
}

/* @fn gets batch after batch, in file order. */
static int for_each_batch(const struct fr_ctx *ctx, const struct fr_keep *k,
			  int (*fn)(void *data, const struct batch *b), void *data,
			  struct fr_error *e)
{
	uint64_t total = k->map_bytes / k->page_bytes;
	struct batch b = {
		.ctx = ctx,
		.k = k,
		.per_chunk = k->page_bytes == FR_PAGE_BYTES ? FRAMES_PER_CHUNK : HUGE_PER_CHUNK,
	};
	int r = 0;

	b.pfn = malloc(fr_min_u64(total, FRAMES_PER_BATCH) * sizeof(*b.pfn) + 1);
	if (!b.pfn)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	for (; !r && b.first < total; b.first += b.nr) {
		b.nr = fr_min_u64(total - b.first, FRAMES_PER_BATCH);
		r = fr_parallel(ctx, (b.nr + b.per_chunk - 1) / b.per_chunk, read_chunk, &b, e);
		if (!r && fn(data, &b))
			r = fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	}
	free(b.pfn);
	return r;
}

static int append_batch(void *data, const struct batch *b)
{
	uint64_t per_page = b->k->page_bytes / FR_PAGE_BYTES;
	int r = 0;

	for (size_t i = 0; !r && i < b->nr; i++)
		if (b->pfn[i] != FR_PFN_NONE)
			r = fr_extents_append(data, b->pfn[i], per_page, (b->first + i) * per_page);
	return r;
}

int fr_keep_read_extents(const struct fr_ctx *ctx, const struct fr_keep *k, struct fr_extents *ret,
			 struct fr_error *e)
{
	struct fr_extents x = {0};
	int r = for_each_batch(ctx, k, append_batch, &x, e);

	if (r) {
		fr_extents_clear(&x);
		return r;
	}
	*ret = x;
	return 0;
}

struct comparison {
	size_t at; /* extent that has the next page, or comes after it */
	bool equal;
};

static int compare_batch(void *data, const struct batch *b)
{
	const struct fr_extents *x = &b->k->region.extents;
	uint64_t per_page = b->k->page_bytes / FR_PAGE_BYTES;
	struct comparison *c = data;

	for (size_t i = 0; i < b->nr; i++) {
		uint64_t pgoff = (b->first + i) * per_page, pfn = FR_PFN_NONE;

		while (c->at < x->nr && x->v[c->at].pgoff + x->v[c->at].nr_pages <= pgoff)
			c->at++;
		if (c->at < x->nr && x->v[c->at].pgoff <= pgoff)
			pfn = x->v[c->at].start_pfn + (pgoff - x->v[c->at].pgoff);
		c->equal &= pfn == b->pfn[i];
	}
	return 0;
}

int fr_keep_compare_extents(const struct fr_ctx *ctx, const struct fr_keep *k, bool *ret_equal,
			    struct fr_error *e)
{
	struct comparison c = {.equal = true};
	int r = for_each_batch(ctx, k, compare_batch, &c, e);

	if (!r)
		*ret_equal = c.equal;
	return r;
}

/* --------------------------------------------------------------------------- opening */

static int identify(struct fr_keep *k, const struct stat *st, struct fr_error *e)
{
	struct fr_region *g = &k->region;
	struct statfs fs;

	if (S_ISDIR(st->st_mode))
		return fr_fail(e, FR_FAULT_USAGE, EISDIR, "%s: a directory: name the file itself",
			       k->label);
	if (!S_ISREG(st->st_mode))
		return fr_fail(e, FR_FAULT_USAGE, EINVAL,
			       "%s: not a regular file: name the file itself", k->label);
	if (fstatfs(k->fd, &fs))
		return failed(k, "statfs", errno, e);
	if (fs.f_type == TMPFS_MAGIC) {
		g->kind = FR_KIND_SHMEM;
		g->page_shift = FR_PAGE_SHIFT;
	} else if (fs.f_type == HUGETLBFS_MAGIC &&
		   (fs.f_bsize == 2 << 20 || fs.f_bsize == 1 << 30)) {
		g->kind = FR_KIND_HUGETLB;
		g->page_shift = fs.f_bsize == 2 << 20 ? 21 : 30;
	} else {
		return fr_fail(e, FR_FAULT_REFUSED, EMEDIUMTYPE,
			       "%s: not on tmpfs or hugetlbfs: only files in memory can be kept",
			       k->label);
	}
	/* its own mode would be lost, and what was found wrong would be right from then on */
	if (fr_mode_is_unfinished(st->st_mode))
		return fr_fail(e, FR_FAULT_REFUSED, EINVAL,
			       "%s: not finished (its mode is %04o): restore it first; if it is "
			       "none that restore made, give it another mode",
			       k->label, st->st_mode & 07777);
	k->page_bytes = (size_t)1 << g->page_shift;
	g->size_bytes = (uint64_t)st->st_size;
	g->mode = st->st_mode & (S_IFMT | 07777);
	g->uid = st->st_uid;
	g->gid = st->st_gid;
	k->blocks = st->st_blocks;
	k->dev = st->st_dev;
	k->ino = st->st_ino;
	return 0;
}

/* From an O_PATH descriptor to one that can be mapped, of the same file whatever its name is now. */
static int open_for_writing(struct fr_keep *k, struct fr_error *e)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", k->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return failed(k, "cannot open it", errno, e);
	close(k->fd);
	k->fd = fd;
	return 0;
}

/*
 * Neither allocates nor reserves pages.  What is sealed against writing is mapped privately:
 * before 6.7 a shared mapping is refused also when it is for reading, and userfaultfd refuses one always.
 */
static int map_file(struct fr_keep *k, struct fr_error *e)
{
	uint64_t size = k->region.size_bytes;
	void *p;

	if (!size)
		return 0;
	if (__builtin_add_overflow(size, k->page_bytes - 1, &size))
		return failed(k, "size", EFBIG, e);
	k->map_bytes = size & ~(uint64_t)(k->page_bytes - 1);
	p = mmap(NULL, k->map_bytes, k->read_only ? PROT_READ : PROT_READ | PROT_WRITE,
		 (k->read_only ? MAP_PRIVATE : MAP_SHARED) | MAP_NORESERVE, k->fd, 0);
	if (p == MAP_FAILED)
		return failed(k, "cannot map it", errno, e);
	k->addr = p;
	if (madvise(p, k->map_bytes, MADV_DONTFORK))
		return failed(k, "MADV_DONTFORK", errno, e);
	/* a core file would have what a guest has */
	if (madvise(p, k->map_bytes, MADV_DONTDUMP))
		return failed(k, "MADV_DONTDUMP", errno, e);
	return 0;
}

static bool is_unnamed(const char *path)
{
	return !strncmp(path, FR_UNNAMED_DIR "/", strlen(FR_UNNAMED_DIR "/"));
}

int fr_keep_read_seals(struct fr_keep *k, struct fr_error *e)
{
	int seals = fcntl(k->fd, F_GET_SEALS);

	if (seals < 0 && errno != EINVAL) /* a file that can have none */
		return failed(k, "F_GET_SEALS", errno, e);
	k->region.seals = seals > 0 ? (uint32_t)seals : 0;
	return 0;
}

/* Does @name lead to the file?  1, 0, or why that cannot be told. */
static int is_named(const char *name, const struct stat *st)
{
	struct stat named;

	if (name[0] != '/' || is_unnamed(name) || !st->st_nlink)
		return 0;
	if (lstat(name, &named))
		return errno == ENOMEM ? -errno : 0;
	return named.st_dev == st->st_dev && named.st_ino == st->st_ino;
}

/*
 * The name of a file that was given by a process's descriptor, if it has one in this mount
 * namespace; otherwise "", and what a memfd has besides.
 */
static int find_name(struct fr_keep *k, const struct stat *st, struct fr_error *e)
{
	char fd_path[sizeof("/proc/self/fd/") + 3 * sizeof(int)], name[FR_PATH_BYTES];
	struct fr_region *g = &k->region;
	ssize_t n;
	int r;

	snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", k->fd);
	n = readlink(fd_path, name, sizeof(name) - 1);
	if (n < 0 && errno == ENOMEM)
		return failed(k, "its name", errno, e);
	name[n > 0 ? n : 0] = '\0';
	r = is_named(name, st);
	if (r < 0)
		return failed(k, "its name", -r, e);
	free(g->path);
	g->path = strdup(r ? name : "");
	if (!g->path)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	if (r)
		return 0;
	g->flags |= FR_REGION_UNLINKED;
	return fr_keep_read_seals(k, e);
}

/* What is open as a file of another process; it may have closed it, or ended, since load. */
static int open_fd(const struct fr_source *src, struct fr_keep *k, struct stat *ret_st,
		   struct fr_error *e)
{
	k->fd = open(src->path, O_PATH | O_CLOEXEC);
	if (k->fd < 0 && (errno == ENOENT || errno == ESRCH))
		return fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT,
			       "%s: there is no such process, or it has no such file open",
			       k->label);
	if (k->fd < 0 || fstat(k->fd, ret_st))
		return failed(k, "cannot open it", errno, e);
	if (src->ino && (src->ino != ret_st->st_ino || src->dev != ret_st->st_dev))
		return fr_fail(e, FR_FAULT_REFUSED, ESTALE,
			       "%s: another file is open there than when load was run: run load "
			       "again",
			       k->label);
	return 0;
}

static int open_path(const struct fr_source *src, struct fr_keep *k, struct stat *ret_st,
		     struct fr_error *e)
{
	k->region.path = realpath(src->path, NULL);
	if (!k->region.path)
		return fr_fail(e, errno == ENOENT ? FR_FAULT_NOT_FOUND : FR_FAULT_SYSTEM, errno,
			       "%s: %s", src->path, strerror(errno));
	/* what it is comes before whether it can be written: another file system is refused as such */
	k->fd = open(k->region.path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (k->fd < 0 || fstat(k->fd, ret_st))
		return failed(k, "cannot open it", errno, e);
	return 0;
}

int fr_keep_open_file(const struct fr_ctx *ctx, const struct fr_source *src, struct fr_keep *k,
		      struct fr_error *e)
{
	struct stat st;
	int r;

	k->label = strdup(src->is_fd ? src->spec : src->path);
	if (!k->label)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	r = src->is_fd ? open_fd(src, k, &st, e) : open_path(src, k, &st, e);
	if (!r)
		r = identify(k, &st, e);
	if (!r)
		r = open_for_writing(k, e);
	if (!r && (src->is_fd || is_unnamed(k->region.path)))
		r = find_name(k, &st, e);
	k->read_only = k->region.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
	if (!r)
		r = map_file(k, e);
	if (!r && k->addr && k->region.kind == FR_KIND_SHMEM)
		r = check_swap(ctx, k, e);
	if (!r)
		r = fr_keep_map_present(k, e);
	return r ? r : fr_keep_read_extents(ctx, k, &k->region.extents, e);
}
