// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake-qemu.h"

#define GREETING \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}}}\r\n"

static const struct fake_answer usual[] = {
	{"qmp_capabilities", "\"return\": {}"},
	{"query-status", "\"return\": {\"status\": \"running\"}"},
	{"query-memdev", "\"return\": [{\"id\": \"m\", \"share\": true}]"},
	{"query-sev", "\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}"},
	{"confidential", "\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}"},
	{"query-migrate-capabilities",
	 "\"return\": [{\"capability\": \"x-ignore-shared\", \"state\": false}]"},
	{"query-migrate", "\"return\": {}"},
	{"query-block", "\"return\": []"},
	{"qom-list", "\"return\": [{\"name\": \"type\", \"type\": \"string\"}]"},
	{"objects", "\"return\": \"memory-backend-file\""},
	{"machine", "\"return\": \"pc-q35-7.2-machine\""},
	{NULL, "\"return\": {}"},
};

static void answer(const struct fake_qemu *q, int fd, const char *line)
{
	const char *id = strstr(line, "\"id\":");
	const struct fake_answer *a;

	if (q->stopped && (strstr(line, "\"stop\"") || strstr(line, "\"cont\"")))
		*q->stopped = strstr(line, "\"stop\"");
	for (a = q->answers; a && a->ask && !strstr(line, a->ask); a++)
		;
	if (!a || !a->ask)
		for (a = usual; a->ask && !strstr(line, a->ask); a++)
			;
	if (strstr(line, "mem-path"))
		dprintf(fd, "{\"return\": \"%s\", \"id\": %d}\r\n", q->ram_path, atoi(id + 5));
	else
		dprintf(fd, "{%s, \"id\": %d}\r\n", a->say, atoi(id + 5));
}

/* A command, and with getfd a file: the one before is closed then. */
static ssize_t receive(int fd, char *line, size_t size, int *file)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = line, .iov_len = size};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.space,
			   .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	if (c && c->cmsg_type == SCM_RIGHTS) {
		if (*file >= 0)
			close(*file);
		memcpy(file, CMSG_DATA(c), sizeof(*file));
	}
	return n;
}

/* One command comes at a time, and without an end of line. */
static void serve(const struct fake_qemu *q)
{
	int fd, file = -1;
	char line[4096];
	ssize_t n;

	while ((fd = accept(q->fd, NULL, NULL)) >= 0) {
		dprintf(fd, GREETING);
		while ((n = receive(fd, line, sizeof(line) - 1, &file)) > 0) {
			line[n] = '\0';
			if (q->saves && strstr(line, "\"migrate\""))
				dprintf(file, "state");
			answer(q, fd, line);
		}
		close(fd);
	}
}

static void make_proc(const struct fake_qemu *q, const struct fake_root *root, const char *argv,
		      size_t bytes)
{
	char name[64], text[512] = "qemu";
	struct stat st;

	snprintf(name, sizeof(name), "/proc/%d/cmdline", (int)getpid());
	memcpy(text + 5, argv, bytes);
	fake_root_write(root, name, text, 5 + bytes);
	snprintf(name, sizeof(name), "/proc/%d/exe", (int)getpid());
	fake_root_link(root, name, "/usr/bin/qemu");
	snprintf(name, sizeof(name), "/proc/%d/cwd", (int)getpid());
	fake_root_link(root, name, "/");
	snprintf(name, sizeof(name), "/proc/%d/status", (int)getpid());
	fake_root_text(root, name, "Name:\tqemu\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n");
	if (stat(q->ram_path, &st))
		abort();
	snprintf(text, sizeof(text), "7f0000000000-7f0000010000 rw-s 00000000 %x:%x %lu %s\n",
		 major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino, q->ram_path);
	snprintf(name, sizeof(name), "/proc/%d/maps", (int)getpid());
	fake_root_text(root, name, text);
	snprintf(name, sizeof(name), "/proc/%d/fd/0", (int)getpid());
	fake_root_link(root, name, "/dev/null");
}

void fake_qemu_start(struct fake_qemu *q, const struct fake_root *root, const char *argv,
		     size_t bytes)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	make_proc(q, root, argv, bytes);
	snprintf(q->socket, sizeof(q->socket), "%s/qmp", root->path);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/qmp", root->path);
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(q->fd, (struct sockaddr *)&a, sizeof(a)) || listen(q->fd, 4))
		abort();
	/* a process, so that exec finds its own descriptors; who listens is its parent */
	q->pid = fork();
	if (!q->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		serve(q);
		_exit(0);
	}
}

void fake_qemu_stop(struct fake_qemu *q)
{
	kill(q->pid, SIGKILL);
	waitpid(q->pid, NULL, 0);
	close(q->fd);
}
