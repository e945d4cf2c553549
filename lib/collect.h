/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a source (file or physical range) to a region with extents, and pins that
 * keep the frames where they are between prepare and jump.
 */
#ifndef FR_COLLECT_H
#define FR_COLLECT_H

#include "fastrestart.h"

struct fr_keep;				/* opaque: fd, mapping, io_uring fixed buffers */

/* Open @src, map it, read its frames into @ret_region (holes stay holes). Changes nothing. */
int fr_keep_open(const struct fr_ctx *ctx, const struct fr_source *src,
		 struct fr_keep **ret_keep, struct fr_error *e);
const struct fr_region *fr_keep_region(const struct fr_keep *k);
/* Pin all present pages (io_uring fixed buffers), then read the frames again. */
int fr_keep_pin(const struct fr_ctx *ctx, struct fr_keep *k, struct fr_error *e);
/* After the freeze: frames, size and holes are still what the region says; -ESTALE. */
int fr_keep_seal(const struct fr_ctx *ctx, struct fr_keep *k, bool digest, struct fr_error *e);
/* Which file it is; false for a physical range. */
bool fr_keep_file(const struct fr_keep *k, uint64_t *ret_dev, uint64_t *ret_ino);
void fr_keep_close(struct fr_keep *k);	/* unpins */

/* digest.c: XXH3-128 of @fd's @size bytes, all CPUs where it helps */
int fr_digest_file(const struct fr_ctx *ctx, int fd, uint64_t size,
		   uint8_t ret_digest[FR_DIGEST_BYTES], struct fr_error *e);

#endif
