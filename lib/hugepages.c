// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hugetlbfs memfd is filled page by page with whatever frames the kernel gives;
 * frames in the wrong place are kept, so that they are not given again, until the
 * pieces can be placed or a limit is reached.  Then each piece's pages are mapped
 * in the order of their frames, pinned, and the other pages are punched out.
 *
 * Pages are pinned before their frames are read: a long-term pin moves a page
 * out of ZONE_MOVABLE and CMA.
 */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "host.h"
#include "hugepages.h"
#include "journal.h"
#include "util.h"

#define HSTATE	      "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define HUGE_SHIFT    21
#define HUGE_KIB      (1u << (HUGE_SHIFT - 10))
#define PIN_BYTES_MAX (1ull << 30)
#define RANDOM_TRIES  16
#define MAX_CHUNKS    64
#define BUDDYINFO_MAX (1u << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

struct page {
	uint64_t frame; /* 2 MiB frame number */
	uint32_t index; /* in the memfd */
	bool used;
};

struct chunk {
	void *addr;
	size_t pages;
	void *pin;
};

struct fr_hugepages {
	int fd;
	/* while collecting */
	struct chunk chunk[MAX_CHUNKS];
	size_t nr_chunks;
	struct page *page;	/* those inside the wanted ranges, sorted by frame */
	size_t nr_pages, total; /* total: also those outside */
	/* result */
	struct {
		void *map; /* reservation, page_bytes more than the piece */
		size_t map_bytes;
	} * piece;
	size_t nr_pieces;
	void *pin;
};

static size_t pages_of(uint64_t bytes)
{
	return (bytes + FR_HUGE_BYTES - 1) >> HUGE_SHIFT;
}

/* ------------------------------------------------------------- overcommit */

int fr_hugepages_counter(const struct fr_ctx *ctx, unsigned int page_kib, const char *name,
			 uint64_t *ret_v)
{
	_cleanup_free_ char *path =
		fr_path(ctx, "/sys/kernel/mm/hugepages/hugepages-%ukB/%s", page_kib, name);
	_cleanup_free_ char *text = NULL;
	size_t bytes;
	int r;

	r = path ? fr_read_file(path, FR_PAGE_BYTES, &text, &bytes) : -ENOMEM;
	if (r < 0)
		return r;
	*ret_v = strtoull(text, NULL, 10);
	return 0;
}

static int read_counter(const struct fr_ctx *ctx, const char *name, uint64_t *ret_v)
{
	return fr_hugepages_counter(ctx, HUGE_KIB, name, ret_v);
}

int fr_hugepages_set_counter(int fd, uint64_t v)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", v), r;

	do {
		r = lseek(fd, 0, SEEK_SET) ? -errno : fr_write_all(fd, text, (size_t)n);
		/* only a file of a test has a length, and is longer than what it is to say */
		if (!r && ftruncate(fd, n))
			r = -errno;
	} while (r == -EINTR);
	return r;
}

int fr_hugepages_available(const struct fr_ctx *ctx, unsigned int page_shift, uint64_t *ret_pages)
{
	unsigned int page_kib = 1u << (page_shift - 10);
	uint64_t nr_free, reserved, overcommit, surplus;
	int r;

	r = fr_hugepages_counter(ctx, page_kib, "free_hugepages", &nr_free);
	if (!r)
		r = fr_hugepages_counter(ctx, page_kib, "resv_hugepages", &reserved);
	if (!r)
		r = fr_hugepages_counter(ctx, page_kib, "nr_overcommit_hugepages", &overcommit);
	if (!r)
		r = fr_hugepages_counter(ctx, page_kib, "surplus_hugepages", &surplus);
	if (r)
		return r;
	*ret_pages = (nr_free > reserved ? nr_free - reserved : 0) +
		     (overcommit > surplus ? overcommit - surplus : 0);
	return 0;
}

/* nr_overcommit_hugepages while it is changed: open, so that it can be set back for sure. */
struct limit {
	int fd;
	uint64_t old;
};

/* It is written down first: exec may be killed while it is changed. */
static int change_limit(const struct fr_ctx *ctx, const struct limit *l, uint64_t v)
{
	int r = fr_journal_add_limit(ctx, l->old, v);

	if (r)
		return r;
	r = fr_hugepages_set_counter(l->fd, v);
	if (r)
		FR_INSIST(fr_hugepages_set_counter(l->fd, l->old));
	return r;
}

/*
 * Back to what it was, once pages are allocated.  Not with @pool_only: as long as exec has pages to
 * free, nobody may get a surplus page; who undoes exec sets it back (fr_undo_limit).
 */
static int end_limit(const struct limit *l, bool pool_only)
{
	int r = pool_only ? 0 : FR_INSIST(fr_hugepages_set_counter(l->fd, l->old));

	close(l->fd);
	return r;
}

/* Allow @pages more surplus pages than there are, or with @pool_only none at all. */
static int set_limit(const struct fr_ctx *ctx, size_t pages, bool pool_only, struct limit *ret,
		     struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, HSTATE "nr_overcommit_hugepages");
	uint64_t surplus = 0, v;
	struct limit l = {};
	int r;

	l.fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	r = l.fd >= 0 ? 0 : path ? -errno : -ENOMEM;
	if (!r)
		r = read_counter(ctx, "nr_overcommit_hugepages", &l.old);
	if (!r)
		r = read_counter(ctx, "surplus_hugepages", &surplus);
	v = pool_only ? 0 : fr_max_u64(l.old, surplus + pages);
	if (!r && v != l.old)
		r = change_limit(ctx, &l, v);
	if (!r) {
		*ret = l;
		return 0;
	}
	if (l.fd >= 0)
		close(l.fd);
	return fr_fail(e, r == -EACCES || r == -EPERM ? FR_FAULT_PERMISSION : FR_FAULT_SYSTEM, -r,
		       HSTATE "nr_overcommit_hugepages: %s", strerror(-r));
}

/* Pages that may be taken from the host for a moment: three quarters of what is available. */
static int page_budget(const struct fr_ctx *ctx, bool pool_only, size_t *ret_pages,
		       struct fr_error *e)
{
	uint64_t available = 0, free_huge = 0, reserved = 0;
	int r = pool_only ? read_counter(ctx, "resv_hugepages", &reserved) :
			    fr_meminfo(ctx, "MemAvailable", &available);

	if (r == -ENOENT)
		r = 0;
	if (!r)
		r = read_counter(ctx, "free_hugepages", &free_huge);
	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r,
			       "/proc/meminfo and counters in " HSTATE ": %s", strerror(-r));
	*ret_pages = (size_t)(available / FR_HUGE_BYTES * 3 / 4 + free_huge -
			      fr_min_u64(free_huge, reserved));
	return 0;
}

/* ------------------------------------------------- vmemmap that is optimised (HVO) */

#define ONLY_THE_POOL                                                                             \
	"pages that are not of the pool are not used, as this kernel may damage memory where it " \
	"undoes vm.hugetlb_optimize_vmemmap: "
#define LARGER_POOL ONLY_THE_POOL "raise vm.nr_hugepages, and do not lower it again"

int fr_hugepages_may_break(const struct fr_ctx *ctx, bool *ret_breaks, struct fr_error *e)
{
	_cleanup_free_ char *sysctl = fr_path(ctx, "/proc/sys/vm/hugetlb_optimize_vmemmap");
	_cleanup_free_ char *patched = fr_path(ctx, "/sys/kernel/fastrestart");
	_cleanup_free_ char *text = NULL;
	int r = sysctl && patched ? fr_read_file(sysctl, 64, &text, NULL) : -ENOMEM;

	if (r && r != -ENOENT)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/proc/sys/vm/hugetlb_optimize_vmemmap: %s",
			       strerror(-r));
	*ret_breaks = !r && text[0] == '1' && access(patched, F_OK);
	return 0;
}

int fr_hugepages_check_pins(const struct fr_ctx *ctx, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/buddyinfo"), *zones = NULL;
	uint64_t cma_kib = 0;
	bool breaks;
	int r = fr_hugepages_may_break(ctx, &breaks, e);

	if (r || !breaks)
		return r;
	r = path ? fr_read_file(path, BUDDYINFO_MAX, &zones, NULL) : -ENOMEM;
	if (!r || r == -ENOENT)
		r = fr_meminfo(ctx, "CmaTotal", &cma_kib);
	if (r && r != -ENOENT)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "/proc/buddyinfo, /proc/meminfo: %s",
			       strerror(-r));
	if (cma_kib || (zones && strstr(zones, " Movable ")))
		return fr_fail(
			e, FR_FAULT_REFUSED, ENOTSUP,
			"there is memory in ZONE_MOVABLE or CMA, from where huge pages move when they "
			"are pinned, and this kernel may damage memory where it undoes "
			"vm.hugetlb_optimize_vmemmap: boot without hugetlb_free_vmemmap=on, or without "
			"movable memory and CMA");
	return 0;
}

/*
 * Whoever frees a page while there are surplus pages on its node gives that page back to the page
 * allocator, be it one of the pool.
 */
static int check_no_surplus(const struct fr_ctx *ctx, struct fr_error *e)
{
	uint64_t surplus = 0;
	int r = read_counter(ctx, "surplus_hugepages", &surplus);

	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, HSTATE "surplus_hugepages: %s",
			       strerror(-r));
	if (surplus)
		return fr_fail(e, FR_FAULT_REFUSED, EBUSY,
			       "%" PRIu64 " huge pages of 2 MiB are surplus; " ONLY_THE_POOL
			       "add as many to vm.nr_hugepages, which makes them pages of the pool",
			       surplus);
	return 0;
}

static int too_few(bool pool_only, size_t need, size_t budget, struct fr_error *e)
{
	if (pool_only)
		return fr_fail(
			e, FR_FAULT_REFUSED, ENOSPC,
			"%zu huge pages of 2 MiB are needed, %zu of the pool are free; " LARGER_POOL,
			need, budget);
	return fr_fail(e, FR_FAULT_REFUSED, ENOSPC,
		       "%zu huge pages of 2 MiB are needed, %zu can be had: free some memory", need,
		       budget);
}

int fr_hugepages_check_pool(const struct fr_ctx *ctx, uint64_t bytes, struct fr_error *e)
{
	size_t budget = 0;
	bool pool_only;
	int r = fr_hugepages_may_break(ctx, &pool_only, e);

	if (r || !pool_only)
		return r;
	r = page_budget(ctx, true, &budget, e);
	if (r)
		return r;
	return pages_of(bytes) > budget ? too_few(true, pages_of(bytes), budget, e) :
					  check_no_surplus(ctx, e);
}

/* ------------------------------------------------------------- collecting */

static int compare_pages(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

static bool inside(const struct fr_ranges *within, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < within->nr; i++)
		if (start >= within->v[i].start && end <= within->v[i].end)
			return true;
	return false;
}

static void drop_chunk(const struct fr_ctx *ctx, struct chunk *c)
{
	if (c->pin)
		fr_ops(ctx)->unpin(ctx->ops_data, c->pin);
	if (c->addr)
		munmap(c->addr, c->pages << HUGE_SHIFT);
	*c = (struct chunk){};
}

static int pin_failed(int r, struct fr_error *e)
{
	if (r == -EPERM || r == -ENOSYS)
		return fr_fail(e, FR_FAULT_PERMISSION, -r,
			       "io_uring is not allowed, so pages cannot be pinned: "
			       "sysctl kernel.io_uring_disabled=0");
	return fr_fail(e, FR_FAULT_SYSTEM, -r, "pinning huge pages: %s", strerror(-r));
}

/* Append @addr to @iov, in parts that one fixed buffer takes. */
static void add_iov(void *addr, size_t bytes, struct iovec *iov, unsigned int *nr)
{
	size_t at, n;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < PIN_BYTES_MAX ? bytes - at : PIN_BYTES_MAX;
		iov[(*nr)++] = (struct iovec){(uint8_t *)addr + at, n};
	}
}

/* Map and fill @pages pages at the memfd's end: -ENOMEM when the host has no more. */
static int map_chunk(struct fr_hugepages *h, size_t pages, struct chunk *ret_c)
{
	size_t bytes = pages << HUGE_SHIFT;
	off_t at = (off_t)h->total << HUGE_SHIFT;
	void *addr;
	int r;

	if (ftruncate(h->fd, at + (off_t)bytes) < 0)
		return -errno;
	/* Reserves, so that populating it cannot end in SIGBUS */
	addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, at);
	if (addr == MAP_FAILED)
		return -errno;
	if (madvise(addr, bytes, MADV_POPULATE_WRITE) < 0) {
		r = errno == EFAULT ? -ENOMEM : -errno; /* hugetlb cgroup limit */
		munmap(addr, bytes);
		fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)bytes);
		return r;
	}
	*ret_c = (struct chunk){.addr = addr, .pages = pages};
	return 0;
}

static int record_frames(const struct fr_ctx *ctx, struct fr_hugepages *h, const struct chunk *c,
			 const struct fr_ranges *within, struct fr_error *e)
{
	_cleanup_free_ uint64_t *pfn = calloc(c->pages, sizeof(*pfn));
	struct page *v = reallocarray(h->page, h->total + c->pages, sizeof(*v));
	size_t i;
	int r;

	if (v)
		h->page = v;
	if (!pfn || !v)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	r = fr_ops(ctx)->frames(ctx->ops_data, c->addr, FR_HUGE_BYTES, c->pages, pfn);
	for (i = 0; !r && i < c->pages; i++) {
		uint64_t phys = pfn[i] << FR_PAGE_SHIFT;

		if (pfn[i] == FR_PFN_NONE || phys % FR_HUGE_BYTES)
			r = -EFAULT;
		else if (inside(within, phys, phys + FR_HUGE_BYTES))
			h->page[h->nr_pages++] = (struct page){
				.frame = phys >> HUGE_SHIFT,
				.index = (uint32_t)(h->total + i),
			};
	}
	if (r < 0)
		return fr_fail(e, r == -EPERM ? FR_FAULT_PERMISSION : FR_FAULT_SYSTEM, -r,
			       "frames of huge pages in /proc/self/pagemap: %s", strerror(-r));
	h->total += c->pages;
	qsort(h->page, h->nr_pages, sizeof(*h->page), compare_pages);
	return 0;
}

/* One more chunk of up to @pages pages; 1 when the host has no more. */
static int grow(const struct fr_ctx *ctx, struct fr_hugepages *h, size_t pages,
		const struct fr_ranges *within, struct fr_error *e)
{
	struct chunk *c = &h->chunk[h->nr_chunks];
	struct iovec iov[8];
	unsigned int nr = 0;
	int r = -ENOMEM;

	if (h->nr_chunks == MAX_CHUNKS)
		return 1;
	if (pages > sizeof(iov) / sizeof(*iov) * (PIN_BYTES_MAX >> HUGE_SHIFT))
		pages = sizeof(iov) / sizeof(*iov) * (PIN_BYTES_MAX >> HUGE_SHIFT);
	for (; pages && r == -ENOMEM; pages /= 2)
		r = map_chunk(h, pages, c);
	if (r == -ENOMEM)
		return 1;
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "allocating 2 MiB pages: %s", strerror(-r));
	h->nr_chunks++;
	add_iov(c->addr, c->pages << HUGE_SHIFT, iov, &nr);
	r = fr_ops(ctx)->pin(ctx->ops_data, iov, nr, &c->pin);
	if (r < 0)
		return pin_failed(r, e);
	return record_frames(ctx, h, c, within, e);
}

/* ---------------------------------------------------------------- placing */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Can a piece of @nr pages aligned to @align pages start at page @at? */
static bool fits(const struct fr_hugepages *h, size_t at, size_t nr, uint64_t align)
{
	size_t i;

	if (h->page[at].frame % align || at + nr > h->nr_pages)
		return false;
	for (i = 0; i < nr; i++)
		if (h->page[at + i].used || h->page[at + i].frame != h->page[at].frame + i)
			return false;
	return true;
}

/* A place for @piece: the first one, or with @random any one; -1 if there is none. */
static ssize_t find_place(const struct fr_hugepages *h, const struct fr_huge_piece *piece,
			  uint64_t random)
{
	size_t nr = pages_of(piece->bytes), at, places = 0;
	uint64_t align = piece->align_bytes > FR_HUGE_BYTES ? piece->align_bytes >> HUGE_SHIFT : 1;
	ssize_t found = -1;

	for (at = 0; at < h->nr_pages; at++) {
		if (!fits(h, at, nr, align))
			continue;
		/* each of n places ends up chosen with probability 1/n */
		if (!places++ || (random && next_random(&random) % places == 0))
			found = (ssize_t)at;
	}
	return found;
}

/* Largest piece first; @random 0 packs from the lowest address on. */
static bool try_place(struct fr_hugepages *h, struct fr_huge_piece *pieces, size_t nr,
		      uint64_t random)
{
	bool done[FR_HUGE_PIECES_MAX] = {};
	size_t i, n, k, next;

	for (i = 0; i < h->nr_pages; i++)
		h->page[i].used = false;
	for (n = 0; n < nr; n++) {
		ssize_t at;

		next = nr;
		for (i = 0; i < nr; i++)
			if (!done[i] && (next == nr || pieces[i].bytes > pieces[next].bytes))
				next = i;
		at = find_place(h, &pieces[next], random ? next_random(&random) | 1 : 0);
		if (at < 0)
			return false;
		for (k = 0; k < pages_of(pieces[next].bytes); k++)
			h->page[(size_t)at + k].used = true;
		pieces[next].phys = h->page[at].frame << HUGE_SHIFT;
		done[next] = true;
	}
	return true;
}

static bool place(struct fr_hugepages *h, struct fr_huge_piece *pieces, size_t nr)
{
	uint64_t random;
	int i;

	if (!h->nr_pages || !try_place(h, pieces, nr, 0))
		return false;
	for (i = 0; i < RANDOM_TRIES; i++)
		if (getrandom(&random, sizeof(random), GRND_NONBLOCK) == sizeof(random) &&
		    try_place(h, pieces, nr, random))
			return true;
	return try_place(h, pieces, nr, 0);
}

static int collect(const struct fr_ctx *ctx, struct fr_hugepages *h, const struct fr_ranges *within,
		   struct fr_huge_piece *pieces, size_t nr, struct fr_error *e)
{
	size_t need = 0, budget = 0, step, i;
	struct limit limit = {.fd = -1};
	bool pool_only;
	int r = fr_hugepages_may_break(ctx, &pool_only, e);

	if (!r)
		r = page_budget(ctx, pool_only, &budget, e);
	if (r)
		return r;
	for (i = 0; i < nr; i++)
		need += pages_of(pieces[i].bytes);
	if (need > budget)
		return too_few(pool_only, need, budget, e);
	r = set_limit(ctx, budget, pool_only, &limit, e);
	if (r < 0)
		return r;
	if (pool_only)
		r = check_no_surplus(ctx, e);
	/* A quarter more than needed: something to choose from */
	step = need + need / 4 + 8;
	while (!r && !place(h, pieces, nr)) {
		if (h->total + step > budget)
			step = budget - h->total;
		r = step ? grow(ctx, h, step, within, e) : 1;
	}
	if (end_limit(&limit, pool_only))
		fr_log(ctx, FR_LOG_WARN, HSTATE "nr_overcommit_hugepages could not be set back");
	if (r == 1)
		return fr_fail(
			e, FR_FAULT_REFUSED, ENOSPC,
			"no contiguous places for %zu huge pages of 2 MiB in the memory that the "
			"next kernel sees (of %zu pages tried, %zu lie there)%s",
			need, h->total, h->nr_pages, pool_only ? "; " LARGER_POOL : "");
	return r;
}

/* ---------------------------------------------------------------- mapping */

/* Map the pages of @piece in the order of their frames. */
static int map_piece(struct fr_hugepages *h, struct fr_huge_piece *piece, size_t i,
		     struct fr_error *e)
{
	size_t nr = pages_of(piece->bytes), bytes = (nr + 1) << HUGE_SHIFT, k;
	uint64_t first = piece->phys >> HUGE_SHIFT;
	struct page key = {.frame = first}, *p;
	uint8_t *map, *addr;

	map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "address space: %m");
	h->piece[i].map = map;
	h->piece[i].map_bytes = bytes;
	addr = (uint8_t *)(((uintptr_t)map + FR_HUGE_BYTES - 1) & ~(FR_HUGE_BYTES - 1));
	p = bsearch(&key, h->page, h->nr_pages, sizeof(*p), compare_pages);
	for (k = 0; k < nr; k++)
		if (mmap(addr + (k << HUGE_SHIFT), FR_HUGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, h->fd,
			 (off_t)p[k].index << HUGE_SHIFT) == MAP_FAILED)
			return fr_fail(e, FR_FAULT_SYSTEM, errno, "mapping huge pages: %m");
	piece->addr = addr;
	return 0;
}

static int pin_pieces(const struct fr_ctx *ctx, struct fr_hugepages *h,
		      const struct fr_huge_piece *pieces, size_t nr, struct fr_error *e)
{
	unsigned int nr_iov = 0;
	struct iovec *iov;
	size_t i, n = 0;
	int r;

	for (i = 0; i < nr; i++)
		n += (pieces[i].bytes >> 30) + 1;
	iov = calloc(n, sizeof(*iov));
	if (!iov)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	for (i = 0; i < nr; i++)
		add_iov(pieces[i].addr, pages_of(pieces[i].bytes) << HUGE_SHIFT, iov, &nr_iov);
	r = fr_ops(ctx)->pin(ctx->ops_data, iov, nr_iov, &h->pin);
	free(iov);
	return r < 0 ? pin_failed(r, e) : 0;
}

/* What was mapped and pinned is what was chosen. */
static int verify(const struct fr_ctx *ctx, const struct fr_huge_piece *piece, struct fr_error *e)
{
	size_t nr = pages_of(piece->bytes), i;
	_cleanup_free_ uint64_t *pfn = calloc(nr, sizeof(*pfn));
	int r;

	if (!pfn)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	r = fr_ops(ctx)->frames(ctx->ops_data, piece->addr, FR_HUGE_BYTES, nr, pfn);
	for (i = 0; !r && i < nr; i++)
		if (pfn[i] != (piece->phys + (i << HUGE_SHIFT)) >> FR_PAGE_SHIFT)
			r = -ESTALE;
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "frames of %s: %s", piece->what,
			       strerror(-r));
	return 0;
}

/* Give back everything that is in no piece. */
static void trim(const struct fr_ctx *ctx, struct fr_hugepages *h)
{
	size_t i, page = 0;
	bool *used;

	for (i = 0; i < h->nr_chunks; i++)
		drop_chunk(ctx, &h->chunk[i]);
	h->nr_chunks = 0;
	used = calloc(h->total, sizeof(*used));
	for (i = 0; used && i < h->nr_pages; i++)
		used[h->page[i].index] = h->page[i].used;
	for (page = 0; used && page < h->total; page++)
		if (!used[page])
			fallocate(h->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)page << HUGE_SHIFT, FR_HUGE_BYTES);
	free(used);
	free(h->page);
	h->page = NULL;
}

void fr_hugepages_put(const struct fr_ctx *ctx, struct fr_hugepages *h)
{
	size_t i;

	if (!h)
		return;
	for (i = 0; i < h->nr_chunks; i++)
		drop_chunk(ctx, &h->chunk[i]);
	if (h->pin)
		fr_ops(ctx)->unpin(ctx->ops_data, h->pin);
	for (i = 0; i < h->nr_pieces; i++)
		if (h->piece[i].map)
			munmap(h->piece[i].map, h->piece[i].map_bytes);
	if (h->fd >= 0)
		close(h->fd);
	free(h->piece);
	free(h->page);
	free(h);
}

int fr_hugepages_fd(const struct fr_hugepages *h)
{
	return h->fd;
}

static int get(const struct fr_ctx *ctx, struct fr_hugepages *h, const struct fr_ranges *within,
	       struct fr_huge_piece *pieces, size_t nr, struct fr_error *e)
{
	size_t i;
	int r;

	h->fd = fr_ops(ctx)->huge_memfd(ctx->ops_data);
	if (h->fd < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -h->fd,
			       "no 2 MiB huge pages (memfd_create: %s): the running kernel needs "
			       "CONFIG_HUGETLBFS",
			       strerror(-h->fd));
	r = collect(ctx, h, within, pieces, nr, e);
	for (i = 0; !r && i < nr; i++)
		r = map_piece(h, &pieces[i], i, e);
	if (!r)
		r = pin_pieces(ctx, h, pieces, nr, e);
	for (i = 0; !r && i < nr; i++)
		r = verify(ctx, &pieces[i], e);
	if (!r)
		trim(ctx, h);
	return r;
}

int fr_hugepages_get(const struct fr_ctx *ctx, const struct fr_ranges *within,
		     struct fr_huge_piece *pieces, size_t nr, struct fr_hugepages **ret_huge,
		     struct fr_error *e)
{
	struct fr_hugepages *h = calloc(1, sizeof(*h));
	int r;

	if (nr > FR_HUGE_PIECES_MAX) {
		free(h);
		return fr_fail(e, FR_FAULT_SYSTEM, EINVAL, "%zu pieces", nr);
	}
	if (h)
		h->piece = calloc(nr, sizeof(*h->piece));
	if (!h || !h->piece) {
		free(h);
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	}
	h->fd = -1;
	h->nr_pieces = nr;
	r = get(ctx, h, within, pieces, nr, e);
	if (r < 0) {
		fr_hugepages_put(ctx, h);
		return r;
	}
	*ret_huge = h;
	return 0;
}
