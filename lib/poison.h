/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page frames with broken memory, which the next kernel must not use either. */
#ifndef FR_POISON_H
#define FR_POISON_H

#include "fastrestart.h"

struct fr_poison {
	uint64_t *pfn; /* ascending, each once */
	size_t nr;
};

/*
 * Those that the last hop brought (@handed, may be NULL) and those that the running
 * kernel has found in RAM of @map.  Not in its System RAM alone: of what a hop brought,
 * that shows what is not kept.  FR_FAULT_REFUSED when a descriptor cannot hold them.
 */
int fr_poison_find(const struct fr_ctx *ctx, const struct fr_descriptor *handed,
		   const struct fr_ram_map *map, struct fr_poison *ret_poison,
		   struct fr_error *e);
void fr_poison_clear(struct fr_poison *poison);

#endif /* FR_POISON_H */
