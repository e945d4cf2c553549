// SPDX-License-Identifier: GPL-2.0-or-later
/* QMP, see QEMU's docs/interop/qmp-spec.rst: JSON objects, each ended by CRLF. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "qmp.h"
#include "util.h"

struct fr_qmp {
	int fd;
	unsigned int timeout_ms;
	uint64_t next_id;
	char *path;
	char version[32];
	pid_t pid;
	size_t have; /* bytes in line[] */
	char line[FR_QMP_LINE_BYTES];
};

/* Wait for @events until @deadline; -ETIMEDOUT. */
static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now;
	int r;

	do {
		now = fr_now_ms();
		if (now >= deadline)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)fr_min_u64(deadline - now, 60000u));
	} while (r == 0 || (r < 0 && errno == EINTR));
	return r < 0 ? -errno : 0;
}

static int lost(const struct fr_qmp *q, int err, struct fr_error *e)
{
	if (err == ETIMEDOUT)
		return fr_fail(
			e, FR_FAULT_VM, err,
			"%s: the VMM did not answer within %u ms: another client may hold "
			"this QMP socket (give the VM one of its own for this purpose), or the "
			"VMM hangs",
			q->path, q->timeout_ms);
	return fr_fail(e, FR_FAULT_VM, err, "%s: QMP connection lost: %s", q->path, strerror(err));
}

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

/* One line without its end into @ret_object. */
static int receive(struct fr_qmp *q, uint64_t deadline, struct json_object **ret_object,
		   struct fr_error *e)
{
	size_t scanned = 0;
	struct json_object *object = NULL;
	char *end;
	ssize_t n;
	int r;

	while (!(end = memchr(q->line + scanned, '\n', q->have - scanned))) {
		scanned = q->have;
		if (q->have == sizeof(q->line))
			return fr_fail(e, FR_FAULT_VM, EMSGSIZE,
				       "%s: a QMP message of more than %u bytes", q->path,
				       FR_QMP_LINE_BYTES);
		r = wait_for(q->fd, POLLIN, deadline);
		if (r)
			return lost(q, -r, e);
		n = recv(q->fd, q->line + q->have, sizeof(q->line) - q->have, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return lost(q, n ? errno : ECONNRESET, e);
		q->have += (size_t)n;
	}
	*end = '\0';
	r = fr_json_parse(q->line, &object);
	q->have -= (size_t)(end + 1 - q->line);
	memmove(q->line, end + 1, q->have);
	if (r == -ENOMEM)
		return out_of_memory(e);
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return fr_fail(e, FR_FAULT_VM, EBADMSG,
			       "%s: not a QMP message: is this a QMP socket?", q->path);
	}
	*ret_object = object;
	return 0;
}

static int transmit(struct fr_qmp *q, const char *text, size_t size, int fd, uint64_t deadline)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;
	ssize_t n;
	int r;

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	while (size) {
		r = wait_for(q->fd, POLLOUT, deadline);
		if (r)
			return r;
		iov = (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = size};
		n = sendmsg(q->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		msg.msg_control = NULL; /* the descriptor went with the first byte */
		msg.msg_controllen = 0;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Is @reply the answer to command @id?  Events and stale answers are not. */
static bool answers(struct json_object *reply, uint64_t id)
{
	struct json_object *value = fr_json_get(reply, "id", json_type_int);

	if (fr_json_get(reply, "event", json_type_string))
		return false;
	/* a command that QEMU could not parse is answered without an id */
	if (!value)
		return fr_json_get(reply, "error", json_type_object) != NULL;
	return json_object_get_uint64(value) == id;
}

static int evaluate(struct fr_qmp *q, const char *command, struct json_object *reply,
		    struct json_object **ret, struct fr_error *e)
{
	struct json_object *error = fr_json_get(reply, "error", json_type_object);
	struct json_object *value;

	if (error)
		return fr_fail(e, FR_FAULT_VM, EREMOTEIO, "%s: %s: %.400s", q->path, command,
			       fr_json_string(error, "desc"));
	if (!json_object_object_get_ex(reply, "return", &value))
		return fr_fail(e, FR_FAULT_VM, EBADMSG, "%s: %s: a reply without a result", q->path,
			       command);
	if (ret)
		*ret = json_object_get(value);
	return 0;
}

/* The answer to command @id. */
static int await(struct fr_qmp *q, uint64_t id, uint64_t deadline, struct json_object **ret,
		 struct fr_error *e)
{
	for (;;) {
		struct json_object *reply;
		int r = receive(q, deadline, &reply, e);

		if (r)
			return r;
		if (answers(reply, id)) {
			*ret = reply;
			return 0;
		}
		json_object_put(reply);
	}
}

/* The command as text; consumes @arguments. */
static char *compose(const char *command, uint64_t id, struct json_object *arguments)
{
	struct json_object *message = fr_json_object("execute", json_object_new_string(command),
						     "id", json_object_new_uint64(id), NULL);
	char *text = NULL;

	if (!arguments || !message) {
		json_object_put(arguments);
		text = message ? fr_json_text(message) : NULL;
	} else if (!fr_json_add(message, "arguments", arguments)) {
		text = fr_json_text(message);
	}
	json_object_put(message);
	return text;
}

int fr_qmp_command(struct fr_qmp *q, const char *command, struct json_object *arguments, int fd,
		   struct json_object **ret, struct fr_error *e)
{
	uint64_t deadline = fr_now_ms() + q->timeout_ms, id = ++q->next_id;
	_cleanup_free_ char *text = compose(command, id, arguments);
	struct json_object *reply;
	int r;

	if (!text)
		return out_of_memory(e);
	r = transmit(q, text, strlen(text), fd, deadline);
	if (r)
		return lost(q, -r, e);
	r = await(q, id, deadline, &reply, e);
	if (r)
		return fr_fail_context(e, "%s", command);
	r = evaluate(q, command, reply, ret, e);
	json_object_put(reply);
	return r;
}

int fr_qmp_command_with(struct fr_qmp *q, const char *command, struct json_object *arguments,
			int fd, struct json_object **ret, struct fr_error *e)
{
	return arguments ? fr_qmp_command(q, command, arguments, fd, ret, e) : out_of_memory(e);
}

void fr_qmp_wait(const struct fr_qmp *q, unsigned int ms)
{
	if (!q->have)
		wait_for(q->fd, POLLIN, fr_now_ms() + ms);
}

/* {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, ...}, ...}} */
static int greet(struct fr_qmp *q, struct fr_error *e)
{
	struct json_object *greeting = NULL, *v;
	int r = receive(q, fr_now_ms() + q->timeout_ms, &greeting, e);

	if (r)
		return r;
	v = fr_json_get(greeting, "QMP", json_type_object);
	if (!v) {
		json_object_put(greeting);
		return fr_fail(e, FR_FAULT_VM, EBADMSG,
			       "%s: no QMP greeting: is this a QMP socket?", q->path);
	}
	v = fr_json_get(v, "version", json_type_object);
	v = fr_json_get(v, "qemu", json_type_object);
	snprintf(q->version, sizeof(q->version), "%d.%d.%d",
		 json_object_get_int(fr_json_get(v, "major", json_type_int)),
		 json_object_get_int(fr_json_get(v, "minor", json_type_int)),
		 json_object_get_int(fr_json_get(v, "micro", json_type_int)));
	json_object_put(greeting);
	return fr_qmp_command(q, "qmp_capabilities", NULL, -1, NULL, e);
}

int fr_qmp_attach(int fd, const char *path, unsigned int timeout_ms, struct fr_qmp **ret_qmp,
		  struct fr_error *e)
{
	struct fr_qmp *q = calloc(1, sizeof(*q));
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int r;

	if (!q || !(q->path = strdup(path))) {
		free(q);
		return out_of_memory(e);
	}
	q->fd = -1;
	q->timeout_ms = timeout_ms;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size)) {
		r = fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: SO_PEERCRED: %s", path,
			    strerror(errno));
	} else {
		q->pid = cred.pid;
		q->fd = fd;
		r = greet(q, e);
	}
	if (r) {
		q->fd = -1;
		fr_qmp_close(q);
		return r;
	}
	*ret_qmp = q;
	return 0;
}

/* A socket connected to @path, or a negative errno; -EAGAIN: its backlog is full. */
static int dial(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

bool fr_qmp_listens(const char *path)
{
	int fd = dial(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -EAGAIN;
}

int fr_qmp_open(const char *path, unsigned int timeout_ms, struct fr_qmp **ret_qmp,
		struct fr_error *e)
{
	int fd = dial(path), r;

	if (fd == -EAGAIN)
		return fr_fail(
			e, FR_FAULT_VM, EBUSY,
			"%s: busy with another client: give the VM a QMP socket of its own for "
			"this purpose",
			path);
	if (fd < 0)
		return fr_fail(
			e, fd == -ENOENT ? FR_FAULT_NOT_FOUND : FR_FAULT_VM, -fd,
			"%s: cannot connect: %s: is the VM running with -qmp unix:%s,server=on,"
			"wait=off?",
			path, strerror(-fd), path);
	r = fr_qmp_attach(fd, path, timeout_ms, ret_qmp, e);
	if (r)
		close(fd);
	return r;
}

pid_t fr_qmp_pid(const struct fr_qmp *q)
{
	return q->pid;
}

const char *fr_qmp_version(const struct fr_qmp *q)
{
	return q->version;
}

void fr_qmp_close(struct fr_qmp *q)
{
	if (!q)
		return;
	if (q->fd >= 0)
		close(q->fd);
	free(q->path);
	free(q);
}
