/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Planning: what is hidden, what is clean, whether it fits.  Pure. */
#ifndef FR_PLAN_H
#define FR_PLAN_H

#include "image.h"
#include "ramap.h"

#define FR_LOW_LIMIT (4ull << 30) /* 32-bit DMA */

struct fr_plan_request {
	const struct fr_ram_map *ram;		/* original map */
	const struct fr_ranges *system_ram;	/* of the running kernel, now */
	const struct fr_ranges *pram;		/* its Persistent Memory (legacy); NULL if none */
	const struct fr_region *regions;	/* surveyed and kept-on */
	size_t nr_regions;
	const uint64_t *poison_pfn;
	size_t nr_poison;
	const struct fr_image *image;
	uint64_t initrd_bytes;
	const char *cmdline;			/* before the policy */
	bool reuse_cmdline;			/* rewrite instead of refuse */
	bool allow_unpatched;
	unsigned int nr_cpus;
	uint64_t late_bytes;
	bool evacuated;				/* load --evacuate has been tried */
	bool may_lack;				/* no refusal for that: see lack_bytes and others */
};

int fr_plan_make(const struct fr_plan_request *r, struct fr_plan **ret_plan, struct fr_error *e);

/* cmdline.c: policy for hugepages=, mem=, memmap=, hugetlb_cma=, lpj=, crashkernel= ... */
int fr_cmdline_policy(const char *cmdline, bool rewrite, char **ret_cmdline,
		      struct fr_plan *warn_into, struct fr_error *e);

/* Memory that options take: hugepages= and hugetlb_cma=, crashkernel= */
struct fr_cmdline_needs {
	uint64_t huge_bytes;
	uint64_t crash_bytes, crash_low_bytes;	/* the latter below 4 GiB */
};

void fr_cmdline_needs(const char *cmdline, struct fr_cmdline_needs *ret);
/* What memmap= on @cmdline has taken from RAM. */
int fr_cmdline_carve_outs(const char *cmdline, struct fr_ranges *ret);

/* Add a warning to @p (may be NULL); -ENOMEM. */
int fr_plan_warn(struct fr_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
