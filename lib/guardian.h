/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that outlives exec when exec is killed, and puts the host back: it unloads
 * the kexec image, thaws what was frozen and resumes the VMs if they had been stopped.  It holds the image's
 * pages as well, so that they are not used for something else before that.
 *
 * It is forked before exec maps anything, so that it shares no page with the image or
 * a region, and lives in a session and a cgroup of its own.  An exec that is stopped
 * (SIGSTOP, a frozen cgroup v2) while the guests may be is killed: they must not wait for it.
 */
#ifndef FR_GUARDIAN_H
#define FR_GUARDIAN_H

#include "vm.h"

/* How long exec and the guardian wait for each other, in milliseconds */
#define FR_GUARDIAN_PATIENCE_MS 30000u

struct fr_guardian;

/* The cgroup of a guardian, whether there is one or not (malloc'ed); -ENOTSUP without cgroup v2. */
int fr_guardian_cgroup(const struct fr_ctx *ctx, char **ret_path);
int fr_guardian_start(const struct fr_ctx *ctx, struct fr_vm **vms, size_t nr_vms,
		      unsigned int patience_ms, struct fr_guardian **ret_guardian,
		      struct fr_error *e);
/* Its process; 0 when there is none. */
pid_t fr_guardian_pid(const struct fr_guardian *g);
/*
 * An image is about to be loaded, with pages of the file @fd (-1: none): until
 * fr_guardian_drop() the guardian keeps the pages, and unloads if exec dies.  Without a
 * guardian (@g is NULL) both do nothing.
 */
int fr_guardian_hold(struct fr_guardian *g, int fd, struct fr_error *e);
void fr_guardian_drop(struct fr_guardian *g);
/* -ECHILD when the guardian has died: exec must not go on without. */
int fr_guardian_check(const struct fr_guardian *g, struct fr_error *e);
/* From now on the guests may be stopped; returns when the guardian has taken note. */
int fr_guardian_watch(struct fr_guardian *g, struct fr_error *e);
/*
 * With @clean exec has put everything back itself, and the guardian ends without doing
 * anything; otherwise it goes on as if exec were dead.
 */
void fr_guardian_end(struct fr_guardian *g, bool clean);

#endif /* FR_GUARDIAN_H */
