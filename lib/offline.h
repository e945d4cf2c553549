/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory blocks that load --evacuate has taken offline: they belong to what is staged.
 *
 * /run/kexec-fastrestart/offline says which, and what they were, before they go: whoever is
 * left (load, unload, exec, or the next load) can put them back as they were.
 */
#ifndef FR_OFFLINE_H
#define FR_OFFLINE_H

#include "blocks.h"

struct fr_offline_block {
	uint64_t number;
	bool movable; /* of ZONE_MOVABLE */
};

/* A pool of huge pages that taking a block offline may have made smaller */
struct fr_offline_pool {
	unsigned int page_kib;
	uint64_t pages;
};

struct fr_offline {
	struct fr_offline_block *v;
	size_t nr, cap;
	struct fr_offline_pool *pools;
	size_t nr_pools, pools_cap;
};

int fr_offline_read(const struct fr_ctx *ctx, struct fr_offline *ret, struct fr_error *e);
void fr_offline_clear(struct fr_offline *o);
/*
 * Take @b offline and add it to @o.  -EBUSY: it cannot be, and is as it was; -ECANCELED, as
 * set_block() in kernel.h.
 */
int fr_offline_take(const struct fr_ctx *ctx, struct fr_offline *o, const struct fr_block *b,
		    unsigned int timeout_ms, int cancel_fd, struct fr_error *e);
/* Put back what @o has beyond its first @nr blocks; what cannot be stays in @o. */
int fr_offline_put(const struct fr_ctx *ctx, struct fr_offline *o, size_t nr, struct fr_error *e);
/* All that is written down; *ret_nr (may be NULL) is how many blocks that were. */
int fr_offline_put_all(const struct fr_ctx *ctx, size_t *ret_nr, struct fr_error *e);

#endif /* FR_OFFLINE_H */
