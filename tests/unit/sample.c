// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "bytes.h"
#include "ramap.h"
#include "sample.h"
#include "test.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void add_region(struct fr_descriptor *d, const char *name, enum fr_kind kind,
		       unsigned int page_shift, uint64_t size_bytes, const char *path)
{
	struct fr_region *r = &d->regions[d->nr_regions++];

	strcpy(r->name, name);
	r->kind = kind;
	r->page_shift = page_shift;
	r->size_bytes = size_bytes;
	r->mode = kind == FR_KIND_RAW ? 0 : S_IFREG | 0640;
	r->path = strdup(path);
	must(r->path);
}

static void add_blob(struct fr_descriptor *d, const char *name, const void *data, size_t bytes)
{
	struct fr_blob *b = &d->blobs[d->nr_blobs++];

	strcpy(b->name, name);
	b->data = malloc(bytes + 1);
	must(b->data);
	memcpy(b->data, data, bytes);
	b->bytes = bytes;
}

static struct fr_descriptor *empty(size_t regions, size_t blobs, size_t poison)
{
	struct fr_descriptor *d = calloc(1, sizeof(*d));

	must(d);
	d->regions = calloc(regions + 1, sizeof(*d->regions));
	d->blobs = calloc(blobs + 1, sizeof(*d->blobs));
	d->poison_pfn = calloc(poison + 1, sizeof(*d->poison_pfn));
	must(d->regions && d->blobs && d->poison_pfn);
	return d;
}

struct fr_descriptor *sample_descriptor(void)
{
	struct fr_descriptor *d = empty(3, 2, 2);

	d->hop = 3;
	d->hidden_bytes = GIB;
	d->tsc_khz = 2500000;
	d->lpj = 10000000;
	d->lpj_hz = 250;
	memset(d->boot_id, 0xb0, sizeof(d->boot_id));
	d->stamp[FR_STAMP_SEALED] = 0x123456789abcdef0;
	must(!fr_ram_map_add(&d->ram, 0x1000, 0x9fc00, FR_E820_RAM, 0));
	must(!fr_ram_map_add(&d->ram, 0x9fc00, 0x100000, FR_E820_RESERVED, 0));
	must(!fr_ram_map_add(&d->ram, 0x100000, 0x80000000, FR_E820_RAM, 0));
	must(!fr_ram_map_add(&d->ram, 4 * GIB, 8 * GIB, FR_E820_RAM, 0));
	must(!fr_ram_map_add(&d->ram, 8 * GIB, 12 * GIB, FR_E820_RAM, 1));

	add_region(d, "carve-out", FR_KIND_RAW, 12, GIB, "");
	must(!fr_extents_append(&d->regions[0].extents, 16 * GIB >> 12, GIB >> 12, 0));
	add_region(d, "shared.buffers", FR_KIND_SHMEM, 12, 100 * 4096 - 17,
		   "/dev/shm/shared.buffers");
	must(!fr_extents_append(&d->regions[1].extents, 0x140005, 7, 0));
	must(!fr_extents_append(&d->regions[1].extents, 0x140004, 1, 7));
	must(!fr_extents_append(&d->regions[1].extents, 0x30000, 20, 80));
	d->regions[1].seals = 1;
	d->regions[1].flags = FR_REGION_UNLINKED;
	add_region(d, "guest0", FR_KIND_HUGETLB, 21, 64 * MIB, "/dev/hugepages/guest0");
	/* across the border of two nodes */
	must(!fr_extents_append(&d->regions[2].extents, (8 * GIB - 16 * MIB) >> 12, 32 * MIB >> 12,
				0));
	d->regions[2].digest_alg = FR_DIGEST_XXH3_128;
	memset(d->regions[2].digest, 0xd1, FR_DIGEST_BYTES);

	d->poison_pfn[0] = 0x5000;
	d->poison_pfn[1] = 0x150000;
	d->nr_poison = 2;
	add_blob(d, "vm/guest0/spec", "{}", 2);
	add_blob(d, "vm/guest0/state", "twelve bytes", 12);
	return d;
}

/* Extents in shuffled frames of [1 GiB, ...), never adjacent, with holes in the files. */
static void add_random_extents(struct fr_descriptor *d, uint64_t *seed, size_t nr)
{
	uint64_t step = 1ull << 18, slots = nr + 1, first = test_random_below(seed, slots);

	for (size_t i = 0; i < nr; i++) {
		struct fr_region *r = &d->regions[test_random_below(seed, d->nr_regions)];
		uint64_t page = 1ull << (r->page_shift - 12);
		uint64_t slot = (first + i * 7919) % slots;
		uint64_t pgoff = r->size_bytes / 4096 + page * test_random_below(seed, 3);

		/* slots % 7919 != 0: each slot comes once */
		if (r->kind == FR_KIND_RAW) {
			if (r->extents.nr)
				continue;
			pgoff = 0;
		}
		must(!fr_extents_append(&r->extents, (GIB >> 12) + slot * step, page, pgoff));
		r->size_bytes = (pgoff + page) * 4096;
	}
}

struct fr_descriptor *sample_random(uint64_t seed, size_t nr_extents)
{
	static const unsigned int shifts[] = {0, 12, 12, 21};
	size_t regions = 1 + test_random_below(&seed, 20), blobs = test_random_below(&seed, 10);
	size_t poison = test_random_below(&seed, 5);
	struct fr_descriptor *d = empty(regions, blobs, poison);
	char name[FR_NAME_BYTES], path[128];

	while (!((nr_extents + 1) % 7919))
		nr_extents++;
	d->hop = test_random(&seed);
	d->lpj = test_random(&seed);
	for (unsigned int i = 0; i < FR_NR_STAMPS; i++)
		d->stamp[i] = test_random(&seed);
	must(!fr_ram_map_add(&d->ram, 0, 0x9f000, FR_E820_RAM, 0));
	must(!fr_ram_map_add(&d->ram, GIB, GIB + ((nr_extents + 2ull) << 30), FR_E820_RAM, 1));
	for (size_t i = 0; i < regions; i++) {
		enum fr_kind kind = (enum fr_kind)(1 + test_random_below(&seed, 3));

		snprintf(name, sizeof(name), "r%zu_%llx", i,
			 (unsigned long long)test_random(&seed));
		snprintf(path, sizeof(path), "/dev/shm/%s", name);
		add_region(d, name, kind, shifts[kind], 0, kind == FR_KIND_RAW ? "" : path);
	}
	add_random_extents(d, &seed, nr_extents);
	for (size_t i = 0; i < d->nr_regions; i++) {
		struct fr_region *r = &d->regions[i];

		if (r->kind == FR_KIND_SHMEM && r->size_bytes)
			r->size_bytes -= test_random_below(&seed, 4096);
	}
	for (size_t i = 0; i < poison; i++)
		d->poison_pfn[d->nr_poison++] = i * 1000 + test_random_below(&seed, 1000);
	for (size_t i = 0; i < blobs; i++) {
		snprintf(name, sizeof(name), "vm/b%zu/spec", i);
		add_blob(d, name, path, test_random_below(&seed, sizeof(path)));
	}
	return d;
}

uint8_t *sample_encode(const struct fr_descriptor *d, size_t *ret_bytes)
{
	struct fr_error e = {0};
	size_t bytes = fr_descriptor_bytes(d);
	uint8_t *p = malloc(bytes);

	must(p);
	if (fr_descriptor_encode(d, p, bytes, &e))
		fail_msg("%s", e.text);
	*ret_bytes = bytes;
	return p;
}

bool sample_repair(uint8_t *p, size_t bytes)
{
	uint64_t total;

	if (bytes < sizeof(struct fr_wire_header))
		return false;
	total = fr_get_le64(p + offsetof(struct fr_wire_header, total_bytes));
	if (total < sizeof(struct fr_wire_header) || total > bytes)
		total = bytes;
	fr_put_le64(p + offsetof(struct fr_wire_header, body_csum),
		    XXH64(p + sizeof(struct fr_wire_header), total - sizeof(struct fr_wire_header),
			  0));
	fr_put_le64(p + offsetof(struct fr_wire_header, header_csum),
		    XXH64(p, offsetof(struct fr_wire_header, header_csum), 0));
	return true;
}
