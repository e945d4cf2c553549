/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owners: processes other than the VMs' that map kept files or have them open.  They are
 * frozen (cgroup v2) before frames are compared, and stay so until the jump.
 *
 * What is frozen is written down in the journal first, so that whoever is left can thaw it:
 * exec, its guardian, or the next unload, load or exec.
 */
#ifndef FR_OWNERS_H
#define FR_OWNERS_H

#include "collect.h"

struct fr_file_id {
	uint64_t dev, ino;
};

struct fr_owner {
	pid_t pid;
	char comm[64];
	size_t file;	      /* index of one of its files */
	bool assigned_device; /* it has one open, which goes on with DMA */
	bool fixed_buffers;   /* of an io_uring, in one of its files */
};

struct fr_owners {
	struct fr_owner *v;
	size_t nr;
};

/* Those that have one of @files, but for init, this process and those in @but. */
int fr_owners_find(const struct fr_ctx *ctx, const struct fr_file_id *files, size_t nr_files,
		   const pid_t *but, size_t nr_but, struct fr_owners *ret, struct fr_error *e);
/* The same of the files of @keeps. */
int fr_owners_of(const struct fr_ctx *ctx, struct fr_keep *const *keeps, size_t nr_keeps,
		 const pid_t *but, size_t nr_but, struct fr_owners *ret, struct fr_error *e);
void fr_owners_clear(struct fr_owners *o);
/* Whether all of them can be frozen at all; nothing is changed. */
int fr_owners_check(const struct fr_ctx *ctx, const struct fr_owners *o, struct fr_error *e);
/*
 * Freeze @o, and return when they stand still.  A cgroup is frozen as a whole, but for one with
 * a process of @but, this one or init in it: from there owners go into a child of it.
 */
int fr_owners_freeze(const struct fr_ctx *ctx, const struct fr_owners *o, const pid_t *but,
		     size_t nr_but, unsigned int timeout_ms, struct fr_error *e);
/* Is each of them in a cgroup that stands still? */
bool fr_owners_frozen(const struct fr_ctx *ctx, const struct fr_owners *o);
/*
 * What frozen processes were reading into their memory without them (asynchronous direct I/O)
 * has arrived when each disk was seen without a read under way.
 */
int fr_owners_drain(const struct fr_ctx *ctx, unsigned int timeout_ms, struct fr_error *e);
/* All that is written down, which it stays. */
int fr_owners_thaw(const struct fr_ctx *ctx);

/* Does this link of /proc/PID/fd lead to a device that writes to memory by itself? */
bool fr_is_assigned_device(const char *target);

#endif /* FR_OWNERS_H */
