/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QMP client: one connection, one command at a time, every wait bounded.
 *
 * What the VMM sends is not trusted: lines are bounded, anything that is not a
 * JSON object ends the connection, and events are dropped.
 */
#ifndef FR_QMP_H
#define FR_QMP_H

#include "fastrestart.h"
#include "json.h"

#define FR_QMP_LINE_BYTES (1u << 20) /* of one reply or event */

struct fr_qmp;

/*
 * Connect to the UNIX socket @path and negotiate.  @timeout_ms bounds this and
 * every later command.  -ENOENT, -ECONNREFUSED: nobody listens; -ETIMEDOUT:
 * somebody does, but does not answer.
 */
int fr_qmp_open(const char *path, unsigned int timeout_ms, struct fr_qmp **ret_qmp,
		struct fr_error *e);
/* The same on a connected socket, which @ret_qmp owns from success on. */
int fr_qmp_attach(int fd, const char *path, unsigned int timeout_ms, struct fr_qmp **ret_qmp,
		  struct fr_error *e);
/*
 * Run @command with @arguments (consumed; may be NULL), sending @fd along if it
 * is not negative.  @ret (may be NULL) is the "return" member, to be put.
 * -EREMOTEIO: the VMM answered with an error, which @e quotes; the connection
 * goes on.  After any other failure it does not.
 */
int fr_qmp_command(struct fr_qmp *q, const char *command, struct json_object *arguments, int fd,
		   struct json_object **ret, struct fr_error *e);
/* The same for a command that has arguments: without, they could not be made for lack of memory. */
int fr_qmp_command_with(struct fr_qmp *q, const char *command, struct json_object *arguments,
			int fd, struct json_object **ret, struct fr_error *e);
/*
 * Wait until the VMM says something, or for @ms.  What it says is left to the next command: an
 * event only tells that it is worthwhile to ask.
 */
void fr_qmp_wait(const struct fr_qmp *q, unsigned int ms);
/* Whether any process listens on @path. */
bool fr_qmp_listens(const char *path);
/* Process that listens on the socket, and its "qemu" version as "7.2.22". */
pid_t fr_qmp_pid(const struct fr_qmp *q);
const char *fr_qmp_version(const struct fr_qmp *q);
void fr_qmp_close(struct fr_qmp *q);

#endif /* FR_QMP_H */
