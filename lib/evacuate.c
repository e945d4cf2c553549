// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <inttypes.h>

#include "evacuate.h"
#include "hugepages.h"
#include "offline.h"
#include "plan.h"
#include "util.h"

/* A pinned page keeps the kernel trying: for a block of 128 MiB, and for all together */
#define BLOCK_MS (15 * 1000u)
#define TOTAL_MS (600 * 1000u)

struct fr_evacuation {
	const struct fr_ctx *ctx;
	int cancel_fd;
	uint64_t deadline_ms;
	struct fr_blocks blocks;
	bool *tried; /* in vain, for each block */
	struct fr_offline offline;
	size_t nr_before; /* blocks in there that an earlier load has taken */
	bool optimised;	  /* huge pages have a vmemmap that may not be undone */
	size_t nr_emptied, nr_busy, nr_no_room;
	uint64_t moved_bytes;
};

struct candidate {
	size_t i; /* in blocks */
	uint64_t kept_pages, gain_pages, joined_bytes;
};

struct candidates {
	struct candidate *v;
	size_t nr;
};

static int no_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "evacuation: out of memory");
}

/* ------------------------------------------------------------------------- choosing */

static uint64_t start_of(const struct fr_evacuation *ev, size_t i)
{
	return ev->blocks.v[i].number * ev->blocks.block_bytes;
}

/*
 * Back online, a block goes to the zone that it lies in, or to Normal: one of DMA32 that was
 * its first or last would change zones.
 */
static bool can_come_back(const struct fr_blocks *b, size_t i)
{
	const char *zone = b->v[i].zone;
	bool lower = false, higher = false;

	if (!strcmp(zone, "Normal") || !strcmp(zone, "Movable"))
		return true;
	if (!strcmp(zone, "none"))
		return false;
	for (size_t k = 0; k < b->nr; k++) {
		if (!b->v[k].online || b->v[k].nid != b->v[i].nid || strcmp(b->v[k].zone, zone))
			continue;
		lower |= k < i;
		higher |= k > i;
	}
	return lower && higher;
}

/* Clean memory right before and after [start, end) */
static uint64_t neighbours(const struct fr_ranges *clean, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < clean->nr; i++)
		if (clean->v[i].end == start || clean->v[i].start == end)
			bytes += clean->v[i].end - clean->v[i].start;
	return bytes;
}

static int compare_candidates(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;
	uint64_t cost_a = a->kept_pages * b->gain_pages, cost_b = b->kept_pages * a->gain_pages;

	if (a->joined_bytes != b->joined_bytes)
		return a->joined_bytes < b->joined_bytes ? 1 : -1;
	if (cost_a != cost_b)
		return cost_a > cost_b ? 1 : -1;
	return a->i < b->i ? 1 : -1; /* low memory last */
}

static int kept_ranges(const struct fr_plan *p, struct fr_ranges *ret)
{
	for (size_t i = 0; i < p->nr_regions; i++)
		if (fr_ranges_add_extents(ret, &p->regions[i].extents))
			return -ENOMEM;
	fr_ranges_normalise(ret);
	return 0;
}

/* Blocks that would help, the cheapest first. */
static int find_candidates(const struct fr_evacuation *ev, const struct fr_evacuate_request *r,
			   struct candidates *ret, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges kept = {0};
	const struct fr_plan *p = r->plan;
	bool only_piece = !p->lack_bytes && !p->lack_low_bytes;

	ret->v = calloc(ev->blocks.nr + 1, sizeof(*ret->v));
	if (!ret->v || kept_ranges(p, &kept))
		return no_memory(e);
	for (size_t i = 0; i < ev->blocks.nr; i++) {
		uint64_t start = start_of(ev, i), end = start + ev->blocks.block_bytes;
		uint64_t gain = fr_ranges_bytes_in(&p->hidden, start, end);

		if (!gain || !ev->blocks.v[i].online || ev->tried[i] ||
		    (p->lack_low_bytes && start >= FR_LOW_LIMIT) ||
		    !can_come_back(&ev->blocks, i) || fr_ranges_touch(r->fixed, start, end))
			continue;
		ret->v[ret->nr++] = (struct candidate){
			.i = i,
			.kept_pages = fr_ranges_bytes_in(&kept, start, end) >> FR_PAGE_SHIFT,
			.gain_pages = gain >> FR_PAGE_SHIFT,
			.joined_bytes = only_piece ? neighbours(&p->clean, start, end) : 0,
		};
	}
	qsort(ret->v, ret->nr, sizeof(*ret->v), compare_candidates);
	return 0;
}

/* ------------------------------------------------------------------------- emptying */

/* Is there a place for what is in it, without the block's own free pages? */
static int has_room(const struct fr_evacuation *ev, const struct fr_evacuate_request *r, size_t i,
		    const struct fr_block_pages *pages, bool *ret, struct fr_error *e)
{
	uint64_t room, used = pages->used * FR_PAGE_BYTES, own_free = 0;
	int err = fr_blocks_room(ev->ctx, &ev->blocks, ev->blocks.v[i].nid, &room, e);

	if (!ev->blocks.has_nodes)
		own_free = ev->blocks.block_bytes - used;
	if (!err)
		*ret = room >= own_free + used + r->reserve_bytes;
	return err;
}

/* With @careful, not if something in it seems to be the kernel's. */
static int is_worth_a_try(struct fr_evacuation *ev, const struct fr_evacuate_request *r, size_t i,
			  bool careful, bool *ret, struct fr_error *e)
{
	struct fr_block_pages pages;
	int err = fr_block_inspect(ev->ctx, start_of(ev, i) >> FR_PAGE_SHIFT,
				   ev->blocks.block_bytes >> FR_PAGE_SHIFT, &pages, e);

	*ret = false;
	if (err)
		return err;
	if (pages.never || (ev->optimised && pages.huge)) {
		ev->tried[i] = true;
		ev->nr_busy++;
		return 0;
	}
	if (careful && pages.unmovable)
		return 0;
	err = has_room(ev, r, i, &pages, ret, e);
	ev->nr_no_room += !err && !*ret && !careful;
	return err;
}

static int take(struct fr_evacuation *ev, const struct fr_block *b, struct fr_error *e)
{
	uint64_t now = fr_now_ms(), limit = ev->blocks.block_bytes / FR_SECTION_BYTES * BLOCK_MS;

	if (now >= ev->deadline_ms)
		return -EBUSY;
	limit = fr_min_u64(limit, ev->deadline_ms - now);
	return fr_offline_take(ev->ctx, &ev->offline, b, (unsigned int)limit, ev->cancel_fd, e);
}

/* 1: it is empty now, 0: it is not */
static int empty(struct fr_evacuation *ev, const struct fr_evacuate_request *r,
		 const struct candidate *c, bool careful, struct fr_error *e)
{
	struct fr_block *b = &ev->blocks.v[c->i];
	bool worth;
	int err = is_worth_a_try(ev, r, c->i, careful, &worth, e);

	if (err || !worth)
		return err;
	if (!r->dry_run)
		err = take(ev, b, e);
	ev->tried[c->i] = err;
	ev->nr_busy += err == -EBUSY;
	if (err)
		return err == -EBUSY ? 0 : err;
	b->online = false;
	ev->nr_emptied++;
	ev->moved_bytes += c->kept_pages << FR_PAGE_SHIFT;
	fr_log(ev->ctx, FR_LOG_STEP,
	       "memory block %" PRIu64 " at 0x%" PRIx64 ": %s (%s kept in it)", b->number,
	       start_of(ev, c->i), r->dry_run ? "could be emptied" : "offline",
	       fr_size_text(c->kept_pages << FR_PAGE_SHIFT).s);
	return 1;
}

int fr_evacuate(struct fr_evacuation *ev, const struct fr_evacuate_request *r, size_t *ret_nr,
		struct fr_error *e)
{
	const struct fr_plan *p = r->plan;
	/* low memory first: the candidates are of that then */
	uint64_t wanted = p->lack_low_bytes ? p->lack_low_bytes :
			  p->lack_bytes	    ? p->lack_bytes :
					      FR_PAGE_BYTES;
	struct candidates c = {0};
	uint64_t gained = 0;
	size_t nr = 0;
	int err = find_candidates(ev, r, &c, e);

	ev->nr_no_room = 0;
	/* first those that seem to have nothing of the kernel's in them */
	for (int careful = 1; careful >= 0; careful--)
		for (size_t i = 0; err >= 0 && i < c.nr && gained < wanted; i++) {
			if (ev->tried[c.v[i].i] || !ev->blocks.v[c.v[i].i].online)
				continue;
			err = empty(ev, r, &c.v[i], careful, e);
			if (err <= 0)
				continue;
			gained += c.v[i].gain_pages << FR_PAGE_SHIFT;
			nr++;
		}
	free(c.v);
	if (err < 0)
		return err;
	/* to look again is of no use then */
	*ret_nr = r->dry_run && gained < wanted ? 0 : nr;
	return 0;
}

/* ------------------------------------------------------------------------- sessions */

int fr_evacuation_new(const struct fr_ctx *ctx, int cancel_fd, struct fr_evacuation **ret,
		      struct fr_error *e)
{
	struct fr_evacuation *ev = calloc(1, sizeof(*ev));
	int r;

	if (!ev)
		return no_memory(e);
	ev->ctx = ctx;
	ev->cancel_fd = cancel_fd;
	ev->deadline_ms = fr_now_ms() + TOTAL_MS;
	r = fr_hugepages_may_break(ctx, &ev->optimised, e);
	if (!r)
		r = fr_blocks_read(ctx, &ev->blocks, e);
	if (!r)
		r = fr_offline_read(ctx, &ev->offline, e);
	if (!r) {
		ev->nr_before = ev->offline.nr;
		ev->tried = calloc(ev->blocks.nr + 1, sizeof(*ev->tried));
		r = ev->tried ? 0 : no_memory(e);
	}
	if (r) {
		fr_evacuation_free(ev);
		return r;
	}
	*ret = ev;
	return 0;
}

void fr_evacuation_free(struct fr_evacuation *ev)
{
	if (!ev)
		return;
	fr_blocks_clear(&ev->blocks);
	fr_offline_clear(&ev->offline);
	free(ev->tried);
	free(ev);
}

int fr_evacuation_explain(const struct fr_evacuation *ev, struct fr_error *e)
{
	return fr_fail_context(
		e,
		"load --evacuate: %zu memory block%s of %s (%s kept) could be emptied, %zu could not, for %zu there is no room elsewhere, and it is not enough",
		ev->nr_emptied, ev->nr_emptied == 1 ? "" : "s",
		fr_size_text(ev->blocks.block_bytes).s, fr_size_text(ev->moved_bytes).s,
		ev->nr_busy, ev->nr_no_room);
}

int fr_evacuation_undo(struct fr_evacuation *ev, struct fr_error *e)
{
	if (!ev || (ev->offline.nr <= ev->nr_before && !ev->offline.nr_pools))
		return 0;
	return fr_offline_put(ev->ctx, &ev->offline, ev->nr_before, e);
}
