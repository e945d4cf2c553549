/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own relocation table, as the decompressor applies it. */
#ifndef FR_RELOCATE_H
#define FR_RELOCATE_H

#include "fastrestart.h"

#define FR_START_KERNEL_MAP   0xffffffff80000000ull /* __START_KERNEL_map */
/* KERNEL_IMAGE_SIZE of a kernel with RANDOMIZE_BASE, which one with relocations has */
#define FR_KERNEL_IMAGE_BYTES (1ull << 30)

/* The lists, each of @nr 32-bit link addresses, sign extended to 64 bits */
struct fr_relocations {
	const uint8_t *list64, *list_inverse32, *list32;
	size_t nr64, nr_inverse32, nr32;
};

/*
 * Find the lists in @table, which is all that follows the ELF file in the payload;
 * an empty one is a kernel without relocations.  FR_FAULT_IMAGE.
 */
int fr_relocations_parse(const void *table, size_t bytes, struct fr_relocations *ret_r,
			 struct fr_error *e);
/*
 * Move @image, @bytes long and linked at physical address @link_phys, by @delta
 * bytes of virtual address.  Every entry is checked to lie inside; on failure
 * @image is partly moved and useless.
 */
int fr_relocate(const struct fr_relocations *r, uint8_t *image, size_t bytes, uint64_t link_phys,
		uint64_t delta, struct fr_error *e);
/*
 * Distance to a random one of the places in the kernel's mapping that a kernel of
 * @memory_bytes linked at @link_phys can be moved up to; a multiple of @align_bytes.
 */
uint64_t fr_relocate_delta(uint64_t link_phys, uint64_t memory_bytes, uint64_t align_bytes,
			   uint64_t random);

#endif /* FR_RELOCATE_H */
