/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the parts of the image parser; all of it is pure. */
#ifndef FR_IMAGE_PARSE_H
#define FR_IMAGE_PARSE_H

#include "image.h"
#include "relocate.h"

/* Limits on what an image may ask for, whatever its headers say */
#define FR_IMAGE_FILE_MAX    (1ull << 30)
#define FR_IMAGE_PAYLOAD_MAX (1ull << 30)

/* boot protocol (Documentation/arch/x86/boot.rst): offsets of setup_header fields */
enum {
	HDR_SETUP_SECTS = 0x1f1,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP_BYTES = 0x201, /* the header ends that many bytes after 0x202 */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_KERNEL_VERSION = 0x20e,
	HDR_LOADFLAGS = 0x211,
	HDR_KERNEL_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_MIN_ALIGNMENT = 0x235,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PAYLOAD_OFFSET = 0x248,
	HDR_PAYLOAD_LENGTH = 0x24c,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_INIT_SIZE_END = 0x264,
};

#define BOOT_FLAG	       0xaa55u
#define BOOT_MAGIC	       0x53726448u /* "HdrS" */
#define BOOT_VERSION_MIN       0x020cu	   /* 2.12: xloadflags */
#define BOOT_VERSION_SYNTHETIC 0x020fu

bool fr_image_is_bzimage(const uint8_t *file, size_t size);
/* Check the header, fill what it tells about @image, unpack the payload (malloc'ed). */
int fr_image_bzimage(const uint8_t *file, size_t size, struct fr_image *image,
		     uint8_t **ret_payload, size_t *ret_bytes, struct fr_error *e);
/*
 * Lay out the segments of @elf as image->data, and find the note.
 * @ret_link_phys: what the kernel was linked to be loaded at; @ret_elf_bytes: where
 * the ELF file ends and a payload's relocation table starts.
 */
int fr_image_elf(const uint8_t *elf, size_t size, struct fr_image *image, uint64_t *ret_link_phys,
		 size_t *ret_elf_bytes, struct fr_error *e);
/* A vmlinux has no setup header: make a minimal one. */
void fr_image_synthesise_header(struct fr_image *image, uint64_t link_phys);
/* The kernel's configuration if it carries one (CONFIG_IKCONFIG=y); image->config. */
int fr_image_config(struct fr_image *image);

#endif /* FR_IMAGE_PARSE_H */
