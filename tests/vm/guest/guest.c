// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only process of L2.  It fills most of its RAM with a pattern made from the
 * run's nonce, and then goes round: every page is compared with what it wrote there
 * in the last round and gets the pattern of the next one, so that a page of an older
 * time is found as surely as a damaged one.  Every guest.interval ms it counts:
 *
 *   GUEST NAME nonce=N count=C pass=P bad=B
 *
 * The clock of a VM stands still while it is stopped; who watches the output sees
 * the blackout as the longest time between two lines.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define PAGES_AT_ONCE	64

static char cmdline[2048];

static void argument(const char *name, const char *def, char *value, size_t size)
{
	char key[64];
	const char *at;

	snprintf(key, sizeof(key), " guest.%s=", name);
	at = strstr(cmdline, key);
	snprintf(value, size, "%s", at ? at + strlen(key) : def);
	value[strcspn(value, " \n")] = '\0';
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static void die(const char *what)
{
	printf("GUEST FAIL %s: %m\n", what);
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

int main(void)
{
	char name[32], nonce[32], interval[16], leave[16];
	struct sysinfo info;
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/proc", 0555);
	if (mount("proc", "/proc", "proc", 0, NULL))
		die("proc");
	fd = open("/proc/cmdline", O_RDONLY);
	cmdline[0] = ' ';
	if (fd < 0 || read(fd, cmdline + 1, sizeof(cmdline) - 2) < 0)
		die("cmdline");
	close(fd);
	argument("name", "g", name, sizeof(name));
	argument("nonce", "0", nonce, sizeof(nonce));
	argument("interval", "20", interval, sizeof(interval));
	argument("leave", "24", leave, sizeof(leave)); /* MiB that stay free */

	if (sysinfo(&info))
		die("sysinfo");

	uint64_t seed = strtoull(nonce, NULL, 16), step = strtoull(interval, NULL, 10);
	uint64_t spare = strtoull(leave, NULL, 10) << 20;
	uint64_t bytes = (uint64_t)info.freeram * info.mem_unit;

	if (bytes <= spare)
		die("too little RAM");
	bytes = (bytes - spare) / (PAGES_AT_ONCE * PATTERN_PAGE) * (PAGES_AT_ONCE * PATTERN_PAGE);

	uint8_t *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ram == MAP_FAILED)
		die("mmap");
	madvise(ram, bytes, MADV_HUGEPAGE);

	uint64_t nr = bytes / PATTERN_PAGE, page, pass = 0, count = 0, bad = 0;

	for (page = 0; page < nr; page++)
		pattern_fill((uint64_t *)(ram + page * PATTERN_PAGE), seed, 0, page);
	printf("GUEST %s nonce=%s ready mib=%" PRIu64 "\n", name, nonce, bytes >> 20);

	for (uint64_t next = now_ms();; pass++) {
		for (page = 0; page < nr; page++) {
			uint64_t *words = (uint64_t *)(ram + page * PATTERN_PAGE);
			size_t n = pattern_check(words, seed, pass, page);

			if (n && !bad)
				printf("GUEST %s BAD page %" PRIu64 ": %zu words\n", name, page, n);
			bad += n;
			pattern_fill(words, seed, pass + 1, page);
			if (page % PAGES_AT_ONCE || now_ms() < next)
				continue;
			next = now_ms() + step;
			printf("GUEST %s nonce=%s count=%" PRIu64 " pass=%" PRIu64 " bad=%" PRIu64 "\n",
			       name, nonce, ++count, pass, bad);
		}
	}
}
