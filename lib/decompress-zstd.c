// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <zstd.h>

#include "decompress.h"

int fr_decompress_zstd(const void *in, size_t in_size, void *out, size_t out_size)
{
	size_t n = ZSTD_decompress(out, out_size, in, in_size);

	return ZSTD_isError(n) || n != out_size ? -EBADMSG : 0;
}
