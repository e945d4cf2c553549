// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "kexec-fastrestart"

/* Anything shorter than this is not worth a progress line. */
#define PROGRESS_AFTER_MS 1000

/*
 * Length of the printable UTF-8 sequence at @s, 0 if there is none: not a control
 * character (C0, DEL, C1), not overlong, not a surrogate, not beyond U+10FFFF, and
 * none of the marks that reorder the text around them.
 */
static size_t printable(const unsigned char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t bytes = s[0] < 0x80 ? 1 :
		       s[0] < 0xc2 ? 0 :
		       s[0] < 0xe0 ? 2 :
		       s[0] < 0xf0 ? 3 :
		       s[0] < 0xf5 ? 4 :
				     0;
	uint32_t c;

	if (bytes <= 1)
		return bytes && s[0] >= 0x20 && s[0] != 0x7f;
	c = s[0] & (0x7f >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[bytes] || c < 0xa0 || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	if (c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return 0;
	return bytes;
}

char *fr_escape(const char *text)
{
	const unsigned char *in = (const unsigned char *)text;
	char *ret = malloc(strlen(text) * 4 + 1);
	char *out = ret;

	if (!ret)
		return NULL;
	while (*in) {
		size_t bytes = printable(in);

		if (bytes) {
			memcpy(out, in, bytes);
			out += bytes;
			in += bytes;
		} else {
			out += sprintf(out, "\\x%02x", *in++);
		}
	}
	*out = '\0';
	return ret;
}

void fr_logger_init(struct fr_logger *log)
{
	*log = (struct fr_logger){.tty = isatty(STDERR_FILENO)};
}

static void close_line(struct fr_logger *log)
{
	if (log->line_open)
		fputs("\r\033[K", stderr);
	log->line_open = false;
}

static void say(struct fr_logger *log, const char *prefix, const char *text)
{
	char *escaped = fr_escape(text);

	close_line(log);
	fprintf(stderr, PROGRAM ": %s%s\n", prefix, escaped ? escaped : "out of memory");
	free(escaped);
}

void fr_logger_error(struct fr_logger *log, const char *text)
{
	say(log, "", text);
}

void fr_logger_log(void *data, enum fr_log_level level, const char *text)
{
	struct fr_logger *log = data;

	if (level == FR_LOG_WARN)
		say(log, "warning: ", text);
	else if (log->verbosity >= (level == FR_LOG_STEP ? 1 : 2))
		say(log, "", text);
}

static int64_t ms_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)(now.tv_sec - then->tv_sec) * 1000 +
	       (now.tv_nsec - then->tv_nsec) / 1000000;
}

void fr_logger_progress(void *data, const char *what, uint64_t done, uint64_t total,
			const char *unit)
{
	struct fr_logger *log = data;
	char *escaped;

	if (!log->tty)
		return;
	if (strncmp(log->what, what, sizeof(log->what) - 1)) {
		close_line(log);
		snprintf(log->what, sizeof(log->what), "%s", what);
		clock_gettime(CLOCK_MONOTONIC, &log->since);
	}
	if (done >= total) {
		close_line(log);
		log->what[0] = '\0';
		return;
	}
	if (ms_since(&log->since) < PROGRESS_AFTER_MS)
		return;
	escaped = fr_escape(what);
	fprintf(stderr, "\r" PROGRAM ": %s: %" PRIu64 " of %" PRIu64 " %s (%.0f %%)\033[K",
		escaped ? escaped : "", done, total, unit, 100.0 * (double)done / (double)total);
	fflush(stderr);
	free(escaped);
	log->line_open = true;
}
