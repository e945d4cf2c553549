// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "image.h"
#include "make-image.h"
#include "relocate.h"

#define RANDOM 0x123456789abcdefull

static struct fr_image *must_parse(const struct bytes *b, uint64_t random)
{
	struct fr_image *image = NULL;
	struct fr_error e = {};

	if (fr_image_parse(b->v, b->n, random, &image, &e))
		fail_msg("%s", e.text);
	return image;
}

static void check_layout(const struct fr_image *image)
{
	assert_int_equal(image->entry_offset, MAKE_ENTRY);
	assert_int_equal(image->bytes, MAKE_PERCPU + 0x100);
	assert_int_equal(image->memory_bytes, 0x400000); /* MAKE_BSS in whole 2 MiB */
	assert_int_equal(image->align_bytes, FR_HUGE_BYTES);
	assert_int_equal(image->data[MAKE_PERCPU], 0x5a); /* by p_paddr, p_vaddr is 0 */
	assert_true(image->has_note);
	assert_int_equal(image->min_version, 1);
	assert_int_equal(image->max_version, 3);
	assert_int_equal(image->e820_entries, MAKE_E820_ENTRIES);
	assert_string_equal(image->config, "\n" MAKE_CONFIG);
	assert_memory_equal(image->version, "9.9.9-synthetic (me@here)", 25);
}

static void test_vmlinux(void **state)
{
	struct bytes elf = make_elf();
	struct fr_image *image;

	(void)state;
	image = must_parse(&elf, RANDOM);
	check_layout(image);
	assert_false(image->randomised);
	assert_int_equal(image->virt_offset, 0);
	assert_int_equal(fr_get_le64(image->data + MAKE_AT64), MAKE_VALUE64);
	/* synthesised header; five levels because the configuration says so */
	assert_memory_equal(image->setup_header + (0x202 - 0x1f1), "HdrS", 4);
	assert_int_equal(image->xloadflags, 0x63);
	assert_int_equal(fr_get_le32(image->setup_header + (0x238 - 0x1f1)), 2047);
	fr_image_free(image);
	free(elf.v);
}

static void check_relocated(const struct fr_image *image, int three)
{
	uint64_t delta = image->virt_offset;

	assert_true(image->randomised);
	assert_int_equal(delta % FR_HUGE_BYTES, 0);
	assert_true(MAKE_LINK_PHYS + delta + image->memory_bytes <= FR_KERNEL_IMAGE_BYTES);
	assert_int_equal(fr_get_le64(image->data + MAKE_AT64), MAKE_VALUE64 + delta);
	assert_int_equal(fr_get_le32(image->data + MAKE_AT32), (uint32_t)(MAKE_VALUE32 + delta));
	assert_int_equal(fr_get_le32(image->data + MAKE_AT_INVERSE),
			 three ? (uint32_t)(MAKE_INVERSE32 - delta) : MAKE_INVERSE32);
}

static void check_bzimage(enum make_method method, int three)
{
	struct bytes elf = make_elf(), bz;
	struct fr_image *image;

	make_relocations(&elf, three);
	bz = make_bzimage(&elf, method);
	image = must_parse(&bz, RANDOM);
	check_layout(image);
	check_relocated(image, three);
	assert_true(image->virt_offset > 0);
	fr_image_free(image);

	image = must_parse(&bz, 0);
	assert_false(image->randomised);
	assert_int_equal(fr_get_le64(image->data + MAKE_AT64), MAKE_VALUE64);
	fr_image_free(image);
	free(elf.v);
	free(bz.v);
}

static void test_gzip(void **state)
{
	(void)state;
	check_bzimage(MAKE_GZIP, 1);
}

static void test_zstd(void **state)
{
	(void)state;
	check_bzimage(MAKE_ZSTD, 1);
}

static void test_xz(void **state)
{
	(void)state;
	check_bzimage(MAKE_XZ, 1);
}

static void test_lz4(void **state)
{
	(void)state;
	check_bzimage(MAKE_LZ4, 1);
}

/* Linux 6.15 and later have no inverse list. */
static void test_two_lists(void **state)
{
	(void)state;
	check_bzimage(MAKE_GZIP, 0);
}

static void test_no_relocations(void **state)
{
	struct bytes elf = make_elf(), bz = make_bzimage(&elf, MAKE_GZIP);
	struct fr_image *image = must_parse(&bz, RANDOM);

	(void)state;
	assert_false(image->randomised);
	fr_image_free(image);
	free(elf.v);
	free(bz.v);
}

static void test_random_range(void **state)
{
	uint64_t link = MAKE_LINK_PHYS, size = 64 << 20, align = FR_HUGE_BYTES, seen_max = 0, i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		uint64_t d = fr_relocate_delta(link, size, align, i);

		assert_true(link + d + size <= FR_KERNEL_IMAGE_BYTES);
		if (d > seen_max)
			seen_max = d;
	}
	assert_int_equal(link + seen_max + size, FR_KERNEL_IMAGE_BYTES);
	assert_int_equal(fr_relocate_delta(link, FR_KERNEL_IMAGE_BYTES, align, 7), 0);
}

static void test_unaligned_minimum(void **state)
{
	struct bytes elf = make_elf(), bz = make_bzimage(&elf, MAKE_GZIP);
	struct fr_image *image;

	(void)state;
	bz.v[0x235] = 12;
	image = must_parse(&bz, 0);
	assert_int_equal(image->align_bytes, FR_HUGE_BYTES);
	fr_image_free(image);
	free(elf.v);
	free(bz.v);
}

/* --------------------------------------------------------------- malformed */

/* One malformation of a bzImage's bytes, or of the payload inside it */
struct malformed {
	const char *name;
	void (*payload)(struct bytes *elf); /* before it is compressed */
	void (*file)(struct bytes *bz);
	const char *says; /* part of the message */
};

static void no_magic(struct bytes *b)
{
	b->v[0x202] = 'X';
}

static void empty(struct bytes *b)
{
	b->n = 0;
}

static void header_only(struct bytes *b)
{
	b->n = 0x264;
}

static void setup_beyond_file(struct bytes *b)
{
	b->v[0x1f1] = 255;
	if (b->n > 255 * 512)
		b->n = 255 * 512;
}

static void old_protocol(struct bytes *b)
{
	fr_put_le16(b->v + 0x206, 0x20b);
}

static void zimage(struct bytes *b)
{
	b->v[0x211] = 0;
}

static void not_64bit(struct bytes *b)
{
	fr_put_le16(b->v + 0x236, 0x62);
}

static void only_below_4g(struct bytes *b)
{
	fr_put_le16(b->v + 0x236, 0x61);
}

static void not_relocatable(struct bytes *b)
{
	b->v[0x234] = 0;
}

static void absurd_alignment(struct bytes *b)
{
	b->v[0x235] = 63;
}

static void short_header(struct bytes *b)
{
	b->v[0x201] = 0x10;
}

static void version_outside(struct bytes *b)
{
	fr_put_le16(b->v + 0x20e, 0xffff);
}

static void truncated(struct bytes *b)
{
	b->n -= 100;
}

static void payload_offset_huge(struct bytes *b)
{
	fr_put_le32(b->v + 0x248, 0xffffffff);
}

static void payload_length_huge(struct bytes *b)
{
	fr_put_le32(b->v + 0x24c, 0xffffffff);
}

static void payload_empty(struct bytes *b)
{
	fr_put_le32(b->v + 0x24c, 0);
}

static void unknown_compression(struct bytes *b)
{
	b->v[MAKE_PAYLOAD] = 'B';
}

static void damaged_payload(struct bytes *b)
{
	memset(b->v + MAKE_PAYLOAD + 200, 0xa5, 100);
}

static void bomb(struct bytes *b)
{
	fr_put_le32(b->v + b->n - 4, 0x7fffffff);
}

static void length_short(struct bytes *b)
{
	fr_put_le32(b->v + b->n - 4, 1000);
}

static void small_init_size(struct bytes *b)
{
	fr_put_le32(b->v + 0x260, 0x8000);
}

static void zero_init_size(struct bytes *b)
{
	fr_put_le32(b->v + 0x260, 0);
}

static void not_elf(struct bytes *b)
{
	b->v[1] = 'X';
}

static void other_machine(struct bytes *b)
{
	b->v[18] = 183; /* aarch64 */
}

static void elf32(struct bytes *b)
{
	b->v[4] = 1;
}

static void no_phdrs(struct bytes *b)
{
	fr_put_le16(b->v + 56, 0);
}

static void many_phdrs(struct bytes *b)
{
	fr_put_le16(b->v + 56, 5000);
}

static void phdrs_outside(struct bytes *b)
{
	fr_put_le64(b->v + 32, 0x7fffffffff);
}

static void shdrs_outside(struct bytes *b)
{
	fr_put_le64(b->v + 40, 0x7fffffffff);
}

static void segment_outside(struct bytes *b)
{
	fr_put_le64(b->v + MAKE_PHDR(0) + 8, b->n);
}

static void segment_wraps(struct bytes *b)
{
	fr_put_le64(b->v + MAKE_PHDR(0) + 8, UINT64_MAX - 0x100);
}

static void filesz_above_memsz(struct bytes *b)
{
	fr_put_le64(b->v + MAKE_PHDR(0) + 40, 0x10);
}

static void paddr_wraps(struct bytes *b)
{
	fr_put_le64(b->v + MAKE_PHDR(1) + 24, UINT64_MAX - 0x100);
}

static void memsz_huge(struct bytes *b)
{
	fr_put_le64(b->v + MAKE_PHDR(1) + 40, 1ull << 40);
}

static void nothing_to_load(struct bytes *b)
{
	fr_put_le32(b->v + MAKE_PHDR(0), 0);
	fr_put_le32(b->v + MAKE_PHDR(1), 0);
}

static void misaligned_link(struct bytes *b)
{
	fr_put_le64(b->v + MAKE_PHDR(0) + 24, MAKE_LINK_PHYS - 0x1000);
}

static void entry_outside(struct bytes *b)
{
	fr_put_le64(b->v + 24, 0x100);
}

static void note_short(struct bytes *b)
{
	fr_put_le32(b->v + MAKE_NOTE + 4, 4);
}

static void note_backwards(struct bytes *b)
{
	fr_put_le32(b->v + MAKE_NOTE + MAKE_NOTE_DESC, 9);
}

static void limits_short(struct bytes *b)
{
	fr_put_le32(b->v + MAKE_LIMITS + 4, 2);
}

static void reloc_odd_bytes(struct bytes *b)
{
	b->n -= 2;
}

static void reloc_no_start(struct bytes *b)
{
	make_append32(b, 5);
	memmove(b->v + b->n - 7 * 4, b->v + b->n - 4, 4);
}

static void reloc_one_list(struct bytes *b)
{
	b->n -= 4 * 4;
}

static void reloc_four_lists(struct bytes *b)
{
	make_append32(b, 0);
}

static void reloc32_outside(struct bytes *b)
{
	make_append32(b, 0x81000000 + MAKE_PERCPU + 0xfd);
}

static void reloc32_below(struct bytes *b)
{
	make_append32(b, 0x80ffffff);
}

static void reloc32_positive(struct bytes *b)
{
	make_append32(b, 0x100);
}

static void reloc64_outside(struct bytes *b)
{
	fr_put_le32(b->v + b->n - 5 * 4, 0x81000000 + MAKE_PERCPU + 0xf9);
}

static void inverse_outside(struct bytes *b)
{
	fr_put_le32(b->v + b->n - 3 * 4, 0xc1000000);
}

static const struct malformed malformed[] = {
	{"empty", NULL, empty, "neither a bzImage"},
	{"no magic", NULL, no_magic, "neither a bzImage"},
	{"header only", NULL, header_only, "bytes of setup in a file"},
	{"setup beyond file", NULL, setup_beyond_file, "bytes of setup in a file"},
	{"old protocol", NULL, old_protocol, "boot protocol 2.11"},
	{"zImage", NULL, zimage, "zImage"},
	{"not 64-bit", NULL, not_64bit, "xloadflags 0x62"},
	{"only below 4 GiB", NULL, only_below_4g, "xloadflags 0x61"},
	{"not relocatable", NULL, not_relocatable, "CONFIG_RELOCATABLE"},
	{"absurd alignment", NULL, absurd_alignment, "min_alignment"},
	{"short header", NULL, short_header, "ends at 0x212"},
	{"version outside", NULL, version_outside, "kernel_version"},
	{"truncated", NULL, truncated, "truncated"},
	{"payload offset huge", NULL, payload_offset_huge, "truncated"},
	{"payload length huge", NULL, payload_length_huge, "truncated"},
	{"payload empty", NULL, payload_empty, "payload of 0 bytes"},
	{"unknown compression", NULL, unknown_compression, "not zstd, xz, lz4 or gzip"},
	{"damaged payload", NULL, damaged_payload, "damaged"},
	{"decompression bomb", NULL, bomb, "more than init_size"},
	{"length too short", NULL, length_short, "damaged"},
	{"init_size too small", NULL, small_init_size, "init_size"},
	{"init_size zero", NULL, zero_init_size, "init_size"},
	{"payload is no ELF", not_elf, NULL, "not an ELF file"},
	{"other machine", other_machine, NULL, "not a 64-bit x86"},
	{"ELF class 32", elf32, NULL, "kernel ELF"},
	{"no program headers", no_phdrs, NULL, "program headers"},
	{"too many program headers", many_phdrs, NULL, "program header"},
	{"program headers outside", phdrs_outside, NULL, "kernel ELF"},
	{"section headers outside", shdrs_outside, NULL, "kernel ELF"},
	{"segment outside", segment_outside, NULL, "outside the file"},
	{"segment wraps", segment_wraps, NULL, "outside the file"},
	{"filesz above memsz", filesz_above_memsz, NULL, "absurd"},
	{"paddr wraps", paddr_wraps, NULL, "absurd"},
	{"memsz huge", memsz_huge, NULL, "absurd"},
	{"nothing to load", nothing_to_load, NULL, "nothing to load"},
	{"misaligned link address", misaligned_link, NULL, "multiple of 2 MiB"},
	{"entry outside", entry_outside, NULL, "entry 0x100"},
	{"note too short", note_short, NULL, "note FastRestart of 4 bytes"},
	{"note of limits too short", limits_short, NULL, "note FastRestart of 2 bytes"},
	{"note backwards", note_backwards, NULL, "versions 9 to 3"},
	{"relocations: odd size", reloc_odd_bytes, NULL, "relocation table"},
	{"relocations: no start", reloc_no_start, NULL, "do not start a list"},
	{"relocations: one list", reloc_one_list, NULL, "only one list"},
	{"relocations: four lists", reloc_four_lists, NULL, "more than three"},
	{"relocations: 32-bit outside", reloc32_outside, NULL, "entry 1 of the 32-bit list"},
	{"relocations: 32-bit below", reloc32_below, NULL, "entry 1 of the 32-bit list"},
	{"relocations: not sign extended", reloc32_positive, NULL, "entry 1 of the 32-bit list"},
	{"relocations: 64-bit outside", reloc64_outside, NULL, "entry 0 of the 64-bit list"},
	{"relocations: inverse outside", inverse_outside, NULL, "entry 0 of the inverse 32-bit"},
};

static int check_malformed(const struct malformed *m)
{
	struct bytes elf = make_elf(), bz, exact;
	struct fr_image *image = NULL;
	struct fr_error e = {};
	int r, bad;

	make_relocations(&elf, 1);
	if (m->payload)
		m->payload(&elf);
	bz = make_bzimage(&elf, MAKE_GZIP);
	if (m->file)
		m->file(&bz);
	/* no byte more than there are, for the sanitizer */
	exact.n = bz.n;
	exact.v = malloc(bz.n ? bz.n : 1);
	assert_non_null(exact.v);
	memcpy(exact.v, bz.v, bz.n);
	r = fr_image_parse(exact.v, exact.n, RANDOM, &image, &e);
	bad = (r != -ENOEXEC && r != -EBADMSG) || e.fault != FR_FAULT_IMAGE || image ||
	      !strstr(e.text, m->says);
	if (bad)
		print_error("%s: %d, fault %d, \"%s\" (expected \"%s\")\n", m->name, r, e.fault,
			    e.text, m->says);
	free(elf.v);
	free(bz.v);
	free(exact.v);
	return bad;
}

static void test_malformed(void **state)
{
	int bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		bad += check_malformed(&malformed[i]);
	assert_int_equal(bad, 0);
}

static void test_truncated_anywhere(void **state)
{
	struct bytes elf = make_elf(), bz;
	struct fr_image *image;
	struct fr_error e;
	size_t n;

	(void)state;
	make_relocations(&elf, 1);
	bz = make_bzimage(&elf, MAKE_GZIP);
	for (n = 0; n < bz.n; n++)
		assert_true(fr_image_parse(bz.v, n, RANDOM, &image, &e) < 0);
	free(elf.v);
	free(bz.v);
}

static void test_no_file(void **state)
{
	struct fr_ctx ctx = {};
	struct fr_image *image;
	struct fr_error e = {};

	(void)state;
	assert_int_equal(fr_image_open(&ctx, "/does/not/exist", true, &image, &e), -ENOENT);
	assert_int_equal(e.fault, FR_FAULT_NOT_FOUND);
	assert_non_null(strstr(e.text, "/does/not/exist"));
	assert_int_equal(fr_image_open(&ctx, "/dev/null", true, &image, &e), -ENOEXEC);
	assert_int_equal(fr_image_open(&ctx, "/", true, &image, &e), -ENOEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vmlinux),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_xz),
		cmocka_unit_test(test_lz4),
		cmocka_unit_test(test_two_lists),
		cmocka_unit_test(test_no_relocations),
		cmocka_unit_test(test_random_range),
		cmocka_unit_test(test_unaligned_minimum),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_truncated_anywhere),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
