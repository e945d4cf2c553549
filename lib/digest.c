// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Content digests: XXH3 with 128 bits over a file's bytes, as `xxhsum -H2` prints it.
 *
 * Reading, unlike mapping, leaves holes alone on tmpfs and on hugetlbfs.  The digest
 * of one file is sequential; regions are digested in parallel.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "collect.h"
#include "util.h"

#define CHUNK_BYTES (1u << 20) /* stays in the cache between read and digest */

static int digest(XXH3_state_t *state, int fd, uint64_t size, void *buf, struct fr_error *e)
{
	uint64_t done = 0;
	ssize_t n;

	while (done < size) {
		n = pread(fd, buf, fr_min_u64(size - done, CHUNK_BYTES), (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fr_fail(e, FR_FAULT_SYSTEM, n ? errno : ESTALE,
				       "cannot read it for its digest: %s",
				       n ? strerror(errno) : "it has become shorter");
		XXH3_128bits_update(state, buf, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

int fr_digest_file(const struct fr_ctx *ctx, int fd, uint64_t size,
		   uint8_t ret_digest[FR_DIGEST_BYTES], struct fr_error *e)
{
	XXH3_state_t *state = XXH3_createState();
	void *buf = malloc(CHUNK_BYTES);
	XXH128_canonical_t canonical;
	int r;

	(void)ctx;
	if (!state || !buf) {
		r = fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	} else {
		XXH3_128bits_reset(state);
		r = digest(state, fd, size, buf, e);
	}
	if (!r) {
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(ret_digest, canonical.digest, FR_DIGEST_BYTES);
	}
	XXH3_freeState(state);
	free(buf);
	return r;
}
