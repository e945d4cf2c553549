// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memfd BYTES [SHIFT]     make a memfd, with huge pages of 1 << SHIFT bytes; print it as a source
 *                         ("pid:4711/fd:3") and hold it until killed
 * memfd -seal FILE SEALS  add seals
 * memfd -seals FILE       print them
 * memfd -address FILE     print the physical address of its first byte
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

static void hold(off_t bytes, unsigned int shift)
{
	unsigned int huge = shift ? MFD_HUGETLB | shift << MAP_HUGE_SHIFT : 0;
	int fd = memfd_create("held", MFD_ALLOW_SEALING | huge);
	pid_t pid;

	if (fd < 0 || ftruncate(fd, bytes))
		err(2, "memfd of %jd bytes", (intmax_t)bytes);
	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid) {
		setsid();
		for (int i = 0, null = open("/dev/null", O_RDWR); i < 3; i++)
			dup2(null, i);
		for (;;)
			pause();
	}
	printf("pid:%d/fd:%d\n", pid, fd);
}

static void print_address(const char *path)
{
	volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, open_file(path), 0);
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (p == MAP_FAILED)
		err(2, "%s: mmap", path);
	(void)*p;
	if (pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)p / 4096 * 8)) != 8 ||
	    !(entry >> 63))
		errx(2, "%s: it is not mapped", path);
	printf("%#jx\n", (uintmax_t)(entry << 9 >> 9) * 4096);
}

int main(int argc, char **argv)
{
	int seals;

	if (argc == 4 && !strcmp(argv[1], "-seal")) {
		if (fcntl(open_file(argv[2]), F_ADD_SEALS, atoi(argv[3])))
			err(1, "%s", argv[2]);
	} else if (argc == 3 && !strcmp(argv[1], "-seals")) {
		seals = fcntl(open_file(argv[2]), F_GET_SEALS);
		if (seals < 0)
			err(1, "%s", argv[2]);
		printf("%d\n", seals);
	} else if (argc == 3 && !strcmp(argv[1], "-address")) {
		print_address(argv[2]);
	} else if (argc == 2 || argc == 3) {
		hold(strtoll(argv[1], NULL, 0), argc > 2 ? atoi(argv[2]) : 0);
	} else {
		errx(2, "usage: memfd BYTES [SHIFT]|-seal FILE SEALS|-seals FILE|-address FILE");
	}
	return 0;
}
