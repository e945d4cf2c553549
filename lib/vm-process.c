// SPDX-License-Identifier: GPL-2.0-or-later
/* A QEMU process as /proc shows it: command line, owner, mappings, open devices. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "owners.h"
#include "util.h"
#include "vm-private.h"

#define ARGV_BYTES (2u << 20) /* ARG_MAX */
#define MAPS_BYTES (64u << 20)

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

static int gone(const struct fr_vm *vm, const char *what, int err, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_VM, err,
		       "VM %s: %s of process %d: %s: its QMP socket must have been opened by QEMU "
		       "itself, in this PID namespace",
		       vm->name, what, (int)vm->pid, strerror(err));
}

static int read_proc(const struct fr_ctx *ctx, const struct fr_vm *vm, const char *what, size_t max,
		     char **ret, size_t *ret_bytes, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/%d/%s", (int)vm->pid, what);
	int r;

	if (!path)
		return out_of_memory(e);
	r = fr_read_file(path, max, ret, ret_bytes);
	return r ? gone(vm, what, -r, e) : 0;
}

static int read_link(const struct fr_ctx *ctx, const struct fr_vm *vm, const char *what, char **ret,
		     struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/%d/%s", (int)vm->pid, what);
	char target[FR_PATH_BYTES];
	ssize_t n;

	if (!path)
		return out_of_memory(e);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return gone(vm, what, errno, e);
	target[n] = '\0';
	*ret = strdup(target);
	return *ret ? 0 : out_of_memory(e);
}

static int read_argv(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes, nr = 0;
	int r = read_proc(ctx, vm, "cmdline", ARGV_BYTES, &text, &bytes, e);

	if (r)
		return r;
	for (size_t i = 0; i < bytes; i++)
		nr += !text[i];
	if (!nr || text[bytes - 1])
		return gone(vm, "cmdline", EPROTO, e);
	vm->argv = calloc(nr + 1, sizeof(*vm->argv));
	if (!vm->argv)
		return out_of_memory(e);
	for (char *p = text; p < text + bytes; p += strlen(p) + 1)
		if (!(vm->argv[vm->argc++] = strdup(p)))
			return out_of_memory(e);
	return 0;
}

/* Lines "Uid:", "Gid:" (the effective one) and "Groups:" of /proc/PID/status. */
static int read_owner(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	_cleanup_free_ char *text = NULL;
	const char *uid, *gid, *groups;
	unsigned int id;
	int r = read_proc(ctx, vm, "status", 1 << 20, &text, NULL, e), len;

	if (r)
		return r;
	uid = strstr(text, "\nUid:");
	gid = strstr(text, "\nGid:");
	groups = strstr(text, "\nGroups:");
	if (!uid || !gid || !groups || sscanf(uid, "\nUid: %*u %u", &vm->uid) != 1 ||
	    sscanf(gid, "\nGid: %*u %u", &vm->gid) != 1)
		return gone(vm, "status", EPROTO, e);
	for (groups += strlen("\nGroups:"); sscanf(groups, "%*[ \t]%u%n", &id, &len) == 1;
	     groups += len) {
		gid_t *v = reallocarray(vm->groups, vm->nr_groups + 1, sizeof(*v));

		if (!v)
			return out_of_memory(e);
		vm->groups = v;
		v[vm->nr_groups++] = id;
	}
	return 0;
}

int fr_vm_read_process(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	static const char deleted[] = " (deleted)";
	size_t len;
	int r = read_argv(ctx, vm, e);

	if (!r)
		r = read_link(ctx, vm, "exe", &vm->exe, e);
	if (!r)
		r = read_link(ctx, vm, "cwd", &vm->cwd, e);
	if (!r)
		r = read_owner(ctx, vm, e);
	if (r)
		return r;
	len = strlen(vm->exe); /* after a package update the new one is at the same path */
	if (len > sizeof(deleted) - 1 && !strcmp(vm->exe + len - (sizeof(deleted) - 1), deleted))
		vm->exe[len - (sizeof(deleted) - 1)] = '\0';
	return 0;
}

static int open_fds(const struct fr_ctx *ctx, const struct fr_vm *vm, DIR **ret, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/%d/fd", (int)vm->pid);

	if (!path)
		return out_of_memory(e);
	*ret = opendir(path);
	return *ret ? 0 : gone(vm, "fd", errno, e);
}

static int not_seen(const struct fr_vm *vm, const char *fd, int err, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, err,
		       "VM %s: descriptor %s of process %d cannot be looked at: %s", vm->name, fd,
		       (int)vm->pid, strerror(err));
}

/*
 * The next of the process's descriptors, and where it leads to; *@ret is NULL after the last one.
 * One that cannot be looked at is an error: it may be the one that matters.
 */
static int next_fd(const struct fr_vm *vm, DIR *dir, struct dirent **ret, char target[256],
		   struct fr_error *e)
{
	ssize_t n;

	while (errno = 0, (*ret = readdir(dir))) {
		if ((*ret)->d_name[0] == '.')
			continue;
		n = readlinkat(dirfd(dir), (*ret)->d_name, target, 255);
		if (n >= 0) {
			target[n] = '\0';
			return 0;
		}
		if (errno != ENOENT) /* closed meanwhile */
			break;
	}
	return errno ? not_seen(vm, *ret ? (*ret)->d_name : "?", errno, e) : 0;
}

/* Is file @what of the process another one than this process's own?  Where there is none, it is not. */
static int differs(const struct fr_ctx *ctx, const struct fr_vm *vm, const char *what)
{
	_cleanup_free_ char *theirs = fr_path(ctx, "/proc/%d/%s", (int)vm->pid, what);
	_cleanup_free_ char *ours = fr_path(ctx, "/proc/self/%s", what);
	struct stat a, b;

	if (!theirs || !ours)
		return -ENOMEM;
	if (stat(theirs, &a) || stat(ours, &b))
		return errno == ENOENT ? 0 : -errno;
	return a.st_dev != b.st_dev || a.st_ino != b.st_ino;
}

/* Started by restore it would be outside of what confines it: of a container, for one. */
static int check_confinement(const struct fr_ctx *ctx, const struct fr_vm *vm, struct fr_error *e)
{
	static const char *const places[] = {"root", "ns/mnt", "ns/pid", "ns/net", "ns/user"};
	int r;

	for (size_t i = 0; i < FR_ARRAY_SIZE(places); i++) {
		r = differs(ctx, vm, places[i]);
		if (r < 0)
			return gone(vm, places[i], -r, e);
		if (r)
			return fr_fail(
				e, FR_FAULT_REFUSED, EOPNOTSUPP,
				"VM %s: process %d is confined (its /proc/%d/%s is another one), and "
				"restore would start it without that: start it outside",
				vm->name, (int)vm->pid, (int)vm->pid, places[i]);
	}
	return 0;
}

int fr_vm_check_process(const struct fr_ctx *ctx, const struct fr_vm *vm, struct fr_error *e)
{
	char target[256];
	struct dirent *d;
	DIR *dir;
	int r = check_confinement(ctx, vm, e);

	if (!r)
		r = open_fds(ctx, vm, &dir, e);
	if (r)
		return r;
	while (!r && !(r = next_fd(vm, dir, &d, target, e)) && d)
		if (fr_is_assigned_device(target))
			r = fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
				    "VM %s: it has %s open: an assigned device goes on with DMA "
				    "through the jump: unplug it first (device_del)",
				    vm->name, target);
	closedir(dir);
	return r;
}

int fr_vm_find_memfd(const struct fr_ctx *ctx, const struct fr_vm *vm, const char *id,
		     uint64_t size, int *ret_fd, struct fr_error *e)
{
	static const char memfd[] = "/memfd:memory-backend-memfd";
	char target[256];
	struct stat st;
	struct dirent *d;
	size_t nr = 0;
	DIR *dir;
	int r = open_fds(ctx, vm, &dir, e);

	if (r)
		return r;
	while (!r && !(r = next_fd(vm, dir, &d, target, e)) && d) {
		if (strncmp(target, memfd, sizeof(memfd) - 1))
			continue;
		if (fstatat(dirfd(dir), d->d_name, &st, 0)) {
			r = errno == ENOENT ? 0 : not_seen(vm, d->d_name, errno, e);
			continue;
		}
		if ((uint64_t)st.st_size != size)
			continue;
		*ret_fd = atoi(d->d_name);
		nr++;
	}
	closedir(dir);
	if (r || nr == 1)
		return r;
	return fr_fail(e, FR_FAULT_REFUSED, nr ? ENOTUNIQ : ENOENT,
		       "VM %s: %s of its memfds %s the size of RAM \"%s\": %s", vm->name,
		       nr ? "several" : "none", nr ? "have" : "has", id,
		       nr ? "use memory-backend-file where two have one size" :
			    "use memory-backend-file");
}

/* A mapping from before outlasts such a seal, but the QEMU that restore starts gets none. */
static int check_seals(const struct fr_vm *vm, const struct fr_vm_ram *ram, struct fr_error *e)
{
	_cleanup_close_ int fd = open(ram->path, O_RDONLY | O_CLOEXEC);
	int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);

	if (fd < 0)
		return gone(vm, "fd", errno, e);
	if (seals < 0 || !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return 0;
	return fr_fail(e, FR_FAULT_REFUSED, EROFS,
		       "VM %s: its RAM \"%s\" is a memfd that is sealed against writing, which "
		       "restore could not start it with: give mem-path= a file name",
		       vm->name, ram->id);
}

int fr_vm_check_mapping(const struct fr_ctx *ctx, const struct fr_vm *vm,
			const struct fr_vm_ram *ram, struct fr_error *e)
{
	_cleanup_free_ char *maps = NULL;
	const char *path = ram->path;
	bool read_only = false;
	char permissions[5];
	unsigned int major, minor;
	uint64_t inode;
	struct stat st;
	int r;

	if (stat(path, &st))
		return fr_fail(
			e, FR_FAULT_REFUSED, errno,
			"VM %s: its RAM file %s: %s: the file must have a name that stays, in "
			"this mount namespace: give mem-path= a file, not a directory",
			vm->name, path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fr_fail(
			e, FR_FAULT_REFUSED, EISDIR,
			"VM %s: its RAM is an unlinked file in %s: give mem-path= a file name",
			vm->name, path);
	r = read_proc(ctx, vm, "maps", MAPS_BYTES, &maps, NULL, e);
	if (r)
		return r;
	for (const char *line = maps; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%*x-%*x %4s %*x %x:%x %" SCNu64, permissions, &major, &minor,
			   &inode) != 4 ||
		    inode != st.st_ino || makedev(major, minor) != st.st_dev)
			continue;
		if (!ram->is_fd)
			return 0;
		if (permissions[1] == 'w' && permissions[3] == 's')
			return check_seals(vm, ram, e);
		read_only = true;
	}
	if (read_only)
		return fr_fail(e, FR_FAULT_REFUSED, EROFS,
			       "VM %s: process %d does not map the memory \"%s\" shared and for "
			       "writing, and restore would let it: give mem-path= a file name",
			       vm->name, (int)vm->pid, ram->id);
	return fr_fail(
		e, FR_FAULT_REFUSED, ESTALE,
		"VM %s: process %d does not map %s: the file was replaced since it started, or "
		"it lies in another mount namespace",
		vm->name, (int)vm->pid, path);
}
