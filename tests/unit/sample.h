/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Valid descriptors to start from. */
#ifndef FR_SAMPLE_H
#define FR_SAMPLE_H

#include "fastrestart.h"

/* Every table filled: region 0 raw, 1 tmpfs of 3 extents with a hole, 2 hugetlbfs. */
struct fr_descriptor *sample_descriptor(void);
/* Anything that the format allows, of @nr_extents extents at most; same for same @seed. */
struct fr_descriptor *sample_random(uint64_t seed, size_t nr_extents);
/* Encoded, malloc'ed. */
uint8_t *sample_encode(const struct fr_descriptor *d, size_t *ret_bytes);
/* Make both checksums right again; false if the header's sizes make no sense. */
bool sample_repair(uint8_t *p, size_t bytes);

#endif /* FR_SAMPLE_H */
