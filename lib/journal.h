/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What exec is about to change is written down in /run/kexec-fastrestart/journal before it is,
 * so that it can be undone when exec was killed together with its guardian (undo.h).  Whoever has
 * put everything back removes it; a jump takes it along.
 */
#ifndef FR_JOURNAL_H
#define FR_JOURNAL_H

#include "fastrestart.h"

/* What an entry is about, and its text */
enum fr_journal_kind {
	FR_JOURNAL_LIMIT = 'l',	 /* "OLD NEW": nr_overcommit_hugepages; "OLD OLD": it is back */
	FR_JOURNAL_IMAGE = 'i',	 /* "": an image is loaded for kexec */
	FR_JOURNAL_VM = 'v',	 /* JSON: a VM as it was found (fr_vm_note) */
	FR_JOURNAL_CGROUP = 'c', /* path: it is frozen */
};

struct fr_journal {
	char *text;
	size_t bytes; /* of whole entries */
};

int fr_journal_add(const struct fr_ctx *ctx, enum fr_journal_kind kind, const char *text);
int fr_journal_add_limit(const struct fr_ctx *ctx, uint64_t before, uint64_t now);
/* -ENOENT when there is none */
int fr_journal_read(const struct fr_ctx *ctx, struct fr_journal *ret_j);
void fr_journal_clear(struct fr_journal *j);
/* The text of the next entry of @kind after @text, or with NULL of the first one; NULL: no more. */
const char *fr_journal_next(const struct fr_journal *j, enum fr_journal_kind kind,
			    const char *text);
/* That there is none is no failure. */
int fr_journal_remove(const struct fr_ctx *ctx);
/* Say in @e that one of these has failed with @r. */
int fr_journal_failed(int r, struct fr_error *e);

#endif /* FR_JOURNAL_H */
