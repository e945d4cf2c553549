// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guardian.h"
#include "kernel.h"
#include "util.h"

#define TAKES_OVER_SECONDS 120 /* how long it tries to resume a VM */

enum { MSG_WATCH = 'w', MSG_END = 'e' };

struct fr_guardian {
	const struct fr_ctx *ctx;
	pid_t pid;
	int fd;
};

struct watch { /* in the guardian */
	struct fr_ctx *ctx;
	struct fr_vm **vms;
	size_t nr_vms;
	char *limit; /* nr_overcommit_hugepages as it was */
	bool frozen;
};

/*
 * The image's pages go back by themselves, but exec may have been killed while it had
 * the limit raised under which it allocates them (hugepages.h).
 */
static char *limit_path(const struct fr_ctx *ctx)
{
	return fr_path(ctx, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages");
}

static void note_limit(struct watch *w)
{
	_cleanup_free_ char *path = limit_path(w->ctx);

	if (path && fr_read_file(path, 64, &w->limit, NULL))
		w->limit = NULL;
}

static void restore_limit(const struct watch *w)
{
	_cleanup_free_ char *path = limit_path(w->ctx);
	int fd = w->limit && path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	fr_write_all(fd, w->limit, strlen(w->limit));
	close(fd);
}

/* ------------------------------------------------------------------------ the guardian */

static uint64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

/* Out of exec's cgroup, which a service manager may kill as a whole. */
static void leave_cgroup(const struct fr_ctx *ctx)
{
	_cleanup_free_ char *dir = fr_path(ctx, "/sys/fs/cgroup/kexec-fastrestart-guardian");
	_cleanup_free_ char *procs =
		fr_path(ctx, "/sys/fs/cgroup/kexec-fastrestart-guardian/cgroup.procs");
	_cleanup_free_ char *v2 = fr_path(ctx, "/sys/fs/cgroup/cgroup.controllers");
	int fd;

	if (!dir || !procs || !v2 || access(v2, F_OK))
		return;
	mkdir(dir, 0755);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	fr_write_all(fd, "0\n", 2);
	close(fd);
}

static void remove_cgroup(const struct fr_ctx *ctx)
{
	_cleanup_free_ char *dir = fr_path(ctx, "/sys/fs/cgroup/kexec-fastrestart-guardian");

	if (dir)
		rmdir(dir);
}

static void ignore_signals(void)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT, SIGPIPE, SIGUSR1,
				      SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};

	for (size_t i = 0; i < FR_ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
}

/* The VMs' connections are exec's: with both ends closed QEMU takes a new client. */
static void resume_all(struct watch *w)
{
	uint64_t end = now_s() + TAKES_OVER_SECONDS;
	struct fr_error e;
	size_t left;

	do {
		left = 0;
		for (size_t i = 0; i < w->nr_vms; i++) {
			if (!w->vms[i] || !fr_vm_resume(w->ctx, w->vms[i], &e)) {
				w->vms[i] = NULL;
				continue;
			}
			left++;
			fr_log(w->ctx, FR_LOG_DEBUG, "guardian: %s", e.text);
			if (e.err == ENOENT || e.err == ECONNREFUSED)
				w->vms[i] = NULL; /* the VMM is gone */
		}
		if (left)
			poll(NULL, 0, 100);
	} while (left && now_s() < end);
	for (size_t i = 0; i < w->nr_vms; i++)
		if (w->vms[i])
			fr_log(w->ctx, FR_LOG_WARN,
			       "guardian: VM %s does not answer: resume it by hand",
			       fr_vm_name(w->vms[i]));
}

/* The guardian may outlive everybody who could read exec's output. */
static void log_to_kernel(void *data, enum fr_log_level level, const char *text)
{
	const struct fr_ctx *ctx = data;
	_cleanup_free_ char *path = fr_path(ctx, "/dev/kmsg");
	char line[900];
	int fd = path && level != FR_LOG_DEBUG ? open(path, O_WRONLY | O_CLOEXEC) : -1, n;

	if (fd < 0)
		return;
	n = snprintf(line, sizeof(line), "<%d>kexec-fastrestart: %s\n",
		     level == FR_LOG_WARN ? 4 : 6, text);
	fr_write_all(fd, line, fr_min_u64((uint64_t)n, sizeof(line) - 1));
	close(fd);
}

static void leave_terminal(struct fr_ctx *ctx)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	ctx->log = log_to_kernel;
	ctx->data = ctx;
	ctx->progress = NULL;
	setsid();
}

static void guard(struct watch *w, int fd)
{
	char message;
	ssize_t n;

	for (;;) {
		n = read(fd, &message, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (message == MSG_END)
			return;
		w->frozen = true;
		fr_write_all(fd, &message, 1);
	}
	/* exec is dead */
	if (fr_kexec_unload(w->ctx))
		fr_log(w->ctx, FR_LOG_WARN, "guardian: the kexec image cannot be unloaded");
	if (w->frozen)
		resume_all(w);
	restore_limit(w);
}

static int be_guardian(struct watch *w, int fd)
{
	prctl(PR_SET_NAME, "fr-guardian"); /* not one of killall kexec-fastrestart */
	leave_terminal(w->ctx);
	ignore_signals();
	leave_cgroup(w->ctx);
	for (size_t i = 0; i < w->nr_vms; i++)
		fr_vm_hang_up(w->vms[i]);
	note_limit(w);
	if (fr_write_all(fd, "r", 1))
		return 1;
	guard(w, fd);
	return 0;
}

/* ---------------------------------------------------------------------------- in exec */

static int await(const struct fr_guardian *g, struct fr_error *e)
{
	char answer;
	ssize_t n;

	do {
		n = read(g->fd, &answer, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : fr_fail(e, FR_FAULT_SYSTEM, ECHILD, "the guardian process has died");
}

int fr_guardian_start(const struct fr_ctx *ctx, struct fr_vm **vms, size_t nr_vms,
		      struct fr_guardian **ret_guardian, struct fr_error *e)
{
	struct fr_guardian *g = calloc(1, sizeof(*g));
	struct watch *w = calloc(1, sizeof(*w));
	struct fr_ctx own = *ctx;
	int fds[2], r;

	if (!g || !w || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		r = fr_fail(e, FR_FAULT_SYSTEM, g && w ? errno : ENOMEM,
			    "guardian: cannot start it");
		free(g);
		free(w);
		return r;
	}
	*w = (struct watch){.ctx = &own, .vms = vms, .nr_vms = nr_vms};
	g->ctx = ctx;
	g->pid = fork();
	if (!g->pid) {
		close(fds[0]);
		_exit(be_guardian(w, fds[1]));
	}
	free(w);
	close(fds[1]);
	g->fd = fds[0];
	r = g->pid < 0 ? fr_fail(e, FR_FAULT_SYSTEM, errno, "guardian: fork: %s", strerror(errno)) :
			 await(g, e);
	if (r) {
		fr_guardian_end(g, true);
		return r;
	}
	*ret_guardian = g;
	return 0;
}

int fr_guardian_watch(struct fr_guardian *g, struct fr_error *e)
{
	const char message = MSG_WATCH;
	ssize_t n = send(g->fd, &message, 1, MSG_NOSIGNAL);

	return n == 1 ? await(g, e) :
			fr_fail(e, FR_FAULT_SYSTEM, ECHILD, "the guardian process has died");
}

void fr_guardian_end(struct fr_guardian *g, bool clean)
{
	const char message = MSG_END;

	if (!g)
		return;
	if (g->pid > 0 && clean && send(g->fd, &message, 1, MSG_NOSIGNAL) != 1)
		kill(g->pid, SIGKILL);
	close(g->fd);
	while (g->pid > 0 && clean && waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (clean)
		remove_cgroup(g->ctx);
	free(g);
}
