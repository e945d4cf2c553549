/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages and progress on stderr; everything from outside is escaped here. */
#ifndef FR_LOG_H
#define FR_LOG_H

#include <time.h>

#include "fastrestart.h"

struct fr_logger {
	unsigned int verbosity; /* 0: warnings, 1: steps, 2: debugging as well */
	bool tty;		/* stderr is a terminal: show progress */
	bool line_open;		/* a progress line is on the screen */
	char what[64];		/* the progress shown */
	struct timespec since;	/* when it began */
};

void fr_logger_init(struct fr_logger *log);
/* The callbacks of struct fr_ctx; @data is the logger. */
void fr_logger_log(void *data, enum fr_log_level level, const char *text);
void fr_logger_progress(void *data, const char *what, uint64_t done, uint64_t total,
			const char *unit);
/* "kexec-fastrestart: @text" */
void fr_logger_error(struct fr_logger *log, const char *text);

/*
 * @text with whatever a terminal might act upon (control characters, bytes that
 * are not UTF-8) written as \xNN; malloc'ed, NULL when out of memory.
 */
char *fr_escape(const char *text);

#endif
