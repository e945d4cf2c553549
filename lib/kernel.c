// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
#define PAGEMAP_BATCH	 512u

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

/* Frames of @nr pages from @addr, at most PAGEMAP_BATCH entries of pagemap at a time. */
static int read_frames(int fd, uintptr_t addr, size_t page_bytes, size_t nr, uint64_t *ret_pfns)
{
	size_t per_read = page_bytes == FR_PAGE_BYTES ? PAGEMAP_BATCH : 1, done, n, i;
	uint64_t entry[PAGEMAP_BATCH];
	ssize_t got;

	for (done = 0; done < nr; done += n) {
		n = nr - done < per_read ? nr - done : per_read;
		got = pread_retry(
			fd, entry, n * sizeof(*entry),
			(off_t)((addr + done * page_bytes) / FR_PAGE_BYTES * sizeof(*entry)));
		if (got < 0)
			return (int)got;
		n = (size_t)got / sizeof(*entry);
		if (!n)
			return -EFAULT;
		for (i = 0; i < n; i++) {
			if (!(entry[i] & PAGEMAP_PRESENT))
				ret_pfns[done + i] = FR_PFN_NONE;
			else if (!(ret_pfns[done + i] = entry[i] & PAGEMAP_PFN_MASK))
				return -EPERM; /* no CAP_SYS_ADMIN: shown as zero */
		}
	}
	return 0;
}

static int default_frames(void *data, const void *addr, size_t page_bytes, size_t nr,
			  uint64_t *ret_pfns)
{
	int fd, r;

	(void)data;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = read_frames(fd, (uintptr_t)addr, page_bytes, nr, ret_pfns);
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

static int default_pin(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin)
{
	struct io_uring *ring = malloc(sizeof(*ring));
	int r;

	(void)data;
	if (!ring)
		return -ENOMEM;
	r = io_uring_queue_init(1, ring, 0);
	if (r < 0) {
		free(ring);
		return r;
	}
	r = io_uring_register_buffers(ring, iov, nr);
	if (r < 0) {
		io_uring_queue_exit(ring);
		free(ring);
		return r;
	}
	*ret_pin = ring;
	return 0;
}

static void default_unpin(void *data, void *pin)
{
	struct io_uring *ring = pin;

	(void)data;
	if (!ring)
		return;
	/* Closing the ring alone would drop the pins later, from a work queue. */
	io_uring_unregister_buffers(ring);
	io_uring_queue_exit(ring);
	free(ring);
}

const struct fr_kernel_ops fr_kernel_ops_default = {
	.kexec_load = default_kexec_load,
	.reboot_kexec = default_reboot_kexec,
	.fastrestart_ioctl = default_fastrestart_ioctl,
	.frames = default_frames,
	.huge_memfd = default_huge_memfd,
	.pin = default_pin,
	.unpin = default_unpin,
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
