// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>

#include "blocks.h"
#include "host.h"
#include "util.h"

#define MAX_BLOCKS (1u << 22)
#define MAX_NODES  1024u /* NODES_SHIFT 10 */

/* include/uapi/linux/kernel-page-flags.h */
#define KPF(name) (1ull << KPF_##name)
enum {
	KPF_LRU = 5,
	KPF_SLAB = 7,
	KPF_BUDDY = 10,
	KPF_COMPOUND_HEAD = 15,
	KPF_COMPOUND_TAIL = 16,
	KPF_HUGE = 17,
	KPF_HWPOISON = 19,
	KPF_NOPAGE = 20,
	KPF_OFFLINE = 23,
	KPF_PGTABLE = 26,
	KPF_RESERVED = 32, /* include/linux/kernel-page-flags.h */
};

#define HUGE_PAGES (FR_HUGE_BYTES / FR_PAGE_BYTES)

static int no_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "memory blocks: out of memory");
}

static int cannot_offline(struct fr_error *e)
{
	return fr_fail(
		e, FR_FAULT_REFUSED, ENOTSUP,
		"the running kernel cannot take memory offline (it needs CONFIG_MEMORY_HOTREMOVE): leave --evacuate out");
}

/* Without its newline */
static int read_line(const struct fr_ctx *ctx, const char *path, char **ret, struct fr_error *e)
{
	_cleanup_free_ char *full = fr_path(ctx, "%s", path);
	int r = full ? fr_read_file(full, 4096, ret, NULL) : -ENOMEM;

	if (r == -ENOENT)
		return cannot_offline(e);
	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "%s: %s", path, strerror(-r));
	(*ret)[strcspn(*ret, "\n")] = '\0';
	return 0;
}

int fr_blocks_size(const struct fr_ctx *ctx, uint64_t *ret_bytes, struct fr_error *e)
{
	_cleanup_free_ char *text = NULL;
	int r = read_line(ctx, FR_MEMORY_DIR "/block_size_bytes", &text, e);
	uint64_t bytes = r ? 0 : strtoull(text, NULL, 16);

	if (r)
		return r;
	if (bytes < FR_SECTION_BYTES || bytes & (bytes - 1) || bytes > FR_PHYS_LIMIT)
		return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
			       FR_MEMORY_DIR "/block_size_bytes: absurd size");
	*ret_bytes = bytes;
	return 0;
}

/* Its folder has a link to its node, but on kernels without NUMA. */
static int read_node(const struct fr_ctx *ctx, struct fr_block *b, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, FR_MEMORY_DIR "/memory%" PRIu64, b->number);
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	int r;

	if (!dir)
		return path ? fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", path, strerror(errno)) :
			      no_memory(e);
	while ((errno = 0, entry = readdir(dir)))
		if (sscanf(entry->d_name, "node%" SCNu32, &b->nid) == 1)
			break;
	r = entry ? 0 : errno;
	closedir(dir);
	if (!r && b->nid >= MAX_NODES)
		r = EPROTO;
	return r ? fr_fail(e, FR_FAULT_SYSTEM, r, "%s: node: %s", path, strerror(r)) : 0;
}

static int read_block(const struct fr_ctx *ctx, struct fr_block *b, struct fr_error *e)
{
	_cleanup_free_ char *state = NULL, *zones = NULL;
	char path[96];
	int r;

	snprintf(path, sizeof(path), FR_MEMORY_DIR "/memory%" PRIu64 "/state", b->number);
	r = read_line(ctx, path, &state, e);
	if (r)
		return r;
	b->online = !strcmp(state, "online");
	snprintf(path, sizeof(path), FR_MEMORY_DIR "/memory%" PRIu64 "/valid_zones", b->number);
	r = read_line(ctx, path, &zones, e);
	if (r)
		return r;
	snprintf(b->zone, sizeof(b->zone), "%s", zones);
	return read_node(ctx, b, e);
}

static int compare_blocks(const void *pa, const void *pb)
{
	const struct fr_block *a = pa, *b = pb;

	return (a->number > b->number) - (a->number < b->number);
}

static int list_blocks(DIR *dir, struct fr_blocks *b, struct fr_error *e)
{
	struct dirent *entry;

	while ((errno = 0, entry = readdir(dir))) {
		struct fr_block *v;
		uint64_t number;

		if (sscanf(entry->d_name, "memory%" SCNu64, &number) != 1)
			continue;
		if (b->nr == MAX_BLOCKS || number >= FR_PHYS_LIMIT / b->block_bytes)
			return fr_fail(e, FR_FAULT_SYSTEM, EPROTO, FR_MEMORY_DIR "/%.32s: absurd",
				       entry->d_name);
		v = fr_array_reserve(b->v, &b->cap, b->nr + 1, sizeof(*v));
		if (!v)
			return no_memory(e);
		b->v = v;
		v[b->nr++] = (struct fr_block){.number = number};
	}
	if (errno)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, FR_MEMORY_DIR ": %s", strerror(errno));
	if (b->nr)
		qsort(b->v, b->nr, sizeof(*b->v), compare_blocks);
	return 0;
}

int fr_blocks_read(const struct fr_ctx *ctx, struct fr_blocks *ret, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, FR_MEMORY_DIR);
	_cleanup_(fr_blocks_clear) struct fr_blocks b = {0};
	DIR *dir;
	int r = path ? fr_blocks_size(ctx, &b.block_bytes, e) : no_memory(e);

	if (r)
		return r;
	dir = opendir(path);
	if (!dir)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, FR_MEMORY_DIR ": %s", strerror(errno));
	r = list_blocks(dir, &b, e);
	closedir(dir);
	for (size_t i = 0; !r && i < b.nr; i++) {
		r = read_block(ctx, &b.v[i], e);
		b.has_nodes |= b.v[i].nid != b.v[0].nid;
	}
	if (r)
		return r;
	*ret = b;
	b = (struct fr_blocks){0};
	return 0;
}

void fr_blocks_clear(struct fr_blocks *b)
{
	free(b->v);
	*b = (struct fr_blocks){0};
}

/* ------------------------------------------------------------------ what is in them */

static void count_page(uint64_t pfn, uint64_t flags, struct fr_block_pages *p)
{
	const uint64_t never = KPF(NOPAGE) | KPF(RESERVED) | KPF(SLAB) | KPF(PGTABLE) |
			       KPF(HWPOISON) | KPF(OFFLINE);

	p->never |= flags & never;
	if (flags & KPF(BUDDY))
		return;
	p->used++;
	if (flags & KPF(HUGE)) {
		p->huge++;
		/* where one of 2 MiB would begin */
		p->never |= pfn % HUGE_PAGES == 0 && flags & KPF(COMPOUND_TAIL);
	} else if (!(flags & (KPF(LRU) | KPF(COMPOUND_TAIL)))) {
		p->unmovable++;
	}
}

int fr_block_inspect(const struct fr_ctx *ctx, uint64_t start_pfn, uint64_t nr_pages,
		     struct fr_block_pages *ret, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/kpageflags");
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct fr_block_pages p = {0};
	uint64_t flags[4096];

	if (fd < 0)
		return path ? fr_fail(e, FR_FAULT_REFUSED, errno,
				      "/proc/kpageflags: %s: --evacuate needs a kernel with CONFIG_PROC_PAGE_MONITOR",
				      strerror(errno)) :
			      no_memory(e);
	for (uint64_t done = 0; !p.never && done < nr_pages;) {
		uint64_t nr = fr_min_u64(nr_pages - done, FR_ARRAY_SIZE(flags));
		ssize_t n;

		do {
			n = pread(fd, flags, nr * sizeof(*flags),
				  (off_t)((start_pfn + done) * sizeof(*flags)));
		} while (n < 0 && errno == EINTR);
		if (n < (ssize_t)sizeof(*flags))
			return fr_fail(e, FR_FAULT_SYSTEM, n < 0 ? errno : EIO,
				       "/proc/kpageflags: %s",
				       n < 0 ? strerror(errno) : "too short");
		nr = (uint64_t)n / sizeof(*flags);
		for (uint64_t i = 0; i < nr; i++)
			count_page(start_pfn + done + i, flags[i], &p);
		done += nr;
	}
	*ret = p;
	return 0;
}

/* ---------------------------------------------------------------------- room for it */

static bool counts_as_room(const char *name)
{
	return !strcmp(name, "MemFree") || !strcmp(name, "Active(file)") ||
	       !strcmp(name, "Inactive(file)");
}

static int add_room(const struct fr_ctx *ctx, uint32_t nid, uint64_t *bytes, struct fr_error *e)
{
	_cleanup_free_ char *path =
		fr_path(ctx, "/sys/devices/system/node/node%" PRIu32 "/meminfo", nid);
	_cleanup_free_ char *text = NULL;
	int r = path ? fr_read_file(path, 1 << 16, &text, NULL) : -ENOMEM;
	char *rest = text, *line, name[32];
	uint64_t kib;

	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "node %" PRIu32 ": meminfo: %s", nid,
			       strerror(-r));
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "Node %*u %31[^:]: %" SCNu64 " kB", name, &kib) == 2 &&
		    counts_as_room(name))
			*bytes += kib << 10;
	return 0;
}

/* The kernel moves pages to other nodes, if there are any with memory. */
int fr_blocks_room(const struct fr_ctx *ctx, const struct fr_blocks *b, uint32_t nid,
		   uint64_t *ret_bytes, struct fr_error *e)
{
	static const char *const names[] = {"MemFree", "Active(file)", "Inactive(file)"};
	bool counted[MAX_NODES] = {false};
	uint64_t sum = 0, bytes;
	int r = 0;

	for (size_t i = 0; b->has_nodes && i < b->nr && !r; i++) {
		uint32_t other = b->v[i].nid;

		if (other == nid || counted[other])
			continue;
		counted[other] = true;
		r = add_room(ctx, other, &sum, e);
	}
	for (size_t i = 0; !b->has_nodes && i < FR_ARRAY_SIZE(names) && !r; i++) {
		r = fr_meminfo(ctx, names[i], &bytes);
		if (r)
			return fr_fail(e, FR_FAULT_SYSTEM, -r, "/proc/meminfo: %s: %s", names[i],
				       strerror(-r));
		sum += bytes;
	}
	if (!r)
		*ret_bytes = sum;
	return r;
}
