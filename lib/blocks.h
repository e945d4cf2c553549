/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory blocks, the units in which Linux takes memory offline
 * (Documentation/admin-guide/mm/memory-hotplug.rst): what there is, and what is in them.
 */
#ifndef FR_BLOCKS_H
#define FR_BLOCKS_H

#include "fastrestart.h"

#define FR_MEMORY_DIR "/sys/devices/system/memory"

struct fr_block {
	uint64_t number;
	uint32_t nid;
	bool online;
	char zone[16]; /* when it is online: "Normal", "Movable", ...; "none" if it has several */
};

struct fr_blocks {
	uint64_t block_bytes;
	struct fr_block *v; /* by number */
	size_t nr, cap;
	bool has_nodes; /* memory of more than one */
};

/* FR_FAULT_REFUSED when the running kernel cannot take memory offline. */
int fr_blocks_read(const struct fr_ctx *ctx, struct fr_blocks *ret, struct fr_error *e);
void fr_blocks_clear(struct fr_blocks *b);
int fr_blocks_size(const struct fr_ctx *ctx, uint64_t *ret_bytes, struct fr_error *e);

/* What /proc/kpageflags shows of a block */
struct fr_block_pages {
	uint64_t used;	      /* pages that are not free */
	uint64_t unmovable;   /* that look like the kernel's own; some of these move after all */
	uint64_t huge;	      /* of hugetlb */
	bool never;	      /* it has holes, 1 GiB pages, poison: do not even try */
};

int fr_block_inspect(const struct fr_ctx *ctx, uint64_t start_pfn, uint64_t nr_pages,
		     struct fr_block_pages *ret, struct fr_error *e);

/* Bytes that can be had for what is moved out of a block of node @nid, free or in page cache. */
int fr_blocks_room(const struct fr_ctx *ctx, const struct fr_blocks *b, uint32_t nid,
		   uint64_t *ret_bytes, struct fr_error *e);

#endif /* FR_BLOCKS_H */
