// SPDX-License-Identifier: GPL-2.0-or-later
/* Each entry: one byte that says what it is about, its text, a NUL. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "util.h"

#define JOURNAL	  "/run/kexec-fastrestart/journal"
#define MAX_BYTES (64u << 20)

int fr_journal_add(const struct fr_ctx *ctx, enum fr_journal_kind kind, const char *text)
{
	_cleanup_free_ char *path = fr_path(ctx, JOURNAL), *entry = NULL;
	_cleanup_close_ int fd = -1;
	off_t before;
	int r;

	if (!path || asprintf(&entry, "%c%s", (char)kind, text) < 0)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	before = lseek(fd, 0, SEEK_END);
	if (before < 0)
		return -errno;
	r = fr_write_all(fd, entry, strlen(entry) + 1);
	/* or a part of it would become the beginning of the next one */
	if (r && ftruncate(fd, before))
		return -errno;
	return r;
}

int fr_journal_add_limit(const struct fr_ctx *ctx, uint64_t before, uint64_t now)
{
	char note[64];

	snprintf(note, sizeof(note), "%" PRIu64 " %" PRIu64, before, now);
	return fr_journal_add(ctx, FR_JOURNAL_LIMIT, note);
}

/* What does not end with a NUL was not written to its end, and so not done either. */
int fr_journal_read(const struct fr_ctx *ctx, struct fr_journal *ret_j)
{
	_cleanup_free_ char *path = fr_path(ctx, JOURNAL);
	struct fr_journal j;
	int r = path ? fr_read_file(path, MAX_BYTES, &j.text, &j.bytes) : -ENOMEM;

	if (r)
		return r;
	while (j.bytes && j.text[j.bytes - 1])
		j.bytes--;
	*ret_j = j;
	return 0;
}

void fr_journal_clear(struct fr_journal *j)
{
	free(j->text);
	*j = (struct fr_journal){0};
}

const char *fr_journal_next(const struct fr_journal *j, enum fr_journal_kind kind, const char *text)
{
	const char *entry = text ? text + strlen(text) + 1 : j->text;

	while (entry < j->text + j->bytes && *entry != (char)kind)
		entry += strlen(entry) + 1;
	return entry < j->text + j->bytes ? entry + 1 : NULL;
}

int fr_journal_remove(const struct fr_ctx *ctx)
{
	_cleanup_free_ char *path = fr_path(ctx, JOURNAL);

	if (!path)
		return -ENOMEM;
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

int fr_journal_failed(int r, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, -r, JOURNAL ": %s", strerror(-r));
}
