// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Physical ranges that the running kernel does not use as RAM: carve-outs by
 * memmap=, or by the firmware.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "keep.h"
#include "ramap.h"

#define LOW_BYTES (1ull << 20) /* real mode's memory: each kernel needs it */

int fr_keep_open_phys(const struct fr_ctx *ctx, const struct fr_source *src, struct fr_keep *k,
		      struct fr_error *e)
{
	uint64_t start = src->phys_start, end;
	struct fr_region *g = &k->region;
	struct fr_ranges ram = {0};
	bool used;
	int r;

	if (!src->phys_bytes || (start | src->phys_bytes) & (FR_PAGE_BYTES - 1) ||
	    __builtin_add_overflow(start, src->phys_bytes, &end) || end > FR_PHYS_LIMIT)
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"%s: start and size must be multiples of 4096 within physical memory",
			src->spec);
	if (start < LOW_BYTES)
		return fr_fail(
			e, FR_FAULT_REFUSED, EINVAL,
			"%s: memory below 1 MiB cannot be kept: the next kernel starts its CPUs there",
			src->spec);
	r = fr_iomem_ranges(ctx, "System RAM", &ram, e);
	if (r)
		return r;
	used = fr_ranges_touch(&ram, start, end);
	fr_ranges_clear(&ram);
	if (used)
		return fr_fail(
			e, FR_FAULT_REFUSED, EBUSY,
			"%s: overlaps System RAM of /proc/iomem, which the running kernel uses: "
			"carve the range out with memmap=%" PRIu64 "K$0x%" PRIx64
			" on its command line",
			src->spec, src->phys_bytes >> 10, start);
	g->path = strdup("");
	if (!g->path || fr_extents_append(&g->extents, start >> FR_PAGE_SHIFT,
					  src->phys_bytes >> FR_PAGE_SHIFT, 0))
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	g->kind = FR_KIND_RAW;
	g->page_shift = FR_PAGE_SHIFT;
	g->size_bytes = src->phys_bytes;
	return 0;
}
