// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine's RAM map out of /sys/firmware/memmap, /proc/iomem and the command line.
 *
 * The input is made of files: "@N start|end|type|iomem|cmdline" begins one, with N for
 * those of entry N.  They lie in a folder that stands for the root.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake-root.h"
#include "fuzz.h"
#include "ramap.h"

#define ENTRIES 24

static struct fake_root root;

static void remove_root(void)
{
	fake_root_remove(&root);
}

/* The file that a line "@3 start" stands for; NULL for others. */
static const char *file_of(const char *line, char name[64])
{
	static const char *const parts[] = {"start", "end", "type"};
	unsigned int nr;
	char what[8];

	if (sscanf(line, "@%2u %7[a-z]", &nr, what) != 2 || nr >= ENTRIES)
		return NULL;
	if (!strcmp(what, "iomem") || !strcmp(what, "cmdline")) {
		snprintf(name, 64, "/proc/%s", what);
		return name;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (!strcmp(what, parts[i])) {
			snprintf(name, 64, "/sys/firmware/memmap/%u/%s", nr, what);
			return name;
		}
	return NULL;
}

static void make_files(char *text)
{
	char name[64], *next;

	fake_root_text(&root, "/proc/iomem", "");
	fake_root_text(&root, "/proc/cmdline", "");
	for (char *part = strchr(text, '@'); part; part = next) {
		char *body = strchr(part, '\n');

		next = body ? strstr(body, "\n@") : NULL;
		if (next)
			*next++ = '\0';
		if (body && file_of(part, name))
			fake_root_text(&root, name, body + 1);
	}
}

static void check(const struct fr_ram_map *m)
{
	for (size_t i = 0; i < m->nr; i++)
		if (m->v[i].start >= m->v[i].end || m->v[i].end > FR_PHYS_LIMIT ||
		    (i && m->v[i].start < m->v[i - 1].end))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct fr_ctx ctx = {.root = root.path};
	struct fr_ranges kept = {0};
	struct fr_ram_map m = {0};
	struct fake_root old;
	struct fr_error e;

	if (!text)
		return 0;
	if (!*root.path) {
		strcpy(root.path, "/dev/shm/fr-fuzz-XXXXXX");
		if (!mkdtemp(root.path))
			abort();
		atexit(remove_root);
	}
	snprintf(old.path, sizeof(old.path), "%.40s/sys", root.path);
	fake_root_remove(&old);
	make_files(text);
	if (!fr_ram_map_read(&ctx, NULL, &kept, &m, &e))
		check(&m);
	fr_ram_map_clear(&m);
	free(text);
	return 0;
}
