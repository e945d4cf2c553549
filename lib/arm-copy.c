// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <inttypes.h>
#include <sys/random.h>

#include "arm-copy.h"
#include "ramap.h"
#include "util.h"

#define LOWEST (16ull << 20) /* leave ISA DMA memory to who needs it */

/* "Kernel code", "Kernel data" and so on, below System RAM in /proc/iomem */
static int kernel_frames(const struct fr_ctx *ctx, struct fr_ranges *r)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/iomem");
	_cleanup_fclose_ FILE *f = path ? fopen(path, "re") : NULL;
	uint64_t start, last;
	char line[256];
	int n, rc = 0;

	if (!f)
		return path ? -errno : -ENOMEM;
	while (!rc && fgets(line, sizeof(line), f)) {
		n = 0;
		if (sscanf(line, " %" SCNx64 "-%" SCNx64 " : %n", &start, &last, &n) == 2 && n &&
		    !strncmp(line + n, "Kernel ", 7))
			rc = fr_ranges_add(r, start, last + 1);
	}
	return rc;
}

/* Number of places for @bytes in @r. */
static uint64_t slots(const struct fr_range *r, uint64_t bytes, uint64_t align)
{
	uint64_t start = fr_align_up(fr_max_u64(r->start, LOWEST), align);

	if (start > r->end || r->end - start < bytes)
		return 0;
	return (r->end - start - bytes) / align + 1;
}

static bool choose(const struct fr_ranges *free_ranges, struct fr_huge_piece *piece)
{
	uint64_t align = piece->align_bytes > FR_HUGE_BYTES ? piece->align_bytes : FR_HUGE_BYTES;
	uint64_t total = 0, pick = 0, n;
	size_t i;

	for (i = 0; i < free_ranges->nr; i++)
		total += slots(&free_ranges->v[i], piece->bytes, align);
	if (!total)
		return false;
	if (getrandom(&pick, sizeof(pick), GRND_NONBLOCK) == sizeof(pick))
		pick %= total;
	else
		pick = 0;
	for (i = 0; i < free_ranges->nr; i++, pick -= n) {
		n = slots(&free_ranges->v[i], piece->bytes, align);
		if (pick < n)
			break;
	}
	piece->phys =
		fr_align_up(fr_max_u64(free_ranges->v[i].start, LOWEST), align) + pick * align;
	return true;
}

int fr_copy_place(const struct fr_ctx *ctx, const struct fr_ranges *within,
		  const struct fr_range *taken, size_t nr_taken, struct fr_huge_piece *pieces,
		  size_t nr, struct fr_error *e)
{
	struct fr_ranges used = {}, free_ranges = {};
	size_t i;
	int r;

	r = kernel_frames(ctx, &used);
	for (i = 0; !r && i < nr_taken; i++)
		r = fr_ranges_add(&used, taken[i].start, taken[i].end);
	for (i = 0; !r && i < nr; i++) {
		fr_ranges_normalise(&used);
		fr_ranges_clear(&free_ranges);
		r = fr_ranges_subtract(within, &used, &free_ranges);
		if (!r && !choose(&free_ranges, &pieces[i])) {
			r = fr_fail(e, FR_FAULT_REFUSED, ENOSPC,
				    "no place for the %s of %" PRIu64
				    " MiB in the memory that the next kernel sees",
				    pieces[i].what, pieces[i].bytes >> 20);
			goto out;
		}
		if (!r)
			r = fr_ranges_add(&used, pieces[i].phys,
					  pieces[i].phys +
						  fr_align_up(pieces[i].bytes, FR_PAGE_BYTES));
	}
	if (r < 0)
		fr_fail(e, FR_FAULT_SYSTEM, -r, "placing the image: %s", strerror(-r));
out:
	fr_ranges_clear(&used);
	fr_ranges_clear(&free_ranges);
	return r;
}
