// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * adversity WAY DIR NAME...
 *
 * Ask the kernel for region NAME as DIR/NAME again and again, while something goes wrong, until
 * it is restored.  WAY is what goes wrong in try n = 1, 2, ...:
 *
 *   nth      the nth allocation.  A restore may do without it: then the next NAME goes on with
 *            the next try, until one is restored in which none failed.
 *   objects  allocations of slab objects, all of them after the first OBJECT_STEP * (n - 1) bytes
 *   pages    allocations of pages, all of them after the first n - 1 pages
 *   kill     the task gets SIGKILL, KILL_STEP_US later each time
 *
 * Only allocations of the task that asks can fail.  Below 32 MiB, no other task allocates
 * anything for a restore.  "objects-of-all" and "pages-of-all" make them fail for unbound kworkers
 * as well, which help with larger regions.
 *
 * A try that fails must leave nothing behind: the region is kept, the file is empty, and the
 * totals of memory, of huge pages and of the file system are what they were.  Exit status 1: the
 * kernel did not do as it should.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"

#define FAULTS	     "/sys/kernel/debug/"
#define OBJECT_STEP  32	  /* the smallest object that anybody allocates here, nearly */
#define OBJECTS_STEP 1021 /* of a large region */
#define KILL_STEP_US 100
#define KILL_LEAD_US 5000 /* before it begins: who kills may be late */
#define MANY	     1000000
#define MAX_TRIES    20000

static int dev, fail_nth, make_it_fail;

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(2, "%s", path);
	close(fd);
}

static void get(const char *path, char *text, size_t bytes)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, bytes - 1);

	if (n < 0)
		err(2, "%s", path);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	close(fd);
}

static void put_fault(const char *what, const char *name, long value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), FAULTS "%s/%s", what, name);
	snprintf(text, sizeof(text), "%ld", value);
	put(path, text);
}

static long get_fault(const char *what, const char *name)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), FAULTS "%s/%s", what, name);
	get(path, text, sizeof(text));
	return atol(text);
}

static int restore(const char *name, int fd)
{
	struct fr_ioc_region arg = {.size = sizeof(arg), .fd = fd};

	strncpy((char *)arg.name, name, sizeof(arg.name) - 1);
	return ioctl(dev, FR_IOC_RESTORE, &arg) ? errno : 0;
}

/* ---------------------------------------------------------------------- what goes wrong */

struct way {
	const char *name;
	const char *fault; /* folder in debugfs, if any */
	bool of_all;
	int (*attempt)(const struct way *w, const char *name, int fd, int n, bool *ret_hit);
};

static int attempt_nth(const struct way *w, const char *name, int fd, int n, bool *ret_hit)
{
	char left[16] = {0};
	int r;

	(void)w;
	snprintf(left, sizeof(left), "%d", n);
	if (pwrite(fail_nth, left, strlen(left), 0) < 0)
		err(2, "fail-nth");
	r = restore(name, fd);
	memset(left, 0, sizeof(left));
	if (pread(fail_nth, left, sizeof(left) - 1, 0) <= 0 || pwrite(fail_nth, "0", 1, 0) < 0)
		err(2, "fail-nth");
	*ret_hit = !atoi(left);
	return r;
}

static bool is_unbound_kworker(const char *pid)
{
	char path[300], comm[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(comm, sizeof(comm), f))
		comm[0] = '\0';
	fclose(f);
	return !strncmp(comm, "kworker/u", 9);
}

/* They come and go. */
static void let_kworkers_fail(const char *value)
{
	struct dirent *entry;
	char path[300];
	DIR *proc = opendir("/proc");
	int fd;

	if (!proc)
		err(2, "/proc");
	while ((entry = readdir(proc))) {
		if (!is_unbound_kworker(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/make-it-fail", entry->d_name);
		fd = open(path, O_WRONLY);
		if (fd < 0 || write(fd, value, 1) < 0)
			warn("%s", path);
		close(fd);
	}
	closedir(proc);
}

static int attempt_starved(const struct way *w, const char *name, int fd, int n, bool *ret_hit)
{
	long step = strcmp(w->fault, "failslab") ? 1 : w->of_all ? OBJECTS_STEP : OBJECT_STEP;
	int r;

	/* else what the last try gave back is enough, without new pages */
	if (!strcmp(w->fault, "fail_page_alloc"))
		put("/sys/kernel/slab/radix_tree_node/shrink", "1");
	put_fault(w->fault, "times", MANY);
	put_fault(w->fault, "space", step * (n - 1) + 1);
	put_fault(w->fault, "task-filter", 1);
	if (w->of_all)
		let_kworkers_fail("1");
	put_fault(w->fault, "probability", 100);
	if (pwrite(make_it_fail, "1", 1, 0) < 0)
		err(2, "make-it-fail");
	r = restore(name, fd);
	if (pwrite(make_it_fail, "0", 1, 0) < 0)
		err(2, "make-it-fail");
	put_fault(w->fault, "probability", 0);
	if (w->of_all)
		let_kworkers_fail("0");
	*ret_hit = get_fault(w->fault, "times") != MANY;
	return r;
}

static int attempt_killed(const struct way *w, const char *name, int fd, int n, bool *ret_hit)
{
	int ready[2], status;
	pid_t pid;

	(void)w;
	if (pipe(ready))
		err(2, "pipe");
	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid) {
		close(ready[0]);
		close(ready[1]);
		usleep(KILL_LEAD_US);
		_exit(restore(name, fd));
	}
	close(ready[1]);
	/* until the other end is closed */
	if (read(ready[0], &status, 1))
		err(2, "pipe");
	close(ready[0]);
	usleep(n * KILL_STEP_US);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		err(2, "wait");
	*ret_hit = WIFSIGNALED(status);
	return *ret_hit ? EINTR : WEXITSTATUS(status);
}

static const struct way ways[] = {
	{.name = "nth", .attempt = attempt_nth},
	{.name = "objects", .attempt = attempt_starved, .fault = "failslab"},
	{.name = "pages", .attempt = attempt_starved, .fault = "fail_page_alloc"},
	{.name = "objects-of-all", .attempt = attempt_starved, .fault = "failslab", .of_all = true},
	{.name = "pages-of-all",
	 .attempt = attempt_starved,
	 .fault = "fail_page_alloc",
	 .of_all = true},
	{.name = "kill", .attempt = attempt_killed},
};

/* Any allocation may fail, also those that may wait, and nothing is printed. */
static void prepare(void)
{
	static const char *const faults[] = {"failslab", "fail_page_alloc"};

	for (size_t i = 0; i < 2; i++) {
		put_fault(faults[i], "verbose", 0);
		put_fault(faults[i], "interval", 1);
		put_fault(faults[i], "ignore-gfp-wait", 0);
	}
	put_fault("fail_page_alloc", "ignore-gfp-highmem", 0);
	put_fault("fail_page_alloc", "min-order", 0);
	fail_nth = open("/proc/self/fail-nth", O_RDWR);
	make_it_fail = open("/proc/self/make-it-fail", O_RDWR);
	if (fail_nth < 0 || make_it_fail < 0)
		err(2, "/proc/self");
}

/* ------------------------------------------------------------------- what it comes to */

struct ledger {
	char text[1024];
};

/* What no try that fails may change */
static void take_stock(const char *dir, const char *name, struct ledger *l)
{
	char line[128], path[256];
	struct statvfs fs;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/fastrestart/regions/%s/state", name);
	get(path, line, sizeof(line));
	if (statvfs(dir, &fs))
		err(2, "%s", dir);
	n = snprintf(l->text, sizeof(l->text), "%s, free blocks %ju, inodes %ju\n", line,
		     (uintmax_t)fs.f_bfree, (uintmax_t)fs.f_ffree);
	f = fopen("/proc/meminfo", "r");
	if (!f)
		err(2, "/proc/meminfo");
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "MemTotal", 8) || !strncmp(line, "HugePages_", 10))
			n += snprintf(l->text + n, sizeof(l->text) - n, "%s", line);
	fclose(f);
}

static bool is_restored(const struct ledger *l)
{
	return !strncmp(l->text, "restored", 8);
}

static void must_be_empty(const char *path, int fd, int n)
{
	struct stat st;

	if (fstat(fd, &st))
		err(2, "%s", path);
	if (st.st_size || st.st_blocks)
		errx(1, "%s: try %d left %jd bytes, %jd blocks", path, n, (intmax_t)st.st_size,
		     (intmax_t)st.st_blocks);
}

/* One try: is the region restored?  @ret_hit: did anything go wrong? */
static bool attempt(const struct way *w, const char *dir, const char *name, int n, bool *ret_hit)
{
	int want = w->attempt == attempt_killed ? EINTR : ENOMEM, fd, r;
	struct ledger before, after;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	take_stock(dir, name, &before);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		err(2, "%s", path);
	r = w->attempt(w, name, fd, n, ret_hit);
	if (r && (r != want || !*ret_hit))
		errx(1, "%s: try %d: %s", path, n, strerror(r));
	take_stock(dir, name, &after);
	if (is_restored(&after)) {
		/* who was killed may have been done */
		if (r && want != EINTR)
			errx(1, "%s: try %d: %s, but it is restored", path, n, strerror(r));
		close(fd);
		return true;
	}
	if (!r)
		errx(1, "%s: try %d went well, but it is %s", path, n, after.text);
	must_be_empty(path, fd, n);
	close(fd);
	unlink(path);
	take_stock(dir, name, &after);
	if (strcmp(before.text, after.text))
		errx(1, "%s: try %d: it was\n%sand is\n%s", path, n, before.text, after.text);
	return false;
}

int main(int argc, char **argv)
{
	const struct way *w = ways, *end = ways + sizeof(ways) / sizeof(*ways);
	int failed = 0, n = 1;
	bool hit = false;

	while (argc > 1 && w < end && strcmp(w->name, argv[1]))
		w++;
	if (argc < 4 || w == end)
		errx(2,
		     "usage: adversity nth|objects|pages|objects-of-all|pages-of-all|kill DIR NAME...");
	dev = open("/dev/fastrestart", O_RDWR);
	if (dev < 0)
		err(2, "/dev/fastrestart");
	prepare();
	for (int i = 3; i < argc; i++, n++) {
		for (; !attempt(w, argv[2], argv[i], n, &hit); n++)
			if (++failed == MAX_TRIES)
				errx(1, "%s: no end", argv[i]);
		if (hit && w->attempt == attempt_nth)
			continue;
		printf("%s: %d tries failed, %d regions restored, the last in try %d\n", w->name,
		       failed, i - 2, n);
		return 0;
	}
	errx(1, "%s: after %d tries that failed there is no region left", w->name, failed);
}
