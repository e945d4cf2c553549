/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FR_PARALLEL_H
#define FR_PARALLEL_H

#include "fastrestart.h"

/*
 * Call @fn for each index below @nr, on at most @ctx->nr_threads threads (the caller's is
 * one of them).  After a failure no further index is begun.  Returns the failure with
 * the lowest index, and its error.
 */
int fr_parallel(const struct fr_ctx *ctx, size_t nr,
		int (*fn)(void *data, size_t index, struct fr_error *e), void *data,
		struct fr_error *e);

#endif /* FR_PARALLEL_H */
