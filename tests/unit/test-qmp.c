// SPDX-License-Identifier: GPL-2.0-or-later
/* The QMP client against a scripted VMM at the other end of a socket pair. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "qmp.h"
#include "test.h"

#define GREETING \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}}}\r\n"
#define OK(id)	    "{\"return\": {}, \"id\": " #id "}\r\n"
#define TIMEOUT_MS  300
#define LONG_ENOUGH 5000

/* What the VMM sends after each line that it gets; the first one unasked. */
struct vmm {
	const char *say[8];
	int fd;
	int close_after; /* replies; 0: never */
	int got_fd;
	char heard[8][512];
	pthread_t thread;
};

static void hear(struct vmm *v, int i)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {v->heard[i], sizeof(v->heard[i]) - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(v->fd, &msg, 0);

	if (n <= 0)
		return;
	if (msg.msg_controllen)
		memcpy(&v->got_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
}

static void *serve(void *arg)
{
	struct vmm *v = arg;

	for (int i = 0; i < 8 && v->say[i]; i++) {
		if (i)
			hear(v, i);
		send(v->fd, v->say[i], strlen(v->say[i]), MSG_NOSIGNAL);
		if (v->close_after == i + 1) {
			close(v->fd);
			v->fd = -1;
			break;
		}
	}
	return NULL;
}

static int meet(struct vmm *v, unsigned int timeout_ms, struct fr_qmp **ret, struct fr_error *e)
{
	int fds[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	v->fd = fds[1];
	v->got_fd = -1;
	assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
	r = fr_qmp_attach(fds[0], "/run/vm.qmp", timeout_ms, ret, e);
	if (r)
		close(fds[0]);
	return r;
}

static void part(struct vmm *v, struct fr_qmp *q)
{
	fr_qmp_close(q);
	if (v->fd >= 0)
		shutdown(v->fd, SHUT_RDWR);
	pthread_join(v->thread, NULL);
	if (v->fd >= 0)
		close(v->fd);
	if (v->got_fd >= 0)
		close(v->got_fd);
}

static void greets_and_answers(void **state)
{
	struct vmm v = {
		.say = {GREETING, OK(1),
			"{\"event\": \"STOP\"}\r\n{\"return\": {\"status\": \"paused\"}, \"id\": 2}\r\n"}};
	struct json_object *status;
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), 0);
	assert_string_equal(fr_qmp_version(q), "7.2.22");
	assert_int_equal(fr_qmp_pid(q), getpid());
	assert_int_equal(fr_qmp_command(q, "query-status", NULL, -1, &status, &e), 0);
	assert_string_equal(fr_json_string(status, "status"), "paused");
	assert_string_equal(fr_json_string(status, "nothing"), "");
	json_object_put(status);
	assert_non_null(strstr(v.heard[1], "\"qmp_capabilities\""));
	assert_non_null(strstr(v.heard[2], "\"query-status\""));
	part(&v, q);
}

static void passes_fd(void **state)
{
	struct vmm v = {.say = {GREETING, OK(1), OK(2)}};
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct json_object *arguments = json_object_new_object();
	struct fr_qmp *q;
	struct fr_error e;
	char c;

	(void)state;
	assert_int_equal(write(fd, "x", 1), 1);
	json_object_object_add(arguments, "fdname", json_object_new_string("fr"));
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), 0);
	assert_int_equal(fr_qmp_command(q, "getfd", arguments, fd, NULL, &e), 0);
	assert_true(v.got_fd >= 0);
	assert_int_equal(pread(v.got_fd, &c, 1, 0), 1);
	assert_non_null(strstr(v.heard[2], "\"fdname\""));
	close(fd);
	part(&v, q);
}

static void quotes_errors_and_goes_on(void **state)
{
	struct vmm v = {
		.say = {GREETING, OK(1),
			"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}, \"id\": 2}\n",
			OK(3)}};
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), 0);
	assert_int_equal(fr_qmp_command(q, "cont", NULL, -1, NULL, &e), -EREMOTEIO);
	assert_non_null(strstr(e.text, "cont: no way"));
	assert_int_equal(e.fault, FR_FAULT_VM);
	assert_int_equal(fr_qmp_command(q, "stop", NULL, -1, NULL, NULL), 0);
	part(&v, q);
}

static void skips_stale_answers(void **state)
{
	struct vmm v = {
		.say = {GREETING, OK(1),
			"{\"return\": 1, \"id\": 7}\n{\"return\": 1}\n{\"return\": 5, \"id\": 2}\n"}};
	struct json_object *value;
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), 0);
	assert_int_equal(fr_qmp_command(q, "x", NULL, -1, &value, &e), 0);
	assert_int_equal(json_object_get_int(value), 5);
	json_object_put(value);
	part(&v, q);
}

static void one_that_hangs(void **state)
{
	struct vmm v = {.say = {GREETING, OK(1), "{\"event\": \"RESET\"}\n"}};
	struct timespec a, b;
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(meet(&v, TIMEOUT_MS, &q, &e), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(fr_qmp_command(q, "stop", NULL, -1, NULL, &e), -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_in_range((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
			TIMEOUT_MS - 10, 20 * TIMEOUT_MS);
	assert_non_null(strstr(e.text, "did not answer"));
	part(&v, q);
}

static void refused(const char *greeting, int close_after, int err)
{
	struct vmm v = {.say = {greeting, OK(1)}, .close_after = close_after};
	struct fr_qmp *q = NULL;
	struct fr_error e;

	assert_int_equal(meet(&v, TIMEOUT_MS, &q, &e), -err);
	assert_int_equal(e.fault, FR_FAULT_VM);
	assert_null(q);
	part(&v, NULL);
}

static void bad_greetings(void **state)
{
	(void)state;
	refused("SSH-2.0-OpenSSH_9.2\r\n", 0, EBADMSG);
	refused("[1, 2]\n", 0, EBADMSG);
	refused("{}\n", 0, EBADMSG);
	refused("{\"QMP\": 1}\n", 0, EBADMSG);
	refused("\n", 0, EBADMSG);
	refused("{\"QMP\": ", 0, ETIMEDOUT);
	refused("", 0, ETIMEDOUT);
	refused("{\"QMP\": ", 1, ECONNRESET);
}

static void goes_away(void **state)
{
	struct vmm v = {.say = {GREETING, OK(1), "{\"ret"}, .close_after = 3};
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), 0);
	assert_int_equal(fr_qmp_command(q, "stop", NULL, -1, NULL, &e), -ECONNRESET);
	assert_true(fr_qmp_command(q, "stop", NULL, -1, NULL, &e) < 0);
	part(&v, q);
}

static void no_result(void **state)
{
	struct vmm v = {.say = {GREETING, OK(1), "{\"id\": 2}\n"}};
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), 0);
	assert_int_equal(fr_qmp_command(q, "stop", NULL, -1, NULL, &e), -EBADMSG);
	part(&v, q);
}

static void *flood(void *arg)
{
	int fd = *(int *)arg;
	char chunk[4096];

	memset(chunk, 'a', sizeof(chunk));
	for (size_t i = 0; i < 2 * FR_QMP_LINE_BYTES / sizeof(chunk); i++)
		if (send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL) < 0)
			break;
	return NULL;
}

static void endless_line(void **state)
{
	struct fr_qmp *q = NULL;
	struct fr_error e;
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, flood, &fds[1]), 0);
	assert_int_equal(fr_qmp_attach(fds[0], "x", LONG_ENOUGH, &q, &e), -EMSGSIZE);
	close(fds[0]);
	pthread_join(thread, NULL);
	close(fds[1]);
}

static void deep_nesting(void **state)
{
	char line[4096];
	struct vmm v = {.say = {line}};
	struct fr_qmp *q = NULL;
	struct fr_error e;

	(void)state;
	memset(line, '[', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(meet(&v, LONG_ENOUGH, &q, &e), -EBADMSG);
	part(&v, NULL);
}

static void nobody_listens(void **state)
{
	char path[200];
	struct fr_qmp *q;
	struct fr_error e;

	(void)state;
	assert_int_equal(fr_qmp_open("/nonexistent/qmp", TIMEOUT_MS, &q, &e), -ENOENT);
	assert_int_equal(e.fault, FR_FAULT_NOT_FOUND);
	assert_false(fr_qmp_listens("/nonexistent/qmp"));
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(fr_qmp_open(path, TIMEOUT_MS, &q, &e), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greets_and_answers),
		cmocka_unit_test(passes_fd),
		cmocka_unit_test(quotes_errors_and_goes_on),
		cmocka_unit_test(skips_stale_answers),
		cmocka_unit_test(one_that_hangs),
		cmocka_unit_test(bad_greetings),
		cmocka_unit_test(goes_away),
		cmocka_unit_test(no_result),
		cmocka_unit_test(endless_line),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
