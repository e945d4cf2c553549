// SPDX-License-Identifier: GPL-2.0-or-later
/* cpio archives of the kind "newc", as in Documentation/driver-api/early-userspace. */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "initrd.h"
#include "util.h"

#define HEADER_BYTES 110u
#define LARGER_BYTES (64u << 10) /* for less, the zeros are not worth it */

enum field { MODE = 1, NLINK = 4, FILESIZE = 6, NAMESIZE = 11 };

struct entry {
	uint32_t mode, nlink;
	size_t data, bytes; /* offset of the contents; all of it, up to the next header */
	uint32_t data_bytes;
};

static bool get_field(const uint8_t *header, enum field field, uint32_t *ret)
{
	char text[9] = "";

	memcpy(text, header + 6 + 8 * (unsigned int)field, 8);
	*ret = (uint32_t)strtoul(text, NULL, 16);
	return strspn(text, "0123456789abcdefABCDEF") == 8;
}

static size_t align(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

static bool get_entry(const uint8_t *p, size_t left, struct entry *ret)
{
	uint32_t name_bytes;

	if (left < HEADER_BYTES || memcmp(p, "070701", 6) || !get_field(p, MODE, &ret->mode) ||
	    !get_field(p, NLINK, &ret->nlink) || !get_field(p, FILESIZE, &ret->data_bytes) ||
	    !get_field(p, NAMESIZE, &name_bytes))
		return false;
	ret->data = align((size_t)HEADER_BYTES + name_bytes, 4);
	ret->bytes = align(ret->data + ret->data_bytes, 4);
	return ret->bytes <= left;
}

/* Hard links: the contents are with one of them only, whose pages may be there already. */
static bool is_larger_file(const struct entry *entry)
{
	return S_ISREG(entry->mode) && entry->nlink <= 1 && entry->data_bytes >= LARGER_BYTES;
}

static size_t put(uint8_t *out, size_t at, const uint8_t *from, size_t bytes)
{
	if (out && from)
		memcpy(out + at, from, bytes);
	else if (out)
		memset(out + at, 0, bytes);
	return at + bytes;
}

size_t fr_initrd_align(const uint8_t *initrd, size_t bytes, uint8_t *out)
{
	size_t in = 0, at = 0, data;
	struct entry entry;

	while (in < bytes) {
		if (!initrd[in]) { /* between archives */
			at = put(out, at, initrd + in++, 1);
			continue;
		}
		if (in % 4 || !get_entry(initrd + in, bytes - in, &entry))
			break;
		data = at + entry.data;
		if (is_larger_file(&entry))
			at = put(out, at, NULL, align(data, FR_PAGE_BYTES) - data);
		at = put(out, at, initrd + in, entry.bytes);
		in += entry.bytes;
	}
	return put(out, at, initrd + in, bytes - in);
}
