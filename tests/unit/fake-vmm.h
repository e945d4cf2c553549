/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VMM that restore starts: the test's own program, with "be-vmm" as its argument. */
#ifndef FR_FAKE_VMM_H
#define FR_FAKE_VMM_H

#include <stdbool.h>

#include "fake-root.h"

/* What the descriptor says of VM @name, whose RAM is region @region at @path (malloc'ed). */
char *fake_vmm_spec(const struct fake_root *root, const char *name, const char *region,
		    const char *path);
/* Answer everything with success; for main(). */
int fake_vmm(void);
/* Was one started, and did it live until now?  It is ended; at most one. */
bool fake_vmm_end(const struct fake_root *root);

#endif /* FR_FAKE_VMM_H */
