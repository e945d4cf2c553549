// SPDX-License-Identifier: GPL-2.0-or-later
/* Extents: physically contiguous parts of a file, in file order. */
#include "config.h"

#include "ramap.h"
#include "util.h"

int fr_extents_append(struct fr_extents *x, uint64_t start_pfn, uint64_t nr_pages, uint64_t pgoff)
{
	struct fr_extent *last = x->nr ? &x->v[x->nr - 1] : NULL;
	uint64_t end_pfn, end_pgoff;
	struct fr_extent *v;

	if (x->borrowed || !nr_pages || __builtin_add_overflow(start_pfn, nr_pages, &end_pfn) ||
	    __builtin_add_overflow(pgoff, nr_pages, &end_pgoff))
		return -EINVAL;
	if (last && last->start_pfn + last->nr_pages == start_pfn &&
	    last->pgoff + last->nr_pages == pgoff) {
		last->nr_pages += nr_pages;
		return 0;
	}
	v = fr_array_reserve(x->v, &x->cap, x->nr + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	x->v = v;
	v[x->nr++] = (struct fr_extent){start_pfn, nr_pages, pgoff};
	return 0;
}

uint64_t fr_extents_pages(const struct fr_extents *x)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < x->nr; i++)
		pages += x->v[i].nr_pages;
	return pages;
}

bool fr_extents_equal(const struct fr_extents *a, const struct fr_extents *b)
{
	return a->nr == b->nr && (!a->nr || !memcmp(a->v, b->v, a->nr * sizeof(*a->v)));
}

void fr_extents_clear(struct fr_extents *x)
{
	if (!x)
		return;
	if (!x->borrowed)
		free(x->v);
	*x = (struct fr_extents){0};
}
