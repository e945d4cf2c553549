// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel proper: a vmlinux ELF file, read with libelf. */
#include "config.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>

#include "bytes.h"
#include "image-parse.h"

#define MAX_PHDRS	    64u
#define MAX_NOTES	    65536u
#define MAX_SYMBOLS_SCANNED (1u << 22)

struct extent {
	uint64_t start, data_end, end; /* physical */
};

/* libelf's error codes are not public, but it does not lack memory without malloc() saying so. */
static int elf_fail(struct fr_error *e, const char *what)
{
	if (errno == ENOMEM)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC, "kernel ELF: %s (%s)", what,
		       elf_errmsg(-1) ?: "no detail");
}

static int check_ehdr(Elf *elf, GElf_Ehdr *ret_ehdr, size_t *ret_nr, struct fr_error *e)
{
	GElf_Ehdr ehdr;
	size_t nr;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr))
		return elf_fail(e, "not an ELF file");
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_ident[EI_DATA] != ELFDATA2LSB ||
	    ehdr.e_machine != EM_X86_64 || ehdr.e_type != ET_EXEC)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: not a 64-bit x86 executable (machine %u, type %u)",
			       ehdr.e_machine, ehdr.e_type);
	if (elf_getphdrnum(elf, &nr) || !nr || nr > MAX_PHDRS)
		return elf_fail(e, "no usable program headers");
	*ret_ehdr = ehdr;
	*ret_nr = nr;
	return 0;
}

/* A loadable segment lies in the file, and its end can be computed. */
static int check_phdr(const GElf_Phdr *p, size_t size, size_t i, struct fr_error *e)
{
	uint64_t file_end, mem_end;

	if (__builtin_add_overflow(p->p_offset, p->p_filesz, &file_end) || file_end > size)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: segment %zu ends outside the file of %zu bytes", i,
			       size);
	if (p->p_type != PT_LOAD)
		return 0;
	if (p->p_filesz > p->p_memsz || __builtin_add_overflow(p->p_paddr, p->p_memsz, &mem_end) ||
	    mem_end > FR_KERNEL_IMAGE_BYTES)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: segment %zu at %#llx of %llu bytes is absurd", i,
			       (unsigned long long)p->p_paddr, (unsigned long long)p->p_memsz);
	return 0;
}

/* Physical range of all loadable segments; p_paddr, as the percpu one has p_vaddr 0. */
static int measure(Elf *elf, size_t nr, size_t size, struct extent *ret_x, struct fr_error *e)
{
	struct extent x = {.start = UINT64_MAX};
	size_t i;
	int r;

	for (i = 0; i < nr; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(elf, (int)i, &p))
			return elf_fail(e, "program header unreadable");
		r = check_phdr(&p, size, i, e);
		if (r < 0)
			return r;
		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		if (p.p_paddr < x.start)
			x.start = p.p_paddr;
		if (p.p_paddr + p.p_filesz > x.data_end)
			x.data_end = p.p_paddr + p.p_filesz;
		if (p.p_paddr + p.p_memsz > x.end)
			x.end = p.p_paddr + p.p_memsz;
	}
	if (x.start >= x.data_end)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC, "kernel ELF: nothing to load");
	if (x.start % FR_HUGE_BYTES)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: linked at %#llx, not a multiple of 2 MiB",
			       (unsigned long long)x.start);
	*ret_x = x;
	return 0;
}

static int lay_out(Elf *elf, size_t nr, const uint8_t *file, const struct extent *x,
		   struct fr_image *image, struct fr_error *e)
{
	uint64_t need;
	size_t i;

	image->bytes = x->data_end - x->start;
	need = x->end - x->start;
	image->memory_bytes = (need + FR_HUGE_BYTES - 1) & ~(FR_HUGE_BYTES - 1);
	image->data = calloc(1, image->bytes);
	if (!image->data)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory for a kernel of %zu bytes",
			       image->bytes);
	for (i = 0; i < nr; i++) {
		GElf_Phdr p;

		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_filesz)
			memcpy(image->data + (p.p_paddr - x->start), file + p.p_offset, p.p_filesz);
	}
	return 0;
}

/* A note named FR_NOTE_NAME; types that are not known are for later tools. */
static int take_note(const GElf_Nhdr *note, const uint8_t *desc, struct fr_image *image,
		     struct fr_error *e)
{
	size_t bytes = 0;
	bool fits = true;

	switch (note->n_type) {
	case FR_NOTE_TYPE_VERSIONS:
		bytes = sizeof(struct fr_note_versions);
		fits = note->n_descsz == bytes;
		if (!fits)
			break;
		image->min_version = fr_get_le32(desc);
		image->max_version = fr_get_le32(desc + 4);
		image->has_note = true;
		break;
	case FR_NOTE_TYPE_LIMITS:
		bytes = sizeof(struct fr_note_limits);
		fits = note->n_descsz >= bytes;
		if (fits)
			image->e820_entries = fr_get_le32(desc);
		break;
	}
	return fits ? 0 :
		      fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			      "kernel ELF: note " FR_NOTE_NAME " of %u bytes, expected %zu",
			      note->n_descsz, bytes);
}

/* FR_NOTE_NAME in the PT_NOTE segments. */
static int take_notes(Elf *elf, size_t nr, struct fr_image *image, struct fr_error *e)
{
	size_t i, budget = MAX_NOTES;

	for (i = 0; i < nr; i++) {
		size_t at = 0, name_at, desc_at;
		GElf_Nhdr note;
		GElf_Phdr p;
		Elf_Data *d;
		int r;

		if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_NOTE || !p.p_filesz)
			continue;
		d = elf_getdata_rawchunk(elf, (int64_t)p.p_offset, p.p_filesz,
					 p.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		if (!d)
			return elf_fail(e, "notes unreadable");
		while (budget && (at = gelf_getnote(d, at, &note, &name_at, &desc_at)) > 0) {
			budget--;
			if (note.n_namesz != sizeof(FR_NOTE_NAME) ||
			    memcmp((const char *)d->d_buf + name_at, FR_NOTE_NAME,
				   sizeof(FR_NOTE_NAME)))
				continue;
			r = take_note(&note, (const uint8_t *)d->d_buf + desc_at, image, e);
			if (r)
				return r;
		}
	}
	if (image->has_note && image->min_version > image->max_version)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: note " FR_NOTE_NAME " says versions %u to %u",
			       image->min_version, image->max_version);
	return 0;
}

/* Only a kernel with CONFIG_X86_5LEVEL has this variable; a stripped file hides it. */
static bool has_5level(Elf *elf)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	GElf_Sym sym;
	Elf_Data *d;
	int i;

	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_SYMTAB)
			continue;
		d = elf_getdata(scn, NULL);
		for (i = 0; d && i < (int)MAX_SYMBOLS_SCANNED && gelf_getsym(d, i, &sym); i++) {
			const char *name = elf_strptr(elf, sh.sh_link, sym.st_name);

			if (name && !strcmp(name, "__pgtable_l5_enabled"))
				return true;
		}
	}
	return false;
}

/* First byte after everything that the ELF headers refer to. */
static int find_end(Elf *elf, const GElf_Ehdr *ehdr, size_t nr, size_t size, size_t *ret_bytes,
		    struct fr_error *e)
{
	uint64_t end = ehdr->e_phoff + nr * ehdr->e_phentsize, sections, n;
	size_t i, shnum;

	if (elf_getshdrnum(elf, &shnum))
		return elf_fail(e, "section headers unreadable");
	if (__builtin_mul_overflow((uint64_t)shnum, (uint64_t)ehdr->e_shentsize, &n) ||
	    __builtin_add_overflow(ehdr->e_shoff, n, &sections) || sections > size || end > size)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: headers end outside the file of %zu bytes", size);
	if (sections > end)
		end = sections;
	for (i = 0; i < nr; i++) {
		GElf_Phdr p;

		if (gelf_getphdr(elf, (int)i, &p) && p.p_offset + p.p_filesz > end)
			end = p.p_offset + p.p_filesz;
	}
	*ret_bytes = end;
	return 0;
}

static int parse(Elf *elf, const uint8_t *file, size_t size, struct fr_image *image,
		 uint64_t *ret_link_phys, size_t *ret_elf_bytes, struct fr_error *e)
{
	GElf_Ehdr ehdr = {};
	struct extent x = {};
	size_t nr = 0;
	int r;

	r = check_ehdr(elf, &ehdr, &nr, e);
	if (r < 0)
		return r;
	r = measure(elf, nr, size, &x, e);
	if (r < 0)
		return r;
	if (ehdr.e_entry < x.start || ehdr.e_entry >= x.data_end)
		return fr_fail(e, FR_FAULT_IMAGE, ENOEXEC,
			       "kernel ELF: entry %#llx is outside its segments",
			       (unsigned long long)ehdr.e_entry);
	image->entry_offset = ehdr.e_entry - x.start;
	r = find_end(elf, &ehdr, nr, size, ret_elf_bytes, e);
	if (r < 0)
		return r;
	r = take_notes(elf, nr, image, e);
	if (r < 0)
		return r;
	if (!image->setup_header_bytes) {
		image->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
		if (has_5level(elf))
			image->xloadflags |= XLF_5LEVEL | XLF_5LEVEL_ENABLED;
		else if (errno == ENOMEM)
			return elf_fail(e, "symbols unreadable");
	}
	*ret_link_phys = x.start;
	return lay_out(elf, nr, file, &x, image, e);
}

int fr_image_elf(const uint8_t *file, size_t size, struct fr_image *image, uint64_t *ret_link_phys,
		 size_t *ret_elf_bytes, struct fr_error *e)
{
	Elf *elf;
	int r;

	errno = 0; /* for elf_fail() */
	if (elf_version(EV_CURRENT) == EV_NONE)
		return elf_fail(e, "libelf is too old");
	elf = elf_memory((char *)(uintptr_t)file, size);
	if (!elf)
		return elf_fail(e, "not readable");
	r = parse(elf, file, size, image, ret_link_phys, ret_elf_bytes, e);
	elf_end(elf);
	return r;
}
