/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Physically contiguous memory of this process, in given physical ranges: runs of
 * 2 MiB hugetlb pages, pinned.
 *
 * The pages are surplus pages: vm.nr_overcommit_hugepages is raised only while they are
 * allocated, so that nr_hugepages never changes, and the pages go back to the
 * page allocator by themselves when they are freed or the process is killed.  Where
 * that may break them, free pages of the pool are used alone, and go back there; then
 * the limit is 0 until fr_undo_limit(), which is to come after fr_hugepages_put().
 */
#ifndef FR_HUGEPAGES_H
#define FR_HUGEPAGES_H

#include "kernel.h"

#define FR_HUGE_PIECES_MAX 8u

/* One contiguous piece: asked for, and where it came to be */
struct fr_huge_piece {
	const char *what;
	uint64_t bytes;	      /* rounded up to whole pages; not zero */
	uint64_t align_bytes; /* physical, a power of two; less than 2 MiB means 2 MiB */
	uint64_t phys;	      /* result: physical address */
	uint8_t *addr;	      /* result: mapping, zeroed */
};

struct fr_hugepages;

/*
 * Place all @pieces at random in @within, or none.  FR_FAULT_REFUSED with -ENOSPC when
 * not enough contiguous memory can be had there.
 */
int fr_hugepages_get(const struct fr_ctx *ctx, const struct fr_ranges *within,
		     struct fr_huge_piece *pieces, size_t nr, struct fr_hugepages **ret_huge,
		     struct fr_error *e);
void fr_hugepages_put(const struct fr_ctx *ctx, struct fr_hugepages *huge);
/* The file that the pages belong to: whoever has it open too keeps them; @huge's own. */
int fr_hugepages_fd(const struct fr_hugepages *huge);

/*
 * May a huge page be damaged that goes back to the page allocator?  Stable kernels since 6.12.114
 * do it wrong when its vmemmap is optimised, and a release does not tell what a distribution has
 * backported: *ret_breaks is true for every kernel that optimises and is not patched.
 */
int fr_hugepages_may_break(const struct fr_ctx *ctx, bool *ret_breaks, struct fr_error *e);

/*
 * FR_FAULT_REFUSED if pinning may damage huge pages for that reason: what it moves elsewhere can leave
 * a page that goes back to the page allocator.
 */
int fr_hugepages_check_pins(const struct fr_ctx *ctx, struct fr_error *e);

/*
 * FR_FAULT_REFUSED if the pool is now such that fr_hugepages_get() would refuse a piece of @bytes for
 * that reason.
 */
int fr_hugepages_check_pool(const struct fr_ctx *ctx, uint64_t bytes, struct fr_error *e);

/* Counter @name of the pool of huge pages of @page_kib; -errno. */
int fr_hugepages_counter(const struct fr_ctx *ctx, unsigned int page_kib, const char *name,
			 uint64_t *ret_v);
/* Set the counter that @fd is open for; -errno. */
int fr_hugepages_set_counter(int fd, uint64_t v);

/* How many huge pages of 1 << @page_shift bytes a new mapping can reserve; or -errno. */
int fr_hugepages_available(const struct fr_ctx *ctx, unsigned int page_shift, uint64_t *ret_pages);

#endif /* FR_HUGEPAGES_H */
