// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Readers of the machine's RAM map.
 *
 * /sys/firmware/memmap is what the firmware said at boot, but not quite what is RAM:
 * UEFI tables that the kernel keeps appear in it as RAM and in /proc/iomem as
 * reserved.  Carve-outs of memmap= appear in /proc/iomem in the same way, and stay what
 * they are: bad memory, or another's.  Only where they are kept they count as RAM, which
 * the next kernel gets to give back.  After a hop, the map is the one in the descriptor,
 * less DIMMs that were taken out since, and with those that were put in.
 */
#include "config.h"

#include <dirent.h>
#include <inttypes.h>

#include "plan.h"
#include "util.h"

#define TEXT_MAX_BYTES (16u << 20)
#define MAX_BLOCKS     (1u << 22)

static const struct {
	const char *name; /* e820_type_to_string() of arch/x86/kernel/e820.c */
	uint32_t type;
} type_names[] = {
	{"System RAM", FR_E820_RAM},
	{"Reserved", FR_E820_RESERVED},
	{"reserved", FR_E820_RESERVED},
	{"ACPI Tables", FR_E820_ACPI},
	{"ACPI Non-volatile Storage", FR_E820_NVS},
	{"Unusable memory", FR_E820_UNUSABLE},
	{"Persistent Memory", FR_E820_PMEM},
	{"Persistent Memory (legacy)", FR_E820_PRAM},
	{"Soft Reserved", (uint32_t)FR_E820_SOFT_RESERVED},
};

static int no_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "RAM map: out of memory");
}

/* What is listed in part would be taken for all that there is. */
static int cannot_list(const char *dir, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", dir, strerror(errno));
}

static uint32_t type_of(const char *name)
{
	for (size_t i = 0; i < FR_ARRAY_SIZE(type_names); i++)
		if (!strcmp(type_names[i].name, name))
			return type_names[i].type;
	return FR_E820_RESERVED; /* the safe side of what it could be */
}

static int read_text(const struct fr_ctx *ctx, const char *path, char **ret, struct fr_error *e)
{
	_cleanup_free_ char *full = fr_path(ctx, "%s", path);
	int r;

	if (!full)
		return no_memory(e);
	r = fr_read_file(full, TEXT_MAX_BYTES, ret, NULL);
	if (r == -EACCES || r == -EPERM)
		return fr_fail(e, FR_FAULT_PERMISSION, -r, "%s: %s: run as root", path,
			       strerror(-r));
	return r ? fr_fail(e, FR_FAULT_SYSTEM, -r, "%s: %s", path, strerror(-r)) : 0;
}

/* ----------------------------------------------------------------- /proc/iomem */

/* One line, "START-END : NAME"; @ret_name points into it. */
static bool parse_iomem_line(char *line, uint64_t *ret_start, uint64_t *ret_end,
			     const char **ret_name)
{
	char *p;

	errno = 0;
	*ret_start = strtoull(line, &p, 16);
	if (p == line || *p != '-')
		return false;
	line = p + 1;
	*ret_end = strtoull(line, &p, 16);
	if (p == line || errno || strncmp(p, " : ", 3) || *ret_end < *ret_start)
		return false;
	*ret_name = p + 3;
	return true;
}

/*
 * What a patched kernel has brought into use of hidden memory lies below "Unusable memory",
 * or around it when that is all of it.
 */
static bool is_called(const char *found, const char *name)
{
	return !strcmp(found, name) ||
	       (!strcmp(name, "System RAM") && !strcmp(found, "System RAM (fastrestart)"));
}

static bool counts_as(const char *found, const char *name)
{
	if (name)
		return is_called(found, name);
	for (size_t i = 0; i < FR_ARRAY_SIZE(type_names); i++)
		if (is_called(found, type_names[i].name))
			return true;
	return false;
}

int fr_iomem_parse(const char *text, const char *name, struct fr_ranges *ret, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges out = {0};
	_cleanup_free_ char *copy = strdup(text);
	bool hidden = true;
	char *rest = copy, *line;

	if (!copy)
		return no_memory(e);
	while ((line = strsep(&rest, "\n"))) {
		const char *found;
		uint64_t start, end;

		if (!*line || (*line == ' ' && !strstr(line, "(fastrestart)")))
			continue;
		if (!parse_iomem_line(line, &start, &end, &found))
			return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
				       "/proc/iomem: \"%.64s\" is not START-END : NAME", line);
		/* without CAP_SYS_ADMIN every entry reads 0 to 0 */
		hidden &= !end;
		if (start >= FR_PHYS_LIMIT || !counts_as(found, name))
			continue;
		if (fr_ranges_add(&out, start, fr_min_u64(end, FR_PHYS_LIMIT - 1) + 1))
			return no_memory(e);
	}
	if (hidden)
		return fr_fail(
			e, FR_FAULT_PERMISSION, EPERM,
			"/proc/iomem: shows no addresses without CAP_SYS_ADMIN: run as root");
	fr_ranges_normalise(&out);
	*ret = out;
	out = (struct fr_ranges){0};
	return 0;
}

int fr_iomem_ranges(const struct fr_ctx *ctx, const char *name, struct fr_ranges *ret,
		    struct fr_error *e)
{
	_cleanup_free_ char *text = NULL;
	int err = read_text(ctx, "/proc/iomem", &text, e);

	return err ? err : fr_iomem_parse(text, name, ret, e);
}

/* -------------------------------------------------------- /sys/firmware/memmap */

static int read_entry(const struct fr_ctx *ctx, unsigned long n, struct fr_ram_map *m,
		      struct fr_error *e)
{
	_cleanup_free_ char *start_text = NULL, *end_text = NULL, *type_text = NULL;
	char path[80], *p, *q;
	uint64_t start, end;
	int err;

	snprintf(path, sizeof(path), "/sys/firmware/memmap/%lu/start", n);
	err = read_text(ctx, path, &start_text, e);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/sys/firmware/memmap/%lu/end", n);
	err = read_text(ctx, path, &end_text, e);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/sys/firmware/memmap/%lu/type", n);
	err = read_text(ctx, path, &type_text, e);
	if (err)
		return err;
	type_text[strcspn(type_text, "\n")] = '\0';
	errno = 0;
	start = strtoull(start_text, &p, 16);
	end = strtoull(end_text, &q, 16);
	if (errno || p == start_text || q == end_text || (*p && *p != '\n') || (*q && *q != '\n') ||
	    start > end || end >= FR_PHYS_LIMIT)
		return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
			       "/sys/firmware/memmap/%lu: not a range of physical memory", n);
	return fr_ram_map_add(m, start, end + 1, type_of(type_text), 0) ? no_memory(e) : 0;
}

static int compare_ram(const void *pa, const void *pb)
{
	const struct fr_ram *a = pa, *b = pb;

	return (a->start > b->start) - (a->start < b->start);
}

static int read_firmware(const struct fr_ctx *ctx, struct fr_ram_map *m, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/firmware/memmap");
	struct dirent *entry;
	int err = 0;
	DIR *dir;

	if (!path)
		return no_memory(e);
	dir = opendir(path);
	if (!dir)
		return fr_fail(
			e, FR_FAULT_SYSTEM, errno,
			"/sys/firmware/memmap: %s: the running kernel needs CONFIG_FIRMWARE_MEMMAP",
			strerror(errno));
	while (!err && (errno = 0, entry = readdir(dir))) {
		char *end;
		unsigned long n = strtoul(entry->d_name, &end, 10);

		if (entry->d_name[0] == '.')
			continue;
		err = *end || m->nr >= FR_MAX_RAM ?
			      fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
				      "/sys/firmware/memmap/%.32s: unexpected entry",
				      entry->d_name) :
			      read_entry(ctx, n, m, e);
	}
	if (!err && errno)
		err = cannot_list(path, e);
	closedir(dir);
	if (err)
		return err;
	if (!m->nr)
		return fr_fail(e, FR_FAULT_SYSTEM, ENODATA, "/sys/firmware/memmap: has no entries");
	qsort(m->v, m->nr, sizeof(*m->v), compare_ram);
	for (size_t i = 1; i < m->nr; i++)
		if (m->v[i].start < m->v[i - 1].end)
			return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
				       "/sys/firmware/memmap: two entries have address 0x%" PRIx64,
				       m->v[i].start);
	return 0;
}

/* ---------------------------------------------------------------------- nodes */

struct block {
	uint64_t number;
	uint32_t nid;
};

/* What a zone of a node spans */
struct span {
	uint64_t start, end;
	uint32_t nid;
};

struct nodes {
	uint64_t block_bytes;
	struct block *v;
	size_t nr, cap;
	struct span *spans;
	size_t nr_spans, spans_cap;
};

static void nodes_clear(struct nodes *n)
{
	free(n->v);
	free(n->spans);
}

static int compare_blocks(const void *pa, const void *pb)
{
	const struct block *a = pa, *b = pb;

	if (a->number != b->number)
		return a->number > b->number ? 1 : -1;
	return (a->nid > b->nid) - (a->nid < b->nid);
}

/* "PREFIXnumber", and nothing else */
static bool numbered(const char *name, const char *prefix, uint64_t *ret)
{
	size_t n = strlen(prefix);
	char *end;

	if (strncmp(name, prefix, n) || name[n] < '0' || name[n] > '9')
		return false;
	*ret = strtoull(name + n, &end, 10);
	return !*end;
}

static int read_node(const struct fr_ctx *ctx, uint64_t nid, struct nodes *nodes,
		     struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/devices/system/node/node%" PRIu64, nid);
	struct dirent *entry;
	uint64_t number;
	int err = 0;
	DIR *dir;

	if (!path)
		return no_memory(e);
	dir = opendir(path);
	if (!dir)
		return fr_fail(e, FR_FAULT_SYSTEM, errno,
			       "/sys/devices/system/node/node%" PRIu64 ": %s", nid,
			       strerror(errno));
	while (!err && (errno = 0, entry = readdir(dir))) {
		struct block *v;

		if (!numbered(entry->d_name, "memory", &number) || nodes->nr >= MAX_BLOCKS)
			continue;
		v = fr_array_reserve(nodes->v, &nodes->cap, nodes->nr + 1, sizeof(*v));
		if (!v) {
			err = no_memory(e);
			break;
		}
		nodes->v = v;
		v[nodes->nr++] = (struct block){number, (uint32_t)nid};
	}
	if (!err && errno)
		err = cannot_list(path, e);
	closedir(dir);
	return err;
}

/*
 * /proc/zoneinfo: "Node 1, zone   Normal", and below it "spanned" and "start_pfn:", which
 * end the zone.
 */
static int read_spans(const struct fr_ctx *ctx, struct nodes *nodes, struct fr_error *e)
{
	_cleanup_free_ char *text = NULL;
	uint64_t pages = 0, pfn;
	char *rest, *line;
	uint32_t nid = 0;
	int err = read_text(ctx, "/proc/zoneinfo", &text, e);

	if (err)
		return err;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		struct span *v;

		if (sscanf(line, "Node %" SCNu32 ",", &nid) == 1)
			pages = 0;
		sscanf(line, " spanned %" SCNu64, &pages);
		if (sscanf(line, " start_pfn: %" SCNu64, &pfn) != 1 || !pages ||
		    pfn >= FR_PHYS_LIMIT >> FR_PAGE_SHIFT ||
		    pages > (FR_PHYS_LIMIT >> FR_PAGE_SHIFT) - pfn)
			continue;
		v = fr_array_reserve(nodes->spans, &nodes->spans_cap, nodes->nr_spans + 1,
				     sizeof(*v));
		if (!v)
			return no_memory(e);
		nodes->spans = v;
		v[nodes->nr_spans++] =
			(struct span){pfn << FR_PAGE_SHIFT, (pfn + pages) << FR_PAGE_SHIFT, nid};
	}
	return 0;
}

static bool shared_block(const struct nodes *nodes)
{
	for (size_t i = 1; i < nodes->nr; i++)
		if (nodes->v[i].number == nodes->v[i - 1].number)
			return true;
	return false;
}

/* Kernels without NUMA or memory blocks have one node for all. */
static int read_nodes(const struct fr_ctx *ctx, struct nodes *nodes, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/devices/system/node"), *size = NULL;
	struct dirent *entry;
	size_t nr_nodes = 0;
	uint64_t nid;
	int err = 0;
	DIR *dir;

	if (!path)
		return no_memory(e);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : cannot_list(path, e);
	while (!err && (errno = 0, entry = readdir(dir))) {
		if (!numbered(entry->d_name, "node", &nid) || nid > INT32_MAX)
			continue;
		nr_nodes++;
		err = read_node(ctx, nid, nodes, e);
	}
	if (!err && errno)
		err = cannot_list(path, e);
	closedir(dir);
	if (err)
		return err;
	if (!nodes->nr && nr_nodes > 1)
		return fr_fail(
			e, FR_FAULT_REFUSED, ENOTSUP,
			"RAM map: the running kernel has %zu nodes, but does not say which memory is whose: it needs CONFIG_MEMORY_HOTPLUG",
			nr_nodes);
	if (!nodes->nr)
		return 0;
	err = read_text(ctx, "/sys/devices/system/memory/block_size_bytes", &size, e);
	if (err)
		return err;
	nodes->block_bytes = strtoull(size, NULL, 16);
	if (nodes->block_bytes < FR_SECTION_BYTES || nodes->block_bytes & (nodes->block_bytes - 1))
		return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
			       "/sys/devices/system/memory/block_size_bytes: absurd size");
	qsort(nodes->v, nodes->nr, sizeof(*nodes->v), compare_blocks);
	return shared_block(nodes) ? read_spans(ctx, nodes, e) : 0;
}

/*
 * Whose @at is in a block that belongs to the @nr nodes of @owners, and where that may
 * stop being so: the node's that has begun last.  (A zone of one node may well span
 * memory of another.)
 */
static uint32_t owner_at(const struct nodes *nodes, const struct block *owners, size_t nr,
			 uint64_t at, uint64_t *ret_until)
{
	uint64_t until = (owners->number + 1) * nodes->block_bytes, begun = 0;
	uint32_t nid = owners->nid;

	for (size_t i = 0; i < nodes->nr_spans; i++) {
		const struct span *s = &nodes->spans[i];
		bool owner = false;

		for (size_t k = 0; k < nr; k++)
			owner |= owners[k].nid == s->nid;
		if (!owner)
			continue;
		if (s->start > at)
			until = fr_min_u64(until, s->start);
		else if (s->end > at)
			until = fr_min_u64(until, s->end);
		if (s->start <= at && at < s->end && s->start >= begun) {
			begun = s->start;
			nid = s->nid;
		}
	}
	*ret_until = until;
	return nid;
}

/*
 * The node of the memory block at or before @at (a carve-out may have no block of its
 * own), and where that stops being so.
 */
static uint32_t node_at(const struct nodes *nodes, uint64_t at, uint64_t *ret_until)
{
	uint64_t number = nodes->block_bytes ? at / nodes->block_bytes : 0;
	size_t lo = 0, hi = nodes->nr;
	uint32_t nid;

	*ret_until = UINT64_MAX;
	if (!nodes->nr)
		return 0;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (nodes->v[mid].number <= number)
			lo = mid + 1;
		else
			hi = mid;
	}
	hi = lo;
	/* back to the first of the entries for this block */
	lo = lo ? lo - 1 : 0;
	while (lo && nodes->v[lo - 1].number == nodes->v[lo].number)
		lo--;
	nid = nodes->v[lo].nid;
	if (hi - lo > 1 && nodes->v[lo].number == number)
		return owner_at(nodes, &nodes->v[lo], hi - lo, at, ret_until);
	while (hi < nodes->nr && nodes->v[hi].nid == nid)
		hi++;
	if (hi < nodes->nr && nodes->v[hi].number <= FR_PHYS_LIMIT / nodes->block_bytes)
		*ret_until = nodes->v[hi].number * nodes->block_bytes;
	return nid;
}

static int add_ram(struct fr_ram_map *m, uint64_t start, uint64_t end, const struct nodes *nodes)
{
	while (start < end) {
		uint64_t until;
		uint32_t nid = node_at(nodes, start, &until);
		int err;

		until = fr_min_u64(until, end);
		err = fr_ram_map_add(m, start, until, FR_E820_RAM, nid);
		if (err)
			return err;
		start = until;
	}
	return 0;
}

/* ------------------------------------------------------------ all of it together */

/* Carve-outs of memmap= that are kept. */
static int read_kept_carve_outs(const struct fr_ctx *ctx, const struct fr_ranges *kept,
				struct fr_ranges *ret, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges carved = {0};
	_cleanup_free_ char *cmdline = NULL;
	int err = read_text(ctx, "/proc/cmdline", &cmdline, e);

	if (err)
		return err;
	return fr_cmdline_carve_outs(cmdline, &carved) || fr_ranges_intersect(&carved, kept, ret) ?
		       no_memory(e) :
		       0;
}

/* What the running kernel has set aside from RAM, with its types, but for @kept. */
static int read_set_aside(const struct fr_ctx *ctx, const struct fr_ranges *kept,
			  struct fr_ram_map *ret, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges carved = {0};
	_cleanup_(fr_ram_map_clear) struct fr_ram_map all = {0};
	_cleanup_free_ char *iomem = NULL;
	int err = read_text(ctx, "/proc/iomem", &iomem, e);

	if (!err)
		err = read_kept_carve_outs(ctx, kept, &carved, e);
	for (size_t i = 0; !err && i < FR_ARRAY_SIZE(type_names); i++) {
		_cleanup_(fr_ranges_clear) struct fr_ranges one = {0}, left = {0};

		if (type_names[i].type == FR_E820_RAM)
			continue;
		err = fr_iomem_parse(iomem, type_names[i].name, &one, e);
		if (!err && fr_ranges_subtract(&one, &carved, &left))
			err = no_memory(e);
		for (size_t k = 0; !err && k < left.nr; k++)
			if (fr_ram_map_add(&all, left.v[k].start, left.v[k].end, type_names[i].type,
					   0))
				err = no_memory(e);
	}
	if (err)
		return err;
	if (all.nr)
		qsort(all.v, all.nr, sizeof(*all.v), compare_ram);
	*ret = all;
	all = (struct fr_ram_map){0};
	return 0;
}

/* Firmware's entry @r, RAM in it split into what is set aside and the nodes' RAM. */
static int add_firmware_entry(struct fr_ram_map *m, const struct fr_ram *r,
			      const struct fr_ram_map *aside, const struct nodes *nodes)
{
	uint64_t at = r->start;
	int err = 0;

	if (r->type != FR_E820_RAM)
		return fr_ram_map_add(m, r->start, r->end, r->type, 0);
	for (size_t i = 0; !err && i < aside->nr; i++) {
		/* of two that overlap, as only a strange /proc/iomem has them, the first counts */
		uint64_t start = fr_max_u64(aside->v[i].start, at);
		uint64_t end = fr_min_u64(aside->v[i].end, r->end);

		if (start >= end)
			continue;
		err = add_ram(m, at, start, nodes);
		if (!err)
			err = fr_ram_map_add(m, start, end, aside->v[i].type, 0);
		at = end;
	}
	return err ? err : add_ram(m, at, r->end, nodes);
}

static int read_machine(const struct fr_ctx *ctx, const struct fr_ranges *kept,
			struct fr_ram_map *ret, struct fr_error *e)
{
	_cleanup_(fr_ram_map_clear) struct fr_ram_map firmware = {0}, aside = {0}, out = {0};
	_cleanup_(nodes_clear) struct nodes nodes = {0};
	int err = read_firmware(ctx, &firmware, e);

	if (!err)
		err = read_set_aside(ctx, kept, &aside, e);
	if (!err)
		err = read_nodes(ctx, &nodes, e);
	if (err)
		return err;
	for (size_t i = 0; i < firmware.nr; i++)
		if (add_firmware_entry(&out, &firmware.v[i], &aside, &nodes))
			return no_memory(e);
	if (out.nr > FR_MAX_RAM)
		return fr_fail(e, FR_FAULT_REFUSED, E2BIG,
			       "RAM map: %zu entries, of which a descriptor takes %u", out.nr,
			       FR_MAX_RAM);
	*ret = out;
	out = (struct fr_ram_map){0};
	return 0;
}

int fr_ram_map_gone(const struct fr_ctx *ctx, const struct fr_ram_map *m, struct fr_ranges *ret,
		    struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges ram = {0}, there = {0}, gone = {0};
	int err = fr_iomem_ranges(ctx, NULL, &there, e);

	if (err)
		return err;
	/* below 1 MiB, kernels make holes of their own */
	if (fr_ranges_add(&there, 0, 1 << 20))
		return no_memory(e);
	fr_ranges_normalise(&there);
	if (fr_ram_map_ranges(m, FR_E820_RAM, &ram) || fr_ranges_subtract(&ram, &there, &gone))
		return no_memory(e);
	*ret = gone;
	gone = (struct fr_ranges){0};
	return 0;
}

/* Entry @r without what is in @gone */
static int add_remaining(struct fr_ram_map *m, const struct fr_ram *r, const struct fr_ranges *gone)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges left = {0};
	struct fr_range range = {r->start, r->end};
	const struct fr_ranges whole = {.v = &range, .nr = 1, .cap = 1};

	if (r->type != FR_E820_RAM)
		return fr_ram_map_add(m, r->start, r->end, r->type, r->nid);
	if (fr_ranges_subtract(&whole, gone, &left))
		return -ENOMEM;
	for (size_t i = 0; i < left.nr; i++)
		if (fr_ram_map_add(m, left.v[i].start, left.v[i].end, r->type, r->nid))
			return -ENOMEM;
	return 0;
}

/* RAM that @handed's map knows nothing of */
static int add_new(const struct fr_ctx *ctx, const struct fr_descriptor *handed,
		   struct fr_ram_map *m, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges known = {0}, ram = {0}, added = {0};
	_cleanup_(nodes_clear) struct nodes nodes = {0};
	int err = fr_iomem_ranges(ctx, "System RAM", &ram, e);

	for (size_t i = 0; !err && i < handed->ram.nr; i++)
		if (fr_ranges_add(&known, handed->ram.v[i].start, handed->ram.v[i].end))
			err = no_memory(e);
	if (!err && fr_ranges_subtract(&ram, &known, &added))
		err = no_memory(e);
	if (err || !added.nr)
		return err;
	err = read_nodes(ctx, &nodes, e);
	for (size_t i = 0; !err && i < added.nr; i++)
		if (add_ram(m, added.v[i].start, added.v[i].end, &nodes))
			err = no_memory(e);
	if (!err)
		qsort(m->v, m->nr, sizeof(*m->v), compare_ram);
	return err;
}

int fr_ram_map_read(const struct fr_ctx *ctx, const struct fr_descriptor *handed,
		    const struct fr_ranges *kept, struct fr_ram_map *ret, struct fr_error *e)
{
	_cleanup_(fr_ram_map_clear) struct fr_ram_map out = {0};
	_cleanup_(fr_ranges_clear) struct fr_ranges gone = {0};
	int err;

	if (!handed)
		return read_machine(ctx, kept, ret, e);
	err = fr_ram_map_gone(ctx, &handed->ram, &gone, e);
	for (size_t i = 0; !err && i < handed->ram.nr; i++)
		if (add_remaining(&out, &handed->ram.v[i], &gone))
			err = no_memory(e);
	if (!err)
		err = add_new(ctx, handed, &out, e);
	if (err)
		return err;
	*ret = out;
	out = (struct fr_ram_map){0};
	return 0;
}

static int add_type(const struct fr_ram_map *m, uint32_t type, struct fr_ranges *r)
{
	for (size_t i = 0; i < m->nr; i++)
		if (m->v[i].type == type && fr_ranges_add(r, m->v[i].start, m->v[i].end))
			return -ENOMEM;
	fr_ranges_normalise(r);
	return 0;
}

/* Kexec tools hand unusable memory on as reserved. */
static int could_be_ram(const struct fr_ram_map *firmware, struct fr_ranges *ret)
{
	static const uint32_t types[] = {FR_E820_RAM, FR_E820_UNUSABLE, FR_E820_PRAM,
					 FR_E820_RESERVED};
	int err = 0;

	for (size_t i = 0; !err && i < FR_ARRAY_SIZE(types); i++)
		err = add_type(firmware, types[i], ret);
	return err;
}

int fr_ram_map_check(const struct fr_ctx *ctx, const struct fr_ram_map *m,
		     const struct fr_ranges *system_ram, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges ram = {0}, possible = {0}, unknown = {0},
						    hidden = {0}, impossible = {0};
	_cleanup_(fr_ram_map_clear) struct fr_ram_map firmware = {0};
	int err = read_firmware(ctx, &firmware, e);

	if (err)
		return err;
	if (add_type(m, FR_E820_RAM, &ram) || could_be_ram(&firmware, &possible) ||
	    fr_ranges_subtract(system_ram, &ram, &unknown) ||
	    fr_ranges_subtract(&ram, system_ram, &hidden) ||
	    fr_ranges_subtract(&hidden, &possible, &impossible))
		return no_memory(e);
	if (unknown.nr)
		return fr_fail(e, FR_FAULT_DESCRIPTOR, EXDEV,
			       "descriptor: of another machine: this one has RAM at 0x%" PRIx64
			       " (or memory was added since: remove it)",
			       unknown.v[0].start);
	if (impossible.nr)
		return fr_fail(e, FR_FAULT_DESCRIPTOR, EXDEV,
			       "descriptor: of another machine: this one has no RAM at 0x%" PRIx64,
			       impossible.v[0].start);
	return 0;
}
