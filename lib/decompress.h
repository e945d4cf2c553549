/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kernel payloads, one decompressor per file.  Each takes untrusted bytes and
 * fills exactly @out_size bytes: -EBADMSG when the payload is damaged, ends
 * early or holds more, -ENOMEM, -ENOSYS when configured out.
 */
#ifndef FR_DECOMPRESS_H
#define FR_DECOMPRESS_H

#include <errno.h>
#include <stddef.h>

#define FR_DECOMPRESS_STUB(name)                                                           \
	static inline int name(const void *in, size_t in_size, void *out, size_t out_size) \
	{                                                                                  \
		(void)in;                                                                  \
		(void)in_size;                                                             \
		(void)out;                                                                 \
		(void)out_size;                                                            \
		return -ENOSYS;                                                            \
	}

#ifdef HAVE_ZSTD
int fr_decompress_zstd(const void *in, size_t in_size, void *out, size_t out_size);
#else
FR_DECOMPRESS_STUB(fr_decompress_zstd)
#endif

#ifdef HAVE_LZMA
int fr_decompress_xz(const void *in, size_t in_size, void *out, size_t out_size);
#else
FR_DECOMPRESS_STUB(fr_decompress_xz)
#endif

#ifdef HAVE_ZLIB
int fr_decompress_gzip(const void *in, size_t in_size, void *out, size_t out_size);
#else
FR_DECOMPRESS_STUB(fr_decompress_gzip)
#endif

#ifdef HAVE_LZ4
int fr_decompress_lz4(const void *in, size_t in_size, void *out, size_t out_size);
#else
FR_DECOMPRESS_STUB(fr_decompress_lz4)
#endif

#endif /* FR_DECOMPRESS_H */
