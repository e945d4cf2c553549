// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Planning: which memory the next kernel does not get to see, what e820 table says so,
 * and whether the rest is enough for it.  Pure: all that it knows is in the request.
 * n log n in the number of extents, by sorting; everything after that is linear merges
 * of sorted ranges.
 */
#include "config.h"

#include <inttypes.h>

#include "plan.h"
#include "sort.h"
#include "util.h"

#define REAL_LIMIT (1ull << 20) /* real mode: each kernel starts its CPUs there */
#define MIB	   (1ull << 20)

/*
 * e820 entries that the next kernel is given.  Stock kernels are quadratic in them
 * (init_mem_mapping: 500 ranges boot 2 s later than none), and take no more than 128
 * in boot_params.  Kernels with NODES_SHIFT 6 or more, which is every distribution's,
 * take 128 + 3 * 64 in all, and drop the rest.  Patched ones say what they take, and
 * look entries up by bisection: 1000 ranges boot some 2 s later than none.
 */
#define E820_MAX_UNPATCHED 100
#define E820_MAX_PATCHED   2000
#define E820_ROOM_UNSAID   320
#define E820_ROOM_KERNEL   20 /* entries that the kernel splits, and adds */

/* What the next kernel needs of clean memory, besides what is handed over. */
#define STRUCT_PAGE_BYTES 64ull	    /* x86-64, per page */
#define PERCPU_BYTES	  (1 * MIB) /* percpu unit, stacks, run queues, per CPU */
#define HASH_SHARE	  512ull /* hash tables: this part of all RAM (dentry 1/1024, inode 1/2048, ...) */
#define INITRD_EXPANSION  4ull		/* zstd and xz initrds, unpacked into rootfs */
#define FIXED_BYTES	  (160 * MIB)	/* slab, page tables, init, and the command itself */
#define SETUP_BYTES	  FR_HUGE_BYTES /* boot_params, setup_data, command line */
#define TRAMPOLINE_BYTES  FR_PAGE_BYTES
#define SWIOTLB_BYTES	  (64 * MIB) /* IO_TLB_DEFAULT_SIZE, with RAM above 4 GiB */
#define FIXED_LOW_BYTES	  (64 * MIB) /* DMA pools, ACPI, drivers with 32-bit DMA */

struct work {
	const struct fr_plan_request *r;
	struct fr_plan *p;
	struct fr_error *e;

	struct fr_ranges all;  /* of the original map, any type */
	struct fr_ranges ram;  /* RAM of the original map */
	struct fr_ranges kept; /* pages of files, and of raw ranges that are RAM by the map */
	struct fr_ranges raw;
	struct fr_ranges raw_pram; /* raw ranges that stay Persistent Memory (legacy) */
	struct fr_cmdline_needs needs;
	uint64_t mixed_bytes; /* of RAM in mixed sections */
};

static void work_clear(struct work *w)
{
	fr_ranges_clear(&w->all);
	fr_ranges_clear(&w->ram);
	fr_ranges_clear(&w->kept);
	fr_ranges_clear(&w->raw);
	fr_ranges_clear(&w->raw_pram);
	fr_plan_free(w->p);
}

static int no_memory(struct work *w)
{
	return fr_fail(w->e, FR_FAULT_SYSTEM, ENOMEM, "plan: out of memory");
}

#define refuse(w, ...) fr_fail((w)->e, FR_FAULT_REFUSED, EINVAL, __VA_ARGS__)

void fr_plan_free(struct fr_plan *p)
{
	if (!p)
		return;
	fr_ram_map_clear(&p->ram);
	fr_ram_map_clear(&p->e820);
	for (size_t i = 0; p->regions && i < p->nr_regions; i++)
		fr_region_clear(&p->regions[i]);
	for (size_t i = 0; p->warnings && i < p->nr_warnings; i++)
		free(p->warnings[i].text);
	fr_ranges_clear(&p->hidden);
	fr_ranges_clear(&p->clean);
	free(p->regions);
	free(p->places);
	free(p->cmdline);
	free(p->warnings);
	free(p);
}

int fr_plan_warn(struct fr_plan *p, const char *fmt, ...)
{
	struct fr_warning *v;
	va_list ap;
	char *text;
	int n;

	if (!p)
		return 0;
	v = reallocarray(p->warnings, p->nr_warnings + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	p->warnings = v;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	v[p->nr_warnings++].text = text;
	return 0;
}

/* ------------------------------------------------------------- copies of the input */

static int copy_ram_map(struct work *w)
{
	const struct fr_ram_map *m = w->r->ram;

	for (size_t i = 0; i < m->nr; i++) {
		const struct fr_ram *r = &m->v[i];

		if (r->start >= r->end || r->end > FR_PHYS_LIMIT || (i && r->start < r[-1].end))
			return refuse(w,
				      "RAM map: entry %zu at 0x%" PRIx64
				      " is empty or out of order",
				      i, r->start);
		if (fr_ranges_add(&w->all, r->start, r->end) ||
		    fr_ram_map_add(&w->p->ram, r->start, r->end, r->type, r->nid))
			return no_memory(w);
	}
	fr_ranges_normalise(&w->all);
	return fr_ram_map_ranges(m, FR_E820_RAM, &w->ram) ? no_memory(w) : 0;
}

static int copy_region(const struct fr_region *from, struct fr_region *to)
{
	*to = *from;
	to->path = strdup(from->path ? from->path : "");
	to->extents = (struct fr_extents){0};
	if (from->extents.nr) {
		to->extents.v = malloc(from->extents.nr * sizeof(*to->extents.v));
		if (to->extents.v)
			memcpy(to->extents.v, from->extents.v,
			       from->extents.nr * sizeof(*to->extents.v));
		to->extents.nr = to->extents.v ? from->extents.nr : 0;
		to->extents.cap = to->extents.nr;
	}
	return to->path && to->extents.nr == from->extents.nr ? 0 : -ENOMEM;
}

static int copy_regions(struct work *w)
{
	w->p->regions = calloc(w->r->nr_regions + 1, sizeof(*w->p->regions));
	if (!w->p->regions)
		return no_memory(w);
	for (size_t i = 0; i < w->r->nr_regions; i++)
		if (copy_region(&w->r->regions[i], &w->p->regions[w->p->nr_regions++]))
			return no_memory(w);
	return 0;
}

/* -------------------------------------------------------------------- kept memory */

static int check_extent(struct work *w, const struct fr_region *g, uint64_t start, uint64_t end)
{
	bool raw = g->kind == FR_KIND_RAW;

	if (start < REAL_LIMIT)
		return refuse(
			w,
			"region %s: has memory below 1 MiB, which the next kernel needs to start its CPUs: move the file's pages (copy it), or keep another range",
			g->name);
	if (!raw && !fr_ranges_contain(&w->ram, start, end))
		return refuse(
			w,
			"region %s: memory at 0x%" PRIx64
			" is not RAM in the machine's map (added after boot?): offline that memory block, so that the file's pages move",
			g->name, start);
	if (raw && fr_ranges_touch(w->r->system_ram, start, end))
		return refuse(w,
			      "region %s: the running kernel uses 0x%" PRIx64 " to 0x%" PRIx64
			      " as RAM: carve the range out with memmap= first",
			      g->name, start, end);
	return 0;
}

static int gather_region(struct work *w, const struct fr_region *g)
{
	struct fr_ranges *to = g->kind == FR_KIND_RAW ? &w->raw : &w->kept;

	for (size_t i = 0; i < g->extents.nr; i++) {
		const struct fr_extent *x = &g->extents.v[i];
		uint64_t start = x->start_pfn << FR_PAGE_SHIFT, bytes;
		int err;

		if (!x->nr_pages || x->start_pfn >= FR_PHYS_LIMIT >> FR_PAGE_SHIFT ||
		    x->nr_pages > (FR_PHYS_LIMIT >> FR_PAGE_SHIFT) - x->start_pfn)
			return refuse(w, "region %s: extent %zu is no physical memory", g->name, i);
		bytes = x->nr_pages << FR_PAGE_SHIFT;
		err = check_extent(w, g, start, start + bytes);
		if (err)
			return err;
		if (fr_ranges_add(to, start, start + bytes))
			return no_memory(w);
		w->p->kept_bytes += bytes;
	}
	return 0;
}

struct owned { /* sorted by the first member */
	uint64_t start, end;
	const struct fr_region *region;
};

/* Some extents overlap: say which. */
static int refuse_overlap(struct work *w)
{
	_cleanup_free_ struct owned *v = NULL;
	size_t nr = 0;

	for (size_t i = 0; i < w->r->nr_regions; i++)
		nr += w->r->regions[i].extents.nr;
	v = malloc(nr * sizeof(*v));
	if (!v)
		return no_memory(w);
	nr = 0;
	for (size_t i = 0; i < w->r->nr_regions; i++) {
		const struct fr_region *g = &w->r->regions[i];

		for (const struct fr_extent *x = g->extents.v; x < g->extents.v + g->extents.nr;
		     x++)
			v[nr++] = (struct owned){x->start_pfn << FR_PAGE_SHIFT,
						 (x->start_pfn + x->nr_pages) << FR_PAGE_SHIFT, g};
	}
	fr_sort(v, nr, sizeof(*v));
	for (size_t i = 1; i < nr; i++)
		if (v[i].start < v[i - 1].end)
			return refuse(w,
				      "regions %s and %s: both have memory at 0x%" PRIx64
				      ": keep each file once",
				      v[i - 1].region->name, v[i].region->name, v[i].start);
	return refuse(w, "plan: extents overlap");
}

/* All extents are disjoint, or their union would be smaller, and where they may be. */
static int gather_kept(struct work *w)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges both = {0};

	for (size_t i = 0; i < w->r->nr_regions; i++) {
		int err = gather_region(w, &w->r->regions[i]);

		if (err)
			return err;
	}
	fr_ranges_normalise(&w->kept);
	fr_ranges_normalise(&w->raw);
	if (fr_ranges_intersect(&w->kept, &w->raw, &both))
		return no_memory(w);
	if (both.nr || fr_ranges_bytes(&w->kept) + fr_ranges_bytes(&w->raw) != w->p->kept_bytes)
		return refuse_overlap(w);
	return 0;
}

/* Raw ranges that the map has as RAM and that do not stay PRAM are hidden like files. */
static int sort_out_raw(struct work *w)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges raw_ram = {0}, plain = {0};

	if (fr_ranges_intersect(&w->raw, &w->ram, &raw_ram))
		return no_memory(w);
	if (w->r->pram && fr_ranges_intersect(&raw_ram, w->r->pram, &w->raw_pram))
		return no_memory(w);
	if (fr_ranges_subtract(&raw_ram, &w->raw_pram, &plain))
		return no_memory(w);
	for (size_t i = 0; i < plain.nr; i++)
		if (fr_ranges_add(&w->kept, plain.v[i].start, plain.v[i].end))
			return no_memory(w);
	fr_ranges_normalise(&w->kept);
	return 0;
}

/* ---------------------------------------------------------------------- hidden */

/* [start, end) widened to sections above 4 GiB, to subsections below. */
static int hide(struct fr_ranges *hidden, uint64_t start, uint64_t end)
{
	int err = 0;

	if (start < FR_LOW_LIMIT)
		err = fr_ranges_add(
			hidden, fr_max_u64(fr_align_down(start, FR_SUBSECTION_BYTES), REAL_LIMIT),
			fr_align_up(fr_min_u64(end, FR_LOW_LIMIT), FR_SUBSECTION_BYTES));
	if (!err && end > FR_LOW_LIMIT)
		err = fr_ranges_add(
			hidden, fr_align_down(fr_max_u64(start, FR_LOW_LIMIT), FR_SECTION_BYTES),
			fr_align_up(end, FR_SECTION_BYTES));
	return err;
}

/* A poisoned page is hidden like a kept one: one rule, and the map says where it is. */
static int hide_poison(struct work *w, struct fr_ranges *hidden)
{
	for (size_t i = 0; i < w->r->nr_poison; i++) {
		uint64_t start = w->r->poison_pfn[i] << FR_PAGE_SHIFT;

		if (w->r->poison_pfn[i] >= FR_PHYS_LIMIT >> FR_PAGE_SHIFT)
			return refuse(w, "poisoned page %zu: no physical memory", i);
		if (start < REAL_LIMIT) {
			if (fr_plan_warn(w->p,
					 "poisoned page at 0x%" PRIx64
					 ": below 1 MiB, it cannot be hidden from the next kernel",
					 start))
				return no_memory(w);
		} else if (hide(hidden, start, start + FR_PAGE_BYTES)) {
			return no_memory(w);
		}
	}
	return 0;
}

static int make_hidden(struct work *w)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges wide = {0}, in_ram = {0};
	int err;

	for (size_t i = 0; i < w->kept.nr; i++)
		if (hide(&wide, w->kept.v[i].start, w->kept.v[i].end))
			return no_memory(w);
	err = hide_poison(w, &wide);
	if (err)
		return err;
	fr_ranges_normalise(&wide);
	if (fr_ranges_intersect(&wide, &w->ram, &in_ram) ||
	    fr_ranges_subtract(&in_ram, &w->raw_pram, &w->p->hidden))
		return no_memory(w);
	return 0;
}

/* ------------------------------------------------------------------------- e820 */

static int compare_ram(const void *pa, const void *pb)
{
	const struct fr_ram *a = pa, *b = pb;

	return (a->start > b->start) - (a->start < b->start);
}

static int add_pieces(struct fr_ram_map *m, const struct fr_ranges *r, uint32_t type)
{
	for (size_t i = 0; i < r->nr; i++) {
		int err = fr_ram_map_add(m, r->v[i].start, r->v[i].end, type, 0);

		if (err)
			return err;
	}
	return 0;
}

/*
 * An entry that is not RAM as it is, but for what is kept of Soft Reserved memory:
 * drivers of the next kernel (dax_hmem, kmem) could make use of that.
 */
static int add_other(struct work *w, const struct fr_ram *r, struct fr_ram_map *parts)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges kept = {0}, rest = {0};
	struct fr_range range = {r->start, r->end};
	const struct fr_ranges whole = {.v = &range, .nr = 1, .cap = 1};

	if (r->type != (uint32_t)FR_E820_SOFT_RESERVED)
		return fr_ram_map_add(parts, r->start, r->end, r->type, 0);
	if (fr_ranges_intersect(&whole, &w->raw, &kept) ||
	    fr_ranges_subtract(&whole, &kept, &rest) || add_pieces(parts, &rest, r->type))
		return -ENOMEM;
	return add_pieces(parts, &kept, FR_E820_UNUSABLE);
}

/* The original map, with hidden and raw ranges out of RAM; also what stays RAM. */
static int make_e820(struct work *w)
{
	_cleanup_(fr_ram_map_clear) struct fr_ram_map parts = {0}, out = {0};
	_cleanup_(fr_ranges_clear) struct fr_ranges ram = {0}, seen = {0}, outside = {0};
	const struct fr_ram_map *m = w->r->ram;

	if (fr_ranges_subtract(&w->ram, &w->p->hidden, &ram) ||
	    fr_ranges_subtract(&ram, &w->raw_pram, &seen) ||
	    fr_ranges_subtract(&w->raw, &w->all, &outside))
		return no_memory(w);
	for (size_t i = 0; i < m->nr; i++)
		if (m->v[i].type != FR_E820_RAM && add_other(w, &m->v[i], &parts))
			return no_memory(w);
	if (add_pieces(&parts, &seen, FR_E820_RAM) ||
	    add_pieces(&parts, &w->p->hidden, FR_E820_UNUSABLE) ||
	    add_pieces(&parts, &w->raw_pram, FR_E820_PRAM) ||
	    add_pieces(&parts, &outside, FR_E820_UNUSABLE))
		return no_memory(w);
	qsort(parts.v, parts.nr, sizeof(*parts.v), compare_ram);
	for (size_t i = 0; i < parts.nr; i++)
		if (fr_ram_map_add(&out, parts.v[i].start, parts.v[i].end, parts.v[i].type, 0))
			return no_memory(w);
	fr_ram_map_clear(&w->p->e820);
	w->p->e820 = out;
	out = (struct fr_ram_map){0};
	fr_ranges_clear(&w->p->clean);
	w->p->clean = seen;
	seen = (struct fr_ranges){0};
	return 0;
}

static int compare_gaps(const void *pa, const void *pb)
{
	const struct fr_range *a = pa, *b = pb;
	bool a_low = a->start < FR_LOW_LIMIT, b_low = b->start < FR_LOW_LIMIT;

	if (a_low != b_low)
		return a_low - b_low; /* low memory is given up last */
	return (a->end - a->start > b->end - b->start) - (a->end - a->start < b->end - b->start);
}

/*
 * Clean ranges with hidden ones on both sides: hiding such a gap makes one entry of
 * three.  The smallest go first, as many as there are entries too many.
 */
static int coarsen(struct work *w, size_t max)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges gaps = {0};
	struct fr_plan *p = w->p;
	size_t before = p->e820.nr, hide_nr;
	uint64_t lost = 0;

	if (before <= max)
		return 0;
	for (size_t i = 1; i + 1 < p->e820.nr; i++) {
		const struct fr_ram *r = &p->e820.v[i];

		if (r->type == FR_E820_RAM && r[-1].end == r->start && r->end == r[1].start &&
		    r->start >= REAL_LIMIT &&
		    fr_ranges_contain(&p->hidden, r->start - 1, r->start) &&
		    fr_ranges_contain(&p->hidden, r->end, r->end + 1) &&
		    fr_ranges_add(&gaps, r->start, r->end))
			return no_memory(w);
	}
	hide_nr = (before - max + 1) / 2;
	if (hide_nr > gaps.nr)
		return refuse(
			w,
			"plan: the memory map would have %zu entries, and the next kernel takes %zu: keep files in larger pages, or fewer of them",
			before, max);
	qsort(gaps.v, gaps.nr, sizeof(*gaps.v), compare_gaps);
	for (size_t i = 0; i < hide_nr; i++) {
		lost += gaps.v[i].end - gaps.v[i].start;
		if (fr_ranges_add(&p->hidden, gaps.v[i].start, gaps.v[i].end))
			return no_memory(w);
	}
	fr_ranges_normalise(&p->hidden);
	if (fr_plan_warn(
		    p,
		    "the memory map would have %zu entries, and the next kernel takes %zu: %s more are hidden from it at boot",
		    before, max, fr_size_text(lost).s))
		return no_memory(w);
	return make_e820(w);
}

/* ----------------------------------------------------------------------- figures */

static void count_sections(struct work *w)
{
	uint64_t next = 0;

	for (size_t i = 0; i < w->p->hidden.nr; i++) {
		uint64_t start = fr_align_down(w->p->hidden.v[i].start, FR_SECTION_BYTES);

		for (start = fr_max_u64(start, next); start < w->p->hidden.v[i].end;
		     start += FR_SECTION_BYTES) {
			uint64_t end = start + FR_SECTION_BYTES;
			uint64_t ram = fr_ranges_bytes_in(&w->ram, start, end);

			if (fr_ranges_bytes_in(&w->kept, start, end) == ram) {
				w->p->full_sections++;
			} else {
				w->p->mixed_sections++;
				w->mixed_bytes += ram;
			}
			next = end;
		}
	}
}

static void count_clean(struct work *w)
{
	struct fr_plan *p = w->p;

	p->hidden_bytes = fr_ranges_bytes(&p->hidden);
	p->clean_bytes = fr_ranges_bytes(&p->clean);
	for (size_t i = 0; i < p->clean.nr; i++) {
		const struct fr_range *c = &p->clean.v[i];

		p->largest_clean_bytes = fr_max_u64(p->largest_clean_bytes, c->end - c->start);
		if (c->start < FR_LOW_LIMIT)
			p->clean_low_bytes += fr_min_u64(c->end, FR_LOW_LIMIT) - c->start;
	}
}

static int add_place(struct work *w, const char *what, uint64_t bytes)
{
	struct fr_plan *p = w->p;
	struct fr_place *v;

	if (!bytes)
		return 0;
	v = reallocarray(p->places, p->nr_places + 1, sizeof(*v));
	if (!v)
		return no_memory(w);
	p->places = v;
	v[p->nr_places++] = (struct fr_place){.what = what, .bytes = bytes};
	/* each is bounded by physical memory, and there are a dozen: no overflow */
	p->needed_bytes += bytes;
	return 0;
}

static int count_needs(struct work *w)
{
	const struct fr_plan_request *r = w->r;
	struct fr_plan *p = w->p;
	uint64_t ram = p->clean_bytes + p->hidden_bytes;
	uint64_t mixed = fr_min_u64(w->mixed_bytes, p->hidden_bytes);
	const struct {
		const char *what;
		uint64_t bytes;
	} places[] = {
		{"kernel", fr_align_up(r->image->memory_bytes, FR_HUGE_BYTES)},
		{"boot_params, command line", SETUP_BYTES},
		{"initrd", fr_align_up(r->initrd_bytes, FR_PAGE_BYTES)},
		{"late data", fr_align_up(r->late_bytes, FR_HUGE_BYTES)},
		{"trampoline", TRAMPOLINE_BYTES},
		{"struct pages of clean memory",
		 p->clean_bytes / FR_PAGE_BYTES * STRUCT_PAGE_BYTES},
		{"struct pages of mixed sections", mixed / FR_PAGE_BYTES * STRUCT_PAGE_BYTES},
		{"struct pages of full sections, at restore",
		 (p->hidden_bytes - mixed) / FR_PAGE_BYTES * STRUCT_PAGE_BYTES},
		{"per-CPU data", r->nr_cpus * PERCPU_BYTES},
		{"hash tables", ram / HASH_SHARE},
		{"initrd, unpacked", r->initrd_bytes * INITRD_EXPANSION},
		{"huge pages of the command line", w->needs.huge_bytes},
		{"crash kernel", w->needs.crash_bytes},
		{"kernel and first processes", FIXED_BYTES},
	};

	if (r->initrd_bytes >= FR_PHYS_LIMIT || r->late_bytes > FR_MAX_TOTAL_BYTES ||
	    r->image->memory_bytes >= FR_PHYS_LIMIT)
		return refuse(w,
			      "plan: the image, initrd or descriptor is larger than any that fits");
	for (size_t i = 0; i < FR_ARRAY_SIZE(places); i++) {
		int err = add_place(w, places[i].what, places[i].bytes);

		if (err)
			return err;
	}
	p->needed_low_bytes = FIXED_LOW_BYTES + w->needs.crash_low_bytes;
	if (w->ram.nr && w->ram.v[w->ram.nr - 1].end > FR_LOW_LIMIT)
		p->needed_low_bytes += SWIOTLB_BYTES;
	return 0;
}

/* -------------------------------------------------------------------- the verdict */

static uint64_t lacking(uint64_t have, uint64_t need)
{
	return have < need ? need - have : 0;
}

static void find_lack(struct work *w)
{
	struct fr_plan *p = w->p;

	p->lack_bytes = lacking(p->clean_bytes, p->needed_bytes);
	/* a machine that always had less is none of our business */
	if (fr_ranges_touch(&p->hidden, 0, FR_LOW_LIMIT))
		p->lack_low_bytes = lacking(p->clean_low_bytes, p->needed_low_bytes);
	p->lack_piece_bytes = lacking(p->largest_clean_bytes,
				      fr_max_u64(w->r->image->memory_bytes,
						 fr_max_u64(w->r->initrd_bytes, w->r->late_bytes)));
}

static int check_budget(struct work *w)
{
	const struct fr_plan *p = w->p;
	const char *remedy =
		w->r->evacuated ?
			"" :
			", or load with --evacuate, which takes memory blocks offline to make some";

	find_lack(w);
	if (w->r->may_lack)
		return 0;
	if (p->lack_bytes)
		return fr_fail(
			w->e, FR_FAULT_REFUSED, ENOMEM,
			"too little clean memory: %s are left in sections without kept pages, and the next kernel needs %s (kept: %s, in %" PRIu64
			" full and %" PRIu64 " mixed sections of 128 MiB): keep less%s",
			fr_size_text(p->clean_bytes).s, fr_size_text(p->needed_bytes).s,
			fr_size_text(p->kept_bytes).s, p->full_sections, p->mixed_sections, remedy);
	if (p->lack_low_bytes)
		return fr_fail(
			w->e, FR_FAULT_REFUSED, ENOMEM,
			"too little clean memory below 4 GiB: %s are left, and the next kernel needs %s: keep less%s",
			fr_size_text(p->clean_low_bytes).s, fr_size_text(p->needed_low_bytes).s,
			remedy);
	if (p->lack_piece_bytes)
		return fr_fail(
			w->e, FR_FAULT_REFUSED, ENOMEM,
			"clean memory is in pieces of at most %s, and the image needs %s in one: keep less%s",
			fr_size_text(p->largest_clean_bytes).s,
			fr_size_text(p->largest_clean_bytes + p->lack_piece_bytes).s, remedy);
	return 0;
}

/* Carve-outs of the running kernel that nobody keeps become RAM again. */
static int warn_of_pram(struct work *w)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges lost = {0};

	if (!w->r->pram || !w->r->pram->nr)
		return 0;
	if (fr_ranges_intersect(w->r->pram, &w->p->clean, &lost))
		return no_memory(w);
	for (size_t i = 0; i < lost.nr; i++)
		if (fr_plan_warn(
			    w->p,
			    "persistent memory at 0x%" PRIx64
			    " (%s) is not kept: the next kernel takes it for RAM; keep it with phys:0x%" PRIx64
			    "+%" PRIu64,
			    lost.v[i].start, fr_size_text(lost.v[i].end - lost.v[i].start).s,
			    lost.v[i].start, lost.v[i].end - lost.v[i].start))
			return no_memory(w);
	return 0;
}

static int warn(struct work *w)
{
	struct fr_plan *p = w->p;
	int err = warn_of_pram(w);

	if (!err && !p->patched)
		err = fr_plan_warn(
			p,
			"the next kernel does not take this descriptor: memory stays kept, and can be restored after a further hop only");
	if (!err && !p->patched && p->mixed_sections)
		err = fr_plan_warn(
			p,
			"the next kernel goes without the %s of the sections that have kept memory",
			fr_size_text(p->hidden_bytes).s);
	return err == -ENOMEM ? no_memory(w) : err;
}

static int check_image(struct work *w)
{
	const struct fr_image *image = w->r->image;

	w->p->patched = image->has_note && image->min_version <= FR_VERSION &&
			FR_VERSION <= image->max_version;
	if (w->p->patched || w->r->allow_unpatched)
		return 0;
	return fr_fail(
		w->e, FR_FAULT_IMAGE, ENOTSUP,
		"image: %s cannot restore what is kept: it takes no descriptor of version %u: use a patched kernel, or --allow-unpatched to hop on from it later",
		image->version, FR_VERSION);
}

static int make_cmdline(struct work *w)
{
	int err = fr_cmdline_policy(w->r->cmdline ? w->r->cmdline : "", w->r->reuse_cmdline,
				    &w->p->cmdline, w->p, w->e);

	if (!err)
		fr_cmdline_needs(w->p->cmdline, &w->needs);
	return err;
}

static int coarsen_e820(struct work *w)
{
	uint32_t room = w->r->image->e820_entries ?: E820_ROOM_UNSAID;

	if (!w->p->patched || room < E820_MAX_UNPATCHED + E820_ROOM_KERNEL)
		return coarsen(w, E820_MAX_UNPATCHED);
	return coarsen(w, fr_min_u64(room - E820_ROOM_KERNEL, E820_MAX_PATCHED));
}

static int count(struct work *w)
{
	count_sections(w);
	count_clean(w);
	return count_needs(w);
}

int fr_plan_make(const struct fr_plan_request *r, struct fr_plan **ret_plan, struct fr_error *e)
{
	static int (*const steps[])(struct work *) = {
		check_image, make_cmdline, copy_ram_map, copy_regions, gather_kept,  sort_out_raw,
		make_hidden, make_e820,	   coarsen_e820, count,	       check_budget, warn,
	};
	_cleanup_(work_clear) struct work w = {.r = r, .e = e, .p = calloc(1, sizeof(*w.p))};

	if (!w.p)
		return no_memory(&w);
	for (size_t i = 0; i < FR_ARRAY_SIZE(steps); i++) {
		int err = steps[i](&w);

		if (err)
			return err;
	}
	*ret_plan = w.p;
	w.p = NULL;
	return 0;
}
