// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a file to the flat image: which kind it is, unpacking, laying out,
 * relocating.  Every offset in it is untrusted.
 */
#include "config.h"

#include <asm/bootparam.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "bytes.h"
#include "image-parse.h"
#include "util.h"

void fr_image_free(struct fr_image *image)
{
	if (!image)
		return;
	free(image->data);
	free(image->config);
	free(image);
}

/* linux_banner, for a vmlinux */
static void take_banner(struct fr_image *image)
{
	static const char banner[] = "Linux version ";
	const uint8_t *p = memmem(image->data, image->bytes, banner, sizeof(banner) - 1);
	size_t i, n;

	if (!p)
		return;
	p += sizeof(banner) - 1;
	n = (size_t)(image->data + image->bytes - p);
	if (n >= sizeof(image->version))
		n = sizeof(image->version) - 1;
	for (i = 0; i < n && p[i] >= ' ' && p[i] <= '~'; i++)
		image->version[i] = (char)p[i];
	image->version[i] = 0;
}

static int relocate(const uint8_t *table, size_t bytes, uint64_t link_phys, uint64_t random,
		    struct fr_image *image, struct fr_error *e)
{
	struct fr_relocations rel;
	uint64_t align = image->align_bytes, delta;
	int r;

	r = fr_relocations_parse(table, bytes, &rel, e);
	if (r < 0 || !bytes || !random)
		return r;
	delta = fr_relocate_delta(link_phys, image->memory_bytes, align, random);
	r = fr_relocate(&rel, image->data, image->bytes, link_phys, delta, e);
	if (r < 0)
		return r;
	image->virt_offset = delta;
	image->randomised = true;
	return 0;
}

/* @payload holds the ELF file, and in a bzImage the relocation table after it. */
static int take_payload(const uint8_t *payload, size_t bytes, bool bzimage, uint64_t random,
			struct fr_image *image, struct fr_error *e)
{
	size_t elf_bytes = 0, init_bytes;
	uint64_t link_phys = 0;
	int r;

	r = fr_image_elf(payload, bytes, image, &link_phys, &elf_bytes, e);
	if (r < 0)
		return r;
	if (image->align_bytes < FR_HUGE_BYTES) /* __startup_64() spins on less */
		image->align_bytes = FR_HUGE_BYTES;
	if (fr_image_config(image) < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory for the configuration");
	if (!bzimage) {
		take_banner(image);
		/* a stripped file's configuration may say what its symbols do not */
		if (image->config && strstr(image->config, "\nCONFIG_X86_5LEVEL=y\n"))
			image->xloadflags |= XLF_5LEVEL | XLF_5LEVEL_ENABLED;
		fr_image_synthesise_header(image, link_phys);
	} else {
		init_bytes =
			fr_get_le32(image->setup_header + (HDR_INIT_SIZE - FR_SETUP_HEADER_OFFSET));
		if (image->bytes > init_bytes)
			return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
				       "kernel ELF: %zu bytes, more than init_size %zu allows",
				       image->bytes, init_bytes);
		r = relocate(payload + elf_bytes, bytes - elf_bytes, link_phys, random, image, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int fr_image_parse(const void *file, size_t size, uint64_t random, struct fr_image **ret_image,
		   struct fr_error *e)
{
	bool bzimage = fr_image_is_bzimage(file, size);
	uint8_t *unpacked = NULL;
	const uint8_t *payload = file;
	struct fr_image *image;
	size_t bytes = size;
	int r = 0;

	if (!bzimage && (size < 4 || memcmp(file, "\177ELF", 4)))
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "neither a bzImage (no \"HdrS\") nor a vmlinux ELF file");
	image = calloc(1, sizeof(*image));
	if (!image)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	if (bzimage) {
		r = fr_image_bzimage(file, size, image, &unpacked, &bytes, e);
		payload = unpacked;
	}
	if (!r)
		r = take_payload(payload, bytes, bzimage, random, image, e);
	free(unpacked);
	if (r < 0) {
		fr_image_free(image);
		return r;
	}
	*ret_image = image;
	return 0;
}

static int read_file(const char *path, uint8_t **ret_data, size_t *ret_bytes, struct fr_error *e)
{
	struct stat st;
	char *data;
	int r;

	if (stat(path, &st) < 0)
		return fr_fail(e, errno == ENOENT ? FR_FAULT_NOT_FOUND : FR_FAULT_SYSTEM, errno,
			       "%s", strerror(errno));
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC, "not a regular file, or empty");
	r = fr_read_file(path, FR_IMAGE_FILE_MAX, &data, ret_bytes);
	if (r == -EFBIG)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC, "more than 1 GiB: not a kernel");
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "%s", strerror(-r));
	*ret_data = (uint8_t *)data;
	return 0;
}

int fr_image_open(const struct fr_ctx *ctx, const char *path, bool randomise,
		  struct fr_image **ret_image, struct fr_error *e)
{
	uint64_t random = 0;
	uint8_t *data = NULL;
	size_t bytes = 0;
	int r;

	while (randomise && !random)
		if (getrandom(&random, sizeof(random), 0) < 0 && errno != EINTR)
			return fr_fail(e, FR_FAULT_SYSTEM, errno, "getrandom: %m");
	r = read_file(path, &data, &bytes, e);
	if (r < 0) {
		fr_fail_context(e, "kernel %s", path);
		return r;
	}
	r = fr_image_parse(data, bytes, random, ret_image, e);
	free(data);
	if (r < 0) {
		fr_fail_context(e, "kernel %s", path);
		return r;
	}
	fr_log(ctx, FR_LOG_STEP, "kernel %s: %s, %zu KiB, %s", path, (*ret_image)->version,
	       (*ret_image)->bytes >> 10,
	       (*ret_image)->randomised ? "randomised" : "at its link address");
	return 0;
}
