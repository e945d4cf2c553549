// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "test.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "initrd.h"

#define PAGE 4096u

struct archive {
	uint8_t data[1 << 20];
	size_t bytes;
};

static void add(struct archive *a, const char *name, unsigned int mode, unsigned int nlink,
		unsigned int size, char fill)
{
	char header[111];

	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1u, mode, 0u, 0u,
		 nlink, 0u, size, 0u, 0u, 0u, 0u, (unsigned int)strlen(name) + 1, 0u);
	memcpy(a->data + a->bytes, header, 110);
	strcpy((char *)a->data + a->bytes + 110, name);
	a->bytes = (a->bytes + 110 + strlen(name) + 1 + 3) & ~3u;
	memset(a->data + a->bytes, fill, size);
	a->bytes = (a->bytes + size + 3) & ~(size_t)3;
}

static struct archive *sample(void)
{
	struct archive *a = calloc(1, sizeof(*a));

	add(a, "bin", S_IFDIR | 0755, 2, 0, 0);
	add(a, "bin/big", S_IFREG | 0755, 1, 70001, 'b');
	add(a, "bin/small", S_IFREG | 0755, 1, 65535, 's');
	add(a, "bin/link1", S_IFREG | 0755, 2, 0, 0);
	add(a, "bin/link2", S_IFREG | 0755, 2, 100000, 'l');
	add(a, "bin/symlink", S_IFLNK | 0777, 1, 80000, 'y');
	add(a, "bin/exact", S_IFREG | 0755, 1, 65536, 'e');
	add(a, "TRAILER!!!", 0, 1, 0, 0);
	a->bytes = (a->bytes + 511) & ~(size_t)511;
	return a;
}

static uint8_t *aligned(const uint8_t *in, size_t bytes, size_t *ret_bytes)
{
	uint8_t *out;

	*ret_bytes = fr_initrd_align(in, bytes, NULL);
	out = malloc(*ret_bytes);
	assert_int_equal(fr_initrd_align(in, bytes, out), *ret_bytes);
	return out;
}

/* Offset of the first run of at least 1000 bytes @c */
static size_t find(const uint8_t *p, size_t bytes, char c)
{
	char run[1000];
	const uint8_t *found;

	memset(run, c, sizeof(run));
	found = memmem(p, bytes, run, sizeof(run));
	assert_non_null(found);
	return (size_t)(found - p);
}

static void aligns_larger_files(void **state)
{
	struct archive *a = sample();
	size_t bytes, again;
	uint8_t *out, *twice;

	(void)state;
	assert_int_not_equal(find(a->data, a->bytes, 'b') % PAGE, 0);
	assert_int_not_equal(find(a->data, a->bytes, 'e') % PAGE, 0);
	out = aligned(a->data, a->bytes, &bytes);
	assert_int_equal(find(out, bytes, 'b') % PAGE, 0);
	assert_int_equal(find(out, bytes, 'e') % PAGE, 0);
	/* no more zeros than two files need; what is before, between and behind is the same */
	assert_true(bytes > a->bytes && bytes <= a->bytes + 2 * PAGE && !(bytes % 4));
	assert_memory_equal(out, a->data, 116);
	assert_memory_equal(out + find(out, bytes, 'b'), a->data + find(a->data, a->bytes, 'b'),
			    find(a->data, a->bytes, 'y') - find(a->data, a->bytes, 'b'));
	assert_memory_equal(out + find(out, bytes, 'e'), a->data + find(a->data, a->bytes, 'e'),
			    a->bytes - find(a->data, a->bytes, 'e'));
	assert_int_equal(bytes - find(out, bytes, 'e'), a->bytes - find(a->data, a->bytes, 'e'));
	/* nothing is left to do */
	twice = aligned(out, bytes, &again);
	assert_int_equal(again, bytes);
	assert_memory_equal(twice, out, bytes);
	free(twice);
	free(out);
	free(a);
}

static void unchanged(const uint8_t *in, size_t bytes)
{
	size_t n;
	uint8_t *out = aligned(in, bytes, &n);

	assert_int_equal(n, bytes);
	assert_memory_equal(out, in, n);
	free(out);
}

static void leaves_the_rest(void **state)
{
	static const uint8_t gzip[] = "\x1f\x8b\x08 and more";
	struct archive *a = sample();
	size_t bytes;
	uint8_t *out;

	(void)state;
	unchanged(gzip, sizeof(gzip));
	unchanged(gzip, 0);
	unchanged(a->data, 60);	   /* cut off within a header */
	unchanged(a->data, 20000); /* and within contents */
	a->data[6 + 8 * 6] = 'x';
	unchanged(a->data, a->bytes);
	a->data[6 + 8 * 6] = 'f'; /* larger than all of it */
	unchanged(a->data, a->bytes);
	a->data[6 + 8 * 6] = '0';
	/* a compressed archive behind this one */
	memcpy(a->data + a->bytes, gzip, sizeof(gzip));
	out = aligned(a->data, a->bytes + sizeof(gzip), &bytes);
	assert_memory_equal(out + bytes - sizeof(gzip), gzip, sizeof(gzip));
	free(out);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aligns_larger_files),
		cmocka_unit_test(leaves_the_rest),
	};

	return cmocka_run_group_tests_name("initrd", tests, NULL, NULL);
}
