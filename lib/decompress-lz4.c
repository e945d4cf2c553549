// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The legacy frame that "lz4 -l" makes: a magic number, then blocks of a 32-bit
 * length and that many compressed bytes, each of which unpacks to 8 MiB but for
 * the last one.
 */
#include "config.h"

#include <lz4.h>
#include <stdint.h>

#include "bytes.h"
#include "decompress.h"

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_LEGACY_BLOCK (8u << 20)

int fr_decompress_lz4(const void *in, size_t in_size, void *out, size_t out_size)
{
	const uint8_t *p = in, *end = p + in_size;
	uint8_t *o = out;

	if (in_size < 4 || fr_get_le32(p) != LZ4_LEGACY_MAGIC)
		return -EBADMSG;
	p += 4;
	while (end - p >= 4) {
		uint32_t block = fr_get_le32(p);
		size_t room = out_size < LZ4_LEGACY_BLOCK ? out_size : LZ4_LEGACY_BLOCK;
		int n;

		p += 4;
		if (block == LZ4_LEGACY_MAGIC) /* concatenated frames */
			continue;
		if (!block || block > (size_t)(end - p) || !room)
			return -EBADMSG;
		n = LZ4_decompress_safe((const char *)p, (char *)o, (int)block, (int)room);
		if (n <= 0)
			return -EBADMSG;
		p += block;
		o += n;
		out_size -= (size_t)n;
	}
	return p != end || out_size ? -EBADMSG : 0;
}
