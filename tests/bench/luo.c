// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * luo keep <FILE       have live update keep FILE, which must have no name; a process
 *                      that stays behind holds on to it
 * luo take CMD...      in the next kernel: take it back, say how long that took, and run
 *                      CMD with it as standard input
 *
 * The interface of the kernel's include/uapi/linux/liveupdate.h, which is newer than the
 * headers of the distribution.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define NAME  "bench"
#define TOKEN 1

struct luo_session {
	uint32_t size;
	int32_t fd;
	uint8_t name[64];
};

struct luo_file {
	uint32_t size;
	int32_t fd;
	uint64_t token;
};

struct luo_finish {
	uint32_t size;
	uint32_t reserved;
};

#define LUO_CREATE_SESSION   _IO(0xba, 0x00)
#define LUO_RETRIEVE_SESSION _IO(0xba, 0x01)
#define LUO_PRESERVE_FD	     _IO(0xba, 0x40)
#define LUO_RETRIEVE_FD	     _IO(0xba, 0x41)
#define LUO_FINISH	     _IO(0xba, 0x42)

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int session(unsigned long request)
{
	struct luo_session arg = {.size = sizeof(arg), .name = NAME};
	int fd = open("/dev/liveupdate", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, request, &arg))
		err(1, "/dev/liveupdate");
	return arg.fd;
}

static int keep(void)
{
	struct luo_file arg = {.size = sizeof(arg), .fd = STDIN_FILENO, .token = TOKEN};

	if (ioctl(session(LUO_CREATE_SESSION), LUO_PRESERVE_FD, &arg))
		err(1, "the file cannot be kept");
	/* what a session keeps lasts as long as the session */
	if (daemon(1, 1))
		err(1, "daemon");
	for (;;)
		pause();
}

static int take(char **command)
{
	struct luo_file arg = {.size = sizeof(arg), .token = TOKEN};
	struct luo_finish finish = {.size = sizeof(finish)};
	uint64_t start = now_us();
	int fd = session(LUO_RETRIEVE_SESSION);

	if (ioctl(fd, LUO_RETRIEVE_FD, &arg))
		err(1, "the file is lost");
	if (ioctl(fd, LUO_FINISH, &finish))
		err(1, "the session cannot be finished");
	printf("take_us=%" PRIu64 "\n", now_us() - start);
	fflush(stdout);
	if (dup2(arg.fd, STDIN_FILENO) < 0)
		err(1, "dup2");
	execvp(command[0], command);
	err(1, "%s", command[0]);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "keep"))
		return keep();
	if (argc > 2 && !strcmp(argv[1], "take"))
		return take(argv + 2);
	errx(2, "usage: luo keep <FILE | luo take CMD...");
}
