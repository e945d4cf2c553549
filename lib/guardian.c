// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guardian.h"
#include "host.h"
#include "journal.h"
#include "kernel.h"
#include "owners.h"
#include "undo.h"
#include "util.h"

#define TAKES_OVER_SECONDS 120 /* how long it tries to resume a VM */

#define RETRY_US 20000 /* when memory lacks */

#define BEATS 10 /* signs of life within the guardian's patience */

/* One byte each; all but MSG_BEAT are answered with the same byte. */
enum { MSG_HOLD = 'h', MSG_DROP = 'd', MSG_WATCH = 'w', MSG_BEAT = 'b', MSG_END = 'e' };

struct fr_guardian {
	char *cgroup;
	pid_t pid;
	int fd;
	int patience_ms;
	bool beating;
	pthread_t heart;
	int stop_fd; /* an eventfd: the heart stops */
};

struct watch { /* in the guardian */
	struct fr_ctx *ctx;
	const char *cgroup; /* of its own, or NULL */
	struct fr_vm **vms;
	size_t nr_vms;
	pid_t exec;
	int patience_ms;
	int pages_fd; /* the loaded image's, or -1 */
	bool loaded, frozen;
};

/* ------------------------------------------------------------------------ the guardian */

int fr_guardian_cgroup(const struct fr_ctx *ctx, char **ret_path)
{
	_cleanup_free_ char *root = NULL;
	char *path;
	int r = fr_cgroup_root(ctx, &root);

	if (!r && asprintf(&path, "%s/kexec-fastrestart-guardian", root) < 0)
		r = -ENOMEM;
	if (!r)
		*ret_path = path;
	return r;
}

static void join_cgroup(const char *dir)
{
	_cleanup_free_ char *procs = NULL;
	int fd = asprintf(&procs, "%s/cgroup.procs", dir) < 0 ? -1 :
								open(procs, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	fr_write_all(fd, "0\n", 2);
	close(fd);
}

/* Out of exec's cgroup, which a service manager may kill as a whole. */
static void leave_cgroup(const struct watch *w)
{
	if (!w->cgroup)
		return;
	mkdir(w->cgroup, 0755);
	join_cgroup(w->cgroup);
}

static void remove_cgroup(const char *dir)
{
	if (dir)
		FR_INSIST(rmdir(dir) ? -errno : 0);
}

/* A cgroup with a process in it cannot be removed. */
static void return_from_cgroup(const struct watch *w)
{
	_cleanup_free_ char *root = NULL;

	if (!w->cgroup || FR_INSIST(fr_cgroup_root(w->ctx, &root)))
		return;
	join_cgroup(root);
	remove_cgroup(w->cgroup);
}

static void ignore_signals(void)
{
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,	 SIGQUIT, SIGPIPE, SIGUSR1,
				      SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};

	for (size_t i = 0; i < FR_ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
}

/* The VMs' connections are exec's: with both ends closed QEMU takes a new client. */
static bool resume_all(const struct watch *w)
{
	size_t left = fr_undo_vms(w->ctx, w->vms, w->nr_vms, TAKES_OVER_SECONDS);

	for (size_t i = 0; left && i < w->nr_vms; i++)
		if (w->vms[i])
			fr_log(w->ctx, FR_LOG_WARN,
			       "guardian: VM %s does not answer: resume it by hand, or with unload",
			       fr_vm_name(w->vms[i]));
	return !left;
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
	n = (int)fr_min_u64((uint64_t)n, sizeof(line) - 1);
	/* consoles print it as it is: one record, and nothing that moves a cursor */
	for (int i = 0; i < n - 1; i++)
		if (iscntrl((unsigned char)line[i]))
			line[i] = '?';
	fr_write_all(fd, line, (size_t)n);
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

/* One message, perhaps with a file: what it was, 0 at the end, -1 when exec is silent. */
static int receive(struct watch *w, int fd, int *ret_file)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	char message;
	struct iovec iov = {.iov_base = &message, .iov_len = 1};
	struct msghdr m;
	ssize_t n;

	/* Only the connection's end says that exec is dead: while it lives, it may jump. */
	do {
		n = poll(&p, 1, w->frozen ? w->patience_ms : -1);
		if (!n)
			return -1;
		m = (struct msghdr){.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control.space,
				    .msg_controllen = sizeof(control.space)};
		n = n < 0 ? n : recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == ENOMEM)
			usleep(RETRY_US);
	} while (n < 0 && errno != ECONNRESET);
	if (n <= 0)
		return 0;
	if (m.msg_flags & MSG_CTRUNC)
		return MSG_END; /* without the file there is nothing to hold: exec sees it end */
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(ret_file, CMSG_DATA(c), sizeof(*ret_file));
	return message;
}

static void set_pages(struct watch *w, bool loaded, int pages_fd)
{
	if (w->pages_fd >= 0)
		close(w->pages_fd);
	w->pages_fd = pages_fd;
	w->loaded = loaded;
}

/* Until exec says that all is well, or is dead.  Is there something to do? */
static bool listen_to_exec(struct watch *w, int fd)
{
	for (;;) {
		int file = -1, message = receive(w, fd, &file);

		switch (message) {
		case -1:
			/* it may be in reboot(): only its end says that it is not */
			fr_log(w->ctx, FR_LOG_WARN,
			       "guardian: exec does not move: it is killed; if it is frozen, thaw "
			       "it: guests wait");
			if (getppid() == w->exec)
				kill(w->exec, SIGKILL);
			continue;
		case 0:
			return true;
		case MSG_END:
			return false;
		case MSG_BEAT:
			continue;
		case MSG_HOLD:
			set_pages(w, true, file);
			break;
		case MSG_DROP:
			set_pages(w, false, -1);
			break;
		case MSG_WATCH:
			w->frozen = true;
			break;
		}
		FR_INSIST(fr_write_all(fd, &(char){(char)message}, 1));
	}
}

static bool is_loaded(const struct watch *w)
{
	_cleanup_free_ char *path = fr_path(w->ctx, "/sys/kernel/kexec_loaded"), *text = NULL;

	return !path || fr_read_file(path, 64, &text, NULL) || text[0] != '0';
}

/* The pages stay until nothing can jump to them any more. */
static void insist_on_unload(struct watch *w)
{
	if (!w->loaded || !fr_kexec_unload(w->ctx))
		return;
	fr_log(w->ctx, FR_LOG_WARN,
	       "guardian: the kexec image cannot be unloaded: run kexec -u; its pages stay until "
	       "then");
	while (is_loaded(w) && fr_kexec_unload(w->ctx))
		poll(NULL, 0, 1000);
}

static int be_guardian(struct watch *w, int fd)
{
	bool undone;

	prctl(PR_SET_NAME, "fr-guardian"); /* not one of killall kexec-fastrestart */
	leave_terminal(w->ctx);
	ignore_signals();
	leave_cgroup(w);
	for (size_t i = 0; i < w->nr_vms; i++)
		fr_vm_hang_up(w->vms[i]);
	/* exec may have been killed before it could hear that */
	if (!FR_INSIST(fr_write_all(fd, "r", 1)) && !listen_to_exec(w, fd))
		return 0;
	if (w->loaded && !fr_kexec_unload(w->ctx))
		set_pages(w, false, -1);
	/* a guest may need one of them to run on */
	undone = !fr_owners_thaw(w->ctx);
	if (w->frozen)
		undone &= resume_all(w);
	insist_on_unload(w);
	set_pages(w, false, -1);
	undone &= !fr_undo_limit_of_killed(w->ctx);
	if (undone)
		FR_INSIST(fr_journal_remove(w->ctx));
	return_from_cgroup(w);
	return 0;
}

/* ---------------------------------------------------------------------------- in exec */

static int has_died(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ECHILD, "the guardian process has died");
}

static int await(const struct fr_guardian *g, struct fr_error *e)
{
	struct pollfd p = {.fd = g->fd, .events = POLLIN};
	char answer;
	ssize_t n;

	do {
		n = poll(&p, 1, g->patience_ms);
		if (!n)
			return fr_fail(e, FR_FAULT_SYSTEM, ETIMEDOUT,
				       "the guardian process does not answer");
		n = n < 0 ? n : read(g->fd, &answer, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : has_died(e);
}

/* Send a message and wait until the guardian has done what it says. */
static int tell(struct fr_guardian *g, char message, int file, struct fr_error *e)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &message, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (file >= 0) {
		struct cmsghdr *c = &control.header;

		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &file, sizeof(file));
	}
	do {
		n = sendmsg(g->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? await(g, e) : has_died(e);
}

/* Threads stop with their process: as long as this one sends, exec is not stopped. */
static void *beat(void *data)
{
	const struct fr_guardian *g = data;
	struct pollfd stop = {.fd = g->stop_fd, .events = POLLIN};
	const char message = MSG_BEAT;

	while (poll(&stop, 1, g->patience_ms / BEATS) <= 0)
		send(g->fd, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	return NULL;
}

static void stop_heart(struct fr_guardian *g)
{
	const uint64_t one = 1;

	if (g->beating && !fr_write_all(g->stop_fd, &one, sizeof(one)))
		pthread_join(g->heart, NULL);
	if (g->stop_fd >= 0)
		close(g->stop_fd);
}

int fr_guardian_start(const struct fr_ctx *ctx, struct fr_vm **vms, size_t nr_vms,
		      unsigned int patience_ms, struct fr_guardian **ret_guardian,
		      struct fr_error *e)
{
	struct fr_guardian *g = calloc(1, sizeof(*g));
	struct watch *w = calloc(1, sizeof(*w));
	char *cgroup = NULL;
	struct fr_ctx own = *ctx;
	int fds[2], r = g && w ? fr_guardian_cgroup(ctx, &cgroup) : -ENOMEM;

	if (r == -ENOTSUP)
		r = 0;
	if (!r && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		r = -errno;
	if (r) {
		r = fr_fail(e, FR_FAULT_SYSTEM, -r, "guardian: cannot start it: %s", strerror(-r));
		free(g);
		free(w);
		free(cgroup);
		return r;
	}
	*w = (struct watch){.ctx = &own,
			    .cgroup = cgroup,
			    .vms = vms,
			    .nr_vms = nr_vms,
			    .exec = getpid(),
			    .patience_ms = (int)patience_ms,
			    .pages_fd = -1};
	g->cgroup = cgroup;
	g->patience_ms = (int)patience_ms;
	g->stop_fd = -1;
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

pid_t fr_guardian_pid(const struct fr_guardian *g)
{
	return g ? g->pid : 0;
}

int fr_guardian_hold(struct fr_guardian *g, int fd, struct fr_error *e)
{
	return g ? tell(g, MSG_HOLD, fd, e) : 0;
}

void fr_guardian_drop(struct fr_guardian *g)
{
	if (g)
		tell(g, MSG_DROP, -1, NULL); /* a dead one holds nothing */
}

int fr_guardian_check(const struct fr_guardian *g, struct fr_error *e)
{
	struct pollfd p = {.fd = g->fd};

	return poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR) ? has_died(e) : 0;
}

int fr_guardian_watch(struct fr_guardian *g, struct fr_error *e)
{
	int r;

	g->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (g->stop_fd < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "guardian: eventfd: %s", strerror(errno));
	r = pthread_create(&g->heart, NULL, beat, g);
	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, r, "guardian: thread: %s", strerror(r));
	g->beating = true;
	return tell(g, MSG_WATCH, -1, e);
}

void fr_guardian_end(struct fr_guardian *g, bool clean)
{
	const char message = MSG_END;

	if (!g)
		return;
	stop_heart(g);
	if (g->pid > 0 && clean &&
	    (send(g->fd, &message, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1 ||
	     await(g, NULL) != -ECHILD)) /* it says nothing, it ends */
		kill(g->pid, SIGKILL);
	close(g->fd);
	while (g->pid > 0 && clean && waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (clean)
		remove_cgroup(g->cgroup);
	free(g->cgroup);
	free(g);
}
