// SPDX-License-Identifier: GPL-2.0-or-later
/* bzImage: setup header and payload (Documentation/arch/x86/boot.rst). */
#include "config.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>

#include "bytes.h"
#include "decompress.h"
#include "image-parse.h"

#define SECTOR_BYTES	    512u
#define DEFAULT_SETUP_SECTS 4u /* boot protocol: for a setup_sects of 0 */
#define XLF_NEEDED	    (XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G)

struct method {
	const char *name;
	uint8_t magic[6];
	size_t magic_bytes;
	size_t trailer_bytes; /* length that the kernel build appends to the payload */
	int (*decompress)(const void *in, size_t in_size, void *out, size_t out_size);
};

static const struct method methods[] = {
	{"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, 4, fr_decompress_zstd},
	{"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, 4, fr_decompress_xz},
	{"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, 4, fr_decompress_lz4},
	/* its own last four bytes are the length */
	{"gzip", {0x1f, 0x8b}, 2, 0, fr_decompress_gzip},
};

bool fr_image_is_bzimage(const uint8_t *file, size_t size)
{
	return size >= HDR_INIT_SIZE_END && fr_get_le16(file + HDR_BOOT_FLAG) == BOOT_FLAG &&
	       fr_get_le32(file + HDR_MAGIC) == BOOT_MAGIC;
}

static int check_header(const uint8_t *file, struct fr_error *e)
{
	unsigned int version = fr_get_le16(file + HDR_VERSION);
	unsigned int xloadflags = fr_get_le16(file + HDR_XLOADFLAGS);
	unsigned int shift = file[HDR_MIN_ALIGNMENT];

	if (version < BOOT_VERSION_MIN)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "setup header: boot protocol %u.%02u, need 2.12 or later",
			       version >> 8, version & 0xff);
	if (!(file[HDR_LOADFLAGS] & LOADED_HIGH))
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "setup header: loadflags say zImage, need a bzImage");
	if ((xloadflags & XLF_NEEDED) != XLF_NEEDED)
		return fr_fail(
			e, FR_FAULT_IMAGE, ENOEXEC,
			"setup header: xloadflags %#x, need a 64-bit kernel that loads above 4 GiB",
			xloadflags);
	if (!file[HDR_RELOCATABLE])
		return fr_fail(
			e, FR_FAULT_IMAGE, ENOEXEC,
			"setup header: kernel is not relocatable, build it with CONFIG_RELOCATABLE");
	if (shift > 30)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC, "setup header: min_alignment 2^%u",
			       shift);
	return 0;
}

/* The version string is at kernel_version + 0x200, in the real-mode part. */
static int take_version(const uint8_t *file, size_t setup_bytes, struct fr_image *image,
			struct fr_error *e)
{
	size_t at = fr_get_le16(file + HDR_KERNEL_VERSION), n;

	if (!at)
		return 0;
	at += 0x200;
	if (at >= setup_bytes)
		return fr_fail(
			e, FR_FAULT_IMAGE, ENOEXEC,
			"setup header: kernel_version %#zx is outside the %zu bytes of setup", at,
			setup_bytes);
	n = strnlen((const char *)file + at, setup_bytes - at);
	if (n >= sizeof(image->version))
		n = sizeof(image->version) - 1;
	memcpy(image->version, file + at, n);
	for (size_t i = 0; i < n; i++)
		if (image->version[i] < ' ' || image->version[i] > '~')
			image->version[i] = '?';
	return 0;
}

static int take_header(const uint8_t *file, size_t size, struct fr_image *image, struct fr_error *e)
{
	size_t end = HDR_MAGIC + file[HDR_JUMP_BYTES];

	if (end < HDR_INIT_SIZE_END || end > size)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "setup header: ends at %#zx, expected %#x or later", end,
			       HDR_INIT_SIZE_END);
	if (end > FR_SETUP_HEADER_OFFSET + FR_SETUP_HEADER_MAX)
		end = FR_SETUP_HEADER_OFFSET + FR_SETUP_HEADER_MAX;
	image->setup_header_bytes = end - FR_SETUP_HEADER_OFFSET;
	memcpy(image->setup_header, file + FR_SETUP_HEADER_OFFSET, image->setup_header_bytes);
	image->xloadflags = fr_get_le16(file + HDR_XLOADFLAGS);
	image->align_bytes = 1ull << file[HDR_MIN_ALIGNMENT];
	return 0;
}

static int find_method(const uint8_t *payload, size_t bytes, const struct method **ret_m,
		       struct fr_error *e)
{
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const struct method *m = &methods[i];

		if (bytes < m->magic_bytes + 4 || memcmp(payload, m->magic, m->magic_bytes))
			continue;
		*ret_m = m;
		return 0;
	}
	return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
		       "payload of %zu bytes: not zstd, xz, lz4 or gzip; use the vmlinux file",
		       bytes);
}

static int unpack(const uint8_t *payload, size_t bytes, size_t init_bytes, uint8_t **ret_out,
		  size_t *ret_bytes, struct fr_error *e)
{
	const struct method *m = NULL;
	size_t out_bytes;
	uint8_t *out;
	int r;

	r = find_method(payload, bytes, &m, e);
	if (r < 0)
		return r;
	/* init_size covers the unpacked payload (arch/x86/boot/header.S, ZO_INIT_SIZE) */
	out_bytes = fr_get_le32(payload + bytes - 4);
	if (!out_bytes || out_bytes > init_bytes || out_bytes > FR_IMAGE_PAYLOAD_MAX)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "%s payload: unpacked size %zu, more than init_size %zu allows",
			       m->name, out_bytes, init_bytes);
	out = malloc(out_bytes);
	if (!out)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory to unpack %zu bytes",
			       out_bytes);
	r = m->decompress(payload, bytes - m->trailer_bytes, out, out_bytes);
	if (r < 0) {
		free(out);
		if (r == -ENOSYS)
			return fr_fail(e, FR_FAULT_IMAGE, ENOSYS,
				       "%s payload: this command was built without %s", m->name,
				       m->name);
		return fr_fail(e, r == -ENOMEM ? FR_FAULT_SYSTEM : FR_FAULT_IMAGE, -r,
			       "%s payload of %zu bytes: damaged, does not unpack to %zu bytes",
			       m->name, bytes, out_bytes);
	}
	*ret_out = out;
	*ret_bytes = out_bytes;
	return 0;
}

int fr_image_bzimage(const uint8_t *file, size_t size, struct fr_image *image,
		     uint8_t **ret_payload, size_t *ret_bytes, struct fr_error *e)
{
	unsigned int sects = file[HDR_SETUP_SECTS];
	size_t setup_bytes = ((sects ? sects : DEFAULT_SETUP_SECTS) + 1) * SECTOR_BYTES;
	uint64_t start, end;
	int r;

	if (setup_bytes >= size)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "setup header: %zu bytes of setup in a file of %zu", setup_bytes,
			       size);
	r = check_header(file, e);
	if (r < 0)
		return r;
	r = take_header(file, size, image, e);
	if (r < 0)
		return r;
	r = take_version(file, setup_bytes, image, e);
	if (r < 0)
		return r;
	start = setup_bytes + (uint64_t)fr_get_le32(file + HDR_PAYLOAD_OFFSET);
	end = start + fr_get_le32(file + HDR_PAYLOAD_LENGTH);
	if (end > size)
		return fr_fail(
			e, FR_FAULT_IMAGE, ENOEXEC,
			"setup header: payload ends at byte %llu of %zu, the file is truncated",
			(unsigned long long)end, size);
	return unpack(file + start, end - start, fr_get_le32(file + HDR_INIT_SIZE), ret_payload,
		      ret_bytes, e);
}

void fr_image_synthesise_header(struct fr_image *image, uint64_t link_phys)
{
	uint8_t h[FR_SETUP_HEADER_OFFSET + FR_SETUP_HEADER_MAX] = {};

	fr_put_le16(h + HDR_BOOT_FLAG, BOOT_FLAG);
	h[HDR_JUMP_BYTES] = HDR_INIT_SIZE_END - HDR_MAGIC;
	fr_put_le32(h + HDR_MAGIC, BOOT_MAGIC);
	fr_put_le16(h + HDR_VERSION, BOOT_VERSION_SYNTHETIC);
	h[HDR_LOADFLAGS] = LOADED_HIGH;
	fr_put_le32(h + HDR_KERNEL_ALIGNMENT, (uint32_t)image->align_bytes);
	h[HDR_RELOCATABLE] = 1;
	h[HDR_MIN_ALIGNMENT] = (uint8_t)__builtin_ctzll(image->align_bytes);
	fr_put_le16(h + HDR_XLOADFLAGS, (uint16_t)image->xloadflags);
	fr_put_le32(h + HDR_CMDLINE_SIZE, 2047); /* COMMAND_LINE_SIZE - 1 */
	fr_put_le64(h + HDR_PREF_ADDRESS, link_phys);
	fr_put_le32(h + HDR_INIT_SIZE, (uint32_t)image->memory_bytes);
	image->setup_header_bytes = HDR_INIT_SIZE_END - FR_SETUP_HEADER_OFFSET;
	memcpy(image->setup_header, h + FR_SETUP_HEADER_OFFSET, sizeof(image->setup_header));
}
