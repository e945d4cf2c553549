// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only process of L2.  It fills most of its RAM with a pattern made from the
 * run's nonce, and then goes round: every page is compared with what it wrote there
 * in the last round and gets the pattern of the next one, so that a page of an older
 * time is found as surely as a damaged one.  Every guest.interval ms it counts:
 *
 *   GUEST NAME nonce=N count=C of=PAGES checked=PAGES bad=PAGES
 *
 * of is one round; checked goes on from round to round.  It works for guest.busy per
 * cent of the time, so that it leaves something to a host whose CPUs are emulated.
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
#define SLICE_US	30000

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

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
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
	char name[32], nonce[32], interval[16], leave[16], busy[16];
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
	argument("interval", "50", interval, sizeof(interval));
	argument("busy", "40", busy, sizeof(busy));
	argument("leave", "24", leave, sizeof(leave)); /* MiB that stay free */

	if (sysinfo(&info))
		die("sysinfo");

	uint64_t seed = strtoull(nonce, NULL, 16), step = strtoull(interval, NULL, 10) * 1000;
	uint64_t spare = strtoull(leave, NULL, 10) << 20;
	uint64_t bytes = (uint64_t)info.freeram * info.mem_unit;

	if (bytes <= spare)
		die("too little RAM");
	bytes = (bytes - spare) / (PAGES_AT_ONCE * PATTERN_PAGE) * (PAGES_AT_ONCE * PATTERN_PAGE);

	uint8_t *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ram == MAP_FAILED)
		die("mmap");
	madvise(ram, bytes, MADV_HUGEPAGE);

	uint64_t nr = bytes / PATTERN_PAGE, checked = 0, count = 0, bad = 0;
	unsigned int percent = strtoul(busy, NULL, 10);

	if (percent < 1 || percent > 100)
		die("guest.busy");
	for (uint64_t page = 0; page < nr; page++)
		pattern_fill((uint64_t *)(ram + page * PATTERN_PAGE), seed, 0, page);
	printf("GUEST %s nonce=%s ready mib=%" PRIu64 "\n", name, nonce, bytes >> 20);

	for (uint64_t woke = now_us(), next = woke;;) {
		for (int i = 0; i < PAGES_AT_ONCE; i++, checked++) {
			uint64_t page = checked % nr;

			if (!pattern_turn((uint64_t *)(ram + page * PATTERN_PAGE), seed,
					  checked / nr, page))
				continue;
			if (!bad++)
				printf("GUEST %s BAD page %" PRIu64 "\n", name, page);
		}

		uint64_t now = now_us();

		if (now >= next) {
			next = now + step;
			printf("GUEST %s nonce=%s count=%" PRIu64 " of=%" PRIu64 " checked=%" PRIu64
			       " bad=%" PRIu64 "\n", name, nonce, ++count, nr, checked, bad);
		}
		if (percent < 100 && now - woke >= SLICE_US) {
			usleep((now - woke) * (100 - percent) / percent);
			woke = now_us();
		}
	}
}
