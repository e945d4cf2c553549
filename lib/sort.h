/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sorting what there can be millions of, in linear time. */
#ifndef FR_SORT_H
#define FR_SORT_H

#include <stddef.h>

/*
 * Sort @nr elements of @bytes each by the uint64_t that they begin with, ascending and
 * stably.  Without memory for a copy of @v it is an ordinary sort, which is not stable.
 */
void fr_sort(void *v, size_t nr, size_t bytes);

#endif /* FR_SORT_H */
