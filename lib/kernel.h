/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel boundary: the few system calls with an effect beyond this process
 * sit behind one table, which the unit tests replace by a script.  Reads of
 * /proc and /sys are not here: they take fr_ctx.root.
 */
#ifndef FR_KERNEL_H
#define FR_KERNEL_H

#include <sys/uio.h>

#include "fastrestart.h"

struct fr_kexec_segment { /* struct kexec_segment of linux/kexec.h */
	const void *buf;
	size_t bufsz;
	uint64_t mem; /* physical, page aligned */
	size_t memsz;
};

struct fr_kernel_ops {
	/* kexec_load(2); nr_segments 0 unloads */
	int (*kexec_load)(void *data, uint64_t entry, unsigned long nr_segments,
			  const struct fr_kexec_segment *segments, unsigned long flags);
	/* reboot(2) with LINUX_REBOOT_CMD_KEXEC; returns only on failure */
	int (*reboot_kexec)(void *data);
	/* ioctl(2) on /dev/fastrestart */
	int (*fastrestart_ioctl)(void *data, int dev_fd, unsigned long request,
				 struct fr_ioc_region *arg);
	/*
	 * Frames of @nr pages of @page_bytes each from @addr: /proc/self/pagemap.
	 * FR_PFN_NONE for a page that is not present; -EPERM when the kernel
	 * does not show frames to this process.
	 */
	int (*frames)(void *data, const void *addr, size_t page_bytes, size_t nr,
		      uint64_t *ret_pfns);
	/* memfd_create(2) on hugetlbfs with 2 MiB pages; returns the descriptor */
	int (*huge_memfd)(void *data);
	/*
	 * Keep the pages of @nr ranges of at most 1 GiB each in their frames until
	 * unpin: an io_uring with fixed buffers.  Faults holes in.
	 */
	int (*pin)(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin);
	/*
	 * The same for pages that may not be written to, one for each range, which is to
	 * begin in it and to be 4 KiB long: a pipe refers to them.
	 */
	int (*pin_read_only)(void *data, const struct iovec *iov, unsigned int nr, void **ret_pin);
	void (*unpin)(void *data, void *pin); /* of either */
	/*
	 * Write @state to the attribute @path of a memory block.  Going offline can take for
	 * ever: it is given up after @timeout_ms, -ETIMEDOUT, or when @cancel_fd (or -1) can be
	 * read, -ECANCELED.  0 ms: as long as it takes.
	 */
	int (*set_block)(void *data, const char *path, const char *state, unsigned int timeout_ms,
			 int cancel_fd);
};

#define FR_PFN_NONE UINT64_MAX

extern const struct fr_kernel_ops fr_kernel_ops_default;

/* Unload the kexec image; another kexec call that is under way is waited for. */
int fr_kexec_unload(const struct fr_ctx *ctx);

static inline const struct fr_kernel_ops *fr_ops(const struct fr_ctx *ctx)
{
	return ctx->ops ? ctx->ops : &fr_kernel_ops_default;
}

#endif /* FR_KERNEL_H */
