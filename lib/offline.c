// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>

#include "hugepages.h"
#include "kernel.h"
#include "offline.h"
#include "util.h"

#define JOURNAL		  "/run/kexec-fastrestart/offline"
#define JOURNAL_MAX_BYTES (16u << 20)
#define POOLS_DIR	  "/sys/kernel/mm/hugepages"
#define MAX_BLOCKS	  (1u << 22)
#define MAX_POOLS	  16u

static int no_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "memory blocks: out of memory");
}

void fr_offline_clear(struct fr_offline *o)
{
	free(o->v);
	free(o->pools);
	*o = (struct fr_offline){0};
}

/* -------------------------------------------------------------------------- journal */

static int add_block(struct fr_offline *o, uint64_t number, bool movable)
{
	struct fr_offline_block *v = fr_array_reserve(o->v, &o->cap, o->nr + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	o->v = v;
	v[o->nr++] = (struct fr_offline_block){number, movable};
	return 0;
}

static int add_pool(struct fr_offline *o, unsigned int page_kib, uint64_t pages)
{
	struct fr_offline_pool *v =
		fr_array_reserve(o->pools, &o->pools_cap, o->nr_pools + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	o->pools = v;
	v[o->nr_pools++] = (struct fr_offline_pool){page_kib, pages};
	return 0;
}

static int parse_line(struct fr_offline *o, const char *line)
{
	uint64_t number, pages;
	unsigned int page_kib;
	char zone[9];

	if (sscanf(line, "block %" SCNu64 " %8[a-z]", &number, zone) == 2 && o->nr < MAX_BLOCKS &&
	    (!strcmp(zone, "kernel") || !strcmp(zone, "movable")))
		return add_block(o, number, zone[0] == 'm');
	if (sscanf(line, "pool %u %" SCNu64, &page_kib, &pages) == 2 && o->nr_pools < MAX_POOLS)
		return add_pool(o, page_kib, pages);
	return -EBADMSG;
}

int fr_offline_read(const struct fr_ctx *ctx, struct fr_offline *ret, struct fr_error *e)
{
	_cleanup_(fr_offline_clear) struct fr_offline o = {0};
	_cleanup_free_ char *path = fr_path(ctx, JOURNAL), *text = NULL;
	int r = path ? fr_read_file(path, JOURNAL_MAX_BYTES, &text, NULL) : -ENOMEM;
	char *rest = text, *line;

	if (r && r != -ENOENT)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, JOURNAL ": %s", strerror(-r));
	while (!r && (line = strsep(&rest, "\n")))
		r = *line ? parse_line(&o, line) : 0;
	if (r == -EBADMSG)
		return fr_fail(e, FR_FAULT_SYSTEM, EBADMSG,
			       JOURNAL ": damaged: put offline blocks of " FR_MEMORY_DIR
				       " back by hand, and remove it");
	if (r && r != -ENOENT)
		return no_memory(e);
	*ret = o;
	o = (struct fr_offline){0};
	return 0;
}

static char *journal_text(const struct fr_offline *o, size_t *ret_bytes)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_bytes);
	bool bad = !f;

	for (size_t i = 0; !bad && i < o->nr; i++)
		bad = fprintf(f, "block %" PRIu64 " %s\n", o->v[i].number,
			      o->v[i].movable ? "movable" : "kernel") < 0;
	for (size_t i = 0; !bad && i < o->nr_pools; i++)
		bad = fprintf(f, "pool %u %" PRIu64 "\n", o->pools[i].page_kib, o->pools[i].pages) <
		      0;
	if (f && fclose(f))
		bad = true;
	if (!bad)
		return text;
	free(text);
	return NULL;
}

/* All of it, or what was there before. */
static int write_journal(const struct fr_ctx *ctx, const struct fr_offline *o)
{
	_cleanup_free_ char *fresh = fr_path(ctx, JOURNAL ".new"), *final = fr_path(ctx, JOURNAL);
	_cleanup_free_ char *text = NULL;
	size_t bytes;
	int fd, r;

	if (!fresh || !final)
		return -ENOMEM;
	if (!o->nr && !o->nr_pools)
		return unlink(final) && errno != ENOENT ? -errno : 0;
	text = journal_text(o, &bytes);
	fd = text ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return text ? -errno : -ENOMEM;
	r = fr_write_all(fd, text, bytes);
	close(fd);
	if (!r && rename(fresh, final))
		r = -errno;
	if (r)
		unlink(fresh);
	return r;
}

static int save(const struct fr_ctx *ctx, const struct fr_offline *o, struct fr_error *e)
{
	int r = write_journal(ctx, o);

	return r ? fr_fail(e, FR_FAULT_SYSTEM, -r, JOURNAL ": %s", strerror(-r)) : 0;
}

/* ------------------------------------------------------------------------ huge pages */

/* What nr_hugepages was set to; it also shows surplus pages. */
static int pool_pages(const struct fr_ctx *ctx, unsigned int page_kib, uint64_t *ret)
{
	uint64_t surplus;
	int r = fr_hugepages_counter(ctx, page_kib, "nr_hugepages", ret);

	if (!r)
		r = fr_hugepages_counter(ctx, page_kib, "surplus_hugepages", &surplus);
	if (!r)
		*ret -= fr_min_u64(*ret, surplus);
	return r;
}

static int note_pools(const struct fr_ctx *ctx, struct fr_offline *o)
{
	_cleanup_free_ char *path = fr_path(ctx, POOLS_DIR);
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	unsigned int page_kib;
	uint64_t pages;
	int r = path ? 0 : -ENOMEM;

	if (!dir)
		return r || errno == ENOENT ? r : -errno;
	while (!r && (errno = 0, entry = readdir(dir))) {
		if (sscanf(entry->d_name, "hugepages-%ukB", &page_kib) != 1 ||
		    o->nr_pools == MAX_POOLS)
			continue;
		r = pool_pages(ctx, page_kib, &pages);
		if (!r)
			r = add_pool(o, page_kib, pages);
	}
	r = r ? r : -errno;
	closedir(dir);
	return r;
}

static int set_pool(const struct fr_ctx *ctx, const struct fr_offline_pool *p)
{
	_cleanup_free_ char *path =
		fr_path(ctx, POOLS_DIR "/hugepages-%ukB/nr_hugepages", p->page_kib);
	int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1, r;

	if (fd < 0)
		return path ? -errno : -ENOMEM;
	r = fr_hugepages_set_counter(fd, p->pages);
	close(fd);
	return r;
}

/* Free pages of a block that goes offline are taken out of their pool. */
static int refill_pool(const struct fr_ctx *ctx, const struct fr_offline_pool *p)
{
	uint64_t pages;
	int r = pool_pages(ctx, p->page_kib, &pages);

	if (r || pages >= p->pages)
		return r;
	r = set_pool(ctx, p);
	if (!r)
		r = pool_pages(ctx, p->page_kib, &pages);
	return r ? r : pages >= p->pages ? 0 : -EBUSY;
}

static int refill_pools(const struct fr_ctx *ctx, struct fr_offline *o)
{
	int r = 0;

	while (!r && o->nr_pools) {
		r = refill_pool(ctx, &o->pools[o->nr_pools - 1]);
		o->nr_pools -= !r;
	}
	return r;
}

/* ------------------------------------------------------------------ back and forth */

static char *state_path(const struct fr_ctx *ctx, uint64_t number)
{
	return fr_path(ctx, FR_MEMORY_DIR "/memory%" PRIu64 "/state", number);
}

static int read_state(const char *path, bool *ret_online)
{
	_cleanup_free_ char *state = NULL;
	int r = fr_read_file(path, 64, &state, NULL);

	if (!r)
		*ret_online = !strncmp(state, "online", 6);
	return r;
}

/* As it was; -ENOENT when it was taken out of the machine. */
static int put_block(const struct fr_ctx *ctx, const struct fr_offline_block *b)
{
	_cleanup_free_ char *path = state_path(ctx, b->number);
	bool online = false;
	int r;

	if (!path)
		return -ENOMEM;
	/* one that is online already is refused */
	r = read_state(path, &online);
	if (r || online)
		return r;
	return fr_ops(ctx)->set_block(ctx->ops_data, path,
				      b->movable ? "online_movable" : "online_kernel", 0, -1);
}

int fr_offline_put(const struct fr_ctx *ctx, struct fr_offline *o, size_t nr, struct fr_error *e)
{
	size_t left = nr;
	int failed = 0, r;

	for (size_t i = nr; i < o->nr; i++) {
		r = FR_INSIST(put_block(ctx, &o->v[i]));
		if (!r || r == -ENOENT)
			continue;
		failed = fr_fail(e, FR_FAULT_SYSTEM, -r,
				 "memory block %" PRIu64
				 " cannot be put back online: %s: run unload to try again",
				 o->v[i].number, strerror(-r));
		o->v[left++] = o->v[i];
	}
	o->nr = left;
	r = FR_INSIST(refill_pools(ctx, o));
	if (r)
		failed = fr_fail(e, FR_FAULT_SYSTEM, -r,
				 "the pool of huge pages of %u KiB has fewer than %" PRIu64
				 ", as it had: %s: run unload to try again",
				 o->pools[o->nr_pools - 1].page_kib,
				 o->pools[o->nr_pools - 1].pages, strerror(-r));
	r = FR_INSIST(save(ctx, o, e));
	return failed ? failed : r;
}

int fr_offline_put_all(const struct fr_ctx *ctx, size_t *ret_nr, struct fr_error *e)
{
	_cleanup_(fr_offline_clear) struct fr_offline o = {0};
	int r = FR_INSIST(fr_offline_read(ctx, &o, e));
	size_t nr = o.nr;

	if (!r && (o.nr || o.nr_pools))
		r = fr_offline_put(ctx, &o, 0, e);
	if (r)
		return r;
	if (nr)
		fr_log(ctx, FR_LOG_STEP, "%zu memory block%s: online again", nr,
		       nr == 1 ? "" : "s");
	if (ret_nr)
		*ret_nr = nr;
	return 0;
}

/* -EBUSY, whatever the kernel's reason: another block may do. */
static int go_offline(const struct fr_ctx *ctx, const struct fr_block *b, unsigned int timeout_ms,
		      int cancel_fd, struct fr_error *e)
{
	_cleanup_free_ char *path = state_path(ctx, b->number);
	bool online = true;
	int r;

	if (!path)
		return no_memory(e);
	r = fr_ops(ctx)->set_block(ctx->ops_data, path, "offline", timeout_ms, cancel_fd);
	/* one that was killed may have got there */
	if (!r || (!read_state(path, &online) && !online))
		return 0;
	if (r == -ECANCELED)
		return fr_fail(e, FR_FAULT_INTERRUPTED, ECANCELED, "memory block %" PRIu64,
			       b->number);
	fr_log(ctx, FR_LOG_STEP, "memory block %" PRIu64 ": cannot be emptied: %s", b->number,
	       strerror(-r));
	return fr_fail(e, FR_FAULT_REFUSED, EBUSY, "memory block %" PRIu64 ": %s", b->number,
		       strerror(-r));
}

int fr_offline_take(const struct fr_ctx *ctx, struct fr_offline *o, const struct fr_block *b,
		    unsigned int timeout_ms, int cancel_fd, struct fr_error *e)
{
	int r = note_pools(ctx, o);

	if (!r)
		r = add_block(o, b->number, !strcmp(b->zone, "Movable"));
	if (r) {
		o->nr_pools = 0;
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "memory blocks: %s", strerror(-r));
	}
	r = save(ctx, o, e);
	if (!r)
		r = go_offline(ctx, b, timeout_ms, cancel_fd, e);
	if (!r) {
		r = refill_pools(ctx, o);
		if (r)
			r = fr_fail(e, FR_FAULT_SYSTEM, -r,
				    "memory block %" PRIu64
				    ": its huge pages are missing in their pool without it: %s",
				    b->number, strerror(-r));
		if (r == -EBUSY)
			fr_log(ctx, FR_LOG_STEP, "%s", e ? e->text : "");
	}
	if (!r)
		return save(ctx, o, e);
	if (r == -EBUSY) {
		/* its own error counts if that fails */
		int undone = fr_offline_put(ctx, o, o->nr - 1, e);

		return undone ? undone : r;
	}
	return r;
}
