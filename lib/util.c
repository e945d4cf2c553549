// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "util.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <time.h>

void *fr_array_reserve(void *v, size_t *cap, size_t nr, size_t elem_bytes)
{
	size_t want = *cap ? *cap : 8, bytes;

	if (nr <= *cap && v)
		return v;
	while (want < nr) {
		if (__builtin_mul_overflow(want, (size_t)2, &want))
			return NULL;
	}
	if (__builtin_mul_overflow(want, elem_bytes, &bytes))
		return NULL;
	v = realloc(v, bytes);
	if (v)
		*cap = want;
	return v;
}

int fr_read_full(int fd, void *buf, size_t bytes, size_t *ret_bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = read(fd, (char *)buf + done, bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	*ret_bytes = done;
	return 0;
}

int fr_write_all(int fd, const void *buf, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = write(fd, (const char *)buf + done, bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int fr_read_file(const char *path, size_t max_bytes, char **ret_data, size_t *ret_bytes)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *data = NULL;
	size_t cap = 0, bytes = 0, got;

	if (fd < 0)
		return -errno;
	do {
		char *grown;
		int r;

		/* one more than allowed tells too long from just long enough */
		if (bytes > max_bytes)
			return -EFBIG;
		grown = fr_array_reserve(data, &cap, bytes + 4096, 1);
		if (!grown)
			return -ENOMEM;
		data = grown;
		r = fr_read_full(fd, data + bytes, cap - bytes - 1, &got);
		if (r < 0)
			return r;
		bytes += got;
	} while (got);
	data[bytes] = '\0';
	*ret_data = data;
	data = NULL;
	if (ret_bytes)
		*ret_bytes = bytes;
	return 0;
}

int fr_try_lock(int fd, int operation)
{
	int r;

	do {
		r = flock(fd, operation | LOCK_NB);
	} while (r && errno == EINTR);
	return r ? -errno : 0;
}

int fr_parse_bytes(const char *text, uint64_t *ret_bytes, const char **ret_end)
{
	static const char suffixes[] = "KMGTPE";
	unsigned long long value;
	const char *suffix;
	char *end;

	/* strtoull would take blanks and a sign */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno)
		return -errno;
	suffix = isalpha((unsigned char)*end) ? strchr(suffixes, toupper((unsigned char)*end)) :
						NULL;
	if (suffix) {
		if (__builtin_mul_overflow(value, 1ull << (10 * (suffix - suffixes + 1)), &value))
			return -ERANGE;
		end++;
	}
	*ret_bytes = value;
	*ret_end = end;
	return 0;
}

struct fr_size_text fr_size_text(uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	struct fr_size_text t;
	unsigned int u = 0;

	while (u + 1 < FR_ARRAY_SIZE(units) && bytes >> (10 * (u + 1)))
		u++;
	if (bytes & ((1ull << (10 * u)) - 1))
		snprintf(t.s, sizeof(t.s), "%.1f %s", (double)bytes / (double)(1ull << (10 * u)),
			 units[u]);
	else
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " %s", bytes >> (10 * u), units[u]);
	return t;
}

uint64_t fr_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
