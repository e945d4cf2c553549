// SPDX-License-Identifier: GPL-2.0-or-later
/* The readers against captured machines, and against /proc and /sys gone wrong. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ramap.h"
#include "sample.h"
#include "test.h"
#include "util.h"

struct machine {
	struct fr_ctx ctx;
	char root[512];
};

static void open_machine(struct machine *m, const char *name)
{
	const char *data = getenv("FR_TEST_DATA");

	assert_non_null(data);
	snprintf(m->root, sizeof(m->root), "%s/machines/%s", data, name);
	m->ctx = (struct fr_ctx){.root = m->root};
}

static struct fr_ram_map read_map(const char *name, struct fr_range kept_range)
{
	const struct fr_ranges kept = {.v = &kept_range, .nr = 1, .cap = 1};
	struct fr_ram_map map;
	struct fr_error e = {0};
	struct machine m;

	open_machine(&m, name);
	if (fr_ram_map_read(&m.ctx, NULL, &kept, &map, &e))
		fail_msg("%s: %s", name, e.text);
	return map;
}

static void expect_map(const char *name, struct fr_range kept, const struct fr_ram *v, size_t nr)
{
	struct fr_ram_map map = read_map(name, kept);

	for (size_t i = 0; i < nr && i < map.nr; i++) {
		assert_int_equal(map.v[i].start, v[i].start);
		assert_int_equal(map.v[i].end, v[i].end);
		assert_int_equal(map.v[i].type, v[i].type);
		assert_int_equal(map.v[i].nid, v[i].nid);
	}
	assert_int_equal(map.nr, nr);
	fr_ram_map_clear(&map);
}

#define NOTHING ((struct fr_range){0, 0x1000}) /* that is a carve-out */

#define LOW_2G                                                                                     \
	{0, 0x1000, FR_E820_RESERVED, 0}, {0x1000, 0x9fc00, FR_E820_RAM, 0},                       \
		{0x9fc00, 0xa0000, FR_E820_RESERVED, 0}, {0xf0000, 0x100000, FR_E820_RESERVED, 0}, \
		{0x100000, 0x7ffe0000, FR_E820_RAM, 0},                                            \
		{0x7ffe0000, 0x80000000, FR_E820_RESERVED, 0},                                     \
		{0xb0000000, 0xc0000000, FR_E820_RESERVED, 0},                                     \
		{0xfed1c000, 0xfed20000, FR_E820_RESERVED, 0},                                     \
	{                                                                                          \
		0xfffc0000, 0x100000000, FR_E820_RESERVED, 0                                       \
	}

static const struct fr_ram q35_8g[] = {
	LOW_2G,
	{4 * GIB, 10 * GIB, FR_E820_RAM, 0},
	{0xfd00000000, 0x10000000000, FR_E820_RESERVED, 0},
};

static const struct fr_ram q35_8g_carved[] = {
	LOW_2G,
	{4 * GIB, 5 * GIB, FR_E820_PRAM, 0},
	{5 * GIB, 0x160000000, FR_E820_RAM, 0},
	{0x160000000, 0x180000000, FR_E820_RESERVED, 0},
	{6 * GIB, 10 * GIB, FR_E820_RAM, 0},
	{0xfd00000000, 0x10000000000, FR_E820_RESERVED, 0},
};

/* The last 256 MiB of PRAM and the first of what is reserved are kept. */
static const struct fr_ram q35_8g_part[] = {
	LOW_2G,
	{4 * GIB, 0x130000000, FR_E820_PRAM, 0},
	{0x130000000, 0x170000000, FR_E820_RAM, 0},
	{0x170000000, 0x180000000, FR_E820_RESERVED, 0},
	{6 * GIB, 10 * GIB, FR_E820_RAM, 0},
	{0xfd00000000, 0x10000000000, FR_E820_RESERVED, 0},
};

static const struct fr_ram q35_2nodes[] = {
	LOW_2G,
	{4 * GIB, 6 * GIB, FR_E820_RAM, 0},
	{6 * GIB, 8 * GIB, FR_E820_RAM, 1},
	{0xfd00000000, 0x10000000000, FR_E820_RESERVED, 0},
};

static void test_q35(void **state)
{
	(void)state;
	expect_map("q35-8g", NOTHING, q35_8g, FR_ARRAY_SIZE(q35_8g));
}

/* Carve-outs of memmap=, of either kind, are RAM to the next kernel if they are kept. */
static void test_carved(void **state)
{
	(void)state;
	expect_map("q35-8g-carved", NOTHING, q35_8g_carved, FR_ARRAY_SIZE(q35_8g_carved));
	expect_map("q35-8g-carved", (struct fr_range){4 * GIB, 6 * GIB}, q35_8g,
		   FR_ARRAY_SIZE(q35_8g));
	expect_map("q35-8g-carved", (struct fr_range){0x130000000, 0x170000000}, q35_8g_part,
		   FR_ARRAY_SIZE(q35_8g_part));
	/* what is no carve-out stays what it is, kept or not */
	expect_map("q35-8g-carved", (struct fr_range){0, 4 * GIB}, q35_8g_carved,
		   FR_ARRAY_SIZE(q35_8g_carved));
}

static void test_two_nodes(void **state)
{
	(void)state;
	expect_map("q35-2nodes", NOTHING, q35_2nodes, FR_ARRAY_SIZE(q35_2nodes));
}

/* UEFI's tables look like RAM to firmware, and like reserved memory in /proc/iomem. */
static void test_uefi(void **state)
{
	struct fr_ram_map map = read_map("uefi-tables", NOTHING);

	(void)state;
	assert_int_equal(map.nr, 5);
	assert_int_equal(map.v[2].type, FR_E820_RESERVED);
	assert_int_equal(map.v[2].start, 0x7e000000);
	assert_int_equal(map.v[2].end, 0x7e012000);
	assert_int_equal(map.v[4].type, (uint32_t)FR_E820_SOFT_RESERVED);
	fr_ram_map_clear(&map);
}

/* After a hop, firmware's map lacks what was hidden: the descriptor knows better. */
static void test_after_hop(void **state)
{
	struct fr_descriptor *d = sample_descriptor();
	struct fr_ranges ram, hidden;
	struct fr_ram_map map;
	struct fr_error e = {0};
	struct machine m;

	(void)state;
	open_machine(&m, "after-hop");
	assert_int_equal(fr_ram_map_read(&m.ctx, d, &(struct fr_ranges){0}, &map, &e), 0);
	/* but that the last 2 GiB are no longer there */
	assert_int_equal(d->ram.v[d->ram.nr - 1].end, 12 * GIB);
	d->ram.v[d->ram.nr - 1].end = 10 * GIB;
	assert_int_equal(map.nr, d->ram.nr);
	assert_memory_equal(map.v, d->ram.v, map.nr * sizeof(*map.v));
	fr_ram_map_clear(&map);
	assert_int_equal(fr_iomem_ranges(&m.ctx, "System RAM", &ram, &e), 0);
	assert_int_equal(fr_iomem_ranges(&m.ctx, "Unusable memory", &hidden, &e), 0);
	assert_int_equal(hidden.nr, 1);
	assert_int_equal(fr_ranges_bytes(&hidden), GIB);
	assert_false(fr_ranges_touch(&ram, hidden.v[0].start, hidden.v[0].end));
	fr_ranges_clear(&ram);
	fr_ranges_clear(&hidden);
	fr_descriptor_free(d);
}

static void test_pram(void **state)
{
	struct fr_ranges r;
	struct machine m;

	(void)state;
	open_machine(&m, "q35-8g-carved");
	assert_int_equal(fr_iomem_ranges(&m.ctx, "Persistent Memory (legacy)", &r, NULL), 0);
	assert_int_equal(r.nr, 1);
	assert_int_equal(r.v[0].start, 4 * GIB);
	assert_int_equal(r.v[0].end, 5 * GIB);
	fr_ranges_clear(&r);
}

/* @text has this one range of System RAM, or none if it is empty. */
static void iomem_ram(const char *text, uint64_t start, uint64_t end)
{
	struct fr_ranges r;
	struct fr_error e = {0};

	assert_int_equal(fr_iomem_parse(text, "System RAM", &r, &e), 0);
	assert_int_equal(r.nr, start < end);
	if (r.nr) {
		assert_int_equal(r.v[0].start, start);
		assert_int_equal(r.v[0].end, end);
	}
	fr_ranges_clear(&r);
}

static void test_iomem_text(void **state)
{
	(void)state;
	iomem_ram("00001000-00001fff : System RAM\n"
		  "  00001000-000017ff : Kernel code\n"
		  "00002000-00002fff : System RAM\n"
		  "00003000-00003fff : System RAM (kmem)\n",
		  0x1000, 0x3000);
	/* nested entries are part of what is around them */
	iomem_ram("0-ffff : Soft Reserved\n  0-fff : System RAM\n", 0, 0);
	/* but for what is in use again of memory that was kept */
	iomem_ram("0-ffff : Unusable memory\n"
		  "  1000-1fff : System RAM (fastrestart)\n"
		  "    1000-1fff : other\n",
		  0x1000, 0x2000);
	iomem_ram("1000-1fff : System RAM (fastrestart)\n  1000-1fff : Unusable memory\n", 0x1000,
		  0x2000);
	iomem_ram("0-ffffffffffffffff : System RAM\n", 0, FR_PHYS_LIMIT);
}

static void iomem_refused(const char *text, int err, enum fr_fault fault)
{
	struct fr_ranges r;
	struct fr_error e = {0};

	assert_int_equal(fr_iomem_parse(text, "System RAM", &r, &e), -err);
	assert_int_equal(e.fault, fault);
}

static void test_iomem_refused(void **state)
{
	struct fr_error e = {0};

	(void)state;
	/* what an unprivileged reader gets */
	iomem_refused("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n", EPERM,
		      FR_FAULT_PERMISSION);
	iomem_refused("", EPERM, FR_FAULT_PERMISSION);
	iomem_refused("junk\n", EPROTO, FR_FAULT_SYSTEM);
	iomem_refused("2000-1000 : System RAM\n", EPROTO, FR_FAULT_SYSTEM);
	iomem_refused("1000-2000: System RAM\n", EPROTO, FR_FAULT_SYSTEM);
	iomem_refused("10000000000000000-10000000000000001 : System RAM\n", EPROTO,
		      FR_FAULT_SYSTEM);
	iomem_refused("1000-", EPROTO, FR_FAULT_SYSTEM);
	assert_int_equal(fr_iomem_ranges(&(struct fr_ctx){.root = "/nonexistent"}, "System RAM",
					 &(struct fr_ranges){0}, &e),
			 -ENOENT);
	assert_non_null(strstr(e.text, "/proc/iomem"));
}

/* ------------------------------------------------------- made-up machines */

static void put(int dir, const char *path, const char *text)
{
	char copy[256];
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		assert_true(!mkdirat(dir, copy, 0700) || errno == EEXIST);
		*p = '/';
	}
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fr_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void put_entry(int dir, unsigned int n, const char *start, const char *end, const char *type)
{
	char path[64];

	snprintf(path, sizeof(path), "sys/firmware/memmap/%u/start", n);
	put(dir, path, start);
	snprintf(path, sizeof(path), "sys/firmware/memmap/%u/end", n);
	put(dir, path, end);
	snprintf(path, sizeof(path), "sys/firmware/memmap/%u/type", n);
	put(dir, path, type);
}

static void firmware_refused(const char *start, const char *end, const char *says)
{
	char root[] = "/tmp/fr-test-XXXXXX", command[64];
	struct fr_ctx ctx = {.root = root};
	struct fr_error e = {0};
	struct fr_ram_map map;
	int dir;

	assert_non_null(mkdtemp(root));
	dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	put(dir, "proc/iomem", "00001000-7fffffff : System RAM\n");
	put(dir, "proc/cmdline", "quiet\n");
	put_entry(dir, 0, "0x1000\n", "0x7fffffff\n", "System RAM\n");
	put_entry(dir, 1, start, end, "System RAM\n");
	close(dir);
	assert_true(fr_ram_map_read(&ctx, NULL, &(struct fr_ranges){0}, &map, &e) < 0);
	if (!strstr(e.text, says))
		fail_msg("\"%s\", not \"%s\"", e.text, says);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

/* A machine with memory blocks of 2 GiB, the first of which is node 0's. */
static int make_machine(char *root, const char *iomem, const char *zoneinfo)
{
	int dir;

	assert_non_null(mkdtemp(root));
	dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	put(dir, "proc/iomem", iomem);
	put(dir, "proc/zoneinfo", zoneinfo);
	put(dir, "proc/cmdline", "quiet\n");
	put(dir, "sys/devices/system/memory/block_size_bytes", "80000000\n");
	put(dir, "sys/devices/system/node/node0/memory0", "");
	return dir;
}

/* Read the map of the machine at @root, after the hop of @handed if not NULL, and drop it. */
static void expect_ram(char *root, int dir, const struct fr_descriptor *handed,
		       const struct fr_ram *v, size_t nr)
{
	const struct fr_ctx ctx = {.root = root};
	struct fr_ram_map map;
	struct fr_error e;
	char command[64];

	if (fr_ram_map_read(&ctx, handed, &(struct fr_ranges){0}, &map, &e))
		fail_msg("%s", e.text);
	assert_int_equal(map.nr, nr);
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(map.v[i].start, v[i].start);
		assert_int_equal(map.v[i].end, v[i].end);
		assert_int_equal(map.v[i].nid, v[i].nid);
	}
	fr_ram_map_clear(&map);
	close(dir);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

/* Memory block 3 has memory of both nodes: only the zones tell where one ends. */
static void test_shared_block(void **state)
{
	static const struct fr_ram expected[] = {
		{GIB, 2 * GIB, FR_E820_RAM, 0},
		{4 * GIB, 7 * GIB, FR_E820_RAM, 0},
		{7 * GIB, 10 * GIB, FR_E820_RAM, 1},
	};
	char root[] = "/tmp/fr-test-XXXXXX";
	int dir;

	(void)state;
	dir = make_machine(
		root, "40000000-7fffffff : System RAM\n100000000-27fffffff : System RAM\n",
		"Node 0, zone    DMA32\n  pages free     1\n        spanned  262144\n"
		"  start_pfn:           262144\n"
		"Node 0, zone   Normal\n        spanned  786432\n        present  786432\n"
		"  start_pfn:           1048576\n"
		"Node 0, zone  Movable\n        spanned  0\n  start_pfn:           0\n"
		"Node 1, zone   Normal\n        spanned  786432\n"
		"  start_pfn:           1835008\n");
	put_entry(dir, 0, "0x40000000\n", "0x7fffffff\n", "System RAM\n");
	put_entry(dir, 1, "0x100000000\n", "0x27fffffff\n", "System RAM\n");
	put(dir, "sys/devices/system/node/node0/memory2", "");
	put(dir, "sys/devices/system/node/node0/memory3", "");
	put(dir, "sys/devices/system/node/node1/memory3", "");
	put(dir, "sys/devices/system/node/node1/memory4", "");
	expect_ram(root, dir, NULL, expected, FR_ARRAY_SIZE(expected));
}

/* Since the hop, one DIMM was taken out and another put in. */
static void test_dimms_since(void **state)
{
	struct fr_ram before[] = {
		{GIB, 2 * GIB, FR_E820_RAM, 0},
		{2 * GIB, 3 * GIB, FR_E820_RESERVED, 0},
		{4 * GIB, 8 * GIB, FR_E820_RAM, 0},
	};
	static const struct fr_ram expected[] = {
		{GIB, 2 * GIB, FR_E820_RAM, 0},
		{2 * GIB, 3 * GIB, FR_E820_RESERVED, 0},
		{4 * GIB, 6 * GIB, FR_E820_RAM, 0},
		{8 * GIB, 10 * GIB, FR_E820_RAM, 1},
	};
	const struct fr_descriptor d = {.ram = {.v = before, .nr = 3, .cap = 3}};
	char root[] = "/tmp/fr-test-XXXXXX";
	int dir;

	(void)state;
	dir = make_machine(root,
			   "40000000-7fffffff : System RAM\n100000000-13fffffff : Unusable memory\n"
			   "  100000000-107ffffff : System RAM (fastrestart)\n"
			   "140000000-15fffffff : System RAM\n"
			   "160000000-17fffffff : System RAM (fastrestart)\n"
			   "  160000000-17fffffff : Unusable memory\n"
			   "200000000-27fffffff : System RAM\n",
			   "");
	put(dir, "sys/devices/system/node/node1/memory4", "");
	expect_ram(root, dir, &d, expected, FR_ARRAY_SIZE(expected));
}

static void test_firmware_refused(void **state)
{
	(void)state;
	firmware_refused("0x7fffffff\n", "0x8fffffff\n", "two entries");
	firmware_refused("0x90000000\n", "0x8fffffff\n", "not a range");
	firmware_refused("0x80000000\n", "0xffffffffffffffff\n", "not a range");
	firmware_refused("\n", "0x8fffffff\n", "not a range");
	firmware_refused("0x80000000 x\n", "0x8fffffff\n", "not a range");
	firmware_refused("0x80000000\n", "0x1ffffffffffffffff\n", "not a range");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_q35),
		cmocka_unit_test(test_carved),
		cmocka_unit_test(test_two_nodes),
		cmocka_unit_test(test_uefi),
		cmocka_unit_test(test_after_hop),
		cmocka_unit_test(test_pram),
		cmocka_unit_test(test_iomem_text),
		cmocka_unit_test(test_iomem_refused),
		cmocka_unit_test(test_shared_block),
		cmocka_unit_test(test_dimms_since),
		cmocka_unit_test(test_firmware_refused),
	};

	return cmocka_run_group_tests_name("memmap", tests, NULL, NULL);
}
