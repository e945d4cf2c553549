// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"

#define UNLOAD_TRIES	100 /* five seconds */
#define UNLOAD_PAUSE_MS 50

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT	 (1ull << 63)
#define PAGEMAP_PFN_MASK ((1ull << 55) - 1)

static int default_kexec_load(void *data, uint64_t entry, unsigned long nr_segments,
			      const struct fr_kexec_segment *segments, unsigned long flags)
{
	struct kexec_segment v[KEXEC_SEGMENT_MAX];

	(void)data;
	if (nr_segments > KEXEC_SEGMENT_MAX)
		return -EINVAL;
	for (unsigned long i = 0; i < nr_segments; i++)
		v[i] = (struct kexec_segment){
			.buf = (void *)(uintptr_t)segments[i].buf,
			.bufsz = segments[i].bufsz,
			.mem = (void *)(uintptr_t)segments[i].mem,
			.memsz = segments[i].memsz,
		};
	return syscall(SYS_kexec_load, entry, nr_segments, v, flags) < 0 ? -errno : 0;
}

static int default_reboot_kexec(void *data)
{
	(void)data;
	return syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC,
		       NULL) < 0 ?
		       -errno :
		       0;
}

static int default_fastrestart_ioctl(void *data, int dev_fd, unsigned long request,
				     struct fr_ioc_region *arg)
{
	(void)data;
	return ioctl(dev_fd, request, arg) < 0 ? -errno : 0;
}

static ssize_t pread_retry(int fd, void *buf, size_t size, off_t at)
{
	ssize_t n;

	do {
		n = pread(fd, buf, size, at);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int read_pagemap(int fd, uintptr_t addr, uint64_t *entry, size_t nr)
{
	size_t done = 0, bytes = nr * sizeof(*entry);
	ssize_t got;

	while (done < bytes) {
		got = pread_retry(fd, (char *)entry + done, bytes - done,
				  (off_t)(addr / FR_PAGE_BYTES * sizeof(*entry) + done));
		if (got <= 0)
			return got ? (int)got : -EFAULT;
		done += (size_t)got;
	}
	return 0;
}

/* The frame @back before the one of @entry. */
static int frame_of(uint64_t entry, uint64_t back, uint64_t *ret_pfn)
{
	uint64_t pfn = entry & PAGEMAP_PFN_MASK;

	if (entry & PAGEMAP_PRESENT && !pfn)
		return -EPERM; /* no CAP_SYS_ADMIN: shown as zero */
	*ret_pfn = entry & PAGEMAP_PRESENT ? pfn - back : FR_PFN_NONE;
	return 0;
}

static int read_small(int fd, uintptr_t addr, size_t nr, uint64_t *ret_pfns)
{
	int r = read_pagemap(fd, addr, ret_pfns, nr);

	for (size_t i = 0; !r && i < nr; i++)
		r = frame_of(ret_pfns[i], 0, &ret_pfns[i]);
	return r;
}

/* The last entry of one page and the first of the next one lie side by side. */
static int read_huge(int fd, uintptr_t addr, size_t page_bytes, size_t nr, uint64_t *ret_pfns)
{
	uint64_t back = page_bytes / FR_PAGE_BYTES - 1, entry[2];
	int r = 0;

	for (size_t i = 0; !r && i < nr; i += 2) {
		size_t n = nr - i < 2 ? 1 : 2;

		r = read_pagemap(fd, addr + (i + 1) * page_bytes - FR_PAGE_BYTES, entry, n);
		if (!r)
			r = frame_of(entry[0], back, &ret_pfns[i]);
		if (!r && n == 2)
			r = frame_of(entry[1], 0, &ret_pfns[i + 1]);
	}
	return r;
}

static int default_frames(void *data, const void *addr, size_t page_bytes, size_t nr,
			  uint64_t *ret_pfns)
{
	int fd, r;

	(void)data;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (page_bytes == FR_PAGE_BYTES)
		r = read_small(fd, (uintptr_t)addr, nr, ret_pfns);
	else
		r = read_huge(fd, (uintptr_t)addr, page_bytes, nr, ret_pfns);
	close(fd);
	return r;
}

static int default_huge_memfd(void *data)
{
	int fd;

	(void)data;
	fd = memfd_create("kexec-fastrestart", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	return fd < 0 ? -errno : fd;
}

struct pin {
	struct io_uring ring;
	int pipe; /* -1 with a ring */
};

static int default_pin(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin)
{
	struct pin *p = malloc(sizeof(*p));
	int r;

	(void)data;
	if (!p)
		return -ENOMEM;
	p->pipe = -1;
	r = io_uring_queue_init(1, &p->ring, 0);
	if (r < 0) {
		free(p);
		return r;
	}
	r = io_uring_register_buffers(&p->ring, iov, nr);
	if (r < 0) {
		io_uring_queue_exit(&p->ring);
		free(p);
		return r;
	}
	*ret_pin = p;
	return 0;
}

/* Each page takes a slot of the pipe, which never has to wait for a reader then. */
static int fill_pipe(int fd, const struct iovec *iov, unsigned int nr)
{
	size_t bytes;
	ssize_t n;

	if (fcntl(fd, F_SETPIPE_SZ, (int)(nr * FR_PAGE_BYTES)) < 0)
		return -errno;
	for (unsigned int done = 0, most; done < nr; done += most) {
		most = nr - done < IOV_MAX ? nr - done : IOV_MAX;
		bytes = 0;
		for (unsigned int i = 0; i < most; i++)
			bytes += iov[done + i].iov_len;
		do {
			n = vmsplice(fd, iov + done, most, SPLICE_F_NONBLOCK);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return -errno;
		if ((size_t)n != bytes)
			return -EFAULT;
	}
	return 0;
}

static int default_pin_read_only(void *data, const struct iovec *iov, unsigned int nr,
				 void **ret_pin)
{
	struct pin *p = malloc(sizeof(*p));
	int ends[2], r;

	(void)data;
	if (!p)
		return -ENOMEM;
	r = pipe2(ends, O_CLOEXEC) ? -errno : 0;
	if (r) {
		free(p);
		return r;
	}
	r = fill_pipe(ends[1], iov, nr);
	close(ends[1]);
	if (r) {
		close(ends[0]);
		free(p);
		return r;
	}
	p->pipe = ends[0];
	*ret_pin = p;
	return 0;
}

static void default_unpin(void *data, void *pin)
{
	struct pin *p = pin;

	(void)data;
	if (!p)
		return;
	if (p->pipe >= 0) {
		close(p->pipe);
	} else {
		/* Closing the ring alone would drop the pins later, from a work queue. */
		io_uring_unregister_buffers(&p->ring);
		io_uring_queue_exit(&p->ring);
	}
	free(p);
}

static int write_block(const char *path, const char *state)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = write(fd, state, strlen(state)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* 0 when @pid has ended, 1 for @cancel_fd, -ETIMEDOUT */
static int wait_for(pid_t pid, unsigned int timeout_ms, int cancel_fd)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), r;
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};

	if (fd < 0)
		return -errno;
	do {
		r = poll(p, 2, (int)timeout_ms);
	} while (r < 0 && errno == EINTR);
	r = r < 0 ? -errno : !r ? -ETIMEDOUT : p[0].revents ? 0 : 1;
	close(fd);
	return r;
}

/*
 * The kernel tries for as long as pages are pinned, or until a signal comes: a child does it,
 * which can be killed, and does not go on alone.
 */
static int default_set_block(void *data, const char *path, const char *state,
			     unsigned int timeout_ms, int cancel_fd)
{
	pid_t pid, parent = getpid();
	int r, status;

	(void)data;
	if (!timeout_ms)
		return write_block(path, state);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent) /* killed before that */
			_exit(EINTR);
		_exit(-write_block(path, state));
	}
	r = wait_for(pid, timeout_ms, cancel_fd);
	if (r)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r)
		return r < 0 ? r : -ECANCELED;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

const struct fr_kernel_ops fr_kernel_ops_default = {
	.kexec_load = default_kexec_load,
	.reboot_kexec = default_reboot_kexec,
	.fastrestart_ioctl = default_fastrestart_ioctl,
	.frames = default_frames,
	.huge_memfd = default_huge_memfd,
	.pin = default_pin,
	.pin_read_only = default_pin_read_only,
	.unpin = default_unpin,
	.set_block = default_set_block,
};

int fr_kexec_unload(const struct fr_ctx *ctx)
{
	int r;

	for (int tries = 0; tries < UNLOAD_TRIES; tries++) {
		r = fr_ops(ctx)->kexec_load(ctx->ops_data, 0, 0, NULL, 0);
		if (r != -EBUSY)
			break;
		poll(NULL, 0, UNLOAD_PAUSE_MS);
	}
	return r;
}
