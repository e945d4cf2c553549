/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failing one call after the other.  A scenario runs in a child process again and again;
 * in the n-th run its n-th call of one kind fails, until a run has fewer than n.
 *
 *  - allocations: malloc() and its relatives are replaced for the whole program, and so
 *    for libc and all libraries, too;
 *  - system calls: all that can fail, those of libc and of threads included, stop at
 *    this process (seccomp and ptrace), which skips the one that is to fail;
 *  - operations: calls of the scripted kernel boundary (kernel.h).
 *
 * Calls of the scenario's process and of those that it forks (the guardian) are counted
 * apart.  After the run the child compares what it holds with what it held before.
 */
#ifndef FR_INJECT_H
#define FR_INJECT_H

#include <stdbool.h>

#include "fastrestart.h"

enum inject_kind { INJECT_NOTHING, INJECT_ALLOCATION, INJECT_SYSCALL, INJECT_OPERATION };

struct inject_scenario {
	const char *name;
	/* in the child, with one failure: what the library's function returns */
	int (*run)(struct fr_error *e);
	int expected; /* of run() when nothing fails */
	/*
	 * In the child, afterwards: NULL if all is as it should be after @r, else what is
	 * not.  Processes of the scenario that outlive it are ended here.
	 */
	const char *(*check)(int r, const struct fr_error *e);
	/* In this process: NULL if the host is as before the run, which may undo success. */
	const char *(*settle)(int r);
	/* another outcome than @expected or @err that is right when that call fails */
	bool (*allows)(int r, const char *call, int err);
};

/*
 * Runs without and with failures of every kind, of each kind's calls the @first and every
 * @step-th after that: false, and lines of diagnostics, on defects.
 */
bool inject_all(const struct inject_scenario *s, long first, long step);

/* For the scripted boundary: one call of operation @name, which fails if this is not 0. */
int inject_operation(const char *name);
/* What the fakes themselves do is not counted. */
void inject_pause(void);
void inject_resume(void);
/* For a process that is no longer a part of the scenario. */
void inject_leave(void);

#endif /* FR_INJECT_H */
