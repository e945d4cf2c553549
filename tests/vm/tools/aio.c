// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * aio FILE DISK     map FILE and, once there is a line to read, have all of it read from DISK, past the
 *                   page cache and without waiting for it, and do nothing more
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUESTS 4

int main(int argc, char **argv)
{
	int file = argc == 3 ? open(argv[1], O_RDWR) : -1;
	int disk = argc == 3 ? open(argv[2], O_RDONLY | O_DIRECT) : -1;
	struct iocb request[REQUESTS] = {0}, *requests[REQUESTS];
	aio_context_t context = 0;
	struct stat st;
	char *map, c;

	if (file < 0 || disk < 0 || fstat(file, &st))
		err(2, "usage: aio FILE DISK");
	map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (map == MAP_FAILED)
		err(2, "mmap");
	for (size_t i = 0, bytes = st.st_size / REQUESTS; i < REQUESTS; i++) {
		requests[i] = &request[i];
		request[i].aio_lio_opcode = IOCB_CMD_PREAD;
		request[i].aio_fildes = disk;
		request[i].aio_buf = (uintptr_t)map + i * bytes;
		request[i].aio_offset = i * bytes;
		request[i].aio_nbytes = bytes;
	}
	if (read(0, &c, 1) != 1)
		err(2, "nothing to read");
	if (syscall(SYS_io_setup, REQUESTS, &context) ||
	    syscall(SYS_io_submit, context, REQUESTS, requests) != REQUESTS)
		err(2, "aio");
	for (;;)
		pause();
}
