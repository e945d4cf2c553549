/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Wire format of the kexec-fastrestart descriptor, and the ioctl interface of
 * /dev/fastrestart.
 *
 * This file is shared, byte for byte, between the command (lib/abi.h) and the
 * kernel series (its uapi header).  The normative description
 * is fastrestart-descriptor(5); a rule lives there, here, in the encoder, in
 * both validators and in one malformed test case.
 *
 * Contract:
 *  - everything is little endian; integers are naturally aligned;
 *  - ranges are half-open, [start, end);
 *  - a page is 4096 bytes, whatever the page size of a region;
 *  - reserved fields and unknown flags are zero, and a reader refuses others;
 *  - the reader trusts nothing: every count, offset and sum is bounded before
 *    it is used, and both checksums are verified before any table is read.
 */
#ifndef _UAPI_LINUX_FASTRESTART_H
#define _UAPI_LINUX_FASTRESTART_H

#include <linux/types.h>
#include <linux/ioctl.h>

/*
 * The descriptor is announced to the next kernel by one setup_data node of
 * type SETUP_INDIRECT whose setup_indirect has the type
 * (SETUP_INDIRECT | FR_SETUP_TYPE), the physical address of the descriptor and
 * the size of the area that holds it.  A kernel that does not know the type
 * still reserves the area and shows the node in /sys/kernel/boot_params.
 */
#define FR_SETUP_TYPE		0x46525354u	/* "FRST" */

#define FR_MAGIC		"KXFRDESC"	/* 8 bytes, no terminator */
#define FR_VERSION		1u

/* Bounds of version 1 */
#define FR_MAX_TOTAL_BYTES	(1ull << 30)	/* a whole descriptor */
#define FR_MAX_PHYS_BITS	52
#define FR_MAX_RAM		4096u		/* RAM map entries */
#define FR_MAX_REGIONS		4096u
#define FR_MAX_EXTENTS		(16u << 20)
#define FR_MAX_POISON		65536u
#define FR_MAX_BLOBS		4096u
#define FR_NR_TABLES		8u
#define FR_NR_STAMPS		32u
#define FR_NAME_BYTES		64u		/* with the terminating NUL */
#define FR_PATH_BYTES		4096u		/* with the terminating NUL */
#define FR_DIGEST_BYTES		16u

/*
 * ELF notes in the patched kernel's image (section .notes, so that they are in the
 * payload's PT_NOTE): which descriptor versions the kernel takes, and how many
 * entries its memory map has room for.  Kernels without the latter have room for 320.
 */
#define FR_NOTE_NAME		"FastRestart"
#define FR_NOTE_TYPE_VERSIONS	1		/* descriptor: struct fr_note_versions */
#define FR_NOTE_TYPE_LIMITS	2		/* descriptor: struct fr_note_limits */

struct fr_note_versions {
	__le32 min_version;
	__le32 max_version;
};

/* A later kernel's may be longer. */
struct fr_note_limits {
	__le32 e820_entries;
};

/* Index into fr_wire_header.table; an unused table is all zero. */
enum fr_table_id {
	FR_TABLE_RAM,		/* struct fr_wire_ram, sorted, disjoint */
	FR_TABLE_REGION,	/* struct fr_wire_region, names are unique */
	FR_TABLE_EXTENT,	/* struct fr_wire_extent, region after region */
	FR_TABLE_POISON,	/* struct fr_wire_poison, sorted */
	FR_TABLE_STRING,	/* bytes; paths, each ended by a NUL */
	FR_TABLE_BLOB,		/* struct fr_wire_blob, names are unique */
	FR_TABLE_BLOBDATA,	/* bytes, for user space only */
	FR_TABLE_SPARE,		/* all zero in version 1 */
};

/**
 * struct fr_wire_table - where a table is
 * @offset:      from the start of the descriptor, a multiple of 8; tables follow
 *               the header in the order of their index, without overlap
 * @nr:          number of entries (bytes for FR_TABLE_STRING, FR_TABLE_BLOBDATA)
 * @entry_bytes: size of an entry, as in this version
 * @reserved:    zero
 */
struct fr_wire_table {
	__le64 offset;
	__le64 nr;
	__le32 entry_bytes;
	__le32 reserved;
};

/* Index into fr_wire_header.stamp: raw TSC readings; zero when not taken. */
enum fr_stamp_id {
	FR_STAMP_FREEZE,	/* exec is about to stop the first guest */
	FR_STAMP_STATE_SAVED,	/* all guests' device state is in late data */
	FR_STAMP_SEALED,	/* descriptor complete */
	FR_STAMP_JUMP,		/* just before reboot() */
	FR_STAMP_TRAMPOLINE,	/* first instruction after the running kernel */
	FR_STAMP_KERNEL_ENTRY,	/* start of setup_arch() */
	FR_STAMP_DEFERRED_BEGIN,
	FR_STAMP_DEFERRED_END,
	FR_STAMP_SECTIONS_BEGIN,
	FR_STAMP_SECTIONS_END,
	FR_STAMP_INIT,		/* just before the first user process */
	FR_STAMP_RESTORE_BEGIN,
	FR_STAMP_RESTORED,	/* last region of the hop given back */
	FR_STAMP_VMM_UP,	/* first VMM answers */
	FR_STAMP_RESUMED,	/* last guest runs */
	FR_STAMP_USER_NR,
};

/**
 * struct fr_wire_header - starts a descriptor; 1024 bytes
 * @magic:        FR_MAGIC
 * @version:      FR_VERSION
 * @header_bytes: sizeof(struct fr_wire_header)
 * @total_bytes:  of the descriptor, header included, a multiple of 8
 * @hidden_bytes: RAM that the e820 table built for the next kernel does not
 *                show as RAM, so that tables can be sized early
 * @hop:          1 for the first hop after a cold boot
 * @tsc_khz:      frequency of the stamps, 0 when unknown
 * @lpj:          loops per jiffy that the running kernel measured, 0 when
 *                unknown; valid only with @lpj_hz == CONFIG_HZ
 * @lpj_hz:       CONFIG_HZ of the kernel that measured @lpj
 * @flags:        zero
 * @boot_id:      /proc/sys/kernel/random/boot_id of the sealing kernel, binary
 * @table:        see enum fr_table_id
 * @reserved:     zero
 * @body_csum:    xxh64, seed 0, of bytes [header_bytes, total_bytes)
 * @header_csum:  xxh64, seed 0, of the header up to this field
 * @stamp:        see enum fr_stamp_id; outside both checksums, for reports only
 */
struct fr_wire_header {
	__u8   magic[8];
	__le32 version;
	__le32 header_bytes;
	__le64 total_bytes;
	__le64 hidden_bytes;
	__le64 hop;
	__le64 tsc_khz;
	__le64 lpj;
	__le32 lpj_hz;
	__le32 flags;
	__u8   boot_id[16];
	struct fr_wire_table table[FR_NR_TABLES];
	__u8   reserved[480];
	__le64 body_csum;
	__le64 header_csum;
	__le64 stamp[FR_NR_STAMPS];
};

/**
 * struct fr_wire_ram - one entry of the original RAM map
 * @start: first byte
 * @end:   byte after the last one
 * @type:  E820_TYPE_*, as the machine's firmware had it at the last cold boot
 * @nid:   node of this range, for E820_TYPE_RAM; adjacent ranges of several
 *         nodes are several entries
 */
struct fr_wire_ram {
	__le64 start;
	__le64 end;
	__le32 type;
	__le32 nid;
};

enum fr_kind {
	FR_KIND_RAW	= 1,	/* a physical range, never given back as a file */
	FR_KIND_SHMEM	= 2,	/* tmpfs, memfd */
	FR_KIND_HUGETLB	= 3,	/* hugetlbfs */
};

#define FR_DIGEST_NONE		0
#define FR_DIGEST_XXH3_128	1	/* canonical (big-endian) form */

/* The file had no name when it was kept (memfd, or unlinked). */
#define FR_REGION_UNLINKED	(1u << 0)
#define FR_REGION_FLAGS		(FR_REGION_UNLINKED)

/**
 * struct fr_wire_region - one kept file or range; 256 bytes
 * @name:         [A-Za-z0-9._-]+, not starting with a dot or dash, padded with NULs
 * @kind:         enum fr_kind
 * @page_shift:   12 for raw and tmpfs, 21 or 30 for hugetlbfs
 * @size_bytes:   i_size, or the length of the raw range; the last page of a
 *                tmpfs file may be partial
 * @mode:         permission bits and S_IFREG
 * @uid:          owner
 * @gid:          group
 * @flags:        FR_REGION_*
 * @seals:        F_SEAL_* of a memfd
 * @digest_alg:   FR_DIGEST_*
 * @first_extent: index into FR_TABLE_EXTENT; the regions' runs follow each other
 * @nr_extents:   number of extents; 0 for a file that is all holes
 * @path:         offset into FR_TABLE_STRING of the absolute path ("" if none)
 * @digest:       of the file's @size_bytes bytes, holes read as zeros
 * @reserved:     zero
 */
struct fr_wire_region {
	__u8   name[FR_NAME_BYTES];
	__le32 kind;
	__le32 page_shift;
	__le64 size_bytes;
	__le32 mode;
	__le32 uid;
	__le32 gid;
	__le32 flags;
	__le32 seals;
	__le32 digest_alg;
	__le64 first_extent;
	__le64 nr_extents;
	__le64 path;
	__u8   digest[FR_DIGEST_BYTES];
	__u8   reserved[112];
};

/**
 * struct fr_wire_extent - physically contiguous part of a region
 * @start_pfn: first frame; naturally aligned for the region's page size
 * @nr_pages:  4 KiB frames, a multiple of the region's page size, not zero
 * @pgoff:     offset in the file, in 4 KiB pages; ascending within a region
 *
 * All extents of all regions are disjoint in physical memory, lie within
 * E820_TYPE_RAM entries of the RAM map (but for FR_KIND_RAW), and above 1 MiB.
 */
struct fr_wire_extent {
	__le64 start_pfn;
	__le64 nr_pages;
	__le64 pgoff;
};

struct fr_wire_poison {
	__le64 pfn;
};

/**
 * struct fr_wire_blob - a named piece of FR_TABLE_BLOBDATA, kept for user space
 * @name:   like a path: [A-Za-z0-9._/-]+, padded with NULs
 * @offset: from the start of FR_TABLE_BLOBDATA, a multiple of 8; ascending
 * @bytes:  length
 *
 * The command stores for each VM "vm/NAME/spec" (JSON) and "vm/NAME/state"
 * (the VMM's device state).
 */
struct fr_wire_blob {
	__u8   name[FR_NAME_BYTES];
	__le64 offset;
	__le64 bytes;
};

/*
 * /dev/fastrestart.  Opening it, and every call, needs CAP_SYS_ADMIN.
 * @size is sizeof the struct; @flags and @reserved are zero.
 *
 * FR_IOC_RESTORE: give region @name back as the empty regular file @fd (open
 *   for writing, on tmpfs or on a hugetlbfs of the region's page size).  All or
 *   nothing: on failure the file is empty again and the region is still kept.
 *   With FR_REGION_UNLINKED, the file can be sealed from then on, as a memfd
 *   can: its seals, F_SEAL_SEAL among them, are for user space to add.
 *   For FR_KIND_RAW, @fd is -1: the range is no longer listed as kept but stays
 *   out of RAM.
 *     ENOENT no such region; EBUSY being restored or released by somebody else;
 *     ESTALE already restored or released; EMEDIUMTYPE wrong file system or
 *     page size; ENOTEMPTY the file has pages or a size; EPERM file not open
 *     for writing or sealed; ENOSPC file system or reservation limit;
 *     ENOMEM; EINTR a fatal signal; EFBIG more than a file there can have;
 *     EHWPOISON one of its pages is broken; EBADF, EINVAL an argument.
 * FR_IOC_RELEASE: clear the region's pages and give them to the page allocator.
 *   @fd is -1.  Errors as above.
 * FR_IOC_STAMP: set stamp @fd (enum fr_stamp_id, FR_STAMP_RESTORE_BEGIN or
 *   later) to the TSC now.  @name is empty.
 */
struct fr_ioc_region {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
	__u8  name[FR_NAME_BYTES];
};

#define FR_IOC_MAGIC	0xfa
#define FR_IOC_RESTORE	_IOW(FR_IOC_MAGIC, 1, struct fr_ioc_region)
#define FR_IOC_RELEASE	_IOW(FR_IOC_MAGIC, 2, struct fr_ioc_region)
#define FR_IOC_STAMP	_IOW(FR_IOC_MAGIC, 3, struct fr_ioc_region)

/*
 * /sys/kernel/fastrestart/ of the patched kernel:
 *   versions         "MIN MAX\n", descriptor versions that this kernel takes
 *   status           "none", "accepted", or "refused: REASON"
 *   descriptor       (0400, binary) the descriptor as it was handed over, also
 *                    when it was refused but readable; stamps are current
 *   regions/NAME/    (0500) state ("kept", "restoring", "releasing", "restored",
 *                    "released"), kind ("raw", "shmem", "hugetlb"), size_bytes,
 *                    page_bytes, kept_bytes; add_us, insert_us: how long the
 *                    kernel took to add its sections and to insert its pages
 */

#endif /* _UAPI_LINUX_FASTRESTART_H */
