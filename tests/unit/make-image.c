// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "abi.h"
#include "bytes.h"
#include "make-image.h"

#define OFFSET_TEXT   0x1000u
#define OFFSET_PERCPU (OFFSET_TEXT + MAKE_TEXT_BYTES)
#define PERCPU_BYTES  0x100u
#define OFFSET_SHDR   (OFFSET_PERCPU + PERCPU_BYTES)
#define ELF_BYTES     (OFFSET_SHDR + sizeof(Elf64_Shdr))
#define KERNEL_MAP    0xffffffff80000000ull

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static size_t gzip(const uint8_t *in, size_t n, uint8_t *out, size_t room, int level)
{
	z_stream z = {.next_in = in, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room};

	if (deflateInit2(&z, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
	    deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	deflateEnd(&z);
	return z.total_out;
}

static void put_ehdr(uint8_t *elf)
{
	Elf64_Ehdr h = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = MAKE_LINK_PHYS + MAKE_ENTRY,
		.e_phoff = sizeof(h),
		.e_shoff = OFFSET_SHDR,
		.e_ehsize = sizeof(h),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = MAKE_NR_PHDRS,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 1,
	};

	memcpy(elf, &h, sizeof(h));
}

static void put_phdrs(uint8_t *elf, size_t note_bytes)
{
	Elf64_Phdr p[MAKE_NR_PHDRS] = {
		{
			.p_type = PT_LOAD,
			.p_offset = OFFSET_TEXT,
			.p_vaddr = KERNEL_MAP + MAKE_LINK_PHYS,
			.p_paddr = MAKE_LINK_PHYS,
			.p_filesz = MAKE_TEXT_BYTES,
			.p_memsz = MAKE_TEXT_BYTES,
			.p_align = 0x200000,
		},
		{
			.p_type = PT_LOAD,
			.p_offset = OFFSET_PERCPU,
			.p_vaddr = 0,
			.p_paddr = MAKE_LINK_PHYS + MAKE_PERCPU,
			.p_filesz = PERCPU_BYTES,
			.p_memsz = MAKE_BSS - MAKE_PERCPU,
			.p_align = 0x200000,
		},
		{
			.p_type = PT_NOTE,
			.p_offset = MAKE_NOTE,
			.p_filesz = note_bytes,
			.p_memsz = note_bytes,
			.p_align = 4,
		},
	};

	memcpy(elf + sizeof(Elf64_Ehdr), p, sizeof(p));
}

static size_t put_note(uint8_t *p, uint32_t type, uint32_t desc_bytes)
{
	fr_put_le32(p, sizeof(FR_NOTE_NAME));
	fr_put_le32(p + 4, desc_bytes);
	fr_put_le32(p + 8, type);
	memcpy(p + 12, FR_NOTE_NAME, sizeof(FR_NOTE_NAME));
	return 12 + sizeof(FR_NOTE_NAME) + desc_bytes;
}

/* Three, one of a type that nobody knows yet. */
static size_t put_notes(uint8_t *p)
{
	size_t n = put_note(p, FR_NOTE_TYPE_VERSIONS, sizeof(struct fr_note_versions));

	fr_put_le32(p + MAKE_NOTE_DESC, 1);
	fr_put_le32(p + MAKE_NOTE_DESC + 4, 3);
	n += put_note(p + n, 0xff, 4);
	n += put_note(p + n, FR_NOTE_TYPE_LIMITS, sizeof(struct fr_note_limits) + 4);
	fr_put_le32(p + n - 8, MAKE_E820_ENTRIES);
	return n;
}

static void put_text(uint8_t *text)
{
	static const char banner[] = "Linux version 9.9.9-synthetic (me@here)\n";
	uint8_t *p = text + 0x1000;
	size_t n;

	fr_put_le64(text + MAKE_AT64, MAKE_VALUE64);
	fr_put_le32(text + MAKE_AT32, MAKE_VALUE32);
	fr_put_le32(text + MAKE_AT_INVERSE, MAKE_INVERSE32);
	memcpy(text + 0x900, banner, sizeof(banner));
	memcpy(p, "IKCFG_ST", 8);
	n = gzip((const uint8_t *)"\n" MAKE_CONFIG, sizeof(MAKE_CONFIG), p + 8, 0x800, 9);
	memcpy(p + 8 + n, "IKCFG_ED", 8);
}

struct bytes make_elf(void)
{
	struct bytes b = {must(calloc(1, ELF_BYTES)), ELF_BYTES};

	put_ehdr(b.v);
	put_phdrs(b.v, put_notes(b.v + MAKE_NOTE));
	put_text(b.v + OFFSET_TEXT);
	memset(b.v + OFFSET_PERCPU, 0x5a, PERCPU_BYTES);
	return b;
}

void make_append32(struct bytes *b, uint32_t v)
{
	b->v = must(realloc(b->v, b->n + 4));
	fr_put_le32(b->v + b->n, v);
	b->n += 4;
}

void make_relocations(struct bytes *elf, int three)
{
	uint32_t virt = (uint32_t)(KERNEL_MAP + MAKE_LINK_PHYS);

	make_append32(elf, 0);
	make_append32(elf, virt + MAKE_AT64);
	make_append32(elf, 0);
	if (three) {
		make_append32(elf, virt + MAKE_AT_INVERSE);
		make_append32(elf, 0);
	}
	make_append32(elf, virt + MAKE_AT32);
}

/* Into @out of plenty of room; the number of bytes, with the length at the end. */
static size_t compress_payload(const struct bytes *in, enum make_method method, uint8_t *out,
			       size_t room)
{
	size_t n = 0;

	switch (method) {
	case MAKE_GZIP:
		return gzip(in->v, in->n, out, room, 1);
	case MAKE_STORED:
		return gzip(in->v, in->n, out, room, 0);
	case MAKE_ZSTD:
		n = ZSTD_compress(out, room, in->v, in->n, 1);
		break;
	case MAKE_XZ:
		if (lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, in->v, in->n, out, &n,
					    room) != LZMA_OK)
			abort();
		break;
	case MAKE_LZ4:
		fr_put_le32(out, 0x184c2102);
		n = (size_t)LZ4_compress_default((const char *)in->v, (char *)out + 8, (int)in->n,
						 (int)room - 8);
		fr_put_le32(out + 4, (uint32_t)n);
		n += 8;
		break;
	}
	fr_put_le32(out + n, (uint32_t)in->n);
	return n + 4;
}

struct bytes make_bzimage(const struct bytes *payload, enum make_method method)
{
	size_t room = MAKE_PAYLOAD + payload->n + payload->n / 8 + 65536, n;
	struct bytes b = {must(calloc(1, room)), 0};

	n = compress_payload(payload, method, b.v + MAKE_PAYLOAD, room - MAKE_PAYLOAD);
	b.n = MAKE_PAYLOAD + n;
	b.v[0x1f1] = MAKE_SETUP_BYTES / 512 - 1;
	fr_put_le16(b.v + 0x1fe, 0xaa55);
	b.v[0x201] = 0x6a;
	memcpy(b.v + 0x202, "HdrS", 4);
	fr_put_le16(b.v + 0x206, 0x20f);
	fr_put_le16(b.v + 0x20e, 0x300);
	strcpy((char *)b.v + 0x500, "9.9.9-synthetic (me@here) #1");
	b.v[0x211] = 0x81; /* LOADED_HIGH, CAN_USE_HEAP */
	fr_put_le32(b.v + 0x230, 0x200000);
	b.v[0x234] = 1;			/* relocatable */
	b.v[0x235] = 21;		/* min_alignment */
	fr_put_le16(b.v + 0x236, 0x63); /* xloadflags */
	fr_put_le32(b.v + 0x238, 2047); /* cmdline_size */
	fr_put_le32(b.v + 0x248, MAKE_PAYLOAD - MAKE_SETUP_BYTES);
	fr_put_le32(b.v + 0x24c, (uint32_t)n);
	fr_put_le64(b.v + 0x258, MAKE_LINK_PHYS);
	fr_put_le32(b.v + 0x260, MAKE_BSS + 0x100000); /* init_size */
	return b;
}
