// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "poison.h"
#include "util.h"

#define KPF_HWPOISON 19 /* include/uapi/linux/kernel-page-flags.h */

static int add(struct fr_poison *p, uint64_t pfn, struct fr_error *e)
{
	uint64_t *v;

	for (size_t i = 0; i < p->nr; i++)
		if (p->pfn[i] == pfn)
			return 0;
	if (p->nr == FR_MAX_POISON)
		return fr_fail(e, FR_FAULT_REFUSED, E2BIG,
			       "host: more than %u poisoned pages: replace its memory",
			       FR_MAX_POISON);
	v = reallocarray(p->pfn, p->nr + 1, sizeof(*v));
	if (!v)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	p->pfn = v;
	v[p->nr++] = pfn;
	return 0;
}

static int scan_flags(struct fr_poison *p, int fd, const struct fr_ram *g, struct fr_error *e)
{
	uint64_t flags[4096];
	uint64_t end = g->end >> FR_PAGE_SHIFT;
	uint64_t pfn = (g->start + FR_PAGE_BYTES - 1) >> FR_PAGE_SHIFT;

	while (pfn < end) {
		uint64_t nr = end - pfn < 4096 ? end - pfn : 4096;
		ssize_t n = pread(fd, flags, nr * sizeof(*flags), (off_t)(pfn * sizeof(*flags)));

		/* memory that this kernel does not have yet, above all that it has */
		if (!n)
			return 0;
		if (n < (ssize_t)sizeof(*flags))
			return fr_fail(e, FR_FAULT_SYSTEM, n < 0 ? errno : EIO,
				       "/proc/kpageflags: %s",
				       n < 0 ? strerror(errno) : "too short");
		nr = (uint64_t)n / sizeof(*flags);
		for (uint64_t i = 0; i < nr; i++) {
			int r = flags[i] >> KPF_HWPOISON & 1 ? add(p, pfn + i, e) : 0;

			if (r)
				return r;
		}
		pfn += nr;
	}
	return 0;
}

static int compare_pfn(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* /proc/kpageflags is long: it is read only if there is something to find. */
static int scan(const struct fr_ctx *ctx, const struct fr_ram_map *map, struct fr_poison *p,
		struct fr_error *e)
{
	_cleanup_free_ char *meminfo = NULL, *path = fr_path(ctx, "/proc/meminfo");
	_cleanup_free_ char *flags = fr_path(ctx, "/proc/kpageflags");
	_cleanup_close_ int fd = -1;
	const char *line;
	int r = path && flags ? fr_read_file(path, 1 << 16, &meminfo, NULL) : -ENOMEM;

	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/proc/meminfo: %s", strerror(-r));
	line = strstr(meminfo, "\nHardwareCorrupted:");
	if (!line || !strtoull(line + strlen("\nHardwareCorrupted:"), NULL, 10))
		return 0;
	fd = open(flags, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "/proc/kpageflags: %s", strerror(errno));
	for (size_t i = 0; i < map->nr && !r; i++)
		if (map->v[i].type == FR_E820_RAM)
			r = scan_flags(p, fd, &map->v[i], e);
	return r;
}

int fr_poison_find(const struct fr_ctx *ctx, const struct fr_descriptor *handed,
		   const struct fr_ram_map *map, struct fr_poison *ret_poison, struct fr_error *e)
{
	struct fr_poison p = {0};
	int r = 0;

	for (size_t i = 0; handed && i < handed->nr_poison && !r; i++)
		r = add(&p, handed->poison_pfn[i], e);
	if (!r)
		r = scan(ctx, map, &p, e);
	if (r) {
		fr_poison_clear(&p);
		return r;
	}
	if (p.nr)
		qsort(p.pfn, p.nr, sizeof(*p.pfn), compare_pfn);
	*ret_poison = p;
	return 0;
}

void fr_poison_clear(struct fr_poison *poison)
{
	free(poison->pfn);
	*poison = (struct fr_poison){0};
}
