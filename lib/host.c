// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "util.h"

#define LOCK		  "/run/kexec-fastrestart/lock"
#define KMSG_RECORD_BYTES 8192 /* more than the kernel makes of one */

static int cannot_lock(const char *path, struct fr_error *e)
{
	return fr_fail(e, errno == EACCES || errno == EPERM ? FR_FAULT_PERMISSION : FR_FAULT_SYSTEM,
		       errno, "%s: %s", path, strerror(errno));
}

/* What lies in it is believed, and what is made there must not come about elsewhere. */
static int check_run_dir(const char *dir, struct fr_error *e)
{
	struct stat st;

	if (lstat(dir, &st))
		return cannot_lock(dir, e);
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	return fr_fail(e, FR_FAULT_REFUSED, EPERM,
		       "%s: it is not a folder that root alone can write to: chown and chmod it if "
		       "it is this program's (restored files may lie in it), else remove it",
		       dir);
}

int fr_lock(const struct fr_ctx *ctx, bool shared, struct fr_error *e)
{
	_cleanup_free_ char *dir = fr_path(ctx, "/run/kexec-fastrestart");
	_cleanup_free_ char *path = fr_path(ctx, LOCK);
	/* of the open file, as flock() makes them, but it can be asked for */
	struct flock lock = {.l_type = shared ? F_RDLCK : F_WRLCK};
	int fd, r;

	if (!dir || !path)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return cannot_lock(dir, e);
	r = check_run_dir(dir, e);
	if (r)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return cannot_lock(path, e);
	do {
		r = fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
	} while (r == -EINTR);
	if (!r)
		return fd;
	close(fd);
	if (r != -EAGAIN && r != -EACCES)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "%s: locking it: %s", path, strerror(-r));
	return fr_fail(e, FR_FAULT_REFUSED, EBUSY,
		       "another load, exec, restore or release is running, or the guardian of an "
		       "exec still undoes it: try again later");
}

int fr_is_locked(const struct fr_ctx *ctx, bool *ret)
{
	_cleanup_free_ char *path = fr_path(ctx, LOCK);
	struct flock lock = {.l_type = F_RDLCK};
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	if (fcntl(fd, F_OFD_GETLK, &lock))
		return -errno;
	*ret = lock.l_type != F_UNLCK;
	return 0;
}

int fr_cgroup_root(const struct fr_ctx *ctx, char **ret_path)
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	for (size_t i = 0; i < FR_ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *file = fr_path(ctx, "%s/cgroup.controllers", places[i]);
		char *path;

		if (file && access(file, F_OK) && errno == ENOENT)
			continue;
		path = file ? fr_path(ctx, "%s", places[i]) : NULL;
		if (!path)
			return -ENOMEM;
		*ret_path = path;
		return 0;
	}
	return -ENOTSUP;
}

int fr_boot_id_read(const struct fr_ctx *ctx, uint8_t ret_id[16], struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/sys/kernel/random/boot_id"), *text = NULL;
	uint8_t id[16];
	unsigned int byte;
	size_t nr = 0;
	int r = path ? fr_read_file(path, 4096, &text, NULL) : -ENOMEM;

	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/proc/sys/kernel/random/boot_id: %s",
			       strerror(-r));
	for (const char *p = text; nr < sizeof(id); p += 2) {
		p += *p == '-';
		if (sscanf(p, "%2x", &byte) != 1)
			return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
				       "/proc/sys/kernel/random/boot_id: not a UUID");
		id[nr++] = (uint8_t)byte;
	}
	memcpy(ret_id, id, sizeof(id));
	return 0;
}

int fr_count_cpus(const struct fr_ctx *ctx, unsigned int *ret_nr, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/devices/system/cpu/possible"), *text = NULL;
	unsigned int nr = 0, first, last;
	int len, r;

	r = path ? fr_read_file(path, 1 << 20, &text, NULL) : -ENOMEM;
	if (r && r != -ENOENT)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/sys/devices/system/cpu/possible: %s",
			       strerror(-r));
	for (const char *p = r ? "" : text; sscanf(p, "%u%n", &first, &len) == 1; p += *p == ',') {
		p += len;
		last = first;
		if (sscanf(p, "-%u%n", &last, &len) == 1)
			p += len;
		nr += last >= first ? last - first + 1 : 0;
	}
	*ret_nr = nr ? nr : 1;
	return 0;
}

int fr_meminfo(const struct fr_ctx *ctx, const char *name, uint64_t *ret_bytes)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/meminfo"), *text = NULL;
	size_t len = strlen(name);
	int r = path ? fr_read_file(path, 1 << 16, &text, NULL) : -ENOMEM;

	if (r)
		return r;
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, len) || p[len] != ':')
			continue;
		*ret_bytes = strtoull(p + len + 1, NULL, 10) << 10;
		return 0;
	}
	return -ENOENT;
}

uint64_t fr_tsc_khz(const struct fr_ctx *ctx)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/devices/system/cpu/cpu0/tsc_freq_khz");
	_cleanup_free_ char *cpuinfo = fr_path(ctx, "/proc/cpuinfo"), *text = NULL;
	const char *mhz;

	if (path && !fr_read_file(path, 64, &text, NULL))
		return strtoull(text, NULL, 10);
	if (!cpuinfo || fr_read_file(cpuinfo, 16 << 20, &text, NULL))
		return 0;
	mhz = strstr(text, "\ncpu MHz");
	mhz = mhz ? strchr(mhz + 1, ':') : NULL;
	return mhz ? (uint64_t)(strtod(mhz + 1, NULL) * 1000 + 0.5) : 0;
}

/* init/calibrate.c: BogoMIPS = lpj * HZ / 500000, cut to two decimals */
int fr_lpj_parse(const char *line, uint64_t *ret_lpj, uint32_t *ret_hz)
{
	static const uint32_t known[] = {100, 250, 300, 1000};
	const char *mips = strstr(line, "BogoMIPS"), *lpj_text = strstr(line, "(lpj=");
	uint64_t lpj, hundredths;
	char *end;

	if (!strstr(line, "Calibrating delay loop") || !mips || !lpj_text)
		return -ENOENT;
	while (mips > line && mips[-1] == ' ')
		mips--;
	while (mips > line && strchr("0123456789.", mips[-1]))
		mips--;
	hundredths = strtoull(mips, &end, 10) * 100;
	if (*end == '.')
		hundredths += strtoull(end + 1, NULL, 10);
	lpj = strtoull(lpj_text + strlen("(lpj="), NULL, 10);
	if (!lpj || lpj > UINT64_MAX / 1000)
		return -ENOENT;
	for (size_t i = 0; i < FR_ARRAY_SIZE(known); i++) {
		if (lpj * known[i] / 5000 != hundredths)
			continue;
		*ret_lpj = lpj;
		*ret_hz = known[i];
		return 0;
	}
	return -ENOENT;
}

int fr_lpj_read(const struct fr_ctx *ctx, uint64_t *ret_lpj, uint32_t *ret_hz)
{
	_cleanup_free_ char *path = fr_path(ctx, "/dev/kmsg");
	char record[KMSG_RECORD_BYTES];
	int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1, r = -ENOENT;
	ssize_t n;

	if (fd < 0)
		return -ENOENT;
	/* each read gives one record; EPIPE: records were overwritten meanwhile */
	while (r) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && (errno == EINTR || errno == EPIPE))
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		r = fr_lpj_parse(record, ret_lpj, ret_hz);
	}
	close(fd);
	return r;
}
