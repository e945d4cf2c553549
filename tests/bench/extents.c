// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * extents NUMBER: what so many extents cost load, exec and restore, in milliseconds of CPU time (it
 * has one thread), as one JSON object; all_ms is without the survey, of which the kernel's part
 * is missing.  Two regions' pages alternate with foreign ones, so that no extents merge, file
 * offsets differ from the order of frames, and every section is mixed.
 */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plan.h"
#include "ramap.h"
#include "util.h"

#define GIB	  (1ull << 30)
#define FIRST_PFN (8 * GIB >> FR_PAGE_SHIFT)
#define REGIONS	  2u

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void must(int r, const struct fr_error *e, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "%s: %s\n", what, e ? e->text : strerror(-r));
	exit(1);
}

static void keep_pages(struct fr_region *regions, uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++) {
		struct fr_region *g = &regions[i % REGIONS];

		must(fr_extents_append(&g->extents, FIRST_PFN + 2 * i, 1, i / REGIONS), NULL,
		     "extents");
		g->size_bytes += FR_PAGE_BYTES;
	}
}

/* Every frame is looked up where load looks when it places things: hidden, and not clean. */
static void look_up(const struct fr_descriptor *d, const struct fr_plan *p)
{
	for (size_t i = 0; i < d->nr_regions; i++) {
		const struct fr_extents *x = &d->regions[i].extents;

		for (size_t j = 0; j < x->nr; j++) {
			uint64_t start = x->v[j].start_pfn << FR_PAGE_SHIFT;
			uint64_t end = start + (x->v[j].nr_pages << FR_PAGE_SHIFT);

			if (!fr_ranges_contain(&p->hidden, start, end) ||
			    fr_ranges_touch(&p->clean, start, end))
				must(-ERANGE, NULL, "look up");
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t nr = argc > 1 ? strtoull(argv[1], NULL, 10) : 1 << 20;
	uint64_t end = ((FIRST_PFN + 2 * nr) << FR_PAGE_SHIFT) + 8 * GIB;
	struct fr_region regions[REGIONS] = {
		{.name = "a", .kind = FR_KIND_SHMEM, .page_shift = 12, .mode = 0100600},
		{.name = "b", .kind = FR_KIND_SHMEM, .page_shift = 12, .mode = 0100600},
	};
	struct fr_image image = {.memory_bytes = 40 << 20,
				 .align_bytes = 2 << 20,
				 .has_note = true,
				 .min_version = FR_VERSION,
				 .max_version = FR_VERSION,
				 .version = "bench"};
	struct fr_descriptor d = {.hop = 1, .regions = regions, .nr_regions = REGIONS}, *back;
	struct fr_ranges system_ram = {0};
	struct fr_plan_request request = {.system_ram = &system_ram,
					  .regions = regions,
					  .nr_regions = REGIONS,
					  .image = &image,
					  .cmdline = "",
					  .nr_cpus = 4};
	struct fr_error e = {0};
	struct fr_plan *plan;
	double t[6];
	size_t bytes;
	void *buf;

	regions[0].path = strdup("/dev/shm/a");
	regions[1].path = strdup("/dev/shm/b");
	must(fr_ram_map_add(&d.ram, 0x100000, 2 * GIB, FR_E820_RAM, 0), NULL, "map");
	must(fr_ram_map_add(&d.ram, 4 * GIB, end, FR_E820_RAM, 0), NULL, "map");
	must(fr_ram_map_ranges(&d.ram, FR_E820_RAM, &system_ram), NULL, "map");
	request.ram = &d.ram;

	t[0] = now_ms();
	keep_pages(regions, nr);
	t[1] = now_ms();
	must(fr_plan_make(&request, &plan, &e), &e, "plan");
	t[2] = now_ms();
	bytes = fr_descriptor_bytes(&d);
	buf = malloc(bytes);
	if (!buf)
		return 1;
	d.hidden_bytes = plan->hidden_bytes;
	must(fr_descriptor_encode(&d, buf, bytes, &e), &e, "encode");
	t[3] = now_ms();
	must(fr_descriptor_decode(buf, bytes, &back, &e), &e, "decode");
	t[4] = now_ms();
	look_up(back, plan);
	t[5] = now_ms();
	printf("{\"extents\": %" PRIu64 ", \"survey_ms\": %.1f, \"plan_ms\": %.1f, "
	       "\"encode_ms\": %.1f, \"validate_ms\": %.1f, \"look_up_ms\": %.1f, "
	       "\"all_ms\": %.1f, \"bytes\": %zu}\n",
	       nr, t[1] - t[0], t[2] - t[1], t[3] - t[2], t[4] - t[3], t[5] - t[4], t[5] - t[1],
	       bytes);
	return 0;
}
