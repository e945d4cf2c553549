/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The next kernel's image: bzImage or vmlinux ELF, decompressed, parsed and
 * relocated at load; flat and position independent in physical memory.
 */
#ifndef FR_IMAGE_H
#define FR_IMAGE_H

#include "fastrestart.h"

#define FR_SETUP_HEADER_OFFSET 0x1f1 /* boot protocol: setup_header in boot_params */
#define FR_SETUP_HEADER_MAX    (0x290 - 0x1f1)

struct fr_image {
	uint8_t *data;	       /* flat image, from the lowest p_paddr */
	size_t bytes;	       /* of data */
	uint64_t memory_bytes; /* with bss and brk, what the kernel needs (>= bytes) */
	uint64_t entry_offset; /* of startup_64 from the load address */
	uint64_t align_bytes;  /* of the load address, at least 2 MiB */
	uint64_t virt_offset;  /* chosen by randomisation; 0 when there are no relocations */
	bool randomised;
	uint8_t setup_header[FR_SETUP_HEADER_MAX]; /* from 0x1f1; zero-filled */
	size_t setup_header_bytes;
	char version[256]; /* "6.12.117 (...)" from the header, or linux_banner */
	bool has_note;
	uint32_t min_version, max_version;
	uint32_t e820_entries; /* that it has room for; 0 when its notes do not say */
	uint32_t xloadflags;
	char *config; /* contents of IKCONFIG if embedded, else NULL */
};

/*
 * FR_FAULT_IMAGE names the file and what is wrong with it.  @randomise: relocate to
 * a random virtual address where the image allows it; false with "nokaslr".
 */
int fr_image_open(const struct fr_ctx *ctx, const char *path, bool randomise,
		  struct fr_image **ret_image, struct fr_error *e);
/*
 * The parser proper, on bytes (fuzzing entry point).  @random: entropy for the
 * virtual address; 0 leaves the kernel where it was linked.
 */
int fr_image_parse(const void *file, size_t size, uint64_t random, struct fr_image **ret_image,
		   struct fr_error *e);
void fr_image_free(struct fr_image *image);

/*
 * Warn (through @ret_warnings, an array of owned strings) about drivers bound to
 * a device of this host that are neither built into nor a module of the kernel
 * with @release (libkmod over /lib/modules/RELEASE; modules.builtin).
 */
int fr_modules_check(const struct fr_ctx *ctx, const char *release, char ***ret_warnings,
		     size_t *ret_nr, struct fr_error *e);

#endif
