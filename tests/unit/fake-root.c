// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake-root.h"

void fake_root_make(struct fake_root *r)
{
	strcpy(r->path, "/tmp/fr-root-XXXXXX");
	if (!mkdtemp(r->path))
		abort();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void fake_root_remove(struct fake_root *r)
{
	nftw(r->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define PATH_BYTES 512

/* The full path of @name, whose directories exist then. Threads of the library come here, too. */
static const char *make_parents(const struct fake_root *r, const char *name, char path[PATH_BYTES])
{
	char *p;

	snprintf(path, PATH_BYTES, "%s%s", r->path, name);
	for (p = path + strlen(r->path) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
	return path;
}

void fake_root_write(const struct fake_root *r, const char *name, const void *data, size_t bytes)
{
	char path[PATH_BYTES];
	FILE *f = fopen(make_parents(r, name, path), "we");

	if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f))
		abort();
}

void fake_root_link(const struct fake_root *r, const char *name, const char *target)
{
	char path[PATH_BYTES];

	if (symlink(target, make_parents(r, name, path)))
		abort();
}

void fake_root_text(const struct fake_root *r, const char *name, const char *text)
{
	fake_root_write(r, name, text, strlen(text));
}

const char *fake_root_line(const struct fake_root *r, const char *name)
{
	static char line[256];
	char path[PATH_BYTES];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", r->path, name);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		abort();
	fclose(f);
	line[strcspn(line, "\n")] = 0;
	return line;
}
