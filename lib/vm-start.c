// SPDX-License-Identifier: GPL-2.0-or-later
/* Starting a VMM again from its spec, with the RAM files in place. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "util.h"
#include "vm-private.h"

#define RETRY_MS       1  /* between attempts to connect to a socket that is there */
#define LOOK_MS	       50 /* at whether the VMM still lives */
#define LOG_TAIL_BYTES 300

struct start {
	const struct fr_ctx *ctx;
	const struct fr_vm_restart *restart;
	struct fr_vm *vm;
	char **argv; /* rewritten */
	char *log_path;
	int log_fd;
	int watch_fd; /* of the socket's directory, or -1 */
	pid_t child;
	bool has_run; /* or may have */
	uint64_t deadline;
};

static unsigned int left_ms(const struct start *s)
{
	uint64_t now = fr_now_ms();

	return now < s->deadline ? (unsigned int)(s->deadline - now) : 1;
}

static int open_log(struct start *s, struct fr_error *e)
{
	_cleanup_free_ char *dir = fr_path(s->ctx, "/run/kexec-fastrestart");

	s->log_path = fr_path(s->ctx, "/run/kexec-fastrestart/%s.log", s->vm->name);
	if (!dir || !s->log_path)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "cannot create %s: %s", dir,
			       strerror(errno));
	s->log_fd = open(s->log_path,
			 O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	return s->log_fd < 0 ?
		       fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", s->log_path, strerror(errno)) :
		       0;
}

/* Last words of the VMM, on one line. */
static const char *log_tail(const struct start *s, char *buf, size_t size)
{
	struct stat st;
	ssize_t n = 0;
	off_t from;

	if (!fstat(s->log_fd, &st)) {
		from = st.st_size > (off_t)size - 1 ? st.st_size - ((off_t)size - 1) : 0;
		n = pread(s->log_fd, buf, size - 1, from);
	}
	buf[n > 0 ? n : 0] = '\0';
	for (char *p = buf; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return *buf ? buf : "it said nothing";
}

static int died(const struct start *s, int status, struct fr_error *e)
{
	char tail[LOG_TAIL_BYTES];

	return fr_fail(e, FR_FAULT_VM, ECHILD, "VM %s: its VMM ended (%s %d): %s (see %s)",
		       s->vm->name, WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		       log_tail(s, tail, sizeof(tail)), s->log_path);
}

/* In the child, where only async-signal-safe functions are allowed. */
static int become(const struct start *s)
{
	/* that of root may have what is not for others */
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char *const plain[] = {path, NULL};
	const struct fr_vm *vm = s->vm;
	bool is_other = vm->gid != getegid() || vm->uid != geteuid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (setsid() < 0 || null < 0 || dup2(null, 0) < 0 || dup2(s->log_fd, 1) < 0 ||
	    dup2(s->log_fd, 2) < 0)
		return errno;
	/* one that was started as root and went down by -runas shows its last owner too */
	if (is_other)
		if (setgroups(vm->nr_groups, vm->groups) || setgid(vm->gid) || setuid(vm->uid))
			return errno;
	if (chdir(vm->cwd))
		return errno;
	for (size_t i = 0; i < vm->nr_ram; i++)
		if (fcntl(vm->ram[i].fd, F_SETFD, 0))
			return errno;
	execve(vm->exe, s->argv, is_other ? plain : environ);
	return errno;
}

static int launch(struct start *s, struct fr_error *e)
{
	int report[2], err = 0;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC))
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "pipe: %s", strerror(errno));
	s->child = fork();
	if (!s->child) {
		err = become(s);
		n = write(report[1], &err, sizeof(err));
		_exit(n == sizeof(err) ? 127 : 126);
	}
	close(report[1]);
	if (s->child < 0)
		err = errno;
	else
		do {
			n = read(report[0], &err, sizeof(err)); /* ends with a successful exec */
		} while (n < 0 && errno == EINTR);
	close(report[0]);
	return err ? fr_fail(e, FR_FAULT_VM, err, "VM %s: cannot start %s in %s: %s", s->vm->name,
			     s->vm->exe, s->vm->cwd, strerror(err)) :
		     0;
}

/* Begin to watch for the socket, before somebody makes it. */
static void watch(struct start *s)
{
	_cleanup_free_ char *dir = strdup(s->vm->qmp_path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!slash)
		return;
	slash[slash == dir] = '\0';
	s->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch_fd < 0 || inotify_add_watch(s->watch_fd, dir, IN_CREATE | IN_MOVED_TO) >= 0)
		return;
	close(s->watch_fd);
	s->watch_fd = -1;
}

/*
 * Until the next attempt makes sense.  Each one while QEMU starts costs QEMU time, on a host
 * with one CPU the more; so they are made when the socket appears.
 */
static void pause_connecting(const struct start *s, int why)
{
	char events[4096];
	struct pollfd p = {.fd = s->watch_fd, .events = POLLIN};

	if (why == -ENOENT && s->watch_fd >= 0) {
		if (poll(&p, 1, LOOK_MS) > 0)
			while (read(s->watch_fd, events, sizeof(events)) > 0)
				;
		return;
	}
	poll(NULL, 0, RETRY_MS);
}

/* Connect as soon as it listens; the socket's owner must be our child. */
static int connect_vmm(struct start *s, struct fr_error *e)
{
	struct fr_vm *vm = s->vm;
	int status, r;

	for (;;) {
		r = fr_qmp_open(vm->qmp_path, left_ms(s), &vm->qmp, e);
		if (!r && fr_qmp_pid(vm->qmp) == s->child)
			return 0;
		if (!r) {
			fr_qmp_close(vm->qmp);
			vm->qmp = NULL;
			r = fr_fail(
				e, FR_FAULT_VM, EADDRINUSE,
				"VM %s: another process listens on %s: is the VM running already?",
				vm->name, vm->qmp_path);
		}
		if (waitpid(s->child, &status, WNOHANG) == s->child) {
			s->child = -1;
			return died(s, status, e);
		}
		if (fr_now_ms() >= s->deadline)
			return fr_fail_context(e, "VM %s", vm->name);
		pause_connecting(s, r);
	}
}

static int state_fd(const void *state, size_t bytes, struct fr_error *e)
{
	int fd = memfd_create("kexec-fastrestart-state", MFD_CLOEXEC), r;

	if (fd < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "memfd_create: %s", strerror(errno));
	r = fr_write_all(fd, state, bytes);
	if (!r && lseek(fd, 0, SEEK_SET))
		r = -errno;
	if (!r)
		return fd;
	close(fd);
	return fr_fail(e, FR_FAULT_SYSTEM, -r, "a VM's state: %s", strerror(-r));
}

static int set_up(struct fr_vm *vm, struct fr_error *e)
{
	int r = fr_vm_choose_capabilities(vm->qmp, &vm->capabilities, &vm->old_capabilities, e);

	return r ? r :
		   fr_qmp_command_with(vm->qmp, "migrate-set-capabilities",
				       json_object_get(vm->capabilities), -1, NULL, e);
}

static int load_state(struct start *s, struct fr_error *e)
{
	struct fr_vm *vm = s->vm;
	char status[32];
	int fd, r;

	r = set_up(vm, e);
	if (r)
		return r;
	fd = state_fd(s->restart->state, s->restart->state_bytes, e);
	if (fd < 0)
		return fd;
	r = fr_vm_getfd(vm->qmp, fd, e);
	close(fd);
	if (r)
		return r;
	r = fr_qmp_command_with(vm->qmp, "migrate-incoming", fr_vm_uri(), -1, NULL, e);
	if (!r)
		r = fr_vm_wait_migration(vm->qmp, vm->name, left_ms(s), status, e);
	if (r || !strcmp(status, "completed"))
		return r;
	return !strcmp(status, "failed") ?
		       -e->err :
		       fr_fail(e, FR_FAULT_VM, EIO, "VM %s: loading its state ended as \"%s\"",
			       vm->name, *status ? status : "none");
}

/* A QEMU that cannot load a state may end instead of answering. */
static int explain(struct start *s, int r, struct fr_error *e)
{
	char tail[LOG_TAIL_BYTES];
	int status;

	if (e->fault != FR_FAULT_VM)
		return r; /* it was not QEMU */
	for (uint64_t end = fr_now_ms() + 200; s->child > 0 && fr_now_ms() < end; poll(NULL, 0, 5))
		if (waitpid(s->child, &status, WNOHANG) == s->child) {
			s->child = -1;
			return died(s, status, e);
		}
	if (r == -EIO || r == -ECONNRESET)
		return fr_fail_context(e, "%s", log_tail(s, tail, sizeof(tail)));
	return r;
}

/* Before the guest can change its memory, so that its state is never loaded again. */
static int mark(const struct start *s, struct fr_error *e)
{
	static const char text[] = "started\n";
	int r = fr_write_all(s->restart->marker_fd, text, strlen(text));

	if (!r && fsync(s->restart->marker_fd))
		r = -errno;
	return r ? fr_fail(e, FR_FAULT_SYSTEM, -r, "VM %s: its marker in /run: %s", s->vm->name,
			   strerror(-r)) :
		   0;
}

static void unmark(const struct start *s)
{
	if (ftruncate(s->restart->marker_fd, 0))
		fr_log(s->ctx, FR_LOG_WARN, "VM %s: its marker in /run says started: %s",
		       s->vm->name, strerror(errno));
}

/* For report, from the same clock as the stamps: nothing fails for want of it. */
static void note_resumed(const struct start *s)
{
	char text[40];
	int bytes = snprintf(text, sizeof(text), "resumed %llu\n", __rdtsc());

	fr_write_all(s->restart->marker_fd, text, (size_t)bytes);
}

/* False: there is no use in asking more. */
static bool check_runs(const struct start *s)
{
	struct fr_error e = {0};
	char state[32];

	if (fr_vm_run_state(s->vm->qmp, state, &e)) {
		fr_log(s->ctx, FR_LOG_WARN, "VM %s: %s", s->vm->name, e.text);
		return false;
	}
	if (strcmp(state, "running"))
		fr_log(s->ctx, FR_LOG_WARN, "VM %s: its state is \"%s\" after cont", s->vm->name,
		       state);
	return true;
}

static int run(struct start *s, struct fr_error *e)
{
	struct fr_vm *vm = s->vm;
	int r;

	r = mark(s, e);
	if (r) {
		unmark(s);
		return r;
	}
	if (vm->was_running)
		r = fr_qmp_command(vm->qmp, "cont", NULL, -1, NULL, e);
	if (r == -EREMOTEIO) { /* it said no; anything else may come too late */
		unmark(s);
		return r;
	}
	s->has_run = true;
	if (r)
		return fr_fail_context(e, "VM %s: cont has no answer, so that it may have run",
				       vm->name);
	if (vm->was_running) {
		note_resumed(s);
		if (!check_runs(s))
			return 0;
	}
	/* what was found here are this QEMU's defaults; not in the blackout */
	fr_qmp_command_with(vm->qmp, "migrate-set-capabilities",
			    json_object_get(vm->old_capabilities), -1, NULL, NULL);
	return 0;
}

/* At once: a QEMU that ends in order empties RAM files that have discard-data=on. */
static void kill_vmm(const struct start *s)
{
	if (s->child <= 0)
		return;
	kill(s->child, SIGKILL);
	waitpid(s->child, NULL, 0);
}

/* Files of RAM that has no path, above the descriptors that the child makes its own. */
static int open_ram(struct start *s, struct fr_error *e)
{
	for (size_t i = 0; i < s->vm->nr_ram; i++) {
		struct fr_vm_ram *ram = &s->vm->ram[i];
		int fd = s->restart->open_region(s->restart->data, ram->region, e);

		if (fd < 0)
			return fd;
		ram->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		close(fd);
		if (ram->fd < 0)
			return fr_fail(e, FR_FAULT_SYSTEM, errno, "VM %s: %s", s->vm->name,
				       strerror(errno));
	}
	return 0;
}

static int prepare(struct start *s, struct fr_error *e)
{
	int r = open_ram(s, e);

	if (r)
		return r;
	s->argv = fr_vm_argv_restart(s->vm->argv, s->vm->machine, s->vm->ram, s->vm->nr_ram);
	return s->argv ? open_log(s, e) : fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

int fr_vm_start(const struct fr_ctx *ctx, const struct fr_vm_restart *restart, struct fr_error *e)
{
	struct start s = {.ctx = ctx,
			  .restart = restart,
			  .log_fd = -1,
			  .watch_fd = -1,
			  .deadline = fr_now_ms() + restart->timeout_ms};
	struct fr_error local = {0};
	int r;

	e = e ? e : &local;
	r = fr_vm_parse_spec(restart->spec, &s.vm, e);
	if (r)
		return r;
	/* a second QEMU would take the socket away, and run on the same memory */
	if (fr_qmp_listens(s.vm->qmp_path)) {
		r = fr_fail(e, FR_FAULT_REFUSED, EADDRINUSE,
			    "VM %s: a process listens on %s: is it running already?", s.vm->name,
			    s.vm->qmp_path);
		fr_vm_close(s.vm);
		return r;
	}
	r = prepare(&s, e);
	if (!r) {
		watch(&s);
		r = launch(&s, e);
	}
	if (!r)
		r = connect_vmm(&s, e);
	if (!r) {
		if (restart->up)
			restart->up(restart->data);
		r = load_state(&s, e);
		if (!r)
			r = run(&s, e);
		if (r)
			r = explain(&s, r, e);
	}
	if (r && !s.has_run)
		kill_vmm(&s);
	if (s.log_fd >= 0)
		close(s.log_fd);
	if (s.watch_fd >= 0)
		close(s.watch_fd);
	fr_strv_free(s.argv);
	free(s.log_path);
	fr_vm_close(s.vm);
	return r;
}
