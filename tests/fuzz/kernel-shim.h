/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's parser of descriptors includes from linux/, as user space has it. */
#ifndef FR_KERNEL_SHIM_H
#define FR_KERNEL_SHIM_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long pgoff_t;

struct kobject {
	int unused;
};

#define S32_MAX INT32_MAX
#define S64_MAX INT64_MAX
#define BIT(n)	(1ul << (n))

#define min(a, b)	 ((a) < (b) ? (a) : (b))
#define max(a, b)	 ((a) > (b) ? (a) : (b))
#define min_t(type, a, b) min((type)(a), (type)(b))
#define swap(a, b)                      \
	do {                            \
		__auto_type swap_ = (a); \
		(a) = (b);              \
		(b) = swap_;            \
	} while (0)

/* x86-64 is little endian */
#define le32_to_cpu(v) ((u32)(v))
#define le64_to_cpu(v) ((u64)(v))

#define xxh64(data, bytes, seed) XXH64(data, bytes, seed)

#define GFP_KERNEL	     0
#define __GFP_RETRY_MAYFAIL 0
#define __GFP_NOWARN	     0

/* As the kernel's: nothing above INT_MAX bytes. */
static inline void *kvmalloc_array(size_t nr, size_t bytes, int gfp)
{
	size_t total;

	(void)gfp;
	return __builtin_mul_overflow(nr, bytes, &total) || total > INT_MAX ? NULL : malloc(total);
}

static inline void *kvcalloc(size_t nr, size_t bytes, int gfp)
{
	void *p = kvmalloc_array(nr, bytes, gfp);

	return p ? memset(p, 0, nr * bytes) : NULL;
}

#define kvfree(p) free((void *)(uintptr_t)(p))

/* Without @swap_fn, which the parser leaves to the kernel. */
#define sort(base, nr, bytes, cmp, swap_fn) qsort(base, nr, bytes, cmp)

static inline const void *memchr_inv(const void *p, int c, size_t bytes)
{
	const u8 *b = p;

	for (; bytes; b++, bytes--)
		if (*b != (u8)c)
			return b;
	return NULL;
}

#endif /* FR_KERNEL_SHIM_H */
