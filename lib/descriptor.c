// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The descriptor: bytes from a struct fr_descriptor, and back.  The bytes are
 * untrusted.  What they say is first taken apart (layout: header, tables, checksums,
 * reserved bytes) and then judged (meaning: names, map, extents), and the meaning is
 * judged by the same code before it is encoded.  fastrestart-descriptor(5) lists the
 * rules.
 */
#include "config.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "bytes.h"
#include "ramap.h"
#include "sort.h"
#include "util.h"

#define HEADER_BYTES sizeof(struct fr_wire_header)
#define CSUM_SEED    0
#define LOW_PFN	     ((1ull << 20) >> FR_PAGE_SHIFT) /* real mode's first MiB is never kept */
#define LIMIT_PFN    (FR_PHYS_LIMIT >> FR_PAGE_SHIFT)
#define ALL_SEALS    0x3fu /* F_SEAL_SEAL to F_SEAL_EXEC */
#define TABLE_ALIGN  8u

_Static_assert(sizeof(struct fr_wire_header) == 1024, "header");
_Static_assert(sizeof(struct fr_wire_table) == 24, "table");
_Static_assert(sizeof(struct fr_wire_ram) == 24, "ram");
_Static_assert(sizeof(struct fr_wire_region) == 256, "region");
_Static_assert(sizeof(struct fr_wire_extent) == 24, "extent");
_Static_assert(sizeof(struct fr_wire_poison) == 8, "poison");
_Static_assert(sizeof(struct fr_wire_blob) == 80, "blob");
_Static_assert(offsetof(struct fr_wire_header, table) == 80, "header.table");
_Static_assert(offsetof(struct fr_wire_header, body_csum) == 752, "header.body_csum");
_Static_assert(offsetof(struct fr_wire_header, stamp) == 768, "header.stamp");
_Static_assert(offsetof(struct fr_wire_region, digest) == 128, "region.digest");

static const struct table_rule {
	const char *name;
	uint32_t entry_bytes;
	uint64_t max;
} table_rules[FR_NR_TABLES] = {
	[FR_TABLE_RAM] = {"RAM map", sizeof(struct fr_wire_ram), FR_MAX_RAM},
	[FR_TABLE_REGION] = {"regions", sizeof(struct fr_wire_region), FR_MAX_REGIONS},
	[FR_TABLE_EXTENT] = {"extents", sizeof(struct fr_wire_extent), FR_MAX_EXTENTS},
	[FR_TABLE_POISON] = {"poisoned pages", sizeof(struct fr_wire_poison), FR_MAX_POISON},
	[FR_TABLE_STRING] = {"strings", 1, FR_MAX_TOTAL_BYTES},
	[FR_TABLE_BLOB] = {"blobs", sizeof(struct fr_wire_blob), FR_MAX_BLOBS},
	[FR_TABLE_BLOBDATA] = {"blob data", 1, FR_MAX_TOTAL_BYTES},
	[FR_TABLE_SPARE] = {"spare", 0, 0},
};

/* One field of a wire struct at @p, converted. */
#define GET32(p, type, field) fr_get_le32((const uint8_t *)(p) + offsetof(struct type, field))
#define GET64(p, type, field) fr_get_le64((const uint8_t *)(p) + offsetof(struct type, field))
#define PUT32(p, type, field, value) \
	fr_put_le32((uint8_t *)(p) + offsetof(struct type, field), value)
#define PUT64(p, type, field, value) \
	fr_put_le64((uint8_t *)(p) + offsetof(struct type, field), value)

#define bad(e, ...)  fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG, "descriptor: " __VA_ARGS__)
#define no_memory(e) fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "descriptor: out of memory")

static bool all_zero(const uint8_t *p, size_t bytes)
{
	while (bytes && !*p) {
		p++;
		bytes--;
	}
	return !bytes;
}

/* ---------------------------------------------------------------- destructors */

void fr_region_clear(struct fr_region *r)
{
	if (!r)
		return;
	free(r->path);
	fr_extents_clear(&r->extents);
	*r = (struct fr_region){0};
}

void fr_descriptor_free(struct fr_descriptor *d)
{
	if (!d)
		return;
	fr_ram_map_clear(&d->ram);
	for (size_t i = 0; d->regions && i < d->nr_regions; i++)
		fr_region_clear(&d->regions[i]);
	for (size_t i = 0; d->blobs && i < d->nr_blobs; i++)
		free(d->blobs[i].data);
	free(d->regions);
	free(d->poison_pfn);
	free(d->blobs);
	free(d);
}

static void descriptor_free_ptr(struct fr_descriptor **d)
{
	fr_descriptor_free(*d);
}

const struct fr_blob *fr_descriptor_blob(const struct fr_descriptor *d, const char *name)
{
	for (size_t i = 0; i < d->nr_blobs; i++)
		if (!strcmp(d->blobs[i].name, name))
			return &d->blobs[i];
	return NULL;
}

bool fr_descriptor_vm(const struct fr_descriptor *d, size_t i, char ret_name[FR_NAME_BYTES])
{
	const char *vm = d->blobs[i].name + strlen("vm/");
	const char *end = strncmp(d->blobs[i].name, "vm/", strlen("vm/")) ? NULL : strchr(vm, '/');

	if (!end || strcmp(end, "/spec"))
		return false;
	snprintf(ret_name, FR_NAME_BYTES, "%.*s", (int)(end - vm), vm);
	return true;
}

/* -------------------------------------------------------------------- meaning */

static bool blob_name_valid(const char *name)
{
	char part[FR_NAME_BYTES];
	size_t n;

	/* path components, each of which could name a region */
	if (strnlen(name, FR_NAME_BYTES) == FR_NAME_BYTES)
		return false;
	for (;; name += n + 1) {
		n = strcspn(name, "/");
		memcpy(part, name, n);
		part[n] = '\0';
		if (!fr_name_valid(part))
			return false;
		if (!name[n])
			return true;
	}
}

/* "", or absolute, without control characters and without "." or ".." as a component */
static bool path_valid(const char *path)
{
	if (!*path)
		return true;
	if (*path != '/' || strlen(path) >= FR_PATH_BYTES)
		return false;
	for (const char *p = path; *p; p++) {
		size_t n = strcspn(p + 1, "/");

		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
		if (*p == '/' && p[1] == '.' && (n == 1 || (n == 2 && p[2] == '.')))
			return false;
	}
	return true;
}

static int compare_names(const void *pa, const void *pb)
{
	const char *const *a = pa, *const *b = pb;

	return strcmp(*a, *b);
}

static int check_unique(const char **names, size_t nr, const char *what, struct fr_error *e)
{
	qsort(names, nr, sizeof(*names), compare_names);
	for (size_t i = 1; i < nr; i++)
		if (!strcmp(names[i - 1], names[i]))
			return bad(e, "two %s are named %s", what, names[i]);
	return 0;
}

static int check_names(const struct fr_descriptor *d, struct fr_error *e)
{
	size_t most = d->nr_regions > d->nr_blobs ? d->nr_regions : d->nr_blobs;
	_cleanup_free_ const char **names = calloc(most + 1, sizeof(*names));
	int err;

	if (!names)
		return no_memory(e);
	for (size_t i = 0; i < d->nr_regions; i++)
		names[i] = d->regions[i].name;
	err = check_unique(names, d->nr_regions, "regions", e);
	if (err)
		return err;
	for (size_t i = 0; i < d->nr_blobs; i++)
		names[i] = d->blobs[i].name;
	return check_unique(names, d->nr_blobs, "blobs", e);
}

static int check_ram(const struct fr_ram_map *m, struct fr_error *e)
{
	uint64_t end = 0;

	if (!m->nr)
		return bad(e, "no RAM map");
	for (size_t i = 0; i < m->nr; i++) {
		const struct fr_ram *r = &m->v[i];

		if (r->start >= r->end || r->end > FR_PHYS_LIMIT)
			return bad(e,
				   "RAM map entry %zu: 0x%" PRIx64 " to 0x%" PRIx64
				   " is no range of physical memory",
				   i, r->start, r->end);
		if (r->start < end)
			return bad(e, "RAM map entry %zu: overlaps or is not sorted", i);
		if (!r->type)
			return bad(e, "RAM map entry %zu: type 0", i);
		if (r->type == FR_E820_RAM && r->nid > INT32_MAX)
			return bad(e, "RAM map entry %zu: node %" PRIu32, i, r->nid);
		end = r->end;
	}
	return 0;
}

static int check_kind(const struct fr_region *r, struct fr_error *e)
{
	uint64_t page_bytes;

	switch (r->kind) {
	case FR_KIND_RAW:
	case FR_KIND_SHMEM:
		if (r->page_shift != FR_PAGE_SHIFT)
			return bad(e, "region %s: pages of 2^%u bytes", r->name, r->page_shift);
		break;
	case FR_KIND_HUGETLB:
		if (r->page_shift != 21 && r->page_shift != 30)
			return bad(e, "region %s: huge pages of 2^%u bytes", r->name,
				   r->page_shift);
		break;
	default:
		return bad(e, "region %s: unknown kind %u", r->name, (unsigned int)r->kind);
	}
	page_bytes = 1ull << r->page_shift;
	if (r->size_bytes > INT64_MAX - page_bytes)
		return bad(e, "region %s: absurd size", r->name);
	if (r->kind != FR_KIND_SHMEM && r->size_bytes % page_bytes)
		return bad(e, "region %s: %" PRIu64 " bytes are no whole number of its pages",
			   r->name, r->size_bytes);
	return 0;
}

static int check_region(const struct fr_region *r, struct fr_error *e)
{
	int err;

	if (strnlen(r->name, sizeof(r->name)) == sizeof(r->name) || !fr_name_valid(r->name))
		return bad(e, "bad region name");
	err = check_kind(r, e);
	if (err)
		return err;
	if (r->kind != FR_KIND_RAW && (r->mode & ~07777u) != S_IFREG)
		return bad(e, "region %s: mode %#o is no regular file's", r->name, r->mode);
	if (r->flags & ~FR_REGION_FLAGS)
		return bad(e, "region %s: unknown flags %#x", r->name, r->flags);
	if (r->seals & ~ALL_SEALS)
		return bad(e, "region %s: unknown seals %#x", r->name, r->seals);
	if (r->digest_alg > FR_DIGEST_XXH3_128)
		return bad(e, "region %s: unknown digest %u", r->name, r->digest_alg);
	if (r->digest_alg == FR_DIGEST_NONE && !all_zero(r->digest, sizeof(r->digest)))
		return bad(e, "region %s: a digest of no kind", r->name);
	if (r->path && !path_valid(r->path))
		return bad(e, "region %s: its path is not absolute and plain", r->name);
	return 0;
}

static int check_extents(const struct fr_region *r, struct fr_error *e)
{
	uint64_t align = (1ull << (r->page_shift - FR_PAGE_SHIFT)) - 1;
	uint64_t size_pages = fr_align_up(r->size_bytes, 1ull << r->page_shift) >> FR_PAGE_SHIFT;
	uint64_t pgoff = 0;

	for (size_t i = 0; i < r->extents.nr; i++) {
		const struct fr_extent *x = &r->extents.v[i];

		if (!x->nr_pages)
			return bad(e, "region %s: extent %zu is empty", r->name, i);
		if (x->start_pfn >= LIMIT_PFN || x->nr_pages > LIMIT_PFN - x->start_pfn)
			return bad(e, "region %s: extent %zu is beyond physical memory", r->name,
				   i);
		if (x->start_pfn < LOW_PFN)
			return bad(e, "region %s: extent %zu is below 1 MiB", r->name, i);
		if ((x->start_pfn | x->nr_pages | x->pgoff) & align)
			return bad(e, "region %s: extent %zu is not aligned to its pages", r->name,
				   i);
		if (x->pgoff < pgoff)
			return bad(e, "region %s: extent %zu is out of order", r->name, i);
		if (x->pgoff >= size_pages || x->nr_pages > size_pages - x->pgoff)
			return bad(e, "region %s: extent %zu is beyond the end of the file",
				   r->name, i);
		pgoff = x->pgoff + x->nr_pages;
	}
	return 0;
}

static int check_regions(const struct fr_descriptor *d, struct fr_error *e)
{
	uint64_t extents = 0;

	if (d->nr_regions > FR_MAX_REGIONS)
		return bad(e, "%zu regions: at most %u fit", d->nr_regions, FR_MAX_REGIONS);
	for (size_t i = 0; i < d->nr_regions; i++) {
		int err = check_region(&d->regions[i], e);

		if (!err)
			err = check_extents(&d->regions[i], e);
		if (err)
			return err;
		extents += d->regions[i].extents.nr;
	}
	if (extents > FR_MAX_EXTENTS)
		return bad(e, "%" PRIu64 " extents: at most %u fit: keep fewer or larger pages",
			   extents, FR_MAX_EXTENTS);
	return 0;
}

struct frame_run { /* sorted by the first member */
	uint64_t start_pfn;
	uint64_t end_pfn : 63, raw : 1;
};

/* All extents are disjoint, and those of files are RAM. */
static int check_frames(const struct fr_descriptor *d, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges ram = {0};
	_cleanup_free_ struct frame_run *runs = NULL;
	size_t nr = 0, n = 0, at = 0;

	for (size_t i = 0; i < d->nr_regions; i++)
		nr += d->regions[i].extents.nr;
	runs = malloc((nr + 1) * sizeof(*runs));
	if (!runs || fr_ram_map_ranges(&d->ram, FR_E820_RAM, &ram))
		return no_memory(e);
	for (size_t i = 0; i < d->nr_regions; i++) {
		const struct fr_region *r = &d->regions[i];

		for (size_t j = 0; j < r->extents.nr; j++, n++) {
			const struct fr_extent *x = &r->extents.v[j];

			runs[n] = (struct frame_run){x->start_pfn, x->start_pfn + x->nr_pages,
						     r->kind == FR_KIND_RAW};
		}
	}
	fr_sort(runs, nr, sizeof(*runs));
	for (size_t i = 0; i < nr; i++) {
		uint64_t start = runs[i].start_pfn << FR_PAGE_SHIFT;
		uint64_t end = runs[i].end_pfn << FR_PAGE_SHIFT;

		if (i && runs[i - 1].end_pfn > runs[i].start_pfn)
			return bad(e, "two extents have frame 0x%" PRIx64, runs[i].start_pfn);
		if (runs[i].raw)
			continue;
		while (at < ram.nr && ram.v[at].end <= start)
			at++;
		if (at == ram.nr || ram.v[at].start > start || ram.v[at].end < end)
			return bad(e, "the extent from frame 0x%" PRIx64 " is not in RAM",
				   runs[i].start_pfn);
	}
	return 0;
}

static int check_poison(const struct fr_descriptor *d, struct fr_error *e)
{
	if (d->nr_poison > FR_MAX_POISON)
		return bad(e, "%zu poisoned pages: at most %u fit", d->nr_poison, FR_MAX_POISON);
	for (size_t i = 0; i < d->nr_poison; i++) {
		if (d->poison_pfn[i] >= LIMIT_PFN)
			return bad(e, "poisoned page %zu is beyond physical memory", i);
		if (i && d->poison_pfn[i] <= d->poison_pfn[i - 1])
			return bad(e, "poisoned pages are not sorted");
	}
	return 0;
}

static int check_blobs(const struct fr_descriptor *d, struct fr_error *e)
{
	if (d->nr_blobs > FR_MAX_BLOBS)
		return bad(e, "%zu blobs: at most %u fit", d->nr_blobs, FR_MAX_BLOBS);
	for (size_t i = 0; i < d->nr_blobs; i++)
		if (!blob_name_valid(d->blobs[i].name))
			return bad(e, "bad blob name");
	return 0;
}

static int check(const struct fr_descriptor *d, struct fr_error *e)
{
	int err;

	if (d->hidden_bytes >= FR_PHYS_LIMIT)
		return bad(e, "absurd amount of hidden memory");
	if (d->ram.nr > FR_MAX_RAM)
		return bad(e, "RAM map of %zu entries: at most %u fit", d->ram.nr, FR_MAX_RAM);
	err = check_ram(&d->ram, e);
	if (!err)
		err = check_regions(d, e);
	if (!err)
		err = check_poison(d, e);
	if (!err)
		err = check_blobs(d, e);
	if (!err)
		err = check_names(d, e);
	if (!err)
		err = check_frames(d, e);
	return err;
}

/* --------------------------------------------------------------------- encode */

struct layout {
	uint64_t offset[FR_NR_TABLES], nr[FR_NR_TABLES];
	uint64_t total_bytes;
};

static uint64_t string_bytes(const struct fr_region *r)
{
	return r->path && *r->path ? strlen(r->path) + 1 : 0;
}

static void lay_out(const struct fr_descriptor *d, struct layout *l)
{
	uint64_t offset = HEADER_BYTES;

	*l = (struct layout){.nr = {
				     [FR_TABLE_RAM] = d->ram.nr,
				     [FR_TABLE_REGION] = d->nr_regions,
				     [FR_TABLE_POISON] = d->nr_poison,
				     [FR_TABLE_STRING] = d->nr_regions ? 1 : 0, /* "" comes first */
				     [FR_TABLE_BLOB] = d->nr_blobs,
			     }};
	for (size_t i = 0; i < d->nr_regions; i++) {
		l->nr[FR_TABLE_EXTENT] += d->regions[i].extents.nr;
		l->nr[FR_TABLE_STRING] += string_bytes(&d->regions[i]);
	}
	for (size_t i = 0; i < d->nr_blobs; i++)
		l->nr[FR_TABLE_BLOBDATA] += fr_align_up(d->blobs[i].bytes, TABLE_ALIGN);
	for (unsigned int t = 0; t < FR_NR_TABLES; t++) {
		if (!l->nr[t])
			continue;
		l->offset[t] = offset;
		offset = fr_align_up(offset + l->nr[t] * table_rules[t].entry_bytes, TABLE_ALIGN);
	}
	l->total_bytes = offset;
}

size_t fr_descriptor_bytes(const struct fr_descriptor *d)
{
	struct layout l;

	lay_out(d, &l);
	return l.total_bytes;
}

static void put_header(const struct fr_descriptor *d, const struct layout *l, uint8_t *p)
{
	memcpy(p, FR_MAGIC, sizeof(FR_MAGIC) - 1);
	PUT32(p, fr_wire_header, version, FR_VERSION);
	PUT32(p, fr_wire_header, header_bytes, HEADER_BYTES);
	PUT64(p, fr_wire_header, total_bytes, l->total_bytes);
	PUT64(p, fr_wire_header, hidden_bytes, d->hidden_bytes);
	PUT64(p, fr_wire_header, hop, d->hop);
	PUT64(p, fr_wire_header, tsc_khz, d->tsc_khz);
	PUT64(p, fr_wire_header, lpj, d->lpj);
	PUT32(p, fr_wire_header, lpj_hz, d->lpj_hz);
	memcpy(p + offsetof(struct fr_wire_header, boot_id), d->boot_id, sizeof(d->boot_id));
	for (unsigned int t = 0; t < FR_NR_TABLES; t++) {
		uint8_t *w = p + offsetof(struct fr_wire_header, table) +
			     t * sizeof(struct fr_wire_table);

		if (!l->nr[t])
			continue;
		PUT64(w, fr_wire_table, offset, l->offset[t]);
		PUT64(w, fr_wire_table, nr, l->nr[t]);
		PUT32(w, fr_wire_table, entry_bytes, table_rules[t].entry_bytes);
	}
	for (unsigned int i = 0; i < FR_NR_STAMPS; i++)
		fr_put_le64(p + offsetof(struct fr_wire_header, stamp) + i * sizeof(uint64_t),
			    d->stamp[i]);
}

static void put_ram(const struct fr_descriptor *d, uint8_t *w)
{
	for (size_t i = 0; i < d->ram.nr; i++, w += sizeof(struct fr_wire_ram)) {
		PUT64(w, fr_wire_ram, start, d->ram.v[i].start);
		PUT64(w, fr_wire_ram, end, d->ram.v[i].end);
		PUT32(w, fr_wire_ram, type, d->ram.v[i].type);
		PUT32(w, fr_wire_ram, nid, d->ram.v[i].nid);
	}
}

static void put_region(const struct fr_region *r, uint64_t first_extent, uint64_t path, uint8_t *w)
{
	memcpy(w, r->name, strlen(r->name));
	PUT32(w, fr_wire_region, kind, r->kind);
	PUT32(w, fr_wire_region, page_shift, r->page_shift);
	PUT64(w, fr_wire_region, size_bytes, r->size_bytes);
	PUT32(w, fr_wire_region, mode, r->mode);
	PUT32(w, fr_wire_region, uid, r->uid);
	PUT32(w, fr_wire_region, gid, r->gid);
	PUT32(w, fr_wire_region, flags, r->flags);
	PUT32(w, fr_wire_region, seals, r->seals);
	PUT32(w, fr_wire_region, digest_alg, r->digest_alg);
	PUT64(w, fr_wire_region, first_extent, first_extent);
	PUT64(w, fr_wire_region, nr_extents, r->extents.nr);
	PUT64(w, fr_wire_region, path, path);
	memcpy(w + offsetof(struct fr_wire_region, digest), r->digest, sizeof(r->digest));
}

static void put_extents(const struct fr_extents *x, uint8_t *w)
{
	for (size_t i = 0; i < x->nr; i++, w += sizeof(struct fr_wire_extent)) {
		PUT64(w, fr_wire_extent, start_pfn, x->v[i].start_pfn);
		PUT64(w, fr_wire_extent, nr_pages, x->v[i].nr_pages);
		PUT64(w, fr_wire_extent, pgoff, x->v[i].pgoff);
	}
}

static void put_regions(const struct fr_descriptor *d, const struct layout *l, uint8_t *p)
{
	uint64_t extent = 0, string = 1;

	for (size_t i = 0; i < d->nr_regions; i++) {
		const struct fr_region *r = &d->regions[i];
		uint64_t bytes = string_bytes(r);

		put_region(r, extent, bytes ? string : 0,
			   p + l->offset[FR_TABLE_REGION] + i * sizeof(struct fr_wire_region));
		put_extents(&r->extents, p + l->offset[FR_TABLE_EXTENT] +
						 extent * sizeof(struct fr_wire_extent));
		if (bytes)
			memcpy(p + l->offset[FR_TABLE_STRING] + string, r->path, bytes);
		extent += r->extents.nr;
		string += bytes;
	}
}

static void put_blobs(const struct fr_descriptor *d, const struct layout *l, uint8_t *p)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < d->nr_blobs; i++) {
		const struct fr_blob *b = &d->blobs[i];
		uint8_t *w = p + l->offset[FR_TABLE_BLOB] + i * sizeof(struct fr_wire_blob);

		memcpy(w, b->name, strlen(b->name));
		PUT64(w, fr_wire_blob, offset, offset);
		PUT64(w, fr_wire_blob, bytes, b->bytes);
		if (b->bytes)
			memcpy(p + l->offset[FR_TABLE_BLOBDATA] + offset, b->data, b->bytes);
		offset += fr_align_up(b->bytes, TABLE_ALIGN);
	}
}

int fr_descriptor_encode(const struct fr_descriptor *d, void *buf, size_t size, struct fr_error *e)
{
	uint8_t *p = buf;
	struct layout l;
	int err = check(d, e);

	if (err == -EBADMSG) {
		if (e)
			e->err = EINVAL;
		return -EINVAL;
	}
	if (err)
		return err;
	lay_out(d, &l);
	if (l.total_bytes > FR_MAX_TOTAL_BYTES || l.total_bytes > size)
		return fr_fail(e, FR_FAULT_DESCRIPTOR, ENOSPC,
			       "descriptor: %" PRIu64 " bytes, where %" PRIu64 " have room",
			       l.total_bytes, fr_min_u64(size, FR_MAX_TOTAL_BYTES));
	memset(p, 0, l.total_bytes);
	put_header(d, &l, p);
	put_ram(d, p + l.offset[FR_TABLE_RAM]);
	put_regions(d, &l, p);
	for (size_t i = 0; i < d->nr_poison; i++)
		fr_put_le64(p + l.offset[FR_TABLE_POISON] + i * sizeof(struct fr_wire_poison),
			    d->poison_pfn[i]);
	put_blobs(d, &l, p);
	PUT64(p, fr_wire_header, body_csum,
	      XXH64(p + HEADER_BYTES, l.total_bytes - HEADER_BYTES, CSUM_SEED));
	PUT64(p, fr_wire_header, header_csum,
	      XXH64(p, offsetof(struct fr_wire_header, header_csum), CSUM_SEED));
	return 0;
}

/* --------------------------------------------------------------------- decode */

static int get_header(const uint8_t *p, size_t size, struct fr_descriptor *d, struct layout *l,
		      struct fr_error *e)
{
	uint32_t version;

	if (size < HEADER_BYTES)
		return bad(e, "%zu bytes are too few for a header", size);
	if (memcmp(p, FR_MAGIC, sizeof(FR_MAGIC) - 1))
		return bad(e, "wrong magic: this is no descriptor");
	version = GET32(p, fr_wire_header, version);
	if (version != FR_VERSION)
		return bad(
			e,
			"version %" PRIu32
			", and this command reads version %u: use one of the release that wrote it",
			version, FR_VERSION);
	if (GET32(p, fr_wire_header, header_bytes) != HEADER_BYTES)
		return bad(e, "wrong header size");
	if (GET64(p, fr_wire_header, header_csum) !=
	    XXH64(p, offsetof(struct fr_wire_header, header_csum), CSUM_SEED))
		return bad(e, "the header's checksum does not match");
	l->total_bytes = GET64(p, fr_wire_header, total_bytes);
	if (l->total_bytes < HEADER_BYTES || l->total_bytes % TABLE_ALIGN ||
	    l->total_bytes > FR_MAX_TOTAL_BYTES)
		return bad(e, "wrong total size");
	if (l->total_bytes > size)
		return bad(e, "cut off: %" PRIu64 " bytes, of which %zu are here", l->total_bytes,
			   size);
	if (GET32(p, fr_wire_header, flags))
		return bad(e, "unknown flags");
	if (!all_zero(p + offsetof(struct fr_wire_header, reserved),
		      sizeof(((struct fr_wire_header *)NULL)->reserved)))
		return bad(e, "reserved bytes of the header are set");
	if (GET64(p, fr_wire_header, body_csum) !=
	    XXH64(p + HEADER_BYTES, l->total_bytes - HEADER_BYTES, CSUM_SEED))
		return bad(e, "the body's checksum does not match");
	d->hidden_bytes = GET64(p, fr_wire_header, hidden_bytes);
	d->hop = GET64(p, fr_wire_header, hop);
	d->tsc_khz = GET64(p, fr_wire_header, tsc_khz);
	d->lpj = GET64(p, fr_wire_header, lpj);
	d->lpj_hz = GET32(p, fr_wire_header, lpj_hz);
	memcpy(d->boot_id, p + offsetof(struct fr_wire_header, boot_id), sizeof(d->boot_id));
	for (unsigned int i = 0; i < FR_NR_STAMPS; i++)
		d->stamp[i] = fr_get_le64(p + offsetof(struct fr_wire_header, stamp) +
					  i * sizeof(uint64_t));
	return 0;
}

static int get_layout(const uint8_t *p, struct layout *l, struct fr_error *e)
{
	uint64_t end = HEADER_BYTES;

	for (unsigned int t = 0; t < FR_NR_TABLES; t++) {
		const uint8_t *w = p + offsetof(struct fr_wire_header, table) +
				   t * sizeof(struct fr_wire_table);
		const struct table_rule *rule = &table_rules[t];
		uint64_t offset = GET64(w, fr_wire_table, offset);
		uint64_t nr = GET64(w, fr_wire_table, nr);

		if (all_zero(w, sizeof(struct fr_wire_table)))
			continue;
		if (!rule->max)
			return bad(e, "table of %s: is set", rule->name);
		if (GET32(w, fr_wire_table, reserved))
			return bad(e, "table of %s: reserved bytes are set", rule->name);
		if (nr > rule->max)
			return bad(e, "table of %s: too many entries", rule->name);
		if (GET32(w, fr_wire_table, entry_bytes) != rule->entry_bytes)
			return bad(e, "table of %s: wrong size of entries", rule->name);
		if (offset % TABLE_ALIGN || offset < end || offset > l->total_bytes ||
		    nr * rule->entry_bytes > l->total_bytes - offset)
			return bad(e, "table of %s: not aligned, or not where it can be",
				   rule->name);
		l->offset[t] = offset;
		l->nr[t] = nr;
		end = offset + nr * rule->entry_bytes;
	}
	return 0;
}

static int get_ram(const uint8_t *w, uint64_t nr, struct fr_ram_map *m, struct fr_error *e)
{
	m->v = calloc(nr + 1, sizeof(*m->v));
	if (!m->v)
		return no_memory(e);
	m->cap = nr + 1;
	for (; m->nr < nr; m->nr++, w += sizeof(struct fr_wire_ram))
		m->v[m->nr] = (struct fr_ram){
			.start = GET64(w, fr_wire_ram, start),
			.end = GET64(w, fr_wire_ram, end),
			.type = GET32(w, fr_wire_ram, type),
			.nid = GET32(w, fr_wire_ram, nid),
		};
	return 0;
}

/* A name fills up its field with NULs. */
static bool get_name(const uint8_t *w, char name[FR_NAME_BYTES])
{
	size_t n = strnlen((const char *)w, FR_NAME_BYTES);

	memcpy(name, w, FR_NAME_BYTES);
	return n < FR_NAME_BYTES && all_zero(w + n, FR_NAME_BYTES - n);
}

static int get_path(const uint8_t *strings, uint64_t nr, uint64_t offset, struct fr_region *r,
		    struct fr_error *e)
{
	uint64_t max;

	if (!nr && !offset) {
		r->path = strdup("");
		return r->path ? 0 : no_memory(e);
	}
	if (offset >= nr)
		return bad(e, "region %s: path outside of the strings", r->name);
	max = fr_min_u64(nr - offset, FR_PATH_BYTES);
	if (strnlen((const char *)strings + offset, max) == max)
		return bad(e, "region %s: path without an end", r->name);
	r->path = strdup((const char *)strings + offset);
	return r->path ? 0 : no_memory(e);
}

static int get_extents(const uint8_t *w, uint64_t nr, struct fr_extents *x, struct fr_error *e)
{
	if (!nr)
		return 0;
	x->v = malloc(nr * sizeof(*x->v));
	if (!x->v)
		return no_memory(e);
	x->cap = nr;
	for (; x->nr < nr; x->nr++, w += sizeof(struct fr_wire_extent))
		x->v[x->nr] = (struct fr_extent){
			.start_pfn = GET64(w, fr_wire_extent, start_pfn),
			.nr_pages = GET64(w, fr_wire_extent, nr_pages),
			.pgoff = GET64(w, fr_wire_extent, pgoff),
		};
	return 0;
}

static int get_region(const uint8_t *w, struct fr_region *r, struct fr_error *e)
{
	if (!get_name(w, r->name) || !fr_name_valid(r->name))
		return bad(e, "bad region name");
	if (!all_zero(w + offsetof(struct fr_wire_region, reserved),
		      sizeof(((struct fr_wire_region *)NULL)->reserved)))
		return bad(e, "region %s: reserved bytes are set", r->name);
	r->kind = (enum fr_kind)GET32(w, fr_wire_region, kind);
	r->page_shift = GET32(w, fr_wire_region, page_shift);
	r->size_bytes = GET64(w, fr_wire_region, size_bytes);
	r->mode = GET32(w, fr_wire_region, mode);
	r->uid = GET32(w, fr_wire_region, uid);
	r->gid = GET32(w, fr_wire_region, gid);
	r->flags = GET32(w, fr_wire_region, flags);
	r->seals = GET32(w, fr_wire_region, seals);
	r->digest_alg = GET32(w, fr_wire_region, digest_alg);
	memcpy(r->digest, w + offsetof(struct fr_wire_region, digest), sizeof(r->digest));
	return 0;
}

static int get_regions(const uint8_t *p, const struct layout *l, struct fr_descriptor *d,
		       struct fr_error *e)
{
	const uint8_t *w = p + l->offset[FR_TABLE_REGION];
	const uint8_t *extents = p + l->offset[FR_TABLE_EXTENT];
	uint64_t next = 0;

	d->regions = calloc(l->nr[FR_TABLE_REGION] + 1, sizeof(*d->regions));
	if (!d->regions)
		return no_memory(e);
	for (uint64_t i = 0; i < l->nr[FR_TABLE_REGION]; i++, w += sizeof(struct fr_wire_region)) {
		uint64_t nr = GET64(w, fr_wire_region, nr_extents);
		struct fr_region *r = &d->regions[d->nr_regions++];
		int err = get_region(w, r, e);

		if (err)
			return err;
		if ((nr && GET64(w, fr_wire_region, first_extent) != next) ||
		    nr > l->nr[FR_TABLE_EXTENT] - next)
			return bad(e, "region %s: its extents do not follow those before", r->name);
		err = get_extents(extents + next * sizeof(struct fr_wire_extent), nr, &r->extents,
				  e);
		if (!err)
			err = get_path(p + l->offset[FR_TABLE_STRING], l->nr[FR_TABLE_STRING],
				       GET64(w, fr_wire_region, path), r, e);
		if (err)
			return err;
		next += nr;
	}
	if (next != l->nr[FR_TABLE_EXTENT])
		return bad(e, "extents of no region");
	return 0;
}

static int get_poison(const uint8_t *w, uint64_t nr, struct fr_descriptor *d, struct fr_error *e)
{
	d->poison_pfn = malloc((nr + 1) * sizeof(*d->poison_pfn));
	if (!d->poison_pfn)
		return no_memory(e);
	for (; d->nr_poison < nr; d->nr_poison++, w += sizeof(struct fr_wire_poison))
		d->poison_pfn[d->nr_poison] = fr_get_le64(w);
	return 0;
}

static int get_blobs(const uint8_t *p, const struct layout *l, struct fr_descriptor *d,
		     struct fr_error *e)
{
	const uint8_t *w = p + l->offset[FR_TABLE_BLOB];
	uint64_t room = l->nr[FR_TABLE_BLOBDATA], end = 0;

	d->blobs = calloc(l->nr[FR_TABLE_BLOB] + 1, sizeof(*d->blobs));
	if (!d->blobs)
		return no_memory(e);
	for (uint64_t i = 0; i < l->nr[FR_TABLE_BLOB]; i++, w += sizeof(struct fr_wire_blob)) {
		uint64_t offset = GET64(w, fr_wire_blob, offset);
		uint64_t bytes = GET64(w, fr_wire_blob, bytes);
		struct fr_blob *b = &d->blobs[d->nr_blobs++];

		if (!get_name(w, b->name))
			return bad(e, "bad blob name");
		if (offset % TABLE_ALIGN || offset < end || offset > room || bytes > room - offset)
			return bad(e, "blob %s: not aligned, or not where it can be", b->name);
		end = offset + bytes;
		b->data = malloc(bytes + 1);
		if (!b->data)
			return no_memory(e);
		memcpy(b->data, p + l->offset[FR_TABLE_BLOBDATA] + offset, bytes);
		b->bytes = bytes;
	}
	return 0;
}

int fr_descriptor_decode(const void *buf, size_t size, struct fr_descriptor **ret_d,
			 struct fr_error *e)
{
	_cleanup_(descriptor_free_ptr) struct fr_descriptor *d = calloc(1, sizeof(*d));
	struct layout l = {0};
	const uint8_t *p = buf;
	int err;

	if (!d)
		return no_memory(e);
	err = get_header(p, size, d, &l, e);
	if (!err)
		err = get_layout(p, &l, e);
	if (!err)
		err = get_ram(p + l.offset[FR_TABLE_RAM], l.nr[FR_TABLE_RAM], &d->ram, e);
	if (!err)
		err = get_regions(p, &l, d, e);
	if (!err)
		err = get_poison(p + l.offset[FR_TABLE_POISON], l.nr[FR_TABLE_POISON], d, e);
	if (!err)
		err = get_blobs(p, &l, d, e);
	if (!err)
		err = check(d, e);
	if (err)
		return err;
	*ret_d = d;
	d = NULL;
	return 0;
}
