// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pins: what keeps frames where they are between prepare and jump.
 *
 * Compaction and offlining move pages of a file even when they are locked; pages
 * that io_uring holds as fixed buffers (FOLL_LONGTERM) stay.  Only pages that are
 * there are pinned, run by run, because pinning fills holes.
 *
 * Fixed buffers are always pinned for writing.  Pages of a memfd that is sealed against that are
 * referred to by a pipe instead, one by one: migration gives up on a page with a reference more
 * than it knows of.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep.h"
#include "kernel.h"
#include "ramap.h"
#include "util.h"

#define IOVEC_BYTES    (1ull << 30) /* most that io_uring takes as one buffer */
#define IOVECS_PER_PIN 16384u	    /* IORING_MAX_REG_BUFFERS of 6.1 */
#define PAGES_PER_PIPE 512u	    /* 40 bytes each, in one piece: 32 KiB can be had always */

int fr_keep_open(const struct fr_ctx *ctx, const struct fr_source *src, struct fr_keep **ret_keep,
		 struct fr_error *e)
{
	struct fr_keep *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	k->ops = fr_ops(ctx);
	k->ops_data = ctx->ops_data;
	k->fd = -1;
	k->page_bytes = FR_PAGE_BYTES;
	snprintf(k->region.name, sizeof(k->region.name), "%s", src->name);
	r = src->is_phys ? fr_keep_open_phys(ctx, src, k, e) : fr_keep_open_file(ctx, src, k, e);
	if (r) {
		fr_keep_close(k);
		return r;
	}
	*ret_keep = k;
	return 0;
}

const struct fr_region *fr_keep_region(const struct fr_keep *k)
{
	return &k->region;
}

bool fr_keep_file(const struct fr_keep *k, uint64_t *ret_dev, uint64_t *ret_ino)
{
	if (k->fd < 0)
		return false;
	*ret_dev = k->dev;
	*ret_ino = k->ino;
	return true;
}

static int pin_failed(const struct fr_keep *k, int err, struct fr_error *e)
{
	if (!k->read_only && (err == EPERM || err == ENOSYS))
		return fr_fail(e, FR_FAULT_PERMISSION, err,
			       "io_uring is disabled, and pins need it: set the sysctl "
			       "kernel.io_uring_disabled to 0");
	return fr_fail(e, FR_FAULT_SYSTEM, err, "%s: cannot pin its pages: %s", k->label,
		       strerror(err));
}

static int add_pin(const struct fr_ctx *ctx, struct fr_keep *k, const struct iovec *iov,
		   unsigned int nr, struct fr_error *e)
{
	void **v = reallocarray(k->pins, k->nr_pins + 1, sizeof(*v));
	int r;

	if (!v)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	k->pins = v;
	r = k->read_only ? fr_ops(ctx)->pin_read_only(ctx->ops_data, iov, nr, &v[k->nr_pins]) :
			   fr_ops(ctx)->pin(ctx->ops_data, iov, nr, &v[k->nr_pins]);
	if (r)
		return pin_failed(k, -r, e);
	k->nr_pins++;
	return 0;
}

/* The next run of pages without a hole, from extent *@i on. */
static uint64_t next_run(const struct fr_extents *x, size_t *i, uint64_t *ret_end)
{
	uint64_t start = x->v[*i].pgoff, end = start;

	while (*i < x->nr && x->v[*i].pgoff == end)
		end += x->v[(*i)++].nr_pages;
	*ret_end = end << FR_PAGE_SHIFT;
	return start << FR_PAGE_SHIFT;
}

static int pin_runs(const struct fr_ctx *ctx, struct fr_keep *k, struct iovec *iov,
		    struct fr_error *e)
{
	const struct fr_extents *x = &k->region.extents;
	uint64_t most = k->read_only ? k->page_bytes : IOVEC_BYTES, at, end, bytes;
	unsigned int nr = 0, max = k->read_only ? PAGES_PER_PIPE : IOVECS_PER_PIN;
	int r;

	for (size_t i = 0; i < x->nr;) {
		for (at = next_run(x, &i, &end); at < end; at += bytes) {
			bytes = fr_min_u64(end - at, most);
			iov[nr++] = (struct iovec){.iov_base = k->addr + at,
						   .iov_len = k->read_only ? FR_PAGE_BYTES : bytes};
			if (nr < max)
				continue;
			r = add_pin(ctx, k, iov, nr, e);
			if (r)
				return r;
			nr = 0;
		}
	}
	return nr ? add_pin(ctx, k, iov, nr, e) : 0;
}

/* Each pipe is a descriptor: the usual limit of 1024 is soon reached. */
static void allow_pipes(const struct fr_keep *k)
{
	uint64_t nr = fr_extents_pages(&k->region.extents) / (k->page_bytes / FR_PAGE_BYTES) /
			      PAGES_PER_PIPE +
		      1;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= l.rlim_cur + nr)
		return;
	l.rlim_cur += nr;
	if (l.rlim_max < l.rlim_cur)
		l.rlim_max = l.rlim_cur;
	setrlimit(RLIMIT_NOFILE, &l);
}

int fr_keep_pin(const struct fr_ctx *ctx, struct fr_keep *k, struct fr_error *e)
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct fr_extents x = {0};
	struct iovec *iov;
	int r;

	if (!k->addr)
		return 0;
	/* without CAP_IPC_LOCK pins count as locked memory; where this fails, the pin will tell */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (k->read_only)
		allow_pipes(k);
	iov = calloc(IOVECS_PER_PIN, sizeof(*iov));
	if (!iov)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	r = pin_runs(ctx, k, iov, e);
	free(iov);
	/* pinning moves pages out of ZONE_MOVABLE and CMA */
	if (!r)
		r = fr_keep_read_extents(ctx, k, &x, e);
	if (r)
		return r;
	fr_extents_clear(&k->region.extents);
	k->region.extents = x;
	return 0;
}

static int stale(const struct fr_keep *k, const char *what, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_REFUSED, ESTALE, "%s: its %s changed while exec was preparing",
		       k->label, what);
}

/*
 * A page that came is seen by the number of blocks, one that went or moved by the
 * page table.  Reclaim may have taken a pinned page out of the table: look again
 * before calling it gone.
 */
static int check_pages(const struct fr_ctx *ctx, struct fr_keep *k, struct fr_error *e)
{
	struct stat st;
	bool equal;
	int r;

	if (fstat(k->fd, &st))
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: stat: %s", k->label,
			       strerror(errno));
	if ((uint64_t)st.st_size != k->region.size_bytes)
		return stale(k, "size", e);
	if (st.st_blocks != k->blocks)
		return stale(k, "set of pages", e);
	if (fr_mode_is_unfinished(st.st_mode))
		return stale(k, "mode", e);
	k->region.mode = st.st_mode & (S_IFMT | 07777);
	k->region.uid = st.st_uid;
	k->region.gid = st.st_gid;
	if (k->region.flags & FR_REGION_UNLINKED) {
		r = fr_keep_read_seals(k, e);
		if (r)
			return r;
	}
	if (!k->addr)
		return 0;
	/*
	 * A page of fallocate() counts as a block from the beginning, but it is mapped only
	 * once somebody has written to it: look for it.
	 */
	if (k->region.kind == FR_KIND_SHMEM &&
	    fr_extents_pages(&k->region.extents) * (FR_PAGE_BYTES / 512) != (uint64_t)k->blocks) {
		r = fr_keep_map_present(k, e);
		if (r)
			return r;
	}
	r = fr_keep_compare_extents(ctx, k, &equal, e);
	if (!r && !equal) {
		r = fr_keep_map_present(k, e);
		if (!r)
			r = fr_keep_compare_extents(ctx, k, &equal, e);
	}
	if (r)
		return r;
	return equal ? 0 : stale(k, "frames", e);
}

int fr_keep_seal(const struct fr_ctx *ctx, struct fr_keep *k, bool digest, struct fr_error *e)
{
	struct fr_region *g = &k->region;
	int r;

	if (g->kind == FR_KIND_RAW)
		return 0;
	r = check_pages(ctx, k, e);
	if (r || !digest)
		return r;
	r = fr_digest_file(ctx, k->fd, g->size_bytes, g->digest, e);
	if (r)
		return fr_fail_context(e, "%s", k->label);
	g->digest_alg = FR_DIGEST_XXH3_128;
	return 0;
}

void fr_keep_close(struct fr_keep *k)
{
	if (!k)
		return;
	while (k->nr_pins)
		k->ops->unpin(k->ops_data, k->pins[--k->nr_pins]);
	free(k->pins);
	if (k->addr)
		munmap(k->addr, k->map_bytes);
	if (k->fd >= 0)
		close(k->fd);
	fr_region_clear(&k->region);
	free(k->label);
	free(k);
}
