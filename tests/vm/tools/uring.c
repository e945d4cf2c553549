// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * uring FILE     map FILE, make its first page a fixed buffer of an io_uring, have that read its
 *                standard input there, and do nothing more
 */
#include <err.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define BYTES 4096

static void *map(size_t bytes, int fd, off_t offset)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	if (p == MAP_FAILED)
		err(2, "mmap");
	return p;
}

int main(int argc, char **argv)
{
	struct io_uring_params params = {0};
	int file = argc == 2 ? open(argv[1], O_RDWR) : -1, ring;
	struct iovec buffer = {.iov_len = BYTES};
	struct io_uring_sqe *sqe;
	uint32_t *sq;
	char *rings;

	if (file < 0)
		err(2, "usage: uring FILE");
	buffer.iov_base = map(BYTES, file, 0);
	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (ring < 0 ||
	    syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1))
		err(2, "io_uring");
	rings = map(params.sq_off.array + sizeof(uint32_t), ring, IORING_OFF_SQ_RING);
	sqe = map(sizeof(*sqe), ring, IORING_OFF_SQES);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_READ_FIXED;
	sqe->off = (uint64_t)-1;
	sqe->addr = (uintptr_t)buffer.iov_base;
	sqe->len = BYTES;
	sq = (uint32_t *)(rings + params.sq_off.array);
	sq[0] = 0;
	__atomic_store_n((uint32_t *)(rings + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) != 1)
		err(2, "io_uring_enter");
	for (;;)
		pause();
}
