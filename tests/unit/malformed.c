// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "bytes.h"
#include "malformed.h"

/* Regions of sample_descriptor(), and the first extents of each. */
enum { RAW, SHMEM, HUGETLB };
enum { RAW_X0, SHMEM_X0, SHMEM_X1, SHMEM_X2, HUGETLB_X0 };

static const size_t entry_bytes[FR_NR_TABLES] = {
	[FR_TABLE_RAM] = sizeof(struct fr_wire_ram),
	[FR_TABLE_REGION] = sizeof(struct fr_wire_region),
	[FR_TABLE_EXTENT] = sizeof(struct fr_wire_extent),
	[FR_TABLE_POISON] = sizeof(struct fr_wire_poison),
	[FR_TABLE_STRING] = 1,
	[FR_TABLE_BLOB] = sizeof(struct fr_wire_blob),
	[FR_TABLE_BLOBDATA] = 1,
};

static uint8_t *table(uint8_t *p, unsigned int t)
{
	return p + offsetof(struct fr_wire_header, table) + t * sizeof(struct fr_wire_table);
}

static uint8_t *entry(uint8_t *p, unsigned int t, size_t i)
{
	return p + fr_get_le64(table(p, t) + offsetof(struct fr_wire_table, offset)) +
	       i * entry_bytes[t];
}

#define HEADER(field)		 (p + offsetof(struct fr_wire_header, field))
#define FIELD(t, type, i, field) (entry(p, t, i) + offsetof(struct type, field))
#define RAM(i, field)		 FIELD(FR_TABLE_RAM, fr_wire_ram, i, field)
#define REGION(i, field)	 FIELD(FR_TABLE_REGION, fr_wire_region, i, field)
#define EXTENT(i, field)	 FIELD(FR_TABLE_EXTENT, fr_wire_extent, i, field)
#define BLOB(i, field)		 FIELD(FR_TABLE_BLOB, fr_wire_blob, i, field)
#define TABLE(t, field)		 (table(p, t) + offsetof(struct fr_wire_table, field))

/* A generator: its name, and statements on p and bytes. */
#define CASE(name, ...)                             \
	static void name(uint8_t *p, size_t *bytes) \
	{                                           \
		(void)p;                            \
		(void)bytes;                        \
		__VA_ARGS__;                        \
	}

/* clang-format off: one line for each */
/* header */
CASE(no_bytes, *bytes = 0)
CASE(short_header, *bytes = sizeof(struct fr_wire_header) - 1)
CASE(cut_off, *bytes -= 8)
CASE(magic, p[7] ^= 1)
CASE(version_0, fr_put_le32(HEADER(version), 0))
CASE(version_2, fr_put_le32(HEADER(version), FR_VERSION + 1))
CASE(header_bytes, fr_put_le32(HEADER(header_bytes), 1016))
CASE(total_small, fr_put_le64(HEADER(total_bytes), 1016))
CASE(total_unaligned, fr_put_le64(HEADER(total_bytes), *bytes - 4))
CASE(total_large, fr_put_le64(HEADER(total_bytes), FR_MAX_TOTAL_BYTES + 8))
CASE(total_max, fr_put_le64(HEADER(total_bytes), UINT64_MAX - 7))
CASE(hidden, fr_put_le64(HEADER(hidden_bytes), FR_PHYS_LIMIT))
CASE(flags, fr_put_le32(HEADER(flags), 1))
CASE(reserved_first, *HEADER(reserved) = 1)
CASE(reserved_last, HEADER(body_csum)[-1] = 1)
CASE(header_csum, *HEADER(header_csum) ^= 1)
CASE(header_bit, *HEADER(tsc_khz) ^= 1)
CASE(body_bit, p[*bytes - 1] ^= 0x80)
CASE(last_table_byte, entry(p, FR_TABLE_EXTENT, 0)[3] ^= 1)

static void body_csum(uint8_t *p, size_t *bytes)
{
	(void)bytes;
	*HEADER(body_csum) ^= 1;
	/* the header's own checksum covers it, and is right */
	fr_put_le64(HEADER(header_csum), XXH64(p, offsetof(struct fr_wire_header, header_csum), 0));
}

/* tables */
CASE(table_reserved, fr_put_le32(TABLE(FR_TABLE_REGION, reserved), 1))
CASE(table_unaligned,
     fr_put_le64(TABLE(FR_TABLE_STRING, offset), fr_get_le64(TABLE(FR_TABLE_STRING, offset)) + 4))
CASE(table_in_header, fr_put_le64(TABLE(FR_TABLE_RAM, offset), 0))
CASE(table_beyond, fr_put_le64(TABLE(FR_TABLE_BLOBDATA, offset), *bytes + 8))
CASE(table_wraps, fr_put_le64(TABLE(FR_TABLE_BLOBDATA, offset), UINT64_MAX - 7))
CASE(table_too_long, fr_put_le64(TABLE(FR_TABLE_BLOBDATA, nr), *bytes))
CASE(table_overlap,
     fr_put_le64(TABLE(FR_TABLE_REGION, offset), fr_get_le64(TABLE(FR_TABLE_REGION, offset)) - 8))
CASE(table_out_of_order,
     fr_put_le64(TABLE(FR_TABLE_POISON, offset), fr_get_le64(TABLE(FR_TABLE_REGION, offset))))
CASE(spare_offset, fr_put_le64(TABLE(FR_TABLE_SPARE, offset), *bytes))
CASE(spare_nr, fr_put_le64(TABLE(FR_TABLE_SPARE, nr), 1))
CASE(no_ram, memset(table(p, FR_TABLE_RAM), 0, sizeof(struct fr_wire_table)))

#define TABLE_CASES(t)                                                     \
	CASE(t##_nr_max, fr_put_le64(TABLE(FR_TABLE_##t, nr), UINT64_MAX)) \
	CASE(t##_entry_bytes, fr_put_le32(TABLE(FR_TABLE_##t, entry_bytes), 7))
TABLE_CASES(RAM)
TABLE_CASES(REGION)
TABLE_CASES(EXTENT)
TABLE_CASES(POISON)
TABLE_CASES(STRING)
TABLE_CASES(BLOB)
TABLE_CASES(BLOBDATA)

/* RAM map */
CASE(ram_empty, fr_put_le64(RAM(3, end), 4 * (1ull << 30)))
CASE(ram_reversed, fr_put_le64(RAM(3, end), 4096))
CASE(ram_high, fr_put_le64(RAM(4, end), FR_PHYS_LIMIT + 4096))
CASE(ram_overlap, fr_put_le64(RAM(3, end), (8ull << 30) + 1))
CASE(ram_type, fr_put_le32(RAM(1, type), 0))
CASE(ram_nid, fr_put_le32(RAM(4, nid), UINT32_MAX))

/* regions */
CASE(name_empty, memset(REGION(SHMEM, name), 0, FR_NAME_BYTES))
CASE(name_dot, memcpy(REGION(SHMEM, name), "..", 3))
CASE(name_dash, *REGION(SHMEM, name) = '-')
CASE(name_slash, *REGION(SHMEM, name) = '/')
CASE(name_newline, REGION(SHMEM, name)[1] = '\n')
CASE(name_high_bit, REGION(SHMEM, name)[1] = 0xc3)
CASE(name_endless, memset(REGION(SHMEM, name), 'a', FR_NAME_BYTES))
CASE(name_padding, REGION(SHMEM, name)[FR_NAME_BYTES - 1] = 'a')
CASE(name_twice, memcpy(REGION(SHMEM, name), REGION(HUGETLB, name), FR_NAME_BYTES))
CASE(kind_0, fr_put_le32(REGION(SHMEM, kind), 0))
CASE(kind_4, fr_put_le32(REGION(SHMEM, kind), 4))
CASE(shift_shmem, fr_put_le32(REGION(SHMEM, page_shift), 21))
CASE(shift_raw, fr_put_le32(REGION(RAW, page_shift), 13))
CASE(shift_hugetlb, fr_put_le32(REGION(HUGETLB, page_shift), 12))
CASE(shift_absurd, fr_put_le32(REGION(HUGETLB, page_shift), 255))
CASE(size_absurd, fr_put_le64(REGION(SHMEM, size_bytes), INT64_MAX))
CASE(size_partial, fr_put_le64(REGION(HUGETLB, size_bytes), (64ull << 20) + 4096))
CASE(size_partial_raw, fr_put_le64(REGION(RAW, size_bytes), (1ull << 20) + 1))
CASE(mode_directory, fr_put_le32(REGION(SHMEM, mode), S_IFDIR | 0700))
CASE(mode_bits, fr_put_le32(REGION(SHMEM, mode), 1u << 20 | S_IFREG))
CASE(region_flags, fr_put_le32(REGION(SHMEM, flags), 2))
CASE(seals, fr_put_le32(REGION(SHMEM, seals), 1u << 6))
CASE(digest_alg, fr_put_le32(REGION(HUGETLB, digest_alg), 2))
CASE(digest_of_none, REGION(SHMEM, digest)[15] = 1)
CASE(first_extent, fr_put_le64(REGION(SHMEM, first_extent), 2))
CASE(nr_extents_many, fr_put_le64(REGION(HUGETLB, nr_extents), 2))
CASE(nr_extents_wraps, fr_put_le64(REGION(HUGETLB, nr_extents), UINT64_MAX))
CASE(nr_extents_few, fr_put_le64(REGION(HUGETLB, nr_extents), 0))
CASE(path_beyond, fr_put_le64(REGION(SHMEM, path), 1u << 20))
CASE(path_wraps, fr_put_le64(REGION(SHMEM, path), UINT64_MAX))
CASE(path_endless,
     memset(entry(p, FR_TABLE_STRING, 1), '/', fr_get_le64(TABLE(FR_TABLE_STRING, nr)) - 1))
CASE(path_relative, *entry(p, FR_TABLE_STRING, fr_get_le64(REGION(SHMEM, path))) = 'd')
CASE(path_dots, memcpy(entry(p, FR_TABLE_STRING, fr_get_le64(REGION(SHMEM, path)) + 4), "/../", 4))
CASE(path_control, entry(p, FR_TABLE_STRING, fr_get_le64(REGION(SHMEM, path)))[3] = 0x1b)
CASE(region_reserved, REGION(SHMEM, reserved)[111] = 1)

/* extents */
CASE(extent_empty, fr_put_le64(EXTENT(SHMEM_X1, nr_pages), 0))
CASE(extent_high, fr_put_le64(EXTENT(SHMEM_X1, start_pfn), 1ull << 40))
CASE(extent_wraps, fr_put_le64(EXTENT(SHMEM_X1, nr_pages), UINT64_MAX))
CASE(extent_shift_wraps, fr_put_le64(EXTENT(SHMEM_X1, start_pfn), (1ull << 52) + 0x140004))
CASE(extent_low, fr_put_le64(EXTENT(SHMEM_X1, start_pfn), 0xff))
CASE(extent_unaligned, fr_put_le64(EXTENT(HUGETLB_X0, start_pfn), (8ull << 18) + 1))
CASE(extent_partial, fr_put_le64(EXTENT(HUGETLB_X0, nr_pages), 513))
CASE(extent_pgoff, fr_put_le64(EXTENT(HUGETLB_X0, pgoff), 1))
CASE(extent_order, fr_put_le64(EXTENT(SHMEM_X1, pgoff), 6))
CASE(extent_beyond_file, fr_put_le64(EXTENT(SHMEM_X2, pgoff), 81))
CASE(extent_pgoff_wraps, fr_put_le64(EXTENT(SHMEM_X2, pgoff), UINT64_MAX))
CASE(extent_overlap, fr_put_le64(EXTENT(SHMEM_X1, start_pfn), 0x14000b))
CASE(extent_overlap_region, fr_put_le64(EXTENT(SHMEM_X1, start_pfn), 8ull << 18))
CASE(extent_overlap_raw, fr_put_le64(EXTENT(RAW_X0, start_pfn), 8ull << 18))
CASE(extent_not_ram, fr_put_le64(EXTENT(SHMEM_X1, start_pfn), 0x80000))
CASE(extent_leaves_ram, fr_put_le64(EXTENT(SHMEM_X2, start_pfn), 0x80000 - 19))

/* poisoned pages */
CASE(poison_high, fr_put_le64(entry(p, FR_TABLE_POISON, 1), 1ull << 40))
CASE(poison_order, fr_put_le64(entry(p, FR_TABLE_POISON, 1), 0x4fff))
CASE(poison_twice, fr_put_le64(entry(p, FR_TABLE_POISON, 1), 0x5000))

/* blobs */
CASE(blob_name_empty, memset(BLOB(0, name), 0, FR_NAME_BYTES))
CASE(blob_name_absolute, *BLOB(0, name) = '/')
CASE(blob_name_dots, memcpy(BLOB(0, name), "vm/../x\0\0\0\0\0\0\0", 14))
CASE(blob_name_slashes, BLOB(0, name)[3] = '/')
CASE(blob_name_blank, BLOB(0, name)[4] = ' ')
CASE(blob_name_endless, memset(BLOB(0, name), 'a', FR_NAME_BYTES))
CASE(blob_name_padding, BLOB(0, name)[FR_NAME_BYTES - 1] = 'a')
CASE(blob_twice, memcpy(BLOB(0, name), BLOB(1, name), FR_NAME_BYTES))
CASE(blob_unaligned, fr_put_le64(BLOB(1, offset), 4))
CASE(blob_order, fr_put_le64(BLOB(1, offset), 0))
CASE(blob_beyond, fr_put_le64(BLOB(1, bytes), 1u << 20))
CASE(blob_too_long, fr_put_le64(BLOB(1, bytes), fr_get_le64(TABLE(FR_TABLE_BLOBDATA, nr))))
CASE(blob_wraps, fr_put_le64(BLOB(1, bytes), UINT64_MAX))
CASE(blob_offset_beyond, fr_put_le64(BLOB(1, offset), 1ull << 40))

#define C(id, text, ...)                                              \
	{                                                             \
		.name = #id, .apply = id, .says = text, ##__VA_ARGS__ \
	}
#define RAW_CSUM  .keep_csum = true
#define USER_ONLY .user_only = true

/* clang-format on */

const struct malformed malformed[] = {
	C(no_bytes, "too few"),
	C(short_header, "too few"),
	C(cut_off, "cut off", RAW_CSUM),
	C(magic, "magic"),
	C(version_0, "version 0"),
	C(version_2, "version 2"),
	C(header_bytes, "header size"),
	C(total_small, "total size"),
	C(total_unaligned, "total size"),
	C(total_large, "total size"),
	C(total_max, "total size"),
	C(hidden, "hidden"),
	C(flags, "flags"),
	C(reserved_first, "reserved"),
	C(reserved_last, "reserved"),
	C(header_csum, "header's checksum", RAW_CSUM),
	C(header_bit, "header's checksum", RAW_CSUM),
	C(body_csum, "body's checksum", RAW_CSUM),
	C(body_bit, "body's checksum", RAW_CSUM),
	C(last_table_byte, "body's checksum", RAW_CSUM),
	C(table_reserved, "regions: reserved"),
	C(table_unaligned, "strings: not aligned"),
	C(table_in_header, "RAM map: not aligned"),
	C(table_beyond, "blob data: not aligned"),
	C(table_wraps, "blob data: not aligned"),
	C(table_too_long, "blob data: not aligned"),
	C(table_overlap, "regions: not aligned"),
	C(table_out_of_order, "poisoned pages: not aligned"),
	C(spare_offset, "spare: is set"),
	C(spare_nr, "spare: is set"),
	C(no_ram, "no RAM map"),
	C(RAM_nr_max, "RAM map: too many"),
	C(RAM_entry_bytes, "RAM map: wrong size"),
	C(REGION_nr_max, "regions: too many"),
	C(REGION_entry_bytes, "regions: wrong size"),
	C(EXTENT_nr_max, "extents: too many"),
	C(EXTENT_entry_bytes, "extents: wrong size"),
	C(POISON_nr_max, "poisoned pages: too many"),
	C(POISON_entry_bytes, "poisoned pages: wrong size"),
	C(STRING_nr_max, "strings: too many"),
	C(STRING_entry_bytes, "strings: wrong size"),
	C(BLOB_nr_max, "blobs: too many"),
	C(BLOB_entry_bytes, "blobs: wrong size"),
	C(BLOBDATA_nr_max, "blob data: too many"),
	C(BLOBDATA_entry_bytes, "blob data: wrong size"),
	C(ram_empty, "RAM map entry 3"),
	C(ram_reversed, "RAM map entry 3"),
	C(ram_high, "RAM map entry 4"),
	C(ram_overlap, "RAM map entry 4"),
	C(ram_type, "RAM map entry 1: type 0", USER_ONLY),
	C(ram_nid, "RAM map entry 4: node"),
	C(name_empty, "region name"),
	C(name_dot, "region name"),
	C(name_dash, "region name"),
	C(name_slash, "region name"),
	C(name_newline, "region name"),
	C(name_high_bit, "region name"),
	C(name_endless, "region name"),
	C(name_padding, "region name"),
	C(name_twice, "two regions are named guest0"),
	C(kind_0, "unknown kind 0"),
	C(kind_4, "unknown kind 4"),
	C(shift_shmem, "pages of 2^21"),
	C(shift_raw, "pages of 2^13"),
	C(shift_hugetlb, "huge pages of 2^12"),
	C(shift_absurd, "huge pages of 2^255"),
	C(size_absurd, "absurd size"),
	C(size_partial, "no whole number"),
	C(size_partial_raw, "no whole number"),
	C(mode_directory, "mode"),
	C(mode_bits, "mode"),
	C(region_flags, "unknown flags"),
	C(seals, "unknown seals", USER_ONLY),
	C(digest_alg, "unknown digest"),
	C(digest_of_none, "digest of no kind", USER_ONLY),
	C(first_extent, "do not follow"),
	C(nr_extents_many, "do not follow"),
	C(nr_extents_wraps, "do not follow"),
	C(nr_extents_few, "extents of no region"),
	C(path_beyond, "path outside"),
	C(path_wraps, "path outside"),
	C(path_endless, "path without an end"),
	C(path_relative, "not absolute"),
	C(path_dots, "not absolute and plain", USER_ONLY),
	C(path_control, "not absolute and plain", USER_ONLY),
	C(region_reserved, "reserved"),
	C(extent_empty, "is empty"),
	C(extent_high, "beyond physical memory"),
	C(extent_wraps, "beyond physical memory"),
	C(extent_shift_wraps, "beyond physical memory"),
	C(extent_low, "below 1 MiB"),
	C(extent_unaligned, "not aligned"),
	C(extent_partial, "not aligned"),
	C(extent_pgoff, "not aligned"),
	C(extent_order, "out of order"),
	C(extent_beyond_file, "beyond the end of the file"),
	C(extent_pgoff_wraps, "beyond the end of the file"),
	C(extent_overlap, "two extents have frame 0x14000b"),
	C(extent_overlap_region, "two extents have frame"),
	C(extent_overlap_raw, "two extents have frame"),
	C(extent_not_ram, "not in RAM"),
	C(extent_leaves_ram, "not in RAM"),
	C(poison_high, "poisoned page 1"),
	C(poison_order, "not sorted"),
	C(poison_twice, "not sorted"),
	C(blob_name_empty, "blob name"),
	C(blob_name_absolute, "blob name"),
	C(blob_name_dots, "blob name", USER_ONLY),
	C(blob_name_slashes, "blob name", USER_ONLY),
	C(blob_name_blank, "blob name"),
	C(blob_name_endless, "blob name"),
	C(blob_name_padding, "blob name"),
	C(blob_twice, "two blobs"),
	C(blob_unaligned, "blob vm/guest0/state"),
	C(blob_order, "blob vm/guest0/state"),
	C(blob_beyond, "blob vm/guest0/state"),
	C(blob_too_long, "blob vm/guest0/state"),
	C(blob_wraps, "blob vm/guest0/state"),
	C(blob_offset_beyond, "blob vm/guest0/state"),
};

const size_t nr_malformed = sizeof(malformed) / sizeof(malformed[0]);
