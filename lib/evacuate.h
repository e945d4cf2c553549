/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load --evacuate: memory blocks are taken offline, so that the kernel moves what is in them,
 * and nothing new gets there until exec has pinned what is kept.
 */
#ifndef FR_EVACUATE_H
#define FR_EVACUATE_H

#include "fastrestart.h"

struct fr_evacuation;

struct fr_evacuate_request {
	const struct fr_plan *plan;    /* that lacks something */
	const struct fr_ranges *fixed; /* what cannot be moved: normalised */
	uint64_t reserve_bytes;	       /* of free memory that is to be left */
	bool dry_run;		       /* only count */
};

/* @cancel_fd: given up when it can be read, with -ECANCELED; -1: never */
int fr_evacuation_new(const struct fr_ctx *ctx, int cancel_fd, struct fr_evacuation **ret,
		      struct fr_error *e);
void fr_evacuation_free(struct fr_evacuation *ev);
/*
 * Empty as many blocks as the plan lacks, those with the fewest kept pages first. Where their
 * pages go is the kernel's choice: survey and plan again, until *ret_nr is 0.
 */
int fr_evacuate(struct fr_evacuation *ev, const struct fr_evacuate_request *r, size_t *ret_nr,
		struct fr_error *e);
/* Put "what was tried" in front of what @e says. */
int fr_evacuation_explain(const struct fr_evacuation *ev, struct fr_error *e);
/* Put back online what @ev has taken, NULL: nothing. */
int fr_evacuation_undo(struct fr_evacuation *ev, struct fr_error *e);

#endif /* FR_EVACUATE_H */
