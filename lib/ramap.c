// SPDX-License-Identifier: GPL-2.0-or-later
/* Sets of physical byte ranges, and RAM maps. */
#include "config.h"

#include "ramap.h"
#include "sort.h"
#include "util.h"

int fr_ranges_add(struct fr_ranges *r, uint64_t start, uint64_t end)
{
	struct fr_range *last = r->nr ? &r->v[r->nr - 1] : NULL, *v;

	if (start > end)
		return -EINVAL;
	if (start == end)
		return 0;
	if (last && last->start <= start && start <= last->end) {
		last->end = fr_max_u64(last->end, end);
		return 0;
	}
	v = fr_array_reserve(r->v, &r->cap, r->nr + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	v[r->nr++] = (struct fr_range){start, end};
	return 0;
}

int fr_ranges_add_extents(struct fr_ranges *r, const struct fr_extents *x)
{
	int err = 0;

	for (size_t i = 0; !err && i < x->nr; i++)
		err = fr_ranges_add(r, x->v[i].start_pfn << FR_PAGE_SHIFT,
				    (x->v[i].start_pfn + x->v[i].nr_pages) << FR_PAGE_SHIFT);
	return err;
}

void fr_ranges_normalise(struct fr_ranges *r)
{
	size_t kept = 0;

	if (!r->nr)
		return;
	fr_sort(r->v, r->nr, sizeof(*r->v));
	for (size_t i = 1; i < r->nr; i++) {
		if (r->v[i].start <= r->v[kept].end)
			r->v[kept].end = fr_max_u64(r->v[kept].end, r->v[i].end);
		else
			r->v[++kept] = r->v[i];
	}
	r->nr = kept + 1;
}

int fr_ranges_subtract(const struct fr_ranges *a, const struct fr_ranges *b, struct fr_ranges *ret)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges out = {0};
	size_t j = 0;
	int err;

	for (size_t i = 0; i < a->nr; i++) {
		uint64_t start = a->v[i].start, end = a->v[i].end;

		while (j < b->nr && b->v[j].end <= start)
			j++;
		for (size_t k = j; k < b->nr && b->v[k].start < end; k++) {
			if (b->v[k].start > start) {
				err = fr_ranges_add(&out, start, b->v[k].start);
				if (err)
					return err;
			}
			start = fr_max_u64(start, fr_min_u64(b->v[k].end, end));
			j = k;
		}
		err = fr_ranges_add(&out, start, end);
		if (err)
			return err;
	}
	*ret = out;
	out = (struct fr_ranges){0};
	return 0;
}

int fr_ranges_intersect(const struct fr_ranges *a, const struct fr_ranges *b, struct fr_ranges *ret)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges out = {0};
	size_t i = 0, j = 0;

	while (i < a->nr && j < b->nr) {
		uint64_t start = fr_max_u64(a->v[i].start, b->v[j].start);
		uint64_t end = fr_min_u64(a->v[i].end, b->v[j].end);

		if (start < end) {
			int err = fr_ranges_add(&out, start, end);

			if (err)
				return err;
		}
		if (a->v[i].end < b->v[j].end)
			i++;
		else
			j++;
	}
	*ret = out;
	out = (struct fr_ranges){0};
	return 0;
}

/* The first range that ends after @at, or r->nr. */
static size_t first_ending_after(const struct fr_ranges *r, uint64_t at)
{
	size_t lo = 0, hi = r->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (r->v[mid].end <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool fr_ranges_contain(const struct fr_ranges *r, uint64_t start, uint64_t end)
{
	size_t i = first_ending_after(r, start);

	return i < r->nr && r->v[i].start <= start && end <= r->v[i].end;
}

bool fr_ranges_touch(const struct fr_ranges *r, uint64_t start, uint64_t end)
{
	size_t i = first_ending_after(r, start);

	return i < r->nr && start < end && r->v[i].start < end;
}

uint64_t fr_ranges_bytes(const struct fr_ranges *r)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < r->nr; i++)
		bytes += r->v[i].end - r->v[i].start;
	return bytes;
}

uint64_t fr_ranges_bytes_in(const struct fr_ranges *r, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	for (size_t i = first_ending_after(r, start); i < r->nr && r->v[i].start < end; i++)
		bytes += fr_min_u64(r->v[i].end, end) - fr_max_u64(r->v[i].start, start);
	return bytes;
}

void fr_ranges_clear(struct fr_ranges *r)
{
	if (!r)
		return;
	free(r->v);
	*r = (struct fr_ranges){0};
}

int fr_ram_map_add(struct fr_ram_map *m, uint64_t start, uint64_t end, uint32_t type, uint32_t nid)
{
	struct fr_ram *last = m->nr ? &m->v[m->nr - 1] : NULL;
	struct fr_ram *v;

	if (start > end)
		return -EINVAL;
	if (start == end)
		return 0;
	if (last && last->end == start && last->type == type && last->nid == nid) {
		last->end = end;
		return 0;
	}
	v = fr_array_reserve(m->v, &m->cap, m->nr + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->v = v;
	v[m->nr++] = (struct fr_ram){start, end, type, nid};
	return 0;
}

void fr_ram_map_clear(struct fr_ram_map *m)
{
	if (!m)
		return;
	free(m->v);
	*m = (struct fr_ram_map){0};
}

int fr_ram_map_ranges(const struct fr_ram_map *m, uint32_t type, struct fr_ranges *ret)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges out = {0};

	for (size_t i = 0; i < m->nr; i++) {
		if (m->v[i].type == type) {
			int err = fr_ranges_add(&out, m->v[i].start, m->v[i].end);

			if (err)
				return err;
		}
	}
	fr_ranges_normalise(&out);
	*ret = out;
	out = (struct fr_ranges){0};
	return 0;
}
