/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process that outlives exec when exec is killed, and puts the host back: it unloads
 * the kexec image (whose pages died with exec) and resumes the VMs if they had been
 * stopped.
 *
 * It is forked before exec maps anything, so that it shares no page with the image or
 * a region, and lives in a session and a cgroup of its own.
 */
#ifndef FR_GUARDIAN_H
#define FR_GUARDIAN_H

#include "vm.h"

struct fr_guardian;

int fr_guardian_start(const struct fr_ctx *ctx, struct fr_vm **vms, size_t nr_vms,
		      struct fr_guardian **ret_guardian, struct fr_error *e);
/* From now on the guests may be stopped; returns when the guardian has taken note. */
int fr_guardian_watch(struct fr_guardian *g, struct fr_error *e);
/*
 * With @clean exec has put everything back itself, and the guardian ends without doing
 * anything; otherwise it goes on as if exec were dead.
 */
void fr_guardian_end(struct fr_guardian *g, bool clean);

#endif /* FR_GUARDIAN_H */
