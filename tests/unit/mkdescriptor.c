// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes one descriptor to standard output, for the tests of the command: an 8 GiB
 * machine with two nodes; a hugetlbfs, a tmpfs and a raw region; one VM; all stamps,
 * in steps of 100 ms.  With "empty", one with a RAM map and nothing else.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fastrestart.h"

#define GiB (1ull << 30)
#define MiB (1ull << 20)

static struct fr_ram ram[] = {
	{0x1000, 0x9f000, FR_E820_RAM, 0},  {0x9f000, 0x100000, FR_E820_RESERVED, 0},
	{1 * MiB, 3 * GiB, FR_E820_RAM, 0}, {4 * GiB, 6 * GiB, FR_E820_RAM, 0},
	{6 * GiB, 9 * GiB, FR_E820_RAM, 1},
};

static struct fr_extent guest[] = {
	{5 * GiB >> FR_PAGE_SHIFT, 512 * MiB >> FR_PAGE_SHIFT, 0},
	{7 * GiB >> FR_PAGE_SHIFT, 512 * MiB >> FR_PAGE_SHIFT, 512 * MiB >> FR_PAGE_SHIFT},
};

static struct fr_extent cache[] = {
	{0x123456, 1, 0},
	{0x120000, 2, 3},
};

static struct fr_extent carved[] = {
	{12 * GiB >> FR_PAGE_SHIFT, 64 * MiB >> FR_PAGE_SHIFT, 0},
};

static char guest_path[] = "/dev/hugepages/web";
static char cache_path[] = "/dev/shm/a\233cache"; /* not UTF-8, and CSI to some terminals */
static char no_path[] = "";

static struct fr_region regions[] = {
	{
		.name = "web",
		.kind = FR_KIND_HUGETLB,
		.page_shift = 21,
		.size_bytes = GiB,
		.mode = 0100600,
		.uid = 64055,
		.gid = 108,
		.path = guest_path,
		.extents = {.v = guest, .nr = 2, .borrowed = true},
	},
	{
		.name = "cache",
		.kind = FR_KIND_SHMEM,
		.page_shift = 12,
		.size_bytes = 4 * 4096 + 100,
		.mode = 0100640,
		.uid = 1000,
		.gid = 1000,
		.path = cache_path,
		.digest_alg = FR_DIGEST_XXH3_128,
		.digest = {0xde, 0xad, 0xbe, 0xef},
		.extents = {.v = cache, .nr = 2, .borrowed = true},
	},
	{
		.name = "carved",
		.kind = FR_KIND_RAW,
		.page_shift = 12,
		.size_bytes = 64 * MiB,
		.mode = 0100600,
		.path = no_path,
		.extents = {.v = carved, .nr = 1, .borrowed = true},
	},
};

static char spec[] = "{\"version\": 1, \"regions\": [{\"name\": \"web\"}]}";
static char state[300];

static struct fr_blob blobs[] = {
	{.name = "vm/web/spec", .data = spec, .bytes = sizeof(spec) - 1},
	{.name = "vm/web/state", .data = state, .bytes = sizeof(state)},
};

int main(int argc, char **argv)
{
	struct fr_descriptor d = {
		.hop = 3,
		.hidden_bytes = GiB + 256 * MiB,
		.tsc_khz = 2500000,
		.boot_id = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef},
		.ram = {.v = ram, .nr = 5},
	};
	struct fr_error e = {0};
	int status = EXIT_FAILURE;
	size_t bytes;
	void *buf;

	if (argc < 2 || strcmp(argv[1], "empty")) {
		d.regions = regions;
		d.nr_regions = 3;
		d.blobs = blobs;
		d.nr_blobs = 2;
		for (size_t i = 0; i < FR_STAMP_USER_NR; i++)
			d.stamp[i] = 1000000000ull + i * 250000000;
	}
	bytes = fr_descriptor_bytes(&d);
	buf = malloc(bytes);
	if (!buf || fr_descriptor_encode(&d, buf, bytes, &e))
		fprintf(stderr, "mkdescriptor: %s\n", e.text);
	else if (fwrite(buf, 1, bytes, stdout) == bytes && !fflush(stdout))
		status = EXIT_SUCCESS;
	free(buf);
	return status;
}
