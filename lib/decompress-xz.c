// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <lzma.h>
#include <stdint.h>

#include "decompress.h"

/* The kernel's own limit is a 128 MiB dictionary (scripts/xz_wrap.sh). */
#define XZ_MEMORY_LIMIT (192ull << 20)

int fr_decompress_xz(const void *in, size_t in_size, void *out, size_t out_size)
{
	uint64_t limit = XZ_MEMORY_LIMIT;
	size_t in_pos = 0, out_pos = 0;
	lzma_ret r;

	r = lzma_stream_buffer_decode(&limit, 0, NULL, in, &in_pos, in_size, out, &out_pos,
				      out_size);
	if (r == LZMA_MEM_ERROR)
		return -ENOMEM;
	return r != LZMA_OK || out_pos != out_size ? -EBADMSG : 0;
}
