// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * arch/x86/boot/compressed/misc.c, handle_relocations():
 *
 *	0, 64-bit list, 0, inverse 32-bit list, 0, 32-bit list
 *
 * The inverse list (of 32-bit values relative to a zero-based percpu section) is
 * gone since Linux 6.15, with its zero.  The kernel reads the table from its end;
 * here it is split forwards at the zeros, so that their number tells the form.
 */
#include "config.h"

#include <errno.h>

#include "bytes.h"
#include "relocate.h"

#define ENTRY_BYTES 4u

struct list {
	const uint8_t *v;
	size_t nr;
};

int fr_relocations_parse(const void *table, size_t bytes, struct fr_relocations *ret_r,
			 struct fr_error *e)
{
	const uint8_t *p = table;
	struct list list[3] = {};
	size_t i, nr = 0;

	if (!bytes) {
		*ret_r = (struct fr_relocations){};
		return 0;
	}
	if (bytes % ENTRY_BYTES || fr_get_le32(p))
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "relocation table: %zu bytes after the kernel do not start a list",
			       bytes);
	for (i = 0; i < bytes; i += ENTRY_BYTES) {
		if (fr_get_le32(p + i)) {
			list[nr - 1].nr++;
			continue;
		}
		if (nr == 3)
			return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
				       "relocation table: more than three lists");
		list[nr++].v = p + i + ENTRY_BYTES;
	}
	if (nr == 1)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "relocation table: only one list of two or three");
	*ret_r = (struct fr_relocations){
		.list64 = list[0].v,
		.nr64 = list[0].nr,
		.list_inverse32 = nr == 3 ? list[1].v : NULL,
		.nr_inverse32 = nr == 3 ? list[1].nr : 0,
		.list32 = list[nr - 1].v,
		.nr32 = list[nr - 1].nr,
	};
	return 0;
}

/* Where list entry @i points to in an image of @bytes, or NULL. */
static uint8_t *target(const uint8_t *list, size_t i, uint8_t *image, size_t bytes, size_t width,
		       uint64_t link_virt)
{
	uint64_t virt = (uint64_t)(int64_t)(int32_t)fr_get_le32(list + i * ENTRY_BYTES);
	uint64_t offset = virt - link_virt;

	if (virt < link_virt || bytes < width || offset > bytes - width)
		return NULL;
	return image + offset;
}

static int outside(const char *list, size_t i, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
		       "relocation table: entry %zu of the %s list is outside the kernel", i, list);
}

int fr_relocate(const struct fr_relocations *r, uint8_t *image, size_t bytes, uint64_t link_phys,
		uint64_t delta, struct fr_error *e)
{
	uint64_t link_virt = FR_START_KERNEL_MAP + link_phys;
	uint8_t *p;
	size_t i;

	for (i = 0; i < r->nr32; i++) {
		p = target(r->list32, i, image, bytes, 4, link_virt);
		if (!p)
			return outside("32-bit", i, e);
		fr_put_le32(p, fr_get_le32(p) + (uint32_t)delta);
	}
	for (i = 0; i < r->nr_inverse32; i++) {
		p = target(r->list_inverse32, i, image, bytes, 4, link_virt);
		if (!p)
			return outside("inverse 32-bit", i, e);
		fr_put_le32(p, fr_get_le32(p) - (uint32_t)delta);
	}
	for (i = 0; i < r->nr64; i++) {
		p = target(r->list64, i, image, bytes, 8, link_virt);
		if (!p)
			return outside("64-bit", i, e);
		fr_put_le64(p, fr_get_le64(p) + delta);
	}
	return 0;
}

uint64_t fr_relocate_delta(uint64_t link_phys, uint64_t memory_bytes, uint64_t align_bytes,
			   uint64_t random)
{
	uint64_t end;

	if (__builtin_add_overflow(link_phys, memory_bytes, &end) || end > FR_KERNEL_IMAGE_BYTES)
		return 0;
	return random % ((FR_KERNEL_IMAGE_BYTES - end) / align_bytes + 1) * align_bytes;
}
