// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arm.h"
#include "guardian.h"
#include "hugepages.h"
#include "journal.h"
#include "kernel.h"
#include "owners.h"
#include "parallel.h"
#include "undo.h"
#include "util.h"

#define SECONDS	    10	 /* how long a VM that exec has left is tried */
#define UNPINNED_MS 1000 /* after its end a process has no page pinned any more */

struct resume {
	const struct fr_ctx *ctx;
	struct fr_vm **vms;
};

/* One that is done is forgotten; its connection is given to whoever wants it. */
static int resume(void *data, size_t i, struct fr_error *unused)
{
	struct resume *u = data;
	struct fr_error e;

	(void)unused; /* one that cannot be resumed must not keep others from it */
	if (!u->vms[i])
		return 0;
	if (fr_vm_resume(u->ctx, u->vms[i], &e)) {
		fr_log(u->ctx, FR_LOG_DEBUG, "%s", e.text);
		if (e.err != ENOENT && e.err != ECONNREFUSED)
			return 0;
	}
	fr_vm_hang_up(u->vms[i]);
	u->vms[i] = NULL;
	return 0;
}

size_t fr_undo_vms(const struct fr_ctx *ctx, struct fr_vm **vms, size_t nr, unsigned int seconds)
{
	struct resume u = {.ctx = ctx, .vms = vms};
	uint64_t end = fr_now_ms() + seconds * 1000ull;
	size_t left;

	for (;;) {
		fr_parallel(ctx, nr, resume, &u, NULL);
		left = 0;
		for (size_t i = 0; i < nr; i++)
			left += !!vms[i];
		if (!left || fr_now_ms() >= end)
			return left;
		poll(NULL, 0, 100);
	}
}

static int undo_limit(const struct fr_ctx *ctx)
{
	_cleanup_free_ char *path =
		fr_path(ctx, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages");
	_cleanup_close_ int fd = -1;
	uint64_t now = 0, before, after, old = 0;
	struct fr_journal j;
	bool is_changed = false;
	int r = path ? fr_journal_read(ctx, &j) : -ENOMEM;

	if (r)
		return r == -ENOENT ? 0 : r;
	/* where there are no huge pages there is no such file, and nothing is written down either */
	if (fr_journal_next(&j, FR_JOURNAL_LIMIT, NULL))
		r = fr_hugepages_counter(ctx, 2048, "nr_overcommit_hugepages", &now);
	for (const char *at = NULL; !r && (at = fr_journal_next(&j, FR_JOURNAL_LIMIT, at));)
		if (sscanf(at, "%" SCNu64 " %" SCNu64, &before, &after) == 2) {
			if (before == after) { /* set back: entries before that are done with */
				is_changed = false;
			} else if (now == after) {
				is_changed = true;
				old = before;
			}
		}
	fr_journal_clear(&j);
	if (r || !is_changed)
		return r;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : fr_hugepages_set_counter(fd, old);
	/* or the same value, set by the administrator from here on, would be taken for exec's */
	return r ? r : fr_journal_add_limit(ctx, old, old);
}

int fr_undo_limit(const struct fr_ctx *ctx)
{
	return FR_INSIST(undo_limit(ctx));
}

/* io_uring drops the pins of a process that was killed from a work queue, which says nothing. */
int fr_undo_limit_of_killed(const struct fr_ctx *ctx)
{
	bool breaks;

	if (fr_hugepages_may_break(ctx, &breaks, NULL) || breaks)
		poll(NULL, 0, UNPINNED_MS);
	return fr_undo_limit(ctx);
}

/* Those that the journal names: @ret_vms are for fr_vm_close(). */
static int read_vms(const struct fr_journal *j, struct fr_vm ***ret_vms, size_t *ret_nr,
		    struct fr_error *e)
{
	struct fr_vm **vms = NULL;
	size_t nr = 0, cap = 0;
	int r = 0;

	for (const char *at = NULL; !r && (at = fr_journal_next(j, FR_JOURNAL_VM, at));) {
		struct fr_vm **v = fr_array_reserve(vms, &cap, nr + 1, sizeof(struct fr_vm *));

		vms = v ? v : vms;
		r = v ? fr_vm_left(at, &vms[nr], e) :
			fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
		nr += !r;
	}
	*ret_vms = vms;
	*ret_nr = nr;
	return r;
}

static int resume_left(const struct fr_ctx *ctx, const struct fr_journal *j, struct fr_error *e)
{
	struct fr_vm **vms, **todo;
	size_t nr, left = 0;
	int r = read_vms(j, &vms, &nr, e);

	todo = calloc(nr + 1, sizeof(struct fr_vm *));
	if (!todo) {
		r = fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	} else {
		for (size_t i = 0; i < nr; i++)
			todo[i] = vms[i];
		left = fr_undo_vms(ctx, todo, nr, SECONDS);
	}
	for (size_t i = 0; left && i < nr; i++)
		if (todo[i])
			r = fr_fail(
				e, FR_FAULT_VM, EBUSY,
				"VM %s, which an exec that was killed has left paused, does not "
				"answer: run unload again when it does, or end it",
				fr_vm_name(todo[i]));
	free(todo);
	while (nr)
		fr_vm_close(vms[--nr]);
	free(vms);
	return r;
}

/* Its pages have gone with exec and the guardian: whoever jumped to it would end in nothing. */
static int unload_left(const struct fr_ctx *ctx, const struct fr_journal *j, struct fr_error *e)
{
	int r = fr_journal_next(j, FR_JOURNAL_IMAGE, NULL) ? fr_check_not_loaded(ctx, e) : 0;

	if (r != -EBUSY)
		return r;
	r = fr_kexec_unload(ctx);
	return r ? fr_fail(e, FR_FAULT_SYSTEM, -r,
			   "the kexec image that an exec that was killed has left cannot be "
			   "unloaded: %s: do not use kexec -e",
			   strerror(-r)) :
		   0;
}

static void remove_guardians_cgroup(const struct fr_ctx *ctx)
{
	_cleanup_free_ char *dir = NULL;

	if (!FR_INSIST(fr_guardian_cgroup(ctx, &dir)))
		FR_INSIST(rmdir(dir) ? -errno : 0);
}

int fr_undo_left(const struct fr_ctx *ctx, struct fr_error *e)
{
	struct fr_journal j;
	int r, failed;

	/* killed before anything was written down, they leave that */
	remove_guardians_cgroup(ctx);
	r = fr_journal_read(ctx, &j);
	if (r)
		return r == -ENOENT ? 0 : fr_journal_failed(r, e);
	fr_log(ctx, FR_LOG_WARN,
	       "an exec was killed, and its guardian, too: undoing what they have left");
	/* whatever cannot be undone: guests run on */
	failed = unload_left(ctx, &j, e);
	r = fr_owners_thaw(ctx);
	if (r && !failed)
		failed = fr_fail(e, FR_FAULT_SYSTEM, -r,
				 "processes that an exec that was killed has left frozen: %s",
				 strerror(-r));
	r = resume_left(ctx, &j, failed ? NULL : e);
	failed = failed ? failed : r;
	r = fr_undo_limit_of_killed(ctx);
	if (r && !failed)
		failed = fr_fail(e, FR_FAULT_SYSTEM, -r,
				 "nr_overcommit_hugepages, which an exec that was killed has "
				 "changed: %s",
				 strerror(-r));
	fr_journal_clear(&j);
	if (failed)
		return failed;
	r = FR_INSIST(fr_journal_remove(ctx));
	return r ? fr_journal_failed(r, e) : 1;
}
