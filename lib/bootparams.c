// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Layout of the piece: boot_params, the setup_data nodes next to each other (so that
 * they are few memblock regions), the EFI runtime map, the command line.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "bootparams.h"
#include "bytes.h"

#ifndef SETUP_RNG_SEED
#define SETUP_RNG_SEED 9 /* Linux 6.0 */
#endif

#define LOADER_TYPE_KEXEC 0xd0	      /* boot protocol: loader 0xD, version 0 */
#define E820_ENTRY_BYTES  20u	      /* struct boot_e820_entry */
#define NODE_BYTES	  16u	      /* struct setup_data without data */
#define INDIRECT_BYTES	  24u	      /* struct setup_indirect */
#define INDIRECT	  0x80000000u /* SETUP_INDIRECT, without its undefined shift */
#define EFI_SETUP_BYTES	  96u	      /* arch/x86: struct efi_setup_data */
#define ALIGN		  8u
#define CMDLINE_MAX	  (1u << 20)

_Static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");
_Static_assert(sizeof(struct setup_data) == NODE_BYTES, "setup_data");
_Static_assert(sizeof(struct setup_indirect) == INDIRECT_BYTES, "setup_indirect");
_Static_assert(offsetof(struct boot_params, hdr) == FR_SETUP_HEADER_OFFSET, "setup_header");
_Static_assert(sizeof(struct setup_header) <= FR_SETUP_HEADER_MAX, "setup_header");

/* The piece while it is filled */
struct builder {
	uint8_t *buf;
	uint64_t phys;
	size_t at, size;
	uint64_t first_node;
};

static size_t align_up(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* Entries that touch and have the same type are one to the kernel: nodes do not count here. */
static size_t e820_next(const struct fr_ram_map *m, size_t i, struct fr_ram *ret)
{
	*ret = m->v[i++];
	while (i < m->nr && m->v[i].type == ret->type && m->v[i].start == ret->end)
		ret->end = m->v[i++].end;
	return i;
}

static size_t e820_count(const struct fr_ram_map *m)
{
	struct fr_ram entry;
	size_t i, n = 0;

	for (i = 0; i < m->nr; n++)
		i = e820_next(m, i, &entry);
	return n;
}

size_t fr_boot_params_bytes(const struct fr_boot_params_request *r)
{
	size_t n = sizeof(struct boot_params), entries = e820_count(r->e820);

	if (r->late_bytes)
		n += align_up(NODE_BYTES + INDIRECT_BYTES);
	n += align_up(NODE_BYTES + sizeof(r->seed));
	if (r->host->efi.present)
		n += align_up(NODE_BYTES + EFI_SETUP_BYTES) + align_up(r->host->efi.map_bytes);
	if (entries > E820_MAX_ENTRIES_ZEROPAGE)
		n += align_up(NODE_BYTES +
			      (entries - E820_MAX_ENTRIES_ZEROPAGE) * E820_ENTRY_BYTES);
	return n + align_up(strlen(r->cmdline) + 1);
}

/* Room for @bytes; its physical address in @ret_phys. */
static uint8_t *take(struct builder *b, size_t bytes, uint64_t *ret_phys)
{
	uint8_t *p = b->buf + b->at;

	*ret_phys = b->phys + b->at;
	b->at += align_up(bytes);
	return p;
}

/* A node at the head of the list; returns its data. */
static uint8_t *take_node(struct builder *b, uint32_t type, size_t bytes)
{
	uint64_t phys;
	uint8_t *p = take(b, NODE_BYTES + bytes, &phys);

	fr_put_le64(p, b->first_node);
	fr_put_le32(p + 8, type);
	fr_put_le32(p + 12, (uint32_t)bytes);
	b->first_node = phys;
	return p + NODE_BYTES;
}

static void put_e820_entry(uint8_t *p, const struct fr_ram *entry)
{
	fr_put_le64(p, entry->start);
	fr_put_le64(p + 8, entry->end - entry->start);
	fr_put_le32(p + 16, entry->type);
}

static void put_e820(const struct fr_ram_map *m, struct boot_params *bp, struct builder *b)
{
	size_t i = 0, n = 0, entries = e820_count(m);
	uint8_t *rest = NULL;
	struct fr_ram entry;

	if (entries > E820_MAX_ENTRIES_ZEROPAGE)
		rest = take_node(b, SETUP_E820_EXT,
				 (entries - E820_MAX_ENTRIES_ZEROPAGE) * E820_ENTRY_BYTES);
	while (i < m->nr) {
		i = e820_next(m, i, &entry);
		if (n < E820_MAX_ENTRIES_ZEROPAGE) {
			put_e820_entry((uint8_t *)bp + offsetof(struct boot_params, e820_table) +
					       n++ * E820_ENTRY_BYTES,
				       &entry);
		} else {
			put_e820_entry(rest, &entry);
			rest += E820_ENTRY_BYTES;
		}
	}
	bp->e820_entries = (uint8_t)n;
}

static void put_efi(const struct fr_host_params *host, struct boot_params *bp, struct builder *b)
{
	const struct fr_efi *efi = &host->efi;
	struct efi_info info = host->running.efi_info;
	uint64_t phys;
	uint8_t *p;

	p = take_node(b, SETUP_EFI, EFI_SETUP_BYTES);
	fr_put_le64(p, efi->fw_vendor);
	fr_put_le64(p + 16, efi->tables);
	fr_put_le64(p + 24, efi->smbios);

	p = take(b, efi->map_bytes, &phys);
	memcpy(p, efi->map, efi->map_bytes);
	info.efi_memdesc_size = efi->desc_bytes;
	info.efi_memdesc_version = 1;
	info.efi_memmap = (uint32_t)phys;
	info.efi_memmap_hi = (uint32_t)(phys >> 32);
	info.efi_memmap_size = (uint32_t)efi->map_bytes;
	bp->efi_info = info;
}

/*
 * What describes the machine, rather than how the running kernel was loaded; the same
 * choice as arch/x86/kernel/kexec-bzimage64.c makes, with the monitor's EDID.  The
 * sentinel stays 0: otherwise the kernel clears the ext_ fields.
 */
static void inherit(const struct boot_params *from, struct boot_params *bp)
{
	bp->screen_info = from->screen_info;
	bp->screen_info.ext_mem_k = 0;
	bp->ist_info = from->ist_info;
	bp->acpi_rsdp_addr = from->acpi_rsdp_addr;
	bp->edid_info = from->edid_info;
	bp->kbd_status = from->kbd_status;
	bp->secure_boot = from->secure_boot;
	memcpy(bp->edd_mbr_sig_buffer, from->edd_mbr_sig_buffer, sizeof(bp->edd_mbr_sig_buffer));
	bp->edd_mbr_sig_buf_entries = from->edd_mbr_sig_buf_entries;
	memcpy(bp->eddbuf, from->eddbuf, sizeof(bp->eddbuf));
	bp->eddbuf_entries = from->eddbuf_entries;
	bp->hdr.hardware_subarch = from->hdr.hardware_subarch;
	bp->hdr.hardware_subarch_data = from->hdr.hardware_subarch_data;
}

/* Fields of the setup header that a boot loader is to write. */
static void put_header(const struct fr_boot_params_request *r, struct boot_params *bp)
{
	memcpy((uint8_t *)bp + FR_SETUP_HEADER_OFFSET, r->image->setup_header,
	       r->image->setup_header_bytes);
	bp->hdr.type_of_loader = LOADER_TYPE_KEXEC;
	bp->hdr.ext_loader_ver = 0;
	bp->hdr.ext_loader_type = 0;
	bp->hdr.loadflags &= (uint8_t) ~(CAN_USE_HEAP | KASLR_FLAG);
	if (r->image->randomised)
		bp->hdr.loadflags |= KASLR_FLAG;
	bp->hdr.vid_mode = r->host->running.hdr.vid_mode;
	bp->hdr.root_dev = 0;
	bp->hdr.ramdisk_image = (uint32_t)r->initrd_phys;
	bp->ext_ramdisk_image = (uint32_t)(r->initrd_phys >> 32);
	bp->hdr.ramdisk_size = (uint32_t)r->initrd_bytes;
	bp->ext_ramdisk_size = (uint32_t)(r->initrd_bytes >> 32);
}

static int check_cmdline(const struct fr_boot_params_request *r, struct fr_error *e)
{
	size_t n = strlen(r->cmdline), max;

	max = fr_get_le32(r->image->setup_header + offsetof(struct setup_header, cmdline_size));
	if (n <= max && n < CMDLINE_MAX)
		return 0;
	return fr_fail(e, FR_FAULT_REFUSED, E2BIG,
		       "command line of %zu bytes: this kernel takes %zu, make it shorter", n, max);
}

int fr_boot_params_build(const struct fr_boot_params_request *r, uint64_t phys, void *buf,
			 size_t size, struct fr_error *e)
{
	struct builder b = {.buf = buf, .phys = phys, .size = size};
	struct boot_params *bp = buf;
	size_t need = fr_boot_params_bytes(r), cmdline_bytes = strlen(r->cmdline) + 1;
	uint64_t at;
	uint8_t *p;
	int rc;

	rc = check_cmdline(r, e);
	if (rc < 0)
		return rc;
	if (size < need)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOSPC, "boot_params: %zu bytes of %zu", size,
			       need);
	memset(buf, 0, need);
	take(&b, sizeof(*bp), &at);
	put_header(r, bp);
	inherit(&r->host->running, bp);

	if (r->late_bytes) {
		p = take_node(&b, INDIRECT, INDIRECT_BYTES);
		fr_put_le32(p, INDIRECT | FR_SETUP_TYPE);
		fr_put_le64(p + 8, r->late_bytes);
		fr_put_le64(p + 16, r->late_phys);
	}
	p = take_node(&b, SETUP_RNG_SEED, sizeof(r->seed));
	memcpy(p, r->seed, sizeof(r->seed));
	put_e820(r->e820, bp, &b);
	if (r->host->efi.present)
		put_efi(r->host, bp, &b);
	bp->hdr.setup_data = b.first_node;

	p = take(&b, cmdline_bytes, &at);
	memcpy(p, r->cmdline, cmdline_bytes);
	bp->hdr.cmd_line_ptr = (uint32_t)at;
	bp->ext_cmd_line_ptr = (uint32_t)(at >> 32);
	return 0;
}
