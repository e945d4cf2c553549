/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small synthetic kernels, right or wrong in one chosen way. */
#ifndef FR_MAKE_IMAGE_H
#define FR_MAKE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define MAKE_LINK_PHYS	  0x1000000u
#define MAKE_TEXT_BYTES	  0x3000u
#define MAKE_PERCPU	  0x200000u /* of the percpu segment from the load address */
#define MAKE_BSS	  0x280000u /* end of the last segment's memory */
#define MAKE_ENTRY	  0x123u
#define MAKE_AT64	  0x800u /* places that the relocation table names */
#define MAKE_AT32	  0x810u
#define MAKE_AT_INVERSE	  0x818u
#define MAKE_VALUE64	  0xffffffff81000200ull
#define MAKE_VALUE32	  0x81000300u
#define MAKE_INVERSE32	  0x7effff00u
#define MAKE_E820_ENTRIES 2368u
#define MAKE_CONFIG	  "CONFIG_X86_5LEVEL=y\n"

struct bytes {
	uint8_t *v;
	size_t n;
};

enum make_method { MAKE_GZIP, MAKE_ZSTD, MAKE_XZ, MAKE_LZ4, MAKE_STORED };

/* Offsets within the ELF file, for damage */
#define MAKE_PHDR(i)   (64u + 56u * (i)) /* text, percpu, note */
#define MAKE_NOTE      0x200u
#define MAKE_NOTE_DESC 24u /* into a note */
#define MAKE_LIMITS    (MAKE_NOTE + 32u + 28u)
#define MAKE_NR_PHDRS  3u

/* A vmlinux, without relocation table */
struct bytes make_elf(void);
/* Append lists: 64-bit, (inverse if @three,) 32-bit */
void make_relocations(struct bytes *elf, int three);
void make_append32(struct bytes *b, uint32_t v);
/* A bzImage around @payload, compressed */
struct bytes make_bzimage(const struct bytes *payload, enum make_method method);
/* In the result of make_bzimage(): where the payload starts */
#define MAKE_SETUP_BYTES 2560u
#define MAKE_PAYLOAD	 (MAKE_SETUP_BYTES + 0x40u)

#endif /* FR_MAKE_IMAGE_H */
