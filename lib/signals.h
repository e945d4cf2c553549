/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals that would end or stop the process, looked at between steps, so that it can clean up. */
#ifndef FR_SIGNALS_H
#define FR_SIGNALS_H

#include <signal.h>

#include "fastrestart.h"

struct fr_signals {
	int fd; /* can be read when one has come; -1: not taken */
	sigset_t old_mask;
};

int fr_signals_take(struct fr_signals *s, struct fr_error *e);
/* FR_FAULT_INTERRUPTED, "@what: interrupted by ..." */
int fr_signals_check(const struct fr_signals *s, const char *what, struct fr_error *e);
void fr_signals_release(struct fr_signals *s);

#endif /* FR_SIGNALS_H */
