// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * restore and release, in the next kernel.
 *
 * A file is made under its own name, empty and with the mode FR_MODE_RESTORING; once the
 * kernel has given it its memory, it is the only thing that holds that.  A restore that was
 * killed, or failed after that, leaves such a file, empty or not, which the next one takes
 * over; the lock on it tells a dead one from a running one.
 *
 * Its own mode is what a file gets last, when it was found to be as it was, and its owner just
 * before.  Until then it is root's and without permissions: no guest starts on it, and nobody
 * else can open it.  The next restore needs no other record, so that none can be lost.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "collect.h"
#include "host.h"
#include "hugepages.h"
#include "keep.h"
#include "kernel.h"
#include "parallel.h"
#include "ramap.h"
#include "util.h"
#include "vm.h"

#define VM_TIMEOUT_MS 30000

struct item { /* a region that was asked for */
	const struct fr_region *region;
	enum fr_region_state state; /* before */
	bool named;		    /* by the caller, itself or its guest */
	bool queued;
	bool done;   /* by this call, for good or bad */
	bool usable; /* restored, by this call or before */
	struct fr_error error;
};

struct guest {
	char name[FR_NAME_BYTES];
	bool named; /* by the caller, not by --all */
	char *spec;
	const struct fr_blob *state;
	char **regions;
	size_t nr_regions;
	int r; /* of starting it */
	struct fr_error error;
};

struct job { /* either a region to restore or a guest to start */
	struct item *item;
	struct guest *guest;
};

struct restore {
	const struct fr_ctx *ctx;
	const struct fr_restore_options *o;
	struct fr_status *status;
	int dev_fd;
	struct item *items;
	size_t nr_items;
	struct guest *guests;
	size_t nr_guests;
	struct job *jobs;
	size_t nr_jobs;
	pthread_mutex_t lock; /* of item.done */
	pthread_cond_t item_done;
	atomic_flag vmm_up;
	atomic_size_t started;
};

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

/* -------------------------------------------------------------------- the kernel side */

static int call(const struct fr_ctx *ctx, int dev_fd, unsigned long request, const char *name,
		int fd)
{
	struct fr_ioc_region arg = {.size = sizeof(arg), .fd = fd};

	snprintf((char *)arg.name, sizeof(arg.name), "%s", name);
	return fr_ops(ctx)->fastrestart_ioctl(ctx->ops_data, dev_fd, request, &arg);
}

static void stamp(const struct restore *s, enum fr_stamp_id id)
{
	call(s->ctx, s->dev_fd, FR_IOC_STAMP, "", (int)id); /* for reports: may fail */
}

static int open_device(const struct fr_ctx *ctx, int *ret_fd, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/dev/fastrestart");
	int fd;

	if (!path)
		return out_of_memory(e);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fr_fail(e,
			       errno == EACCES || errno == EPERM ? FR_FAULT_PERMISSION :
								   FR_FAULT_SYSTEM,
			       errno, "/dev/fastrestart: %s%s", strerror(errno),
			       errno == ENOENT ? ": mount devtmpfs on /dev" : ": run as root");
	*ret_fd = fd;
	return 0;
}

/* What the last hop brought, in a kernel that can give it back. */
static int read_status(const struct fr_ctx *ctx, struct fr_status **ret, struct fr_error *e)
{
	struct fr_status *s;
	int r = fr_status_read(ctx, &s, e);

	if (r)
		return r;
	if (!s->kernel_patched || s->handed_from_setup_data)
		r = s->handed || !s->kernel_patched ?
			    fr_fail(e, FR_FAULT_REFUSED, ENOSYS,
				    "the running kernel cannot give memory back (%s): load a patched "
				    "one and exec it; what is kept stays kept",
				    s->kernel_status) :
			    fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT,
				    "nothing is kept: the last boot brought no descriptor");
	else if (*s->handed_error)
		r = fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG,
			    "last hop (%s): %s; what is kept stays kept", s->kernel_status,
			    s->handed_error);
	else if (!s->handed)
		r = fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT, "nothing is kept (%s)",
			    s->kernel_status);
	if (r) {
		fr_status_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int ioctl_failed(const struct fr_region *g, const char *path, int err, struct fr_error *e)
{
	static const struct {
		int err;
		enum fr_fault fault;
		const char *text;
	} known[] = {
		{ENOENT, FR_FAULT_NOT_FOUND, "the kernel keeps no such region"},
		{EBUSY, FR_FAULT_REFUSED, "another restore or release of it is running"},
		{ESTALE, FR_FAULT_REFUSED, "it was restored or released already"},
		{EMEDIUMTYPE, FR_FAULT_REFUSED, "the file system there is of the wrong kind"},
		{EHWPOISON, FR_FAULT_REFUSED,
		 "some of its memory is broken: only release gives the rest back"},
		{ENOTEMPTY, FR_FAULT_REFUSED, "the file is not empty"},
		{ENOSPC, FR_FAULT_SYSTEM,
		 "the file system's limit is reached: raise size= of the mount"},
		{ENOMEM, FR_FAULT_SYSTEM,
		 "not enough memory for it: free some, or raise the memory cgroup's limit"},
		{EINTR, FR_FAULT_INTERRUPTED, "interrupted by a signal"},
	};

	for (size_t i = 0; i < FR_ARRAY_SIZE(known); i++)
		if (known[i].err == err)
			return fr_fail(e, known[i].fault, err, "region %s: %s%s%s", g->name,
				       known[i].text, *path ? ": " : "", path);
	return fr_fail(e, FR_FAULT_SYSTEM, err, "region %s: %s", g->name, strerror(err));
}

/* --------------------------------------------------------------------------- its place */

/* Is @dir the root of a file system?  0 or 1, or a negative errno. */
static int is_mount(const char *dir)
{
	struct statx st;

	if (statx(AT_FDCWD, dir, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st))
		return -errno;
	return st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT ?
		       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 :
		       -EOPNOTSUPP;
}

static bool is_unnamed(const struct restore *s, const struct fr_region *g)
{
	return !s->o->directory && !*g->path && g->kind != FR_KIND_RAW;
}

/* Where files come back that had no name: a file system for each page size. */
static char *unnamed_directory(const struct restore *s, const struct fr_region *g)
{
	return fr_path(s->ctx, FR_UNNAMED_DIR "/%s",
		       g->page_shift == 30 ? "1G" :
		       g->page_shift == 21 ? "2M" :
					     "4K");
}

static int cannot_mount(const char *dir, int err, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, err, "%s: cannot mount a file system there: %s", dir,
		       strerror(err));
}

/* A folder that exists from now on, locked against other threads and restores. */
static int lock_folder(const char *dir, struct fr_error *e)
{
	int fd = mkdir(dir, 0700) && errno != EEXIST ?
			 -1 :
			 open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	while (fd >= 0 && flock(fd, LOCK_EX))
		if (errno != EINTR) {
			int err = errno;

			close(fd);
			return cannot_mount(dir, err, e);
		}
	return fd < 0 ? cannot_mount(dir, errno, e) : fd;
}

/*
 * Nobody's limits held for a memfd, so none hold here.  Whoever opens the file may remove its
 * name: it then is what it was.
 */
static int mount_once(const struct fr_region *g, const char *dir, struct fr_error *e)
{
	bool huge = g->kind == FR_KIND_HUGETLB;
	int r = mkdir(dir, 0700) && errno != EEXIST ? -errno : is_mount(dir);

	if (!r && mount("kexec-fastrestart", dir, huge ? "hugetlbfs" : "tmpfs",
			MS_NOSUID | MS_NODEV | MS_NOEXEC,
			!huge		    ? "mode=0700,size=0" :
			g->page_shift == 30 ? "mode=0700,pagesize=1G" :
					      "mode=0700,pagesize=2M"))
		r = -errno;
	return r < 0 ? cannot_mount(dir, -r, e) : 0;
}

/* A second one on top would hide what the first one got. */
static int mount_unnamed(const struct restore *s, const struct fr_region *g, struct fr_error *e)
{
	_cleanup_free_ char *all = fr_path(s->ctx, FR_UNNAMED_DIR);
	_cleanup_free_ char *dir = unnamed_directory(s, g);
	_cleanup_close_ int fd = -1;

	if (!all || !dir)
		return out_of_memory(e);
	fd = lock_folder(all, e);
	return fd < 0 ? fd : mount_once(g, dir, e);
}

static char *destination(const struct restore *s, const struct fr_region *g)
{
	_cleanup_free_ char *unnamed = is_unnamed(s, g) ? unnamed_directory(s, g) : NULL;
	const char *base = strrchr(g->path, '/');
	char *path;

	if (is_unnamed(s, g))
		return unnamed && asprintf(&path, "%s/%s", unnamed, g->name) >= 0 ? path : NULL;
	if (!s->o->directory)
		return strdup(g->path);
	base = base ? base + 1 : g->name;
	return asprintf(&path, "%s/%s", s->o->directory, base) < 0 ? NULL : path;
}

static int check_file_system(const struct fr_region *g, const char *dir, struct fr_error *e)
{
	const char *type = g->kind == FR_KIND_HUGETLB ? "hugetlbfs" : "tmpfs";
	uint64_t page = 1ull << g->page_shift;
	struct statfs fs;

	if (statfs(dir, &fs))
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", dir, strerror(errno));
	if (g->kind == FR_KIND_SHMEM ? fs.f_type == TMPFS_MAGIC :
				       fs.f_type == HUGETLBFS_MAGIC && (uint64_t)fs.f_bsize == page)
		return 0;
	if (g->kind == FR_KIND_SHMEM)
		return fr_fail(
			e, FR_FAULT_REFUSED, EMEDIUMTYPE,
			"region %s: %s is not on tmpfs: mount -t %s %s DIRECTORY there, or give "
			"--directory",
			g->name, dir, type, type);
	return fr_fail(e, FR_FAULT_REFUSED, EMEDIUMTYPE,
		       "region %s: %s is not on hugetlbfs with pages of %" PRIu64
		       " KiB: mount -t hugetlbfs -o pagesize=%" PRIu64
		       "K hugetlbfs DIRECTORY there, or "
		       "give --directory",
		       g->name, dir, page >> 10, page >> 10);
}

/* The file's directory; made, 0755, where it is missing below the right file system. */
static int make_parent(const struct fr_region *g, const char *path, struct fr_error *e)
{
	_cleanup_free_ char *dir = strdup(path);
	char *slash;
	int r;

	slash = dir ? strrchr(dir, '/') : NULL;
	if (!slash)
		return out_of_memory(e);
	slash[slash == dir] = '\0';
	if (!access(dir, F_OK))
		return check_file_system(g, dir, e);
	if (errno != ENOENT)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", dir, strerror(errno));
	r = make_parent(g, dir, e);
	if (r)
		return r;
	if (mkdir(dir, 0755) && errno != EEXIST)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: cannot make it: %s", dir,
			       strerror(errno));
	return 0;
}

/* Is @fd still what @path names?  0 or 1, or a negative errno. */
static int is_named(int fd, const char *path, struct stat *ret_st)
{
	struct stat named;

	if (fstat(fd, ret_st))
		return -errno;
	if (lstat(path, &named))
		return errno == ENOENT ? 0 : -errno;
	return named.st_dev == ret_st->st_dev && named.st_ino == ret_st->st_ino;
}

static bool is_mistrusted(const struct stat *st)
{
	return (st->st_mode & 07777) == FR_MODE_MISTRUSTED;
}

/*
 * Root made it without permissions: nobody else has it open.  One that is not empty is another
 * restore's, which has it locked; or the kernel refuses it.
 */
static bool is_leftover(const struct stat *st)
{
	return fr_mode_is_unfinished(st->st_mode) && !is_mistrusted(st) &&
	       st->st_uid == geteuid() && st->st_nlink == 1;
}

static int exists(const struct fr_region *g, const char *path, struct fr_error *e)
{
	return fr_fail(
		e, FR_FAULT_REFUSED, EEXIST,
		"region %s: %s exists: move it away, or give --directory; the region is still "
		"kept",
		g->name, path);
}

static int is_busy(const struct fr_region *g, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_REFUSED, EBUSY, "region %s: another restore of it is running",
		       g->name);
}

/* Is what is locked at @path, with the mode of a file that has its memory, that file? */
static int check_given(const struct fr_region *g, const char *path, const struct stat *st,
		       struct fr_error *e)
{
	const char *wrong = NULL;

	if (!fr_mode_is_unfinished(st->st_mode)) /* not any more */
		return is_busy(g, e);
	if ((uint64_t)st->st_size != g->size_bytes)
		wrong = "its size was changed";
	else if (st->st_nlink != 1)
		wrong = "it has hard links";
	else if (st->st_uid != geteuid() && st->st_uid != g->uid)
		wrong = "it is another user's";
	return wrong ? fr_fail(e, FR_FAULT_REFUSED, EEXIST,
			       "region %s: %s is not finished, and %s: undo that, or move it away, "
			       "then restore again",
			       g->name, path, wrong) :
		       0;
}

/* A new file at @path, or one that was left by a restore that was killed; only that if @given. */
static int open_claim(const struct fr_region *g, const char *path, bool given, bool *ret_new,
		      struct fr_error *e)
{
	int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
	int fd = given ? -1 : open(path, flags | O_CREAT | O_EXCL, FR_MODE_RESTORING);
	struct stat st;

	*ret_new = fd >= 0;
	if (fd < 0 && (given || errno == EEXIST)) {
		if (!given && (lstat(path, &st) ? errno == ENOENT : !is_leftover(&st)))
			return exists(g, path, e);
		fd = open(path, flags | O_NONBLOCK);
	}
	return fd < 0 ? fr_fail(e, FR_FAULT_SYSTEM, errno, "region %s: cannot %s %s: %s", g->name,
				given ? "open" : "create", path, strerror(errno)) :
			fd;
}

static int lock_claim(const struct fr_region *g, const char *path, int fd, bool given,
		      struct stat *ret_st, struct fr_error *e)
{
	int r = fr_try_lock(fd, LOCK_EX);

	if (r == -EWOULDBLOCK)
		return is_busy(g, e);
	if (!r)
		r = is_named(fd, path, ret_st);
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "region %s: %s: %s", g->name, path,
			       strerror(-r));
	if (given)
		return r ? check_given(g, path, ret_st, e) : is_busy(g, e);
	return r && is_leftover(ret_st) ? 0 : exists(g, path, e);
}

/* A file of ours at @path, locked. */
static int claim(const struct fr_region *g, const char *path, bool given, struct stat *ret_st,
		 struct fr_error *e)
{
	bool new;
	int fd = open_claim(g, path, given, &new, e), r;

	if (fd < 0)
		return fd;
	r = lock_claim(g, path, fd, given, ret_st, e);
	if (!r)
		return fd;
	/* one that somebody else has locked or named is theirs */
	if (new &&r != -EBUSY && r != -EEXIST)
		unlink(path);
	close(fd);
	return r;
}

/* ---------------------------------------------------------------------------- a region */

static int verify(const struct restore *s, const struct fr_region *g, const char *path, int fd,
		  struct fr_error *e)
{
	uint8_t digest[FR_DIGEST_BYTES];
	int r;

	if (g->digest_alg == FR_DIGEST_NONE)
		return 0;
	r = fr_digest_file(s->ctx, fd, g->size_bytes, digest, e);
	if (r)
		return fr_fail_context(e, "region %s: %s", g->name, path);
	if (!memcmp(digest, g->digest, sizeof(digest)))
		return 0;
	return fr_fail(
		e, FR_FAULT_MISMATCH, EBADMSG,
		"region %s: the contents of %s differ from the digest taken before the jump: look "
		"at them; they are used only when the region, or its guest, is restored by name "
		"again",
		g->name, path);
}

static int give(const struct restore *s, const struct fr_region *g, const char *path, int fd,
		struct fr_error *e)
{
	int r = call(s->ctx, s->dev_fd, FR_IOC_RESTORE, g->name, fd);

	return r ? ioctl_failed(g, path, -r, e) : 0;
}

/* 0 or a negative errno */
static int add_seals(int fd, int wanted)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return errno == EINVAL && !wanted ? 0 : -errno;
	if (wanted & ~seals && fcntl(fd, F_ADD_SEALS, wanted & ~seals))
		return -errno;
	return seals & ~wanted ? -EPERM : 0;
}

/* A memfd can be sealed; the kernel makes the file that comes back such a one. */
static int seal(const struct fr_region *g, const char *path, int fd, struct fr_error *e)
{
	int r = g->flags & FR_REGION_UNLINKED ? add_seals(fd, (int)g->seals) : 0;

	return r ? fr_fail(e, FR_FAULT_MISMATCH, -r,
			   "region %s: %s cannot have the seals that it had (%#x): %s; it is used "
			   "only when the region, or its guest, is restored by name again",
			   g->name, path, g->seals, strerror(-r)) :
		   0;
}

static int set_mode(const struct fr_region *g, const char *path, int fd, mode_t mode,
		    struct fr_error *e)
{
	return fchmod(fd, mode) ?
		       fr_fail(e, FR_FAULT_SYSTEM, errno,
			       "region %s: its memory is in %s, but its mode cannot be set: %s",
			       g->name, path, strerror(errno)) :
		       0;
}

static int set_owner(const struct fr_region *g, const char *path, int fd, struct fr_error *e)
{
	return fchown(fd, g->uid, g->gid) ?
		       fr_fail(e, FR_FAULT_SYSTEM, errno,
			       "region %s: its memory is in %s, but that cannot be given to %u:%u: "
			       "%s",
			       g->name, path, g->uid, g->gid, strerror(errno)) :
		       0;
}

/*
 * Make the file what it was.  One that was found wrong (@mistrusted) is finished all the same when
 * it is asked for by name after that was said, and not because nothing was to be verified.
 */
static int finish(const struct restore *s, const struct fr_region *g, const char *path, int fd,
		  bool mistrusted, bool named, struct fr_error *e)
{
	bool accepted = mistrusted && named;
	mode_t mode = g->mode & 07777;
	int r = !accepted && (mistrusted || s->o->verify) ? verify(s, g, path, fd, e) : 0;

	/* a seal may keep these bits from being changed */
	if (!r)
		r = set_mode(g, path, fd, FR_MODE_RESTORING | (mode & FR_MODE_EXECUTABLE), e);
	if (!r) {
		r = seal(g, path, fd, e);
		if (accepted) {
			fr_log(s->ctx, FR_LOG_WARN,
			       "region %s: %s is used though it is not as it was", g->name, path);
			r = 0;
		}
	}
	if (!r)
		r = set_owner(g, path, fd, e);
	if (!r)
		return set_mode(g, path, fd, mode, e);
	if (e->fault == FR_FAULT_MISMATCH)
		fchmod(fd, FR_MODE_MISTRUSTED); /* if that fails, it will be verified again */
	return r;
}

/* Of a leftover that has its memory, @st is what it was: it only wants finishing. */
static int restore_file(struct restore *s, struct item *item, struct fr_error *e)
{
	const struct fr_region *g = item->region;
	_cleanup_free_ char *path = destination(s, g);
	bool was_given = item->state == FR_STATE_RESTORED;
	struct stat st, now;
	int fd, r;

	if (!path)
		return out_of_memory(e);
	if (path[0] != '/')
		return fr_fail(e, FR_FAULT_USAGE, EINVAL, "--directory: %s is not absolute",
			       s->o->directory);
	r = is_unnamed(s, g) ? mount_unnamed(s, g, e) : 0;
	if (!r)
		r = make_parent(g, path, e);
	if (r)
		return r;
	fd = claim(g, path, was_given, &st, e);
	if (fd < 0)
		return fd;
	if (!was_given)
		r = give(s, g, path, fd, e);
	if (r && is_named(fd, path, &now) > 0 && !now.st_blocks)
		unlink(path);
	if (!r)
		r = finish(s, g, path, fd, is_mistrusted(&st), item->named, e);
	close(fd);
	return r;
}

/*
 * Is @g restored, but its file is not finished, because that restore was killed, or found that
 * it is not as it was?  0 or 1, or a negative errno.
 */
static int is_unfinished(const struct restore *s, const struct fr_region *g, struct fr_error *e)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (g->kind == FR_KIND_RAW)
		return 0;
	path = destination(s, g);
	if (!path)
		return out_of_memory(e);
	if (lstat(path, &st))
		return errno == ENOENT || errno == ENOTDIR ?
			       0 : /* somebody has moved or removed it */
			       fr_fail(e, FR_FAULT_SYSTEM, errno, "region %s: %s: %s", g->name,
				       path, strerror(errno));
	return fr_mode_is_unfinished(st.st_mode); /* whatever else was done to it */
}

/*
 * What a hugetlbfs file has no pages for is not kept, and a VMM that maps the file reserves
 * pages for it: from the pool, which starts empty in each kernel.
 */
static void warn_of_holes(const struct restore *s, const struct fr_region *g)
{
	uint64_t pages, available;

	if (g->kind != FR_KIND_HUGETLB)
		return;
	pages = (g->size_bytes + (1ULL << g->page_shift) - 1) >> g->page_shift;
	pages -= fr_extents_pages(&g->extents) >> (g->page_shift - FR_PAGE_SHIFT);
	if (fr_hugepages_available(s->ctx, g->page_shift, &available) || pages <= available)
		return;
	fr_log(s->ctx, FR_LOG_WARN,
	       "region %s: %" PRIu64 " of its huge pages of %llu KiB were never used, and the pool "
	       "has %" PRIu64 " to spare for them: raise vm.nr_hugepages",
	       g->name, pages, 1ULL << (g->page_shift - 10), available);
}

static int restore_item(struct restore *s, struct item *item)
{
	const struct fr_region *g = item->region;
	int r = item->state == FR_STATE_RESTORED ? is_unfinished(s, g, &item->error) : 1;

	if (r <= 0)
		return r;
	if (item->state == FR_STATE_BUSY)
		return ioctl_failed(g, "", EBUSY, &item->error);
	if (item->state == FR_STATE_RELEASED)
		return ioctl_failed(g, "", ESTALE, &item->error);
	if (g->kind != FR_KIND_RAW)
		return restore_file(s, item, &item->error);
	r = call(s->ctx, s->dev_fd, FR_IOC_RESTORE, g->name, -1);
	return r ? ioctl_failed(g, "", -r, &item->error) : 0;
}

static void restore_one(struct restore *s, struct item *item)
{
	bool usable = !restore_item(s, item);

	if (usable && item->state == FR_STATE_KEPT) {
		fr_log(s->ctx, FR_LOG_STEP, "region %s: restored", item->region->name);
		warn_of_holes(s, item->region);
	}
	pthread_mutex_lock(&s->lock);
	item->usable = usable;
	item->done = true;
	pthread_cond_broadcast(&s->item_done);
	pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------------ guests */

static struct item *find_item(struct restore *s, const char *name)
{
	for (size_t i = 0; i < s->nr_items; i++)
		if (!strcmp(s->items[i].region->name, name))
			return &s->items[i];
	return NULL;
}

static void vmm_is_up(void *data)
{
	struct restore *s = data;

	if (!atomic_flag_test_and_set(&s->vmm_up))
		stamp(s, FR_STAMP_VMM_UP);
}

/* /run/kexec-fastrestart/vm/NAME.started, locked; it has contents when the VM was started. */
static int open_marker(const struct restore *s, const struct guest *v, struct fr_error *e)
{
	_cleanup_free_ char *run = fr_path(s->ctx, "/run/kexec-fastrestart");
	_cleanup_free_ char *dir = fr_path(s->ctx, "/run/kexec-fastrestart/vm");
	_cleanup_free_ char *path =
		fr_path(s->ctx, "/run/kexec-fastrestart/vm/%s.started", v->name);
	int fd, r;

	if (!run || !dir || !path)
		return out_of_memory(e);
	if ((mkdir(run, 0700) && errno != EEXIST) || (mkdir(dir, 0700) && errno != EEXIST))
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "cannot create %s: %s", dir,
			       strerror(errno));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", path, strerror(errno));
	r = fr_try_lock(fd, LOCK_EX);
	if (!r)
		return fd;
	close(fd);
	return r == -EWOULDBLOCK ?
		       fr_fail(e, FR_FAULT_REFUSED, EBUSY, "VM %s: it is just being started",
			       v->name) :
		       fr_fail(e, FR_FAULT_SYSTEM, -r, "%s: flock: %s", path, strerror(-r));
}

uint64_t fr_vm_resumed(const struct fr_ctx *ctx, const char *name)
{
	static const char before[] = "started\nresumed ";
	_cleanup_free_ char *path = fr_path(ctx, "/run/kexec-fastrestart/vm/%s.started", name);
	_cleanup_free_ char *text = NULL;
	char *number, *end;
	uint64_t tsc;

	if (!path || fr_read_file(path, 64, &text, NULL) || strncmp(text, before, strlen(before)))
		return 0;
	number = text + strlen(before);
	tsc = strtoull(number, &end, 10);
	return *number >= '0' && *number <= '9' && !strcmp(end, "\n") ? tsc : 0;
}

/* Another thread may still be at it, but has begun: a guest's jobs come after its regions'. */
static bool wait_for_item(struct restore *s, const struct item *item)
{
	pthread_mutex_lock(&s->lock);
	while (!item->done)
		pthread_cond_wait(&s->item_done, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return item->usable;
}

static int check_regions(struct restore *s, const struct guest *v, struct fr_error *e)
{
	for (size_t i = 0; i < v->nr_regions; i++) {
		struct item *item = find_item(s, v->regions[i]);

		if (!item)
			return fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG,
				       "VM %s: its region %s is not in the descriptor", v->name,
				       v->regions[i]);
		if (!wait_for_item(s, item))
			return fr_fail(e, FR_FAULT_VM, EAGAIN,
				       "VM %s: not started, because region %s was not restored",
				       v->name, v->regions[i]);
	}
	return 0;
}

/* For a guest's RAM that had no name: opened by the name that it has for the time being. */
static int open_region(void *data, const char *region, struct fr_error *e)
{
	struct restore *s = data;
	const struct item *item = find_item(s, region);
	_cleanup_free_ char *path = item ? destination(s, item->region) : NULL;
	int fd;

	if (!path)
		return item ? out_of_memory(e) :
			      fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG,
				      "region %.100s: it is not in the descriptor", region);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? fr_fail(e, FR_FAULT_SYSTEM, errno, "region %s: %s: %s", region, path,
				strerror(errno)) :
			fd;
}

/* The guest's RAM ends with its VMM, as that of a memfd does. */
static void drop_names(struct restore *s, const struct guest *v)
{
	for (size_t i = 0; i < v->nr_regions; i++) {
		const struct item *item = find_item(s, v->regions[i]);
		_cleanup_free_ char *path =
			item && is_unnamed(s, item->region) ? destination(s, item->region) : NULL;

		if (path)
			unlink(path);
	}
}

/*
 * A QEMU makes a new file, of zeros, where the guest's memory is not, because somebody has moved
 * it; and it takes whatever is there.
 */
static int check_files(struct restore *s, const struct guest *v, struct fr_error *e)
{
	for (size_t i = 0; i < v->nr_regions; i++) {
		const struct fr_region *g = find_item(s, v->regions[i])->region;
		_cleanup_free_ char *path = destination(s, g);
		struct stat st;

		if (!path)
			return out_of_memory(e);
		if (lstat(path, &st))
			return fr_fail(
				e, FR_FAULT_VM, errno,
				"VM %s: not started, because its memory is not where it was: "
				"region %s: %s: %s: move it back, then restore again",
				v->name, g->name, path, strerror(errno));
		if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != g->size_bytes ||
		    st.st_uid != g->uid)
			return fr_fail(
				e, FR_FAULT_VM, ESTALE,
				"VM %s: not started, because region %s: %s is not the file that "
				"was restored (another type, size or owner): move that back, then "
				"restore again",
				v->name, g->name, path);
	}
	return 0;
}

static int start_once(struct restore *s, struct guest *v, int marker, struct fr_error *e)
{
	struct fr_vm_restart restart = {
		.spec = v->spec,
		.timeout_ms = s->o->vm_timeout_ms ? s->o->vm_timeout_ms : VM_TIMEOUT_MS,
		.marker_fd = marker,
		.open_region = open_region,
		.up = vmm_is_up,
		.data = s,
	};
	struct stat st;
	int r;

	if (!fstat(marker, &st) && st.st_size) {
		drop_names(s, v);
		return v->named ? fr_fail(e, FR_FAULT_REFUSED, EALREADY,
					  "VM %s: it was started already", v->name) :
				  0;
	}
	if (!v->state)
		return fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG,
			       "VM %s: the descriptor has no device state of it", v->name);
	restart.state = v->state->data;
	restart.state_bytes = v->state->bytes;
	r = check_files(s, v, e);
	if (!r)
		r = fr_vm_start(s->ctx, &restart, e);
	if (r)
		return r;
	drop_names(s, v);
	atomic_fetch_add(&s->started, 1);
	fr_log(s->ctx, FR_LOG_STEP, "VM %s: runs on", v->name);
	return 0;
}

static int start_guest(struct restore *s, struct guest *v, struct fr_error *e)
{
	int marker, r = check_regions(s, v, e);

	if (r)
		return r;
	marker = open_marker(s, v, e);
	if (marker < 0)
		return marker;
	r = start_once(s, v, marker, e);
	close(marker);
	return r;
}

/* A region or a guest that fails does not keep the others from being tried. */
static int run_job(void *data, size_t i, struct fr_error *e)
{
	struct restore *s = data;
	const struct job *job = &s->jobs[i];

	(void)e;
	if (job->item) {
		restore_one(s, job->item);
		return 0;
	}
	job->guest->r = start_guest(s, job->guest, &job->guest->error);
	if (job->guest->r)
		fr_log(s->ctx, FR_LOG_WARN, "%s", job->guest->error.text);
	return 0;
}

static void queue_item(struct restore *s, struct item *item)
{
	if (!item || item->queued)
		return;
	item->queued = true;
	s->jobs[s->nr_jobs++].item = item;
}

/* A guest goes on as soon as its own regions are back, whatever else is to be restored. */
static int order_jobs(struct restore *s, struct fr_error *e)
{
	s->jobs = calloc(s->nr_items + s->nr_guests + 1, sizeof(*s->jobs));
	if (!s->jobs)
		return out_of_memory(e);
	for (size_t i = 0; !s->o->no_vms && i < s->nr_guests; i++) {
		for (size_t j = 0; j < s->guests[i].nr_regions; j++)
			queue_item(s, find_item(s, s->guests[i].regions[j]));
		s->jobs[s->nr_jobs++].guest = &s->guests[i];
	}
	for (size_t i = 0; i < s->nr_items; i++)
		queue_item(s, &s->items[i]);
	return 0;
}

/* -------------------------------------------------------------------- what was asked for */

static int add_item(struct restore *s, const char *name, bool named, struct fr_error *e)
{
	const struct fr_descriptor *d = s->status->handed;
	struct item *known = find_item(s, name);

	if (known) {
		known->named |= named;
		return 0;
	}
	for (size_t i = 0; i < d->nr_regions; i++) {
		if (strcmp(d->regions[i].name, name))
			continue;
		s->items[s->nr_items++] = (struct item){
			.region = &d->regions[i], .state = s->status->states[i], .named = named};
		return 0;
	}
	return fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT,
		       "%s: no such region or VM came with the last hop: see list", name);
}

/* The VM @name with its regions; -ENOENT, without @e, if there is none. */
static int add_guest(struct restore *s, const char *name, bool named, struct fr_error *e)
{
	struct guest *v = &s->guests[s->nr_guests];
	const struct fr_blob *spec;
	char blob[FR_NAME_BYTES];
	int r;

	for (size_t i = 0; i < s->nr_guests; i++)
		if (!strcmp(s->guests[i].name, name))
			return 0;
	if (snprintf(blob, sizeof(blob), "vm/%s/spec", name) >= (int)sizeof(blob))
		return -ENOENT;
	spec = fr_descriptor_blob(s->status->handed, blob);
	if (!spec)
		return -ENOENT;
	*v = (struct guest){.named = named, .spec = strndup(spec->data, spec->bytes)};
	if (!v->spec)
		return out_of_memory(e);
	s->nr_guests++;
	snprintf(v->name, sizeof(v->name), "%s", name);
	snprintf(blob, sizeof(blob), "vm/%.*s/state", (int)sizeof(blob) - 10, name);
	v->state = fr_descriptor_blob(s->status->handed, blob);
	r = fr_vm_spec_regions(v->spec, &v->regions, &v->nr_regions, e);
	for (size_t i = 0; !r && i < v->nr_regions; i++)
		r = add_item(s, v->regions[i], named, e);
	return r ? fr_fail_context(e, "VM %s", name) : 0;
}

static int select_all(struct restore *s, struct fr_error *e)
{
	const struct fr_descriptor *d = s->status->handed;
	char name[FR_NAME_BYTES];
	int r = 0;

	for (size_t i = 0; !r && i < d->nr_regions; i++)
		if (s->status->states[i] != FR_STATE_RELEASED)
			r = add_item(s, d->regions[i].name, false, e);
	for (size_t i = 0; !r && !s->o->no_vms && i < d->nr_blobs; i++)
		if (fr_descriptor_vm(d, i, name))
			r = add_guest(s, name, false, e);
	return r;
}

static int select_named(struct restore *s, const char *name, struct fr_error *e)
{
	int r = add_guest(s, name, true, e);
	struct item *item;

	if (r != -ENOENT)
		return r;
	r = add_item(s, name, true, e);
	if (r)
		return r;
	item = find_item(s, name);
	r = item->state == FR_STATE_RESTORED ? is_unfinished(s, item->region, e) : 1;
	if (r < 0)
		return r;
	return r ? 0 : ioctl_failed(item->region, "", ESTALE, e);
}

static int choose(struct restore *s, struct fr_error *e)
{
	const struct fr_descriptor *d = s->status->handed;
	int r = 0;

	s->items = calloc(d->nr_regions + 1, sizeof(*s->items));
	s->guests = calloc(d->nr_blobs + 1, sizeof(*s->guests));
	if (!s->items || !s->guests)
		return out_of_memory(e);
	if (s->o->all)
		r = select_all(s, e);
	for (size_t i = 0; !r && !s->o->all && i < s->o->nr_names; i++)
		r = select_named(s, s->o->names[i], e);
	if (!r && s->o->directory && s->nr_guests && !s->o->no_vms)
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"--directory: VM %s names its RAM files by their own paths: restore its "
			"regions with --no-vms",
			s->guests[0].name);
	return r;
}

static int report(const struct restore *s, struct fr_error *e)
{
	const struct item *first = NULL;

	for (size_t i = 0; i < s->nr_items; i++) {
		const struct item *item = &s->items[i];

		if (item->usable)
			continue;
		if (first)
			fr_log(s->ctx, FR_LOG_WARN, "%s", item->error.text);
		else
			first = item;
	}
	if (!first)
		return 0;
	if (e)
		*e = first->error;
	return -first->error.err;
}

/* The first guest that does not run on, in the order of the descriptor. */
static int report_guests(const struct restore *s, struct fr_error *e)
{
	for (size_t i = 0; i < s->nr_guests; i++) {
		if (!s->guests[i].r)
			continue;
		if (e)
			*e = s->guests[i].error;
		return s->guests[i].r;
	}
	return 0;
}

static int restore(struct restore *s, struct fr_error *e)
{
	int r = choose(s, e);

	if (!r)
		r = order_jobs(s, e);
	if (!r)
		r = open_device(s->ctx, &s->dev_fd, e);
	if (r)
		return r;
	stamp(s, FR_STAMP_RESTORE_BEGIN);
	r = fr_parallel(s->ctx, s->nr_jobs, run_job, s, e);
	if (r)
		return r;
	if (atomic_load(&s->started))
		stamp(s, FR_STAMP_RESUMED);
	r = report(s, e);
	return r ? r : report_guests(s, e);
}

int fr_restore(const struct fr_ctx *ctx, const struct fr_restore_options *o, struct fr_error *e)
{
	struct restore s = {.ctx = ctx,
			    .o = o,
			    .dev_fd = -1,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .item_done = PTHREAD_COND_INITIALIZER,
			    .vmm_up = ATOMIC_FLAG_INIT};
	_cleanup_close_ int lock_fd = fr_lock(ctx, true, e);
	int r = lock_fd < 0 ? lock_fd : read_status(ctx, &s.status, e);

	if (!r)
		r = restore(&s, e);
	for (size_t i = 0; i < s.nr_guests; i++) {
		for (size_t j = 0; j < s.guests[i].nr_regions; j++)
			free(s.guests[i].regions[j]);
		free(s.guests[i].regions);
		free(s.guests[i].spec);
	}
	free(s.jobs);
	free(s.guests);
	free(s.items);
	if (s.dev_fd >= 0)
		close(s.dev_fd);
	fr_status_free(s.status);
	return r;
}

int fr_release(const struct fr_ctx *ctx, char **names, size_t nr_names, struct fr_error *e)
{
	struct fr_region g = {0};
	_cleanup_close_ int lock_fd = fr_lock(ctx, true, e);
	struct fr_status *status;
	int dev_fd, r = lock_fd < 0 ? lock_fd : read_status(ctx, &status, e);

	if (r)
		return r;
	fr_status_free(status);
	r = open_device(ctx, &dev_fd, e);
	if (r)
		return r;
	for (size_t i = 0; !r && i < nr_names; i++) {
		if (!fr_name_valid(names[i])) {
			r = fr_fail(e, FR_FAULT_USAGE, EINVAL, "%.100s: not a region's name",
				    names[i]);
			break;
		}
		snprintf(g.name, sizeof(g.name), "%s", names[i]);
		r = call(ctx, dev_fd, FR_IOC_RELEASE, names[i], -1);
		if (r)
			r = ioctl_failed(&g, "", -r, e);
		else
			fr_log(ctx, FR_LOG_STEP, "region %s: released", names[i]);
	}
	close(dev_fd);
	return r;
}
