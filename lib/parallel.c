// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "parallel.h"
#include "util.h"

#define MAX_THREADS 64u

struct crew {
	pthread_mutex_t lock;
	int (*fn)(void *data, size_t index, struct fr_error *e);
	void *data;
	size_t next, nr;
	size_t failed; /* lowest index that failed, or SIZE_MAX */
	int r;
	struct fr_error error;
};

static bool take(struct crew *c, size_t *ret)
{
	bool more;

	pthread_mutex_lock(&c->lock);
	more = !c->r && c->next < c->nr;
	if (more)
		*ret = c->next++;
	pthread_mutex_unlock(&c->lock);
	return more;
}

static void *work(void *arg)
{
	struct crew *c = arg;
	struct fr_error e;
	size_t i;
	int r;

	while (take(c, &i)) {
		r = c->fn(c->data, i, &e);
		pthread_mutex_lock(&c->lock);
		if (r && i < c->failed) {
			c->r = r;
			c->failed = i;
			c->error = e;
		}
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

int fr_parallel(const struct fr_ctx *ctx, size_t nr,
		int (*fn)(void *data, size_t index, struct fr_error *e), void *data,
		struct fr_error *e)
{
	struct crew c = {.lock = PTHREAD_MUTEX_INITIALIZER,
			 .fn = fn,
			 .data = data,
			 .nr = nr,
			 .failed = SIZE_MAX};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = ctx->nr_threads ? ctx->nr_threads : cpus > 0 ? (size_t)cpus : 1;
	pthread_t threads[MAX_THREADS];
	size_t started = 0;

	want = fr_min_u64(fr_min_u64(want, nr), MAX_THREADS);
	while (started + 1 < want && !pthread_create(&threads[started], NULL, work, &c))
		started++;
	work(&c);
	while (started)
		pthread_join(threads[--started], NULL);
	if (c.r && e)
		*e = c.error;
	return c.r;
}
