// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "kernel-shim.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual" /* the kernel does not build with these */
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "parse.c"
#pragma GCC diagnostic pop

#include "kernel-parser.h"

static u64 digest_table(u64 seed, const void *v, size_t nr, size_t bytes)
{
	return nr ? XXH64(v, nr * bytes, seed + nr) : seed;
}

/* Of whatever is used later; padding bytes are not. */
static u64 digest(const struct fr_desc *d)
{
	u64 sum = 0;
	size_t i;

	for (i = 0; i < d->nr_ram; i++)
		sum = XXH64(&(u64[]){d->ram[i].start, d->ram[i].end, (u64)d->ram[i].nid}, 24, sum);
	for (i = 0; i < d->nr_regions; i++) {
		const struct fr_region *r = &d->regions[i];

		sum = XXH64(r->name, sizeof(r->name), sum);
		sum = XXH64(&(u64[]){r->kind, r->page_shift, r->size_bytes, r->nr_pages}, 32, sum);
		sum = digest_table(sum, r->extents, r->nr_extents, sizeof(*r->extents));
	}
	for (i = 0; i < d->nr_held; i++)
		sum = XXH64(&(u64[]){d->held[i].start, d->held[i].end, d->held[i].raw}, 24, sum);
	return digest_table(sum, d->poison, d->nr_poison, sizeof(*d->poison));
}

/* As after a boot that did not see any RAM from 1 MiB on: nothing kept may be refused. */
static int walk_hidden(struct fr_desc *d, const char **why)
{
	const struct fr_range unusable = {.start = FR_LOW_PFN, .end = FR_MAX_PFN};
	unsigned long pos, start;
	size_t cursor = 0, i;
	int r = fr_parse_hidden(d, &unusable, 1, why);

	if (r)
		return r;
	for (i = 0; i < d->nr_hidden; i++)
		for (pos = d->hidden[i].start;
		     fr_next_free(d, &pos, d->hidden[i].end, &start, &cursor);)
			if (start >= pos || pos > d->hidden[i].end)
				abort();
	return 0;
}

int kernel_parse(const void *data, size_t bytes, uint64_t *ret_digest, const char **ret_why)
{
	struct fr_desc d;
	int r;

	if (bytes < sizeof(struct fr_wire_header)) {
		*ret_why = "area too small for a header"; /* whoever maps the area looks first */
		return -EINVAL;
	}
	r = fr_parse(data, bytes, &d, ret_why);
	if (!r && walk_hidden(&d, ret_why) == -EINVAL)
		abort();
	if (!r)
		*ret_digest = digest(&d);
	fr_desc_free(&d);
	return r;
}
