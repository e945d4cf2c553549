// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kept START BYTES STRIDE COUNT: write a descriptor, for load --descriptor, in which COUNT
 * pieces of BYTES, each STRIDE after the one before and the first one at START, belong to one
 * file on hugetlbfs.  It can be far larger than what the machine that runs the VM could give:
 * nobody has written, or ever reads, a page of it.  The machine's RAM is what the firmware
 * has told, with what an earlier hop has hidden: that is unusable, or, after a plain kexec,
 * reserved, and lies above 4 GiB, where QEMU has nothing else below 1012 GiB.
 */
#include "config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "fastrestart.h"
#include "ramap.h"
#include "util.h"

#define MEMMAP "/sys/firmware/memmap"

#define HIDDEN_START (4ull << 30)
#define HIDDEN_END   (1012ull << 30)

static const struct {
	const char *name;
	uint32_t type;
} types[] = {
	{"System RAM\n", FR_E820_RAM},
	{"Unusable memory\n", FR_E820_UNUSABLE},
	{"Reserved\n", FR_E820_RESERVED},
	{"ACPI Tables\n", FR_E820_ACPI},
	{"ACPI Non-volatile Storage\n", FR_E820_NVS},
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "kept: %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	must(end != text && !*end, text);
	return n;
}

static char *read_entry(const char *entry, const char *file)
{
	char *path, *data;
	size_t bytes;

	must(asprintf(&path, MEMMAP "/%s/%s", entry, file) >= 0, "out of memory");
	must(!fr_read_file(path, 4096, &data, &bytes), path);
	free(path);
	return data;
}

static uint64_t read_address(const char *entry, const char *file)
{
	_cleanup_free_ char *text = read_entry(entry, file);

	return strtoull(text, NULL, 16);
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

/* The kernel lists its entries by address. */
static void read_ram(struct fr_ram_map *m)
{
	struct dirent **entries;
	int nr = scandir(MEMMAP, &entries, NULL, by_number);

	must(nr > 0, MEMMAP);
	for (int i = 0; i < nr; i++) {
		const char *entry = entries[i]->d_name;
		_cleanup_free_ char *type = NULL;
		uint32_t number = FR_E820_RESERVED;
		uint64_t start, end;

		if (entry[0] == '.')
			continue;
		start = read_address(entry, "start");
		end = read_address(entry, "end") + 1;
		type = read_entry(entry, "type");
		for (size_t k = 0; k < FR_ARRAY_SIZE(types); k++)
			if (!strcmp(type, types[k].name))
				number = types[k].type;
		if (start >= HIDDEN_START && end <= HIDDEN_END)
			number = FR_E820_RAM;
		must(!fr_ram_map_add(m, start, end, number, 0), "memory map");
	}
}

int main(int argc, char **argv)
{
	static char path[] = "/mnt/huge/kept";
	struct fr_region region = {
		.name = "kept",
		.kind = FR_KIND_HUGETLB,
		.page_shift = 21,
		.mode = 0100600,
		.path = path,
	};
	struct fr_descriptor d = {.hop = 1, .regions = &region};
	uint64_t start, bytes, stride, count;
	struct fr_error e = {0};
	size_t size;
	void *buf;

	must(argc == 5, "usage: kept START BYTES STRIDE COUNT");
	start = number(argv[1]);
	bytes = number(argv[2]);
	stride = number(argv[3]);
	count = number(argv[4]);
	for (uint64_t i = 0; i < count; i++) {
		must(!fr_extents_append(&region.extents, (start + i * stride) >> FR_PAGE_SHIFT,
					bytes >> FR_PAGE_SHIFT, region.size_bytes >> FR_PAGE_SHIFT),
		     "out of memory");
		region.size_bytes += bytes;
	}
	d.nr_regions = count > 0;
	d.hidden_bytes = region.size_bytes;
	read_ram(&d.ram);
	size = fr_descriptor_bytes(&d);
	buf = malloc(size);
	must(buf && !fr_descriptor_encode(&d, buf, size, &e), e.text);
	must(fwrite(buf, 1, size, stdout) == size && !fflush(stdout), "cannot write");
	return EXIT_SUCCESS;
}
