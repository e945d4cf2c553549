/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting the host back: by the guardian of an exec that was killed, and when it was killed as
 * well by the next unload, load or exec, from the journal.
 */
#ifndef FR_UNDO_H
#define FR_UNDO_H

#include "vm.h"

/*
 * Resume @vms, and try again for @seconds; one that is done, or is no more, becomes NULL.  How many
 * are left.
 */
size_t fr_undo_vms(const struct fr_ctx *ctx, struct fr_vm **vms, size_t nr, unsigned int seconds);
/*
 * nr_overcommit_hugepages, if exec has changed it and nobody else has set it since.  Once only, and not
 * before exec's huge pages are free: 0 keeps them from the page allocator where they would be damaged.
 */
int fr_undo_limit(const struct fr_ctx *ctx);
/* The same after an exec that was killed, when its pages are free. */
int fr_undo_limit_of_killed(const struct fr_ctx *ctx);
/*
 * All that is written down.  With the lock, so that nobody is at it any more.  1: there was
 * something; the journal stays when something cannot be undone.
 */
int fr_undo_left(const struct fr_ctx *ctx, struct fr_error *e);

#endif /* FR_UNDO_H */
