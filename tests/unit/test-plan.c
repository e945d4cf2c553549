// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "test.h"
#include "util.h"

/* Built with --wrap=qsort: what is not a sort is a merge, or linear. */
static uint64_t comparisons;
static int (*counted)(const void *, const void *);

void __real_qsort(void *v, size_t nr, size_t bytes, int (*compare)(const void *, const void *));
void __wrap_qsort(void *v, size_t nr, size_t bytes, int (*compare)(const void *, const void *));

static int count_compare(const void *a, const void *b)
{
	comparisons++;
	return counted(a, b);
}

void __wrap_qsort(void *v, size_t nr, size_t bytes, int (*compare)(const void *, const void *))
{
	counted = compare;
	__real_qsort(v, nr, bytes, count_compare);
}

/* A machine with 2 GiB below and @high_gib above 4 GiB, on which to keep things. */
struct machine {
	struct fr_ram_map ram;
	struct fr_ranges system_ram, pram;
	struct fr_image image;
	struct fr_region regions[8];
	struct fr_plan_request r;
	struct fr_plan *plan;
	struct fr_error e;
};

static struct machine *machine(uint64_t high_gib)
{
	struct machine *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	fr_ram_map_add(&m->ram, 0x1000, 0x9fc00, FR_E820_RAM, 0);
	fr_ram_map_add(&m->ram, 0x9fc00, 0x100000, FR_E820_RESERVED, 0);
	fr_ram_map_add(&m->ram, 0x100000, 2 * GIB - 0x20000, FR_E820_RAM, 0);
	fr_ram_map_add(&m->ram, 2 * GIB - 0x20000, 2 * GIB, FR_E820_ACPI, 0);
	fr_ram_map_add(&m->ram, 4 * GIB, (4 + high_gib) * GIB, FR_E820_RAM, 0);
	assert_int_equal(fr_ram_map_ranges(&m->ram, FR_E820_RAM, &m->system_ram), 0);
	m->image = (struct fr_image){.memory_bytes = 40 * MIB,
				     .align_bytes = 2 * MIB,
				     .has_note = true,
				     .min_version = 1,
				     .max_version = 1,
				     .version = "6.12.0"};
	m->r = (struct fr_plan_request){
		.ram = &m->ram,
		.system_ram = &m->system_ram,
		.pram = &m->pram,
		.regions = m->regions,
		.image = &m->image,
		.initrd_bytes = 20 * MIB,
		.cmdline = "quiet",
		.nr_cpus = 4,
		.late_bytes = MIB,
	};
	return m;
}

static void keep(struct machine *m, size_t region, enum fr_kind kind, uint64_t start,
		 uint64_t bytes)
{
	struct fr_region *g = &m->regions[region];

	if (!g->name[0])
		snprintf(g->name, sizeof(g->name), "region%zu", region);
	g->kind = kind;
	g->page_shift = 12;
	assert_int_equal(
		fr_extents_append(&g->extents, start >> 12, bytes >> 12, g->size_bytes >> 12), 0);
	g->size_bytes += bytes;
	if (region >= m->r.nr_regions)
		m->r.nr_regions = region + 1;
}

/* The running kernel has no RAM there. */
static void carve(struct machine *m, uint64_t start, uint64_t end)
{
	struct fr_range v = {start, end};
	struct fr_ranges one = {.v = &v, .nr = 1}, rest;

	assert_int_equal(fr_ranges_subtract(&m->system_ram, &one, &rest), 0);
	fr_ranges_clear(&m->system_ram);
	m->system_ram = rest;
}

static void free_machine(struct machine *m)
{
	for (size_t i = 0; i < FR_ARRAY_SIZE(m->regions); i++)
		fr_region_clear(&m->regions[i]);
	fr_ram_map_clear(&m->ram);
	fr_ranges_clear(&m->system_ram);
	fr_ranges_clear(&m->pram);
	fr_plan_free(m->plan);
	free(m);
}

static uint32_t type_at(const struct fr_ram_map *m, uint64_t at)
{
	for (size_t i = 0; i < m->nr; i++)
		if (m->v[i].start <= at && at < m->v[i].end)
			return m->v[i].type;
	return 0;
}

static bool warned(const struct fr_plan *p, const char *what)
{
	for (size_t i = 0; i < p->nr_warnings; i++)
		if (strstr(p->warnings[i].text, what))
			return true;
	return false;
}

/* What holds for every plan. */
static void check_plan(struct machine *m)
{
	const struct fr_plan *p = m->plan;
	struct fr_ranges ram, seen, both, rest;
	uint64_t needed = 0;

	/* sorted, disjoint, no neighbours of one type */
	for (size_t i = 0; i < p->e820.nr; i++) {
		const struct fr_ram *r = &p->e820.v[i];

		assert_true(r->start < r->end);
		if (i)
			assert_true(r[-1].end < r->start ||
				    (r[-1].end == r->start && r[-1].type != r->type));
	}
	/* the machine's map but for what is out of RAM: where it was something, it still is */
	for (size_t i = 0; i < m->ram.nr; i++) {
		const struct fr_ram *r = &m->ram.v[i];
		uint32_t first = type_at(&p->e820, r->start), last = type_at(&p->e820, r->end - 1);

		if (r->type != FR_E820_RAM) {
			assert_int_equal(first, r->type);
			assert_int_equal(last, r->type);
		} else {
			assert_true(first && last);
		}
	}
	/* RAM it sees is RAM, is what it calls clean, and is not hidden */
	assert_int_equal(fr_ram_map_ranges(&m->ram, FR_E820_RAM, &ram), 0);
	assert_int_equal(fr_ram_map_ranges(&p->e820, FR_E820_RAM, &seen), 0);
	assert_int_equal(seen.nr, p->clean.nr);
	assert_memory_equal(seen.v, p->clean.v, seen.nr * sizeof(*seen.v));
	assert_int_equal(fr_ranges_subtract(&seen, &ram, &rest), 0);
	assert_int_equal(rest.nr, 0);
	fr_ranges_clear(&rest);
	assert_int_equal(fr_ranges_intersect(&seen, &p->hidden, &both), 0);
	assert_int_equal(both.nr, 0);
	fr_ranges_clear(&both);
	/* no kept page in it */
	for (size_t i = 0; i < p->nr_regions; i++)
		for (size_t j = 0; j < p->regions[i].extents.nr; j++) {
			const struct fr_extent *x = &p->regions[i].extents.v[j];

			assert_false(fr_ranges_touch(&seen, x->start_pfn << 12,
						     (x->start_pfn + x->nr_pages) << 12));
		}
	assert_int_equal(p->hidden_bytes, fr_ranges_bytes(&p->hidden));
	assert_int_equal(p->clean_bytes, fr_ranges_bytes(&seen));
	for (size_t i = 0; i < p->nr_places; i++)
		needed += p->places[i].bytes;
	assert_int_equal(p->needed_bytes, needed);
	fr_ranges_clear(&ram);
	fr_ranges_clear(&seen);
}

static const struct fr_plan *plan(struct machine *m)
{
	fr_plan_free(m->plan);
	m->plan = NULL;
	if (fr_plan_make(&m->r, &m->plan, &m->e))
		fail_msg("%s", m->e.text);
	check_plan(m);
	return m->plan;
}

static void refused(struct machine *m, enum fr_fault fault, const char *says)
{
	fr_plan_free(m->plan);
	m->plan = NULL;
	assert_true(fr_plan_make(&m->r, &m->plan, &m->e) < 0);
	assert_null(m->plan);
	assert_int_equal(m->e.fault, fault);
	if (!strstr(m->e.text, says))
		fail_msg("\"%s\", not \"%s\"", m->e.text, says);
}

static void expect_hidden(const struct fr_plan *p, size_t i, uint64_t start, uint64_t end)
{
	assert_true(i < p->hidden.nr);
	assert_int_equal(p->hidden.v[i].start, start);
	assert_int_equal(p->hidden.v[i].end, end);
}

static void test_nothing_kept(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p = plan(m);

	(void)state;
	assert_int_equal(p->hidden.nr, 0);
	assert_int_equal(p->e820.nr, m->ram.nr);
	assert_memory_equal(p->e820.v, m->ram.v, m->ram.nr * sizeof(*m->ram.v));
	assert_string_equal(p->cmdline, "quiet");
	assert_true(p->patched);
	assert_int_equal(p->nr_warnings, 0);
	free_machine(m);
}

static void test_sections(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	keep(m, 0, FR_KIND_SHMEM, 5 * GIB + 50 * MIB, 0x1000);	   /* a page hides its section */
	keep(m, 1, FR_KIND_HUGETLB, 6 * GIB, 256 * MIB);	   /* two, full */
	keep(m, 1, FR_KIND_HUGETLB, 6 * GIB + 256 * MIB, 2 * MIB); /* and the next */
	p = plan(m);
	assert_int_equal(p->hidden.nr, 2);
	expect_hidden(p, 0, 5 * GIB, 5 * GIB + FR_SECTION_BYTES);
	expect_hidden(p, 1, 6 * GIB, 6 * GIB + 3 * FR_SECTION_BYTES);
	assert_int_equal(p->full_sections, 2);
	assert_int_equal(p->mixed_sections, 2);
	assert_int_equal(p->kept_bytes, 258 * MIB + 4096);
	assert_int_equal(type_at(&p->e820, 5 * GIB), FR_E820_UNUSABLE);
	assert_int_equal(type_at(&p->e820, 5 * GIB + FR_SECTION_BYTES), FR_E820_RAM);
	free_machine(m);
}

static void test_below_4g(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	keep(m, 0, FR_KIND_SHMEM, GIB + 0x5000, 0x1000);
	keep(m, 0, FR_KIND_SHMEM, MIB, 0x1000);
	keep(m, 0, FR_KIND_SHMEM, 2 * GIB - 0x21000, 0x1000);
	p = plan(m);
	assert_int_equal(p->hidden.nr, 3);
	expect_hidden(p, 0, MIB, 2 * MIB); /* real mode's memory stays */
	expect_hidden(p, 1, GIB, GIB + 2 * MIB);
	expect_hidden(p, 2, 2 * GIB - 2 * MIB, 2 * GIB - 0x20000); /* up to the end of RAM */
	assert_int_equal(type_at(&p->e820, 2 * GIB - 0x20000), FR_E820_ACPI);
	free_machine(m);
}

static void test_below_1m(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	keep(m, 0, FR_KIND_SHMEM, 0x5000, 0x1000);
	refused(m, FR_FAULT_REFUSED, "region region0: has memory below 1 MiB");
	free_machine(m);
}

static void test_across_4g(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	/* a map without a hole below 4 GiB */
	fr_ram_map_clear(&m->ram);
	fr_ram_map_add(&m->ram, MIB, 10 * GIB, FR_E820_RAM, 0);
	keep(m, 0, FR_KIND_SHMEM, 4 * GIB - 0x1000, 0x2000);
	p = plan(m);
	assert_int_equal(p->hidden.nr, 1);
	expect_hidden(p, 0, 4 * GIB - 2 * MIB, 4 * GIB + FR_SECTION_BYTES);
	free_machine(m);
}

static void test_not_ram(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	keep(m, 0, FR_KIND_SHMEM, 10 * GIB - 0x1000, 0x2000);
	refused(m, FR_FAULT_REFUSED, "is not RAM in the machine's map");
	free_machine(m);
}

static void test_overlap(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	keep(m, 0, FR_KIND_SHMEM, 5 * GIB, 0x4000);
	keep(m, 1, FR_KIND_SHMEM, 5 * GIB + 0x3000, 0x1000);
	refused(m, FR_FAULT_REFUSED, "regions region0 and region1");
	free_machine(m);
}

static void test_absurd(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	keep(m, 0, FR_KIND_SHMEM, 5 * GIB, 0x4000);
	m->regions[0].extents.v[0].nr_pages = UINT64_MAX;
	refused(m, FR_FAULT_REFUSED, "no physical memory");
	m->regions[0].extents.v[0] = (struct fr_extent){1ull << 60, 1, 0};
	refused(m, FR_FAULT_REFUSED, "no physical memory");
	free_machine(m);

	m = machine(6);
	m->ram.v[4].start = GIB;
	refused(m, FR_FAULT_REFUSED, "out of order");
	free_machine(m);

	m = machine(6);
	m->r.initrd_bytes = UINT64_MAX;
	refused(m, FR_FAULT_REFUSED, "larger than any");
	free_machine(m);
}

static void test_raw_pram(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	carve(m, 5 * GIB, 6 * GIB);
	fr_ranges_add(&m->pram, 5 * GIB, 6 * GIB);
	keep(m, 0, FR_KIND_RAW, 5 * GIB, 512 * MIB);
	p = plan(m);
	/* it stays what it was, and hides nothing else */
	assert_int_equal(p->hidden.nr, 0);
	assert_int_equal(type_at(&p->e820, 5 * GIB), FR_E820_PRAM);
	/* the rest of the carve-out is RAM again, with a word about it */
	assert_int_equal(type_at(&p->e820, 5 * GIB + 512 * MIB), FR_E820_RAM);
	assert_true(warned(p, "persistent memory at 0x160000000 (512 MiB) is not kept"));
	free_machine(m);
}

static void test_raw_reserved(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	carve(m, 5 * GIB, 6 * GIB);
	keep(m, 0, FR_KIND_RAW, 5 * GIB + 0x1000, 512 * MIB);
	p = plan(m);
	assert_int_equal(p->hidden.nr, 1);
	expect_hidden(p, 0, 5 * GIB, 5 * GIB + 640 * MIB);
	assert_int_equal(type_at(&p->e820, 5 * GIB + 0x1000), FR_E820_UNUSABLE);
	free_machine(m);
}

static void test_raw_soft_reserved(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	fr_ram_map_add(&m->ram, 10 * GIB, 12 * GIB, (uint32_t)FR_E820_SOFT_RESERVED, 0);
	keep(m, 0, FR_KIND_RAW, 10 * GIB + 512 * MIB, GIB);
	p = plan(m);
	assert_int_equal(p->hidden.nr, 0);
	assert_int_equal(type_at(&p->e820, 10 * GIB), (uint32_t)FR_E820_SOFT_RESERVED);
	assert_int_equal(type_at(&p->e820, 10 * GIB + 512 * MIB), FR_E820_UNUSABLE);
	assert_int_equal(type_at(&p->e820, 11 * GIB + 512 * MIB), (uint32_t)FR_E820_SOFT_RESERVED);
	/* in the original map it is what it was */
	assert_int_equal(type_at(&p->ram, 11 * GIB), (uint32_t)FR_E820_SOFT_RESERVED);
	free_machine(m);
}

static void test_raw_outside(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	keep(m, 0, FR_KIND_RAW, 10 * GIB, GIB);		    /* the map does not mention it */
	keep(m, 1, FR_KIND_RAW, 2 * GIB - 0x20000, 0x1000); /* the map has it as ACPI's */
	p = plan(m);
	assert_int_equal(p->hidden.nr, 0);
	assert_int_equal(type_at(&p->e820, 10 * GIB), FR_E820_UNUSABLE);
	assert_int_equal(type_at(&p->e820, 11 * GIB - 1), FR_E820_UNUSABLE);
	assert_int_equal(type_at(&p->e820, 2 * GIB - 0x20000), FR_E820_ACPI);
	free_machine(m);
}

static void test_raw_in_use(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	keep(m, 0, FR_KIND_RAW, 5 * GIB, GIB);
	refused(m, FR_FAULT_REFUSED, "the running kernel uses 0x140000000");
	free_machine(m);
}

static void test_poison(void **state)
{
	const uint64_t pfn[] = {2, (GIB >> 12) + 1, (5 * GIB >> 12) + 7};
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	m->r.poison_pfn = pfn;
	m->r.nr_poison = 3;
	p = plan(m);
	assert_int_equal(p->hidden.nr, 2);
	expect_hidden(p, 0, GIB, GIB + 2 * MIB);
	expect_hidden(p, 1, 5 * GIB, 5 * GIB + FR_SECTION_BYTES);
	assert_true(warned(p, "poisoned page at 0x2000"));
	free_machine(m);
}

/* Every other section of 64 GiB is 256 pieces more than a stock kernel bears. */
static void test_coarsen(void **state)
{
	struct machine *m = machine(64);
	const struct fr_plan *p;

	(void)state;
	for (uint64_t i = 0; i < 256; i++)
		keep(m, 0, FR_KIND_HUGETLB, 4 * GIB + 2 * i * FR_SECTION_BYTES, 2 * MIB);
	m->image.has_note = false;
	m->r.allow_unpatched = true;
	m->r.cmdline = "";
	/* hiding pairs of neighbours first would lose no less: all gaps are one section */
	p = plan(m);
	assert_false(p->patched);
	assert_in_range(p->e820.nr, 95, 100);
	assert_true(warned(p, "are hidden from it at boot"));
	assert_int_equal(p->hidden_bytes, p->full_sections * FR_SECTION_BYTES +
						  p->mixed_sections * FR_SECTION_BYTES);

	m->image.has_note = true;
	p = plan(m);
	assert_in_range(p->e820.nr, 295, 300);

	m->image.e820_entries = 420;
	p = plan(m);
	assert_in_range(p->e820.nr, 395, 400);

	/* no more than anybody has */
	m->image.e820_entries = 1;
	p = plan(m);
	assert_in_range(p->e820.nr, 95, 100);

	m->image.e820_entries = UINT32_MAX;
	p = plan(m);
	assert_in_range(p->e820.nr, 512, 520);
	assert_int_equal(p->hidden_bytes, 256 * FR_SECTION_BYTES);
	free_machine(m);
}

static void test_coarsen_smallest_first(void **state)
{
	struct machine *m = machine(200);
	const struct fr_plan *p;
	uint64_t at = 4 * GIB;

	(void)state;
	m->image.has_note = false;
	m->r.allow_unpatched = true;
	/* gaps of 1, 2, ... 50 sections, and 4 entries too many */
	for (uint64_t i = 1; i <= 50; i++) {
		keep(m, 0, FR_KIND_HUGETLB, at, 2 * MIB);
		at += (1 + i) * FR_SECTION_BYTES;
	}
	p = plan(m);
	assert_in_range(p->e820.nr, 100, 100);
	assert_int_equal(p->hidden_bytes, (50 + 1 + 2) * FR_SECTION_BYTES);
	free_machine(m);
}

static void test_unpatched(void **state)
{
	struct machine *m = machine(6);
	const struct fr_plan *p;

	(void)state;
	m->image.has_note = false;
	refused(m, FR_FAULT_IMAGE, "--allow-unpatched");
	m->image.has_note = true;
	m->image.min_version = 2;
	m->image.max_version = 3;
	refused(m, FR_FAULT_IMAGE, "descriptor of version 1");
	m->r.allow_unpatched = true;
	p = plan(m);
	assert_false(p->patched);
	assert_true(warned(p, "further hop"));
	free_machine(m);
}

static void test_budget(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	keep(m, 0, FR_KIND_HUGETLB, 4 * GIB, 6 * GIB);
	plan(m);
	keep(m, 1, FR_KIND_HUGETLB, 128 * MIB, 2 * GIB - 256 * MIB);
	refused(m, FR_FAULT_REFUSED, "too little clean memory");
	assert_non_null(strstr(m->e.text, "7.8 GiB")); /* kept */
	assert_non_null(strstr(m->e.text, "--evacuate"));
	m->r.evacuated = true;
	refused(m, FR_FAULT_REFUSED, "keep less");
	assert_null(strstr(m->e.text, "--evacuate"));
	m->r.may_lack = true;
	plan(m);
	assert_int_equal(m->plan->clean_bytes + m->plan->lack_bytes, m->plan->needed_bytes);
	free_machine(m);
}

static void test_budget_counts(void **state)
{
	struct machine *m = machine(6);
	uint64_t needed = plan(m)->needed_bytes;

	(void)state;
	m->r.cmdline = "hugepages=512 crashkernel=256M";
	assert_int_equal(plan(m)->needed_bytes, needed + GIB + 256 * MIB);
	m->r.cmdline = "hugepages=4096";
	refused(m, FR_FAULT_REFUSED, "too little clean memory");
	m->r.reuse_cmdline = true;
	assert_int_equal(plan(m)->needed_bytes, needed);
	assert_string_equal(m->plan->cmdline, "");
	assert_true(warned(m->plan, "hugepages=4096"));
	m->r.nr_cpus += 100;
	assert_true(plan(m)->needed_bytes >= needed + 100 * MIB);
	free_machine(m);
}

static void test_low_memory(void **state)
{
	struct machine *m = machine(16);

	(void)state;
	keep(m, 0, FR_KIND_HUGETLB, 64 * MIB, 2 * GIB - 128 * MIB);
	refused(m, FR_FAULT_REFUSED, "below 4 GiB");
	m->r.may_lack = true;
	plan(m);
	assert_int_equal(m->plan->clean_low_bytes + m->plan->lack_low_bytes,
			 m->plan->needed_low_bytes);
	assert_int_equal(m->plan->lack_bytes, 0);
	free_machine(m);
}

static void test_pieces(void **state)
{
	struct machine *m = machine(6);

	(void)state;
	/* clean memory enough, but none of it in one piece above 64 MiB */
	for (uint64_t at = 64 * MIB; at < 2 * GIB; at += 64 * MIB)
		keep(m, 0, FR_KIND_HUGETLB, at, 2 * MIB);
	keep(m, 1, FR_KIND_HUGETLB, 4 * GIB, 6 * GIB);
	m->r.initrd_bytes = 100 * MIB;
	refused(m, FR_FAULT_REFUSED, "in pieces of at most");
	m->r.may_lack = true;
	plan(m);
	assert_int_equal(m->plan->largest_clean_bytes + m->plan->lack_piece_bytes, 100 * MIB);
	free_machine(m);
}

/* Anything anywhere: check_plan() is the test. */
static void test_any_map(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (unsigned int round = 0; round < 300; round++) {
		struct machine *m = machine(32);
		uint64_t at = MIB;

		while (at < 30 * GIB) {
			uint64_t bytes = (1 + test_random_below(&seed, 64)) << 12;

			if (test_random_below(&seed, 20) == 0)
				bytes = 256 * MIB;
			if (fr_ranges_contain(&m->system_ram, at, at + bytes))
				keep(m, test_random_below(&seed, 8), FR_KIND_SHMEM, at, bytes);
			at += bytes + (test_random_below(&seed, 1 + round) << 22);
		}
		m->r.nr_regions = 8;
		if (!fr_plan_make(&m->r, &m->plan, &m->e))
			check_plan(m);
		else
			assert_int_equal(m->e.fault, FR_FAULT_REFUSED);
		free_machine(m);
	}
}

static uint64_t cost_of(uint64_t nr)
{
	struct machine *m = machine(64);
	uint64_t cost;

	/* every other page, in an order that is not sorted */
	for (uint64_t i = 0; i < nr; i++)
		keep(m, 0, FR_KIND_SHMEM, 4 * GIB + (i * 7919 % nr << 13), 4096);
	comparisons = 0;
	plan(m);
	cost = comparisons;
	assert_int_equal(m->plan->regions[0].extents.nr, nr);
	free_machine(m);
	return cost;
}

static void test_million_extents(void **state)
{
	uint64_t quarter = cost_of(1u << 18), whole = cost_of(1u << 20);

	(void)state;
	/* extents are not compared with each other at all */
	assert_in_range(whole, 0, 1000);
	assert_int_equal(whole, quarter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_kept),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_below_4g),
		cmocka_unit_test(test_below_1m),
		cmocka_unit_test(test_across_4g),
		cmocka_unit_test(test_not_ram),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_absurd),
		cmocka_unit_test(test_raw_pram),
		cmocka_unit_test(test_raw_soft_reserved),
		cmocka_unit_test(test_raw_reserved),
		cmocka_unit_test(test_raw_outside),
		cmocka_unit_test(test_raw_in_use),
		cmocka_unit_test(test_poison),
		cmocka_unit_test(test_coarsen),
		cmocka_unit_test(test_coarsen_smallest_first),
		cmocka_unit_test(test_unpatched),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_counts),
		cmocka_unit_test(test_low_memory),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_any_map),
		cmocka_unit_test(test_million_extents),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
