// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * edit-descriptor [--reseal] PID|FILE NAME=VALUE
 * edit-descriptor --undo FILE
 *
 * Change a field of a descriptor: in the late data of an exec that was stopped after
 * it sealed, or in a file.  With --reseal the checksums are made right again, so that
 * the kernel gets to see what lies behind them.  What was there before goes into the
 * last two stamps, which no checksum covers and nobody uses; --undo takes it from
 * there and reseals.
 *
 * NAME: a field of the header, ram0.FIELD, region0.FIELD, extent0.FIELD (of the first
 * entry), or body: the first byte behind the header.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "abi.h"

#define NO_TABLE	FR_NR_TABLES

static const struct field {
	const char *name;
	enum fr_table_id table;		/* whose first entry it is in */
	size_t offset, bytes;
} fields[] = {
#define HEADER(f) \
	{ #f, NO_TABLE, offsetof(struct fr_wire_header, f), \
	  sizeof(((struct fr_wire_header *)0)->f) }
#define ENTRY(prefix, t, type, f) \
	{ #prefix "0." #f, t, offsetof(struct type, f), sizeof(((struct type *)0)->f) }
#define RAM(f)		ENTRY(ram, FR_TABLE_RAM, fr_wire_ram, f)
#define REGION(f)	ENTRY(region, FR_TABLE_REGION, fr_wire_region, f)
#define EXTENT(f)	ENTRY(extent, FR_TABLE_EXTENT, fr_wire_extent, f)
	{ "magic", NO_TABLE, 0, 8 },
	HEADER(version), HEADER(header_bytes), HEADER(total_bytes), HEADER(hidden_bytes),
	HEADER(hop), HEADER(flags), HEADER(body_csum), HEADER(header_csum),
	{ "reserved", NO_TABLE, offsetof(struct fr_wire_header, reserved), 8 },
	{ "body", NO_TABLE, sizeof(struct fr_wire_header), 1 },
	{ "table0.offset", NO_TABLE, offsetof(struct fr_wire_header, table), 8 },
	{ "table0.nr", NO_TABLE, offsetof(struct fr_wire_header, table) + 8, 8 },
	{ "table0.entry_bytes", NO_TABLE, offsetof(struct fr_wire_header, table) + 16, 4 },
	{ "table2.nr", NO_TABLE,
	  offsetof(struct fr_wire_header, table) + 2 * sizeof(struct fr_wire_table) + 8, 8 },
	RAM(start), RAM(end), RAM(type), RAM(nid),
	{ "region0.name", FR_TABLE_REGION, 0, 8 },
	REGION(kind), REGION(page_shift), REGION(size_bytes), REGION(mode), REGION(flags),
	REGION(seals), REGION(digest_alg), REGION(first_extent), REGION(nr_extents),
	REGION(path),
	{ "region0.digest", FR_TABLE_REGION, offsetof(struct fr_wire_region, digest), 8 },
	{ "region0.reserved", FR_TABLE_REGION, offsetof(struct fr_wire_region, reserved), 8 },
	EXTENT(start_pfn), EXTENT(nr_pages), EXTENT(pgoff),
};

#define NR_FIELDS	(sizeof(fields) / sizeof(fields[0]))

/* Address of the sealed descriptor among the huge pages of process @pid. */
static off_t find_in_process(int mem, const char *pid)
{
	char path[64], line[512];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		err(2, "%s", path);
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;

		if (!strstr(line, "/memfd:kexec-fastrestart") ||
		    sscanf(line, "%" SCNx64 "-%" SCNx64 " rw", &start, &end) != 2)
			continue;
		for (uint64_t at = start; at < end; at += 4096) {
			struct fr_wire_header h;

			if (pread(mem, &h, sizeof(h), at) == sizeof(h) &&
			    !memcmp(h.magic, FR_MAGIC, sizeof(h.magic)) &&
			    h.stamp[FR_STAMP_SEALED]) {
				fclose(maps);
				return at;
			}
		}
	}
	errx(2, "process %s: no sealed descriptor", pid);
}

static uint64_t get(const uint8_t *p, size_t bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes);
	return le64toh(v);
}

static uint8_t *locate(uint8_t *d, size_t size, const struct field *f)
{
	const struct fr_wire_header *h = (const void *)d;
	size_t at = f->offset + (f->table == NO_TABLE ? 0 : le64toh(h->table[f->table].offset));

	if (at + f->bytes > size)
		errx(2, "%s: outside", f->name);
	return d + at;
}

static void change(uint8_t *d, size_t size, char *setting)
{
	struct fr_wire_header *h = (void *)d;
	char *value = strchr(setting, '=');
	const struct field *f = fields;

	if (!value)
		errx(2, "%s: not NAME=VALUE", setting);
	*value++ = '\0';
	while (f < fields + NR_FIELDS && strcmp(f->name, setting))
		f++;
	if (f == fields + NR_FIELDS)
		errx(2, "no field '%s'", setting);

	uint64_t v = htole64(strtoull(value, NULL, 0));
	uint8_t *p = locate(d, size, f);

	h->stamp[FR_NR_STAMPS - 1] = htole64(get(p, f->bytes));
	h->stamp[FR_NR_STAMPS - 2] = htole64(f - fields + 1);
	memcpy(p, &v, f->bytes);
}

static void undo(uint8_t *d, size_t size)
{
	struct fr_wire_header *h = (void *)d;
	uint64_t f = le64toh(h->stamp[FR_NR_STAMPS - 2]);
	uint64_t v = h->stamp[FR_NR_STAMPS - 1];

	if (!f || f > NR_FIELDS)
		errx(2, "nothing to undo");
	memcpy(locate(d, size, &fields[f - 1]), &v, fields[f - 1].bytes);
	h->stamp[FR_NR_STAMPS - 2] = 0;
}

static void reseal(uint8_t *d, size_t size)
{
	struct fr_wire_header *h = (void *)d;

	h->body_csum = htole64(XXH64(d + sizeof(*h), size - sizeof(*h), 0));
	h->header_csum = htole64(XXH64(d, offsetof(struct fr_wire_header, header_csum), 0));
}

int main(int argc, char **argv)
{
	bool seal = argc > 1 && !strcmp(argv[1], "--reseal"), is_pid;
	bool undoing = argc > 1 && !strcmp(argv[1], "--undo");
	struct fr_wire_header h;
	off_t at = 0;
	char path[64];
	int fd;

	argv += 1 + (seal || undoing);
	argc -= 1 + (seal || undoing);
	if (argc != 2 - undoing)
		errx(2, "usage: edit-descriptor [--reseal] PID|FILE NAME=VALUE, or --undo FILE");
	is_pid = strspn(argv[0], "0123456789") == strlen(argv[0]);
	snprintf(path, sizeof(path), "/proc/%s/mem", argv[0]);
	fd = open(is_pid ? path : argv[0], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(2, "%s", is_pid ? path : argv[0]);
	if (is_pid)
		at = find_in_process(fd, argv[0]);
	if (pread(fd, &h, sizeof(h), at) != sizeof(h))
		err(2, "%s: header", argv[0]);

	struct stat st;
	size_t size = le64toh(h.total_bytes);

	if (!is_pid) {			/* a damaged header does not say */
		if (fstat(fd, &st))
			err(2, "%s", argv[0]);
		size = st.st_size;
	}
	if (size < sizeof(h) || size > FR_MAX_TOTAL_BYTES)
		errx(2, "%s: %zu bytes", argv[0], size);

	uint8_t *d = malloc(size);

	if (!d || pread(fd, d, size, at) != (ssize_t)size)
		err(2, "%s: %zu bytes", argv[0], size);
	if (undoing) {
		undo(d, size);
		/* of a refused header the kernel shows the whole area */
		uint64_t total = le64toh(((struct fr_wire_header *)d)->total_bytes);

		if (total >= sizeof(h) && total < size) {
			size = total;
			if (ftruncate(fd, size))
				err(2, "%s: truncate", argv[0]);
		}
	} else {
		change(d, size, argv[1]);
	}
	if (seal || undoing)
		reseal(d, size);
	if (pwrite(fd, d, size, at) != (ssize_t)size)
		err(2, "%s: write", argv[0]);
	return 0;
}
