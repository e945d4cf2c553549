/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot_params (the "zero page"), its setup_data nodes and the command line, in one
 * piece of memory.  Reading the host is apart from building, which is pure.
 */
#ifndef FR_BOOTPARAMS_H
#define FR_BOOTPARAMS_H

#include <asm/bootparam.h>

#include "image.h"

/* UEFI hosts: what kexec-tools passes in SETUP_EFI, so that SetVirtualAddressMap runs once only */
struct fr_efi {
	bool present;
	uint64_t fw_vendor, tables, smbios; /* physical addresses */
	uint8_t *map;			    /* runtime map: descriptors of desc_bytes */
	size_t map_bytes;
	uint32_t desc_bytes;
};

/* What the next kernel inherits from the running one */
struct fr_host_params {
	struct boot_params running;
	struct fr_efi efi;
	bool la57;	       /* paging is five-level: CR4.LA57 is inherited */
	bool memory_encrypted; /* AMD SME is active */
};

struct fr_boot_params_request {
	const struct fr_host_params *host;
	const struct fr_image *image;
	const char *cmdline;
	const struct fr_ram_map *e820;
	uint64_t initrd_phys, initrd_bytes; /* 0, 0: none */
	uint64_t late_phys, late_bytes;	    /* descriptor area; 0, 0: none */
	uint8_t seed[32];		    /* SETUP_RNG_SEED */
};

int fr_host_params_read(const struct fr_ctx *ctx, struct fr_host_params *ret_host,
			struct fr_error *e);
void fr_host_params_clear(struct fr_host_params *host);

/* Bytes that fr_boot_params_build() fills. */
size_t fr_boot_params_bytes(const struct fr_boot_params_request *r);
/*
 * Build into @buf, which will be at @phys (8-byte aligned): struct boot_params first,
 * which is what the kernel gets the address of.  -ENOSPC; FR_FAULT_REFUSED for a
 * command line that is too long for the kernel.
 */
int fr_boot_params_build(const struct fr_boot_params_request *r, uint64_t phys, void *buf,
			 size_t size, struct fr_error *e);

#endif /* FR_BOOTPARAMS_H */
