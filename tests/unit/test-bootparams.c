// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bootparams.h"
#include "bytes.h"
#include "fake-root.h"
#include "make-image.h"

#define PHYS	   0x234567000ull /* above 4 GiB */
#define INITRD	   0x345600000ull
#define LATE	   0x456700000ull
#define LATE_BYTES 0x123000ull
#define CMDLINE	   "console=ttyS0 quiet"

struct fixture {
	struct fr_image *image;
	struct fr_host_params host;
	struct fr_ram_map e820;
	struct fr_boot_params_request request;
	uint8_t *buf;
	size_t bytes;
};

static void add(struct fr_ram_map *m, uint64_t start, uint64_t end, uint32_t type, uint32_t nid)
{
	m->v = realloc(m->v, (m->nr + 1) * sizeof(*m->v));
	assert_non_null(m->v);
	m->v[m->nr++] = (struct fr_ram){start, end, type, nid};
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct bytes elf = make_elf(), bz;
	struct fr_error e;

	make_relocations(&elf, 1);
	bz = make_bzimage(&elf, MAKE_GZIP);
	assert_int_equal(fr_image_parse(bz.v, bz.n, 1234567, &f->image, &e), 0);
	free(elf.v);
	free(bz.v);
	/* what must come along, and what must not */
	memset(&f->host.running, 0xee, sizeof(f->host.running));
	f->host.running.acpi_rsdp_addr = 0xf5aa0;
	f->host.running.screen_info.orig_video_cols = 80;
	add(&f->e820, 0, 0x9f000, FR_E820_RAM, 0);
	add(&f->e820, 0x100000, 0x80000000, FR_E820_RAM, 0);
	add(&f->e820, 0x80000000, 0x90000000, FR_E820_RESERVED, 0);
	f->request = (struct fr_boot_params_request){
		.host = &f->host,
		.image = f->image,
		.cmdline = CMDLINE,
		.e820 = &f->e820,
		.initrd_phys = INITRD,
		.initrd_bytes = 0x1234567,
		.late_phys = LATE,
		.late_bytes = LATE_BYTES,
		.seed = {1, 2, 3},
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fr_image_free(f->image);
	free(f->e820.v);
	free(f->host.efi.map);
	free(f->buf);
	free(f);
	return 0;
}

static const struct boot_params *build(struct fixture *f)
{
	struct fr_error e = {};

	free(f->buf);
	f->bytes = fr_boot_params_bytes(&f->request);
	f->buf = malloc(f->bytes);
	assert_non_null(f->buf);
	if (fr_boot_params_build(&f->request, PHYS, f->buf, f->bytes, &e))
		fail_msg("%s", e.text);
	return (const struct boot_params *)f->buf;
}

/* Data of the node of @type, or NULL; every node has to be inside. */
static const uint8_t *node(const struct fixture *f, uint32_t type, uint32_t *ret_len)
{
	uint64_t at = ((const struct boot_params *)f->buf)->hdr.setup_data;
	int i;

	for (i = 0; at && i < 16; i++) {
		const uint8_t *p = f->buf + (at - PHYS);

		assert_true(at >= PHYS + 4096 && at + 16 <= PHYS + f->bytes);
		assert_int_equal(at % 8, 0);
		*ret_len = fr_get_le32(p + 12);
		assert_true(at + 16 + *ret_len <= PHYS + f->bytes);
		if (fr_get_le32(p + 8) == type)
			return p + 16;
		at = fr_get_le64(p);
	}
	assert_int_equal(at, 0);
	return NULL;
}

static void test_fields(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *bp = build(f);
	uint64_t cmdline;

	assert_int_equal(bp->sentinel, 0);
	assert_int_equal(bp->hdr.header, 0x53726448);
	assert_int_equal(bp->hdr.type_of_loader, 0xd0);
	assert_int_equal(bp->hdr.loadflags, LOADED_HIGH | KASLR_FLAG);
	assert_int_equal(bp->hdr.ramdisk_image, (uint32_t)INITRD);
	assert_int_equal(bp->ext_ramdisk_image, INITRD >> 32);
	assert_int_equal(bp->hdr.ramdisk_size, 0x1234567);
	assert_int_equal(bp->ext_ramdisk_size, 0);
	cmdline = bp->hdr.cmd_line_ptr | (uint64_t)bp->ext_cmd_line_ptr << 32;
	assert_string_equal((const char *)f->buf + (cmdline - PHYS), CMDLINE);
}

static void test_inherited(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *bp = build(f);
	size_t i;

	assert_int_equal(bp->acpi_rsdp_addr, 0xf5aa0);
	assert_int_equal(bp->screen_info.orig_video_cols, 80);
	assert_int_equal(bp->hdr.hardware_subarch, 0xeeeeeeee);
	/* the running kernel's own loading stays behind */
	assert_int_equal(bp->tboot_addr, 0);
	assert_int_equal(bp->cc_blob_address, 0);
	assert_int_equal(bp->efi_info.efi_memmap_size, 0);
	assert_int_equal(bp->hdr.hardware_subarch_data, f->host.running.hdr.hardware_subarch_data);
	for (i = 3; i < E820_MAX_ENTRIES_ZEROPAGE; i++)
		assert_int_equal(bp->e820_table[i].size, 0);
}

static void test_not_randomised(void **state)
{
	struct fixture *f = *state;

	f->image->randomised = false;
	assert_int_equal(build(f)->hdr.loadflags, LOADED_HIGH);
}

static void test_late(void **state)
{
	struct fixture *f = *state;
	const uint8_t *p;
	uint32_t len;

	build(f);
	p = node(f, 0x80000000, &len);
	assert_non_null(p);
	assert_int_equal(len, 24);
	assert_int_equal(fr_get_le32(p), 0x80000000u | FR_SETUP_TYPE);
	assert_int_equal(fr_get_le32(p + 4), 0);
	assert_int_equal(fr_get_le64(p + 8), LATE_BYTES);
	assert_int_equal(fr_get_le64(p + 16), LATE);
	p = node(f, 9, &len);
	assert_int_equal(len, 32);
	assert_memory_equal(p, f->request.seed, 32);

	f->request.late_bytes = 0;
	build(f);
	assert_null(node(f, 0x80000000, &len));
}

static void test_e820(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *bp = build(f);
	uint32_t len;

	assert_int_equal(bp->e820_entries, 3);
	assert_int_equal(bp->e820_table[1].addr, 0x100000);
	assert_int_equal(bp->e820_table[1].size, 0x80000000 - 0x100000);
	assert_int_equal(bp->e820_table[2].type, FR_E820_RESERVED);
	assert_null(node(f, SETUP_E820_EXT, &len));
}

/* Two nodes' RAM is one entry: the nodes come from ACPI. */
static void test_e820_merge(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *bp;

	add(&f->e820, 0x100000000, 0x200000000, FR_E820_RAM, 0);
	add(&f->e820, 0x200000000, 0x300000000, FR_E820_RAM, 1);
	add(&f->e820, 0x300000000, 0x310000000, FR_E820_UNUSABLE, 1);
	bp = build(f);
	assert_int_equal(bp->e820_entries, 5);
	assert_int_equal(bp->e820_table[3].size, 0x200000000);
	assert_int_equal(bp->e820_table[4].type, FR_E820_UNUSABLE);
}

static void test_e820_many(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *bp;
	uint64_t base = 1ull << 32;
	const uint8_t *p;
	uint32_t len;
	int i;

	for (i = 0; i < 400; i++)
		add(&f->e820, base + (uint64_t)i * 0x1000000, base + (uint64_t)(i + 1) * 0x1000000,
		    i % 2 ? FR_E820_RAM : FR_E820_UNUSABLE, 0);
	bp = build(f);
	assert_int_equal(bp->e820_entries, 128);
	p = node(f, SETUP_E820_EXT, &len);
	assert_non_null(p);
	assert_int_equal(len, (403 - 128) * 20);
	/* the 129th entry and the last one */
	assert_int_equal(fr_get_le64(p), base + 125 * 0x1000000ull);
	assert_int_equal(fr_get_le32(p + 16), FR_E820_RAM);
	assert_int_equal(fr_get_le64(p + len - 20), base + 399 * 0x1000000ull);
	assert_int_equal(fr_get_le64(p + len - 12), 0x1000000);
}

static void test_no_initrd(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *bp;

	f->request.initrd_phys = 0;
	f->request.initrd_bytes = 0;
	bp = build(f);
	assert_int_equal(bp->hdr.ramdisk_image, 0);
	assert_int_equal(bp->hdr.ramdisk_size, 0);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;
	char cmdline[2049];
	struct fr_error e = {};
	uint8_t *buf;

	build(f);
	assert_int_equal(fr_boot_params_build(&f->request, PHYS, f->buf, f->bytes - 1, &e),
			 -ENOSPC);
	memset(cmdline, 'x', 2048);
	cmdline[2048] = 0;
	f->request.cmdline = cmdline;
	buf = malloc(8192);
	assert_non_null(buf);
	assert_int_equal(fr_boot_params_build(&f->request, PHYS, buf, 8192, &e), -E2BIG);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, "2047"));
	cmdline[2047] = 0;
	assert_int_equal(fr_boot_params_build(&f->request, PHYS, buf, 8192, &e), 0);
	free(buf);
}

/* -------------------------------------------------------------------- host */

static void make_host(struct fake_root *root, const char *cpuinfo, uint32_t efi_map)
{
	struct boot_params bp = {};

	fake_root_make(root);
	bp.efi_info.efi_memmap_size = efi_map;
	bp.efi_info.efi_memdesc_size = 48;
	bp.efi_info.efi_systab = 0x7f5ec018;
	memcpy(&bp.efi_info.efi_loader_signature, "EL64", 4);
	fake_root_write(root, "/sys/kernel/boot_params/data", &bp, sizeof(bp));
	fake_root_text(root, "/proc/cpuinfo", cpuinfo);
	fake_root_text(root, "/proc/cmdline", "quiet mem_encrypt=on\n");
}

static void make_efi(const struct fake_root *root, int nr)
{
	static const char *const names[] = {"type", "phys_addr", "virt_addr", "num_pages",
					    "attribute"};
	static const char *const values[] = {"0x5\n", "0x7f000000\n", "0xfffffffeff000000\n",
					     "0x100\n", "0x8000000000000009\n"};
	char name[128];
	int i, k;

	fake_root_text(root, "/sys/firmware/efi/fw_vendor", "0x7f5edf98\n");
	fake_root_text(root, "/sys/firmware/efi/config_table", "0x7f5ed018\n");
	fake_root_text(root, "/sys/firmware/efi/systab",
		       "ACPI20=0x7f77d014\nACPI=0x7f77d000\nSMBIOS3=0x1\nSMBIOS=0x7f520000\n");
	for (i = 0; i < nr; i++)
		for (k = 0; k < 5; k++) {
			snprintf(name, sizeof(name), "/sys/firmware/efi/runtime-map/%d/%s", i,
				 names[k]);
			fake_root_text(root, name, values[k]);
		}
}

static void test_host_bios(void **state)
{
	struct fr_host_params host;
	struct fake_root root;
	struct fr_ctx ctx = {};
	struct fr_error e = {};

	(void)state;
	make_host(&root, "flags\t: fpu sse la57 xsave\n\nflags\t: x\n", 0);
	ctx.root = root.path;
	assert_int_equal(fr_host_params_read(&ctx, &host, &e), 0);
	assert_true(host.la57);
	assert_false(host.memory_encrypted);
	assert_false(host.efi.present);
	fr_host_params_clear(&host);
	fake_root_text(&root, "/proc/cpuinfo", "flags\t: fpu sme\n\nflags\t: la57\n");
	assert_int_equal(fr_host_params_read(&ctx, &host, &e), 0);
	assert_false(host.la57);
	assert_true(host.memory_encrypted);
	fake_root_text(&root, "/sys/kernel/boot_params/data", "short");
	assert_int_equal(fr_host_params_read(&ctx, &host, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "boot_params/data"));
	fake_root_remove(&root);
}

static void test_host_efi(void **state)
{
	struct fixture *f = *state;
	struct fake_root root;
	struct fr_ctx ctx = {};
	struct fr_error e = {};
	const struct boot_params *bp;
	const uint8_t *p;
	uint32_t len;
	uint64_t map;

	make_host(&root, "flags\t: fpu\n", 4800);
	make_efi(&root, 3);
	ctx.root = root.path;
	assert_int_equal(fr_host_params_read(&ctx, &f->host, &e), 0);
	assert_true(f->host.efi.present);
	bp = build(f);
	p = node(f, SETUP_EFI, &len);
	assert_non_null(p);
	assert_int_equal(len, 96);
	assert_int_equal(fr_get_le64(p), 0x7f5edf98);
	assert_int_equal(fr_get_le64(p + 16), 0x7f5ed018);
	assert_int_equal(fr_get_le64(p + 24), 0x7f520000);
	assert_int_equal(bp->acpi_rsdp_addr, 0x7f77d014);
	assert_int_equal(bp->efi_info.efi_systab, 0x7f5ec018);
	assert_int_equal(bp->efi_info.efi_memdesc_size, 48);
	assert_int_equal(bp->efi_info.efi_memmap_size, 3 * 48);
	map = bp->efi_info.efi_memmap | (uint64_t)bp->efi_info.efi_memmap_hi << 32;
	p = f->buf + (map - PHYS) + 48;
	assert_int_equal(fr_get_le32(p), 5);
	assert_int_equal(fr_get_le64(p + 8), 0x7f000000);
	assert_int_equal(fr_get_le64(p + 16), 0xfffffffeff000000);
	assert_int_equal(fr_get_le64(p + 24), 0x100);
	assert_int_equal(fr_get_le64(p + 32), 0x8000000000000009);
	fake_root_remove(&root);
}

static void test_host_efi_without_map(void **state)
{
	struct fr_host_params host;
	struct fake_root root;
	struct fr_ctx ctx = {};
	struct fr_error e = {};

	(void)state;
	make_host(&root, "flags\t: fpu\n", 4800);
	make_efi(&root, 0);
	ctx.root = root.path;
	assert_int_equal(fr_host_params_read(&ctx, &host, &e), -ENOENT);
	assert_int_equal(e.fault, FR_FAULT_REFUSED);
	assert_non_null(strstr(e.text, "runtime-map"));
	fake_root_remove(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inherited, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_randomised, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_e820, setup, teardown),
		cmocka_unit_test_setup_teardown(test_e820_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_e820_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_initrd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test(test_host_bios),
		cmocka_unit_test_setup_teardown(test_host_efi, setup, teardown),
		cmocka_unit_test(test_host_efi_without_map),
	};

	return cmocka_run_group_tests_name("bootparams", tests, NULL, NULL);
}
