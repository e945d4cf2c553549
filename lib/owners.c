// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host.h"
#include "journal.h"
#include "owners.h"
#include "parallel.h"
#include "ramap.h"
#include "util.h"

#define MAPS_BYTES (256u << 20)
#define PATH_BYTES 8192 /* of a cgroup */
#define PIDS_MAX   (4u << 20)
#define LOOK_MS	   1
#define ANEW_MS	   100 /* at the latest: a process may have gone to another cgroup */
#define CHILD	   "kexec-fastrestart-frozen"
#define FORKS	   100 /* how often processes may fork while they are moved */
#define PER_THREAD 16  /* processes, so that starting a thread is worth it */
#define INFO_BYTES (4u << 20)
#define INFO_TRIES 50 /* of seeing an io_uring's buffers, which does not wait for its lock */

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

/* ----------------------------------------------------------------------------- finding */

struct search {
	const struct fr_ctx *ctx;
	const struct fr_file_id *files;
	size_t nr_files;
	pid_t *pids;
	struct fr_owner *owners; /* one for each of pids; comm is empty if it is none */
	size_t nr, cap;
};

static bool is_kept(const struct search *s, uint64_t dev, uint64_t ino, size_t *ret_file)
{
	for (size_t i = 0; i < s->nr_files; i++) {
		if (s->files[i].ino != ino || s->files[i].dev != dev)
			continue;
		*ret_file = i;
		return true;
	}
	return false;
}

/*
 * Fixed buffers in the text of an io_uring's fdinfo: "UserBufs:\t1\n    0: 0x7f0000000000/65536\n",
 * the last one, because files before it may have any name.  -EAGAIN: not shown this time.
 */
static int parse_buffers(const char *text, struct fr_ranges *ret)
{
	static const char heading[] = "\nUserBufs:\t";
	unsigned long long addr, bytes, end;
	const char *p = NULL;
	unsigned long nr;

	for (const char *q = text; (q = strstr(q, heading)); q++)
		p = q + strlen(heading);
	if (!p)
		return -EAGAIN;
	for (nr = strtoul(p, NULL, 10); nr && (p = strchr(p, '\n')) && *++p == ' '; nr--) {
		if (sscanf(p, "%*u: %llx/%llu", &addr, &bytes) != 2 || !bytes)
			continue; /* an empty slot */
		if (__builtin_add_overflow(addr, bytes, &end))
			end = UINT64_MAX;
		if (fr_ranges_add(ret, addr, end))
			return -ENOMEM;
	}
	return nr ? -EAGAIN : 0;
}

/* It has ended, or a security module hides it. */
static bool cannot_be_seen(int r)
{
	return r == -ENOENT || r == -ESRCH || r == -EACCES || r == -EPERM;
}

/* An error that says nothing of what was to be seen: it must not pass for an answer. */
static bool says_nothing(int r)
{
	return r == -ENOMEM || r == -EINTR;
}

/* Where the kernel does not say, they are taken to be everywhere. */
static int read_buffers(const struct search *s, pid_t pid, const char *fd, struct fr_ranges *ret)
{
	_cleanup_free_ char *path = fr_path(s->ctx, "/proc/%d/fdinfo/%s", (int)pid, fd);
	int r = -EAGAIN;

	if (!path)
		return -ENOMEM;
	for (int tries = 0; r == -EAGAIN && tries < INFO_TRIES; tries++) {
		_cleanup_free_ char *text = NULL;

		if (tries)
			poll(NULL, 0, LOOK_MS);
		r = fr_read_file(path, INFO_BYTES, &text, NULL);
		if (r == -ENOENT || r == -ESRCH)
			return 0; /* it was closed */
		if (!r)
			r = parse_buffers(text, ret);
	}
	return r && !says_nothing(r) ? fr_ranges_add(ret, 0, UINT64_MAX) : r;
}

/* "7f00-7f01 rw-s 00000000 00:1a 123   /dev/shm/x"; @buffers: of this process */
static int maps_file(const struct search *s, const struct fr_ranges *buffers,
		     struct fr_owner *owner, bool *ret_maps)
{
	_cleanup_free_ char *path = fr_path(s->ctx, "/proc/%d/maps", (int)owner->pid), *maps = NULL;
	unsigned long long start, stop;
	unsigned long major, minor;
	char *end;
	int r = path ? fr_read_file(path, MAPS_BYTES, &maps, NULL) : -ENOMEM;

	if (r)
		return cannot_be_seen(r) ? 0 : r;
	for (const char *p = maps; p && *p; p = strchr(p, '\n')) {
		p += *p == '\n';
		start = strtoull(p, &end, 16);
		stop = *end == '-' ? strtoull(end + 1, NULL, 16) : start;
		for (int field = 0; field < 3 && *p && *p != '\n'; field++) {
			p += strcspn(p, " \n");
			p += strspn(p, " ");
		}
		major = strtoul(p, &end, 16);
		if (*end != ':')
			continue;
		minor = strtoul(end + 1, &end, 16);
		if (!is_kept(s, makedev(major, minor), strtoull(end, NULL, 10), &owner->file))
			continue;
		*ret_maps = true;
		owner->fixed_buffers |= fr_ranges_touch(buffers, start, stop);
		if (!buffers->nr || owner->fixed_buffers)
			break;
	}
	return 0;
}

bool fr_is_assigned_device(const char *target)
{
	static const char *const devices[] = {"/dev/vfio/",	  "/dev/iommu",
					      "anon_inode:[vfio", "/dev/vhost-vdpa",
					      "anon_inode:vfio",  "/dev/infiniband/uverbs"};

	for (size_t i = 0; i < FR_ARRAY_SIZE(devices); i++)
		if (!strncmp(target, devices[i], strlen(devices[i])))
			return true;
	return false;
}

/* Sees all descriptors: one of them may be an assigned device, or an io_uring. */
static int opens_file(const struct search *s, struct fr_owner *owner, bool *ret_opens,
		      struct fr_ranges *ret_buffers)
{
	_cleanup_free_ char *path = fr_path(s->ctx, "/proc/%d/fd", (int)owner->pid);
	DIR *dir = path ? opendir(path) : NULL;
	int r = dir ? 0 : path ? -errno : -ENOMEM;
	char target[64];
	struct dirent *d;
	struct statx st;
	ssize_t n;

	if (!dir)
		return cannot_be_seen(r) ? 0 : r;
	while (!r && (errno = 0, d = readdir(dir))) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		/* not to wait for the server of a network file system */
		if (statx(dirfd(dir), d->d_name, AT_STATX_DONT_SYNC, STATX_INO, &st))
			r = says_nothing(-errno) ? -errno : 0;
		else if (is_kept(s, makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_ino,
				 &owner->file))
			*ret_opens = true;
		n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
		if (n < 0 && says_nothing(-errno))
			r = -errno;
		target[n > 0 ? n : 0] = '\0';
		owner->assigned_device |= fr_is_assigned_device(target);
		if (!r && !strcmp(target, "anon_inode:[io_uring]"))
			r = read_buffers(s, owner->pid, d->d_name, ret_buffers);
	}
	if (!r && !cannot_be_seen(-errno))
		r = -errno;
	closedir(dir);
	return r;
}

static int read_comm(const struct fr_ctx *ctx, struct fr_owner *owner)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/%d/comm", (int)owner->pid), *text = NULL;
	int r = path ? fr_read_file(path, sizeof(owner->comm), &text, NULL) : -ENOMEM;

	if (!r)
		text[strcspn(text, "\n")] = '\0';
	snprintf(owner->comm, sizeof(owner->comm), "%s", !r && *text ? text : "?");
	return says_nothing(r) ? r : 0;
}

static int look_at(void *data, size_t index, struct fr_error *e)
{
	struct search *s = data;
	int r;

	/* one that has ended is no owner */
	for (size_t i = index * PER_THREAD; i < s->nr && i < (index + 1) * PER_THREAD; i++) {
		struct fr_owner *owner = &s->owners[i];
		struct fr_ranges buffers = {0};
		bool has = false;

		owner->pid = s->pids[i];
		r = opens_file(s, owner, &has, &buffers);
		fr_ranges_normalise(&buffers);
		if (!r && (!has || buffers.nr))
			r = maps_file(s, &buffers, owner, &has);
		if (!r && has)
			r = read_comm(s->ctx, owner);
		fr_ranges_clear(&buffers);
		if (r)
			return fr_fail(e, FR_FAULT_SYSTEM, -r,
				       "process %d: cannot see which files it has: %s",
				       (int)owner->pid, strerror(-r));
	}
	return 0;
}

static bool is_one_of(pid_t pid, const pid_t *v, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (v[i] == pid)
			return true;
	return false;
}

/* init holds files for others (systemd's fd store), and nobody could thaw it. */
static int list_processes(struct search *s, const pid_t *but, size_t nr_but, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(s->ctx, "/proc");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *d;
	pid_t *v;
	int err;

	if (!dir)
		return fr_fail(e, FR_FAULT_SYSTEM, path ? errno : ENOMEM, "/proc: %s",
			       strerror(path ? errno : ENOMEM));
	while (errno = 0, (d = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)d->d_name[0]) ? atoi(d->d_name) : 0;

		if (pid <= 1 || pid == getpid() || is_one_of(pid, but, nr_but))
			continue;
		v = fr_array_reserve(s->pids, &s->cap, s->nr + 1, sizeof(*v));
		if (!v || s->nr >= PIDS_MAX) {
			closedir(dir);
			return out_of_memory(e);
		}
		s->pids = v;
		v[s->nr++] = pid;
	}
	err = errno;
	closedir(dir);
	return err ? fr_fail(e, FR_FAULT_SYSTEM, err, "/proc: %s", strerror(err)) : 0;
}

int fr_owners_find(const struct fr_ctx *ctx, const struct fr_file_id *files, size_t nr_files,
		   const pid_t *but, size_t nr_but, struct fr_owners *ret, struct fr_error *e)
{
	struct search s = {.ctx = ctx, .files = files, .nr_files = nr_files};
	size_t nr = 0;
	int r = nr_files ? list_processes(&s, but, nr_but, e) : 0;

	if (!r) {
		s.owners = calloc(s.nr + 1, sizeof(*s.owners));
		r = s.owners ?
			    fr_parallel(ctx, (s.nr + PER_THREAD - 1) / PER_THREAD, look_at, &s, e) :
			    out_of_memory(e);
	}
	free(s.pids);
	if (r) {
		free(s.owners);
		return r;
	}
	for (size_t i = 0; i < s.nr; i++)
		if (*s.owners[i].comm)
			s.owners[nr++] = s.owners[i];
	*ret = (struct fr_owners){.v = s.owners, .nr = nr};
	return 0;
}

int fr_owners_of(const struct fr_ctx *ctx, struct fr_keep *const *keeps, size_t nr_keeps,
		 const pid_t *but, size_t nr_but, struct fr_owners *ret, struct fr_error *e)
{
	_cleanup_free_ struct fr_file_id *files = calloc(nr_keeps + 1, sizeof(*files));
	size_t nr = 0;

	if (!files)
		return out_of_memory(e);
	for (size_t i = 0; i < nr_keeps; i++)
		nr += fr_keep_file(keeps[i], &files[nr].dev, &files[nr].ino);
	return fr_owners_find(ctx, files, nr, but, nr_but, ret, e);
}

void fr_owners_clear(struct fr_owners *o)
{
	free(o->v);
	*o = (struct fr_owners){0};
}

/* ----------------------------------------------------------------------------- cgroups */

static int read_small(const char *dir, const char *file, char *buf, size_t size)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	int r = asprintf(&path, "%s/%s", dir, file) < 0 ? -ENOMEM : 0;

	if (!r)
		r = fr_read_file(path, size - 1, &text, NULL);
	if (!r)
		snprintf(buf, size, "%s", text);
	return r;
}

static int write_small(const char *dir, const char *file, const char *text)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (asprintf(&path, "%s/%s", dir, file) < 0)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fr_write_all(fd, text, strlen(text));
}

static bool has_gone(int r)
{
	return r == -ENOENT || r == -ENODEV;
}

/*
 * "0::/system.slice/x.service" of /proc/PID/cgroup, below the hierarchy's root; of a process
 * whose threads are in cgroups of their own the one that has them all.  -ENOTSUP without cgroup v2.
 */
static int cgroup_of(const struct fr_ctx *ctx, pid_t pid, char ret[PATH_BYTES])
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/%d/cgroup", (int)pid), *text = NULL;
	_cleanup_free_ char *root = NULL;
	char type[64], *line, *slash;
	int r = path ? fr_read_file(path, 1 << 20, &text, NULL) : -ENOMEM;

	if (!r)
		r = fr_cgroup_root(ctx, &root);
	if (r)
		return r;
	line = text;
	while (line && strncmp(line, "0::/", 4))
		line = (line = strchr(line, '\n')) ? line + 1 : NULL;
	if (!line)
		return -ENOTSUP;
	line += 3;
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, "/..", 3)) /* outside of this process's cgroup namespace */
		return -EXDEV;
	if (snprintf(ret, PATH_BYTES, "%s%s", root, line[1] ? line : "") >= PATH_BYTES)
		return -ENAMETOOLONG;
	while (strlen(ret) > strlen(root)) {
		r = read_small(ret, "cgroup.type", type, sizeof(type));
		slash = strrchr(ret, '/');
		if (r || strcmp(type, "threaded\n") || !slash)
			break;
		*slash = '\0';
	}
	return has_gone(r) ? 0 : r;
}

static bool is_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

/* Would freezing @dir freeze somebody who has to go on?  1, 0, or why that cannot be told. */
static int holds_others(const struct fr_ctx *ctx, const char *dir, const pid_t *but, size_t nr_but)
{
	_cleanup_free_ char *root = NULL;
	char path[PATH_BYTES];
	int r = fr_cgroup_root(ctx, &root);

	if (r || !strcmp(dir, root))
		return r ? r : 1;
	for (size_t i = 0; i < nr_but + 2; i++) {
		pid_t pid = i < nr_but ? but[i] : i == nr_but ? getpid() : 1;

		r = cgroup_of(ctx, pid, path);
		if (!r && is_within(path, dir))
			return 1;
		if (says_nothing(r))
			return r;
	}
	return 0;
}

/* 1, 0, or why that cannot be told */
static int stands_still(const char *dir)
{
	char events[256];
	int r = read_small(dir, "cgroup.events", events, sizeof(events));

	if (r)
		return has_gone(r) ? 0 : r;
	return strstr(events, "frozen 1") != NULL;
}

/* ----------------------------------------------------------------------------- thawing */

static bool is_child(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return slash && !strcmp(slash + 1, CHILD);
}

/* Back to where they came from. */
static int empty_child(const char *dir)
{
	_cleanup_free_ char *parent = strdup(dir), *procs = NULL, *pids = NULL;
	char *slash = parent ? strrchr(parent, '/') : NULL, *save = NULL;
	int r;

	if (!slash || asprintf(&procs, "%s/cgroup.procs", dir) < 0)
		return -ENOMEM;
	*slash = '\0';
	for (int tries = 0; tries < FORKS; tries++) {
		free(pids);
		pids = NULL;
		r = fr_read_file(procs, 64 << 20, &pids, NULL);
		if (r)
			return r;
		if (!*pids)
			break;
		for (char *pid = strtok_r(pids, "\n", &save); pid;
		     pid = strtok_r(NULL, "\n", &save))
			write_small(parent, "cgroup.procs", pid);
	}
	return rmdir(dir) ? -errno : 0;
}

int fr_owners_thaw(const struct fr_ctx *ctx)
{
	struct fr_journal j;
	int r = FR_INSIST(fr_journal_read(ctx, &j)), failed = 0;

	if (r)
		return r == -ENOENT ? 0 : r;
	for (const char *dir = NULL; (dir = fr_journal_next(&j, FR_JOURNAL_CGROUP, dir));) {
		r = FR_INSIST(write_small(dir, "cgroup.freeze", "0"));
		if (r && r != -ENOENT && r != -ENODEV) {
			fr_log(ctx, FR_LOG_WARN, "%s/cgroup.freeze: %s: thaw it by hand", dir,
			       strerror(-r));
			failed = r;
		}
		if (is_child(dir))
			FR_INSIST(empty_child(dir));
	}
	fr_journal_clear(&j);
	return failed;
}

/* ---------------------------------------------------------------------------- freezing */

static int cannot_freeze(const struct fr_owner *o, int err, struct fr_error *e)
{
	if (err == ENOTSUP)
		return fr_fail(
			e, FR_FAULT_REFUSED, ENOTSUP,
			"process %d (%s) has a kept file open, and without cgroup v2 it cannot be "
			"frozen: stop it, or give exec --no-freeze if it writes no more",
			(int)o->pid, o->comm);
	return fr_fail(
		e, FR_FAULT_REFUSED, err,
		"process %d (%s) has a kept file open and cannot be frozen: %s: stop it, or give exec "
		"--no-freeze if it writes no more",
		(int)o->pid, o->comm, strerror(err));
}

int fr_owners_check(const struct fr_ctx *ctx, const struct fr_owners *o, struct fr_error *e)
{
	char dir[PATH_BYTES];
	int r;

	for (size_t i = 0; i < o->nr; i++) {
		if (o->v[i].assigned_device)
			return fr_fail(
				e, FR_FAULT_REFUSED, EOPNOTSUPP,
				"process %d (%s) has a kept file and a device of its own "
				"(VFIO, RDMA) open, which would go on writing to memory through "
				"the jump: stop it",
				(int)o->v[i].pid, o->v[i].comm);
		if (o->v[i].fixed_buffers)
			return fr_fail(
				e, FR_FAULT_REFUSED, EOPNOTSUPP,
				"process %d (%s) has an io_uring with fixed buffers in a kept file, "
				"where data can arrive though it is frozen: stop it, or give exec "
				"--no-freeze if nothing is under way",
				(int)o->v[i].pid, o->v[i].comm);
		r = cgroup_of(ctx, o->v[i].pid, dir);
		if (r && r != -ENOENT && r != -ESRCH)
			return cannot_freeze(&o->v[i], -r, e);
	}
	return 0;
}

/* Its own child of @dir, with @pid in it. */
static int move_into_child(const struct fr_ctx *ctx, char dir[PATH_BYTES], pid_t pid)
{
	size_t n = strlen(dir);
	char text[16];
	int r;

	if (!is_child(dir) &&
	    snprintf(dir + n, PATH_BYTES - n, "/%s", CHILD) >= (int)(PATH_BYTES - n))
		return -ENAMETOOLONG;
	r = fr_journal_add(ctx, FR_JOURNAL_CGROUP, dir);
	if (r)
		return r;
	if (mkdir(dir, 0755) && errno != EEXIST)
		return -errno;
	snprintf(text, sizeof(text), "%d", (int)pid);
	return write_small(dir, "cgroup.procs", text);
}

/* Order the cgroup of @pid to freeze; *@dir is which. */
static int freeze_one(const struct fr_ctx *ctx, pid_t pid, const pid_t *but, size_t nr_but,
		      char dir[PATH_BYTES])
{
	int r = cgroup_of(ctx, pid, dir);

	if (!r)
		r = stands_still(dir);
	if (r) /* somebody else may have frozen it, who does not want it thawed */
		return r < 0 ? r : 0;
	r = holds_others(ctx, dir, but, nr_but);
	if (r >= 0)
		r = r ? move_into_child(ctx, dir, pid) :
			fr_journal_add(ctx, FR_JOURNAL_CGROUP, dir);
	return r ? r : write_small(dir, "cgroup.freeze", "1");
}

static bool is_gone(const struct fr_ctx *ctx, pid_t pid)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/%d", (int)pid);

	return path && access(path, F_OK) && errno == ENOENT;
}

bool fr_owners_frozen(const struct fr_ctx *ctx, const struct fr_owners *o)
{
	char dir[PATH_BYTES];

	for (size_t i = 0; i < o->nr; i++)
		if (!is_gone(ctx, o->v[i].pid) &&
		    (cgroup_of(ctx, o->v[i].pid, dir) || stands_still(dir) != 1))
			return false;
	return true;
}

/* Until the cgroup of @pid says that it has changed, or its time is over. */
static void await_change(const struct fr_ctx *ctx, pid_t pid, uint64_t ms)
{
	char dir[PATH_BYTES], text[256] = "";
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct pollfd p = {.events = POLLPRI};
	ssize_t n = 0;

	if (!cgroup_of(ctx, pid, dir) && asprintf(&path, "%s/cgroup.events", dir) >= 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	/* a change is one since the last read of the open file */
	if (fd >= 0)
		n = read(fd, text, sizeof(text) - 1);
	if (n > 0 && strstr(text, "frozen 1"))
		return;
	p.fd = fd; /* one that is not open is waited for to no end */
	poll(&p, 1, (int)fr_min_u64(ms, ANEW_MS));
}

int fr_owners_freeze(const struct fr_ctx *ctx, const struct fr_owners *o, const pid_t *but,
		     size_t nr_but, unsigned int timeout_ms, struct fr_error *e)
{
	uint64_t end = fr_now_ms() + timeout_ms;
	char dir[PATH_BYTES];
	int r;

	for (size_t i = 0; i < o->nr; i++) {
		r = freeze_one(ctx, o->v[i].pid, but, nr_but, dir);
		if (is_gone(ctx, o->v[i].pid))
			continue;
		if (r)
			return cannot_freeze(&o->v[i], -r, e);
		fr_log(ctx, FR_LOG_STEP, "process %d (%s): frozen, in %s", (int)o->v[i].pid,
		       o->v[i].comm, dir);
	}
	for (size_t i = 0; i < o->nr; i++) {
		struct fr_owners one = {.v = &o->v[i], .nr = 1};

		while (!fr_owners_frozen(ctx, &one)) {
			uint64_t now = fr_now_ms();

			if (now >= end)
				return cannot_freeze(&o->v[i], ETIMEDOUT, e);
			await_change(ctx, o->v[i].pid, end - now);
		}
	}
	return 0;
}

/* ---------------------------------------------------------------------------- draining */

/* "  reads  writes" of /sys/block/DISK/inflight: 1, 0, or why that cannot be told */
static int is_reading(const char *block, const char *disk)
{
	_cleanup_free_ char *dir = NULL;
	char text[64];
	int r = asprintf(&dir, "%s/%s", block, disk) < 0 ? -ENOMEM : 0;

	if (!r)
		r = read_small(dir, "inflight", text, sizeof(text));
	if (r)
		return has_gone(r) ? 0 : r;
	return strtoul(text, NULL, 10) != 0;
}

static int drain_disk(const char *block, const char *disk, uint64_t end, struct fr_error *e)
{
	int r;

	while ((r = is_reading(block, disk)) > 0) {
		if (fr_now_ms() >= end)
			return fr_fail(
				e, FR_FAULT_REFUSED, ETIMEDOUT,
				"/sys/block/%s/inflight: it is read from all the time, maybe "
				"into kept memory: stop what does that",
				disk);
		poll(NULL, 0, LOOK_MS);
	}
	return r ? fr_fail(e, FR_FAULT_SYSTEM, -r, "/sys/block/%s/inflight: %s", disk,
			   strerror(-r)) :
		   0;
}

int fr_owners_drain(const struct fr_ctx *ctx, unsigned int timeout_ms, struct fr_error *e)
{
	_cleanup_free_ char *block = fr_path(ctx, "/sys/block");
	DIR *dir = block ? opendir(block) : NULL;
	uint64_t end = fr_now_ms() + timeout_ms;
	int r = 0, err = dir ? 0 : block ? errno : ENOMEM;
	struct dirent *d;

	if (err == ENOENT) /* there are no disks */
		return 0;
	while (dir && !r && (errno = 0, d = readdir(dir)))
		if (d->d_name[0] != '.')
			r = drain_disk(block, d->d_name, end, e);
	if (dir) {
		err = r ? 0 : errno;
		closedir(dir);
	}
	return err ? fr_fail(e, FR_FAULT_SYSTEM, err, "/sys/block: %s", strerror(err)) : r;
}
