// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stands in for libFuzzer: runs the target on each file of the folders and files that
 * are named, to the byte.  make check replays the corpora with it.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "util.h"

static int replay(const char *path)
{
	_cleanup_free_ char *data = NULL;
	_cleanup_free_ uint8_t *exact = NULL;
	size_t bytes;
	int r = fr_read_file(path, 64u << 20, &data, &bytes);

	if (r) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return 1;
	}
	exact = malloc(bytes ? bytes : 1);
	if (!exact)
		return 1;
	memcpy(exact, data, bytes);
	LLVMFuzzerTestOneInput(exact, bytes);
	return 0;
}

static int replay_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int failed = 0, nr = 0;

	if (!dir)
		return replay(path);
	while ((entry = readdir(dir))) {
		char file[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		failed |= replay(file);
		nr++;
	}
	closedir(dir);
	return failed || !nr;
}

int main(int argc, char **argv)
{
	int failed = 0;

	/* libFuzzer's options mean nothing here */
	for (int i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			failed |= replay_folder(argv[i]);
	return failed;
}
