/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extents, physical ranges and RAM maps (pure but for the readers). */
#ifndef FR_RAMAP_H
#define FR_RAMAP_H

#include "fastrestart.h"

/* extent.c: append, merging with the last one where frames and offsets continue it */
int fr_extents_append(struct fr_extents *x, uint64_t start_pfn, uint64_t nr_pages,
		      uint64_t pgoff);
uint64_t fr_extents_pages(const struct fr_extents *x);
bool fr_extents_equal(const struct fr_extents *a, const struct fr_extents *b);
void fr_extents_clear(struct fr_extents *x);

int fr_ranges_add(struct fr_ranges *r, uint64_t start, uint64_t end);
int fr_ranges_add_extents(struct fr_ranges *r, const struct fr_extents *x);
void fr_ranges_normalise(struct fr_ranges *r);		/* sort, merge touching */
/* a minus b, both normalised */
int fr_ranges_subtract(const struct fr_ranges *a, const struct fr_ranges *b,
		       struct fr_ranges *ret);
int fr_ranges_intersect(const struct fr_ranges *a, const struct fr_ranges *b,
			struct fr_ranges *ret);
bool fr_ranges_contain(const struct fr_ranges *r, uint64_t start, uint64_t end);
bool fr_ranges_touch(const struct fr_ranges *r, uint64_t start, uint64_t end);
uint64_t fr_ranges_bytes(const struct fr_ranges *r);
/* Of @r, normalised, in [start, end) */
uint64_t fr_ranges_bytes_in(const struct fr_ranges *r, uint64_t start, uint64_t end);
void fr_ranges_clear(struct fr_ranges *r);

int fr_ram_map_add(struct fr_ram_map *m, uint64_t start, uint64_t end, uint32_t type,
		   uint32_t nid);
void fr_ram_map_clear(struct fr_ram_map *m);
/* Physical ranges of one type. */
int fr_ram_map_ranges(const struct fr_ram_map *m, uint32_t type, struct fr_ranges *ret);

/*
 * memmap.c: the machine's original RAM map.  From @handed (the descriptor of the
 * last hop) if not NULL, followed by what was plugged in and out since; else
 * /sys/firmware/memmap intersected with /proc/iomem's System RAM; nodes from
 * /sys/devices/system/node.  Carve-outs of memmap= count as RAM where they are in
 * @kept, which is normalised, and stay what they are elsewhere.
 */
int fr_ram_map_read(const struct fr_ctx *ctx, const struct fr_descriptor *handed,
		    const struct fr_ranges *kept, struct fr_ram_map *ret, struct fr_error *e);
/* RAM of @m of which the running kernel knows nothing any more: it was taken out. */
int fr_ram_map_gone(const struct fr_ctx *ctx, const struct fr_ram_map *m, struct fr_ranges *ret,
		    struct fr_error *e);
/*
 * Whether the map of a descriptor that the kernel did not vouch for can be this
 * machine's: all of @system_ram is RAM in @m, and what else is RAM in @m could be by
 * /sys/firmware/memmap.  -EXDEV if not.
 */
int fr_ram_map_check(const struct fr_ctx *ctx, const struct fr_ram_map *m,
		     const struct fr_ranges *system_ram, struct fr_error *e);
/*
 * The top-level entries of /proc/iomem called @name, "System RAM" and others; with NULL, all
 * that a RAM map can have. Of memory that was kept, what is in use again is System RAM, too.
 */
int fr_iomem_ranges(const struct fr_ctx *ctx, const char *name, struct fr_ranges *ret,
		    struct fr_error *e);
/* The same from the file's text (fuzzing entry point). */
int fr_iomem_parse(const char *text, const char *name, struct fr_ranges *ret, struct fr_error *e);

#endif
