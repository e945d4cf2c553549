/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A QEMU that is this process: a QMP socket with fixed answers, and /proc/PID in a fake root. */
#ifndef FR_FAKE_QEMU_H
#define FR_FAKE_QEMU_H

#include <stdbool.h>
#include <sys/types.h>

#include "fake-root.h"

struct fake_answer {
	const char *ask, *say; /* a part of the command's line, and "return" or "error" of it */
};

struct fake_qemu {
	const struct fake_answer *answers; /* looked at before those that every QEMU gives */
	const char *ram_path;
	bool saves;    /* something like a device state into the file that it got */
	bool *stopped; /* shared with this process, if it is to know */
	char socket[128];
	int fd;
	pid_t pid;
};

/* @argv: what /proc/PID/cmdline has after "qemu", each argument ended by NUL. */
void fake_qemu_start(struct fake_qemu *q, const struct fake_root *root, const char *argv,
		     size_t bytes);
void fake_qemu_stop(struct fake_qemu *q);

#endif /* FR_FAKE_QEMU_H */
