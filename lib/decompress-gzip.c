// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <limits.h>
#define ZLIB_CONST
#include <zlib.h>

#include "decompress.h"

#define GZIP_WINDOW (16 + MAX_WBITS) /* zlib: expect a gzip header */

int fr_decompress_gzip(const void *in, size_t in_size, void *out, size_t out_size)
{
	z_stream z = {
		.next_in = in,
		.avail_in = (uInt)in_size,
		.next_out = out,
		.avail_out = (uInt)out_size,
	};
	int r;

	if (in_size > UINT_MAX || out_size > UINT_MAX)
		return -EBADMSG;
	r = inflateInit2(&z, GZIP_WINDOW);
	if (r != Z_OK)
		return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return r != Z_STREAM_END || z.avail_out ? -EBADMSG : 0;
}
