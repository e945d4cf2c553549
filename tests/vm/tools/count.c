// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * count FILE     map FILE and count in its first and its last word, one after the other, for ever
 * count -show FILE
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	const char *path = argv[argc - 1];
	volatile uint64_t *words;
	struct stat st;
	int fd;

	if (argc != 2 && (argc != 3 || strcmp(argv[1], "-show")))
		errx(2, "usage: count [-show] FILE");
	fd = open(path, O_RDWR);
	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", path);
	words = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (words == MAP_FAILED)
		err(2, "%s: mmap", path);
	if (argc == 3) {
		printf("%" PRIu64 " %" PRIu64 "\n", words[0], words[st.st_size / 8 - 1]);
		return 0;
	}
	for (;;) {
		words[0]++;
		words[st.st_size / 8 - 1]++;
	}
}
