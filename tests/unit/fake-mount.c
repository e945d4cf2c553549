// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fake-mount.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#define EXECUTABLE (S_IXUSR | S_IXGRP | S_IXOTH)

int (*fake_mount_hook)(const char *dir);

static struct {
	ino_t ino;
	int seals;
} sealable[4];
static size_t nr_sealable;

bool fake_mount_is(const char *dir)
{
	struct stat st;

	return !lstat(dir, &st) && S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX;
}

int mount(const char *source, const char *dir, const char *type, unsigned long flags,
	  const void *data)
{
	int r = fake_mount_hook ? fake_mount_hook(dir) : 0;

	(void)source;
	(void)type;
	(void)flags;
	(void)data;
	if (!r)
		return chmod(dir, S_ISVTX | 0700);
	errno = -r;
	return -1;
}

int statx(int at, const char *path, int flags, unsigned int mask, struct statx *st)
{
	int r = (int)syscall(SYS_statx, at, path, flags, mask | STATX_MODE, st);

	if (r || !S_ISDIR(st->stx_mode))
		return r;
	st->stx_attributes_mask |= STATX_ATTR_MOUNT_ROOT;
	if (st->stx_mode & S_ISVTX)
		st->stx_attributes |= STATX_ATTR_MOUNT_ROOT;
	return 0;
}

int statfs(const char *path, struct statfs *fs)
{
	int r = (int)syscall(SYS_statfs, path, fs);
	const char *name = strrchr(path, '/');

	if (r || !name || !strstr(path, "/unnamed/"))
		return r;
	fs->f_type = strcmp(name, "/4K") ? HUGETLBFS_MAGIC : TMPFS_MAGIC;
	fs->f_bsize = strcmp(name, "/4K") ? 2l << 20 : 4096;
	return 0;
}

static int *find_seals(const struct stat *st)
{
	for (size_t i = 0; i < nr_sealable; i++)
		if (sealable[i].ino == st->st_ino)
			return &sealable[i].seals;
	return NULL;
}

void fake_mount_make_sealable(int fd)
{
	struct stat st;

	if (fstat(fd, &st) || nr_sealable == sizeof(sealable) / sizeof(*sealable))
		abort();
	sealable[nr_sealable].ino = st.st_ino;
	sealable[nr_sealable++].seals = 0;
}

int fake_mount_seals(const char *path)
{
	struct stat st;
	const int *seals = stat(path, &st) ? NULL : find_seals(&st);

	return seals ? *seals : -1;
}

/* A call that can be made of any file stands for the one that cannot. */
int fcntl(int fd, int command, ...)
{
	struct stat st;
	va_list list;
	long arg;
	int *seals;

	va_start(list, command);
	arg = va_arg(list, long);
	va_end(list);
	if (command != F_GET_SEALS && command != F_ADD_SEALS)
		return (int)syscall(SYS_fcntl, fd, command, arg);
	if (syscall(SYS_fcntl, fd, F_GETFD) < 0 || fstat(fd, &st))
		return -1;
	seals = find_seals(&st);
	if (!seals)
		return (int)syscall(SYS_fcntl, fd, command, arg);
	if (command == F_GET_SEALS)
		return *seals;
	if (*seals & F_SEAL_SEAL) {
		errno = EPERM;
		return -1;
	}
	*seals |= (int)arg;
	return 0;
}

int fchmod(int fd, mode_t mode)
{
	struct stat st;
	const int *seals = !nr_sealable || fstat(fd, &st) ? NULL : find_seals(&st);

	if (!seals || !(*seals & F_SEAL_EXEC) || !((st.st_mode ^ mode) & EXECUTABLE))
		return (int)syscall(SYS_fchmod, fd, mode);
	errno = EPERM;
	return -1;
}
