// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * make-malformed DIR: write each malformed descriptor to DIR/NAME, and the valid one
 * that they were made from to DIR/valid.  Names of those that only user space refuses
 * end in ".user".
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "malformed.h"
#include "sample.h"

static int put(const char *dir, const char *name, const char *suffix, const void *p, size_t bytes)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
	f = fopen(path, "we");
	if (!f || fwrite(p, 1, bytes, f) != bytes || fclose(f)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct fr_descriptor *d = sample_descriptor();
	int failed = 0;
	size_t bytes;
	uint8_t *p;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIR\n", argv[0]);
		return 2;
	}
	p = sample_encode(d, &bytes);
	failed |= put(argv[1], "valid", "", p, bytes);
	free(p);
	for (size_t i = 0; i < nr_malformed; i++) {
		p = sample_encode(d, &bytes);
		malformed[i].apply(p, &bytes);
		if (!malformed[i].keep_csum)
			sample_repair(p, bytes);
		failed |= put(argv[1], malformed[i].name, malformed[i].user_only ? ".user" : "", p,
			      bytes);
		free(p);
	}
	fr_descriptor_free(d);
	return failed;
}
