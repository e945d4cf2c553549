/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things that every part of the library needs. */
#ifndef FR_UTIL_H
#define FR_UTIL_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fastrestart.h"

#define FR_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Locals that clean up after themselves: _cleanup_free_ char *p = NULL; */
static inline void fr_free_ptr(void *p)
{
	void *victim;

	memcpy(&victim, p, sizeof(victim));
	free(victim);
}

static inline void fr_close_ptr(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fr_fclose_ptr(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_(fn)	 __attribute__((cleanup(fn)))
#define _cleanup_free_	 _cleanup_(fr_free_ptr)
#define _cleanup_close_	 _cleanup_(fr_close_ptr)
#define _cleanup_fclose_ _cleanup_(fr_fclose_ptr)

static inline uint64_t fr_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t fr_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* @align is a power of two. */
static inline uint64_t fr_align_down(uint64_t x, uint64_t align)
{
	return x & ~(align - 1);
}

/* Saturates at the highest multiple of @align. */
static inline uint64_t fr_align_up(uint64_t x, uint64_t align)
{
	uint64_t up;

	if (__builtin_add_overflow(x, align - 1, &up))
		up = UINT64_MAX;
	return fr_align_down(up, align);
}

/*
 * Make room for @nr elements of @elem_bytes in the array @v of capacity *@cap
 * (growing by doubling); returns the array, or NULL with @v as it was.
 */
void *fr_array_reserve(void *v, size_t *cap, size_t nr, size_t elem_bytes);

/* Read until @bytes, or the end of the file; *ret_bytes says how many came. */
int fr_read_full(int fd, void *buf, size_t bytes, size_t *ret_bytes);
/* Write all of it, or fail. */
int fr_write_all(int fd, const void *buf, size_t bytes);

/*
 * The whole file (also of /proc and /sys, whose sizes say nothing), with a NUL
 * after the last byte; -EFBIG beyond @max_bytes.
 */
int fr_read_file(const char *path, size_t max_bytes, char **ret_data, size_t *ret_bytes);

/*
 * What undoes something must not fail because memory lacks for a moment: @call, 0 or a
 * negative errno, is tried for a second; and again when a signal came.
 */
#define FR_INSIST(call)                                                        \
	({                                                                     \
		int tries_ = 50, r_;                                           \
                                                                               \
		while (((r_ = (call)) == -ENOMEM || r_ == -EINTR) && tries_--) \
			poll(NULL, 0, 20);                                     \
		r_;                                                            \
	})

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

/* flock() @operation, which must not wait: -EWOULDBLOCK when somebody else has it. */
int fr_try_lock(int fd, int operation);
/* CLOCK_MONOTONIC, in milliseconds */
uint64_t fr_now_ms(void);

/*
 * A number of bytes as the kernel's memparse() takes it: decimal, octal or hex,
 * with one of the suffixes K, M, G, T, P, E.  *ret_end is the first character
 * after it.
 */
int fr_parse_bytes(const char *text, uint64_t *ret_bytes, const char **ret_end);

/* "1.5 GiB", for messages. */
struct fr_size_text {
	char s[24];
};

struct fr_size_text fr_size_text(uint64_t bytes);

#endif /* FR_UTIL_H */
