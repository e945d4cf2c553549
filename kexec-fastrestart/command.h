/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What main.c and the commands (cmd-*.c, one file each) share. */
#ifndef FR_COMMAND_H
#define FR_COMMAND_H

#include <getopt.h>

#include "fastrestart.h"
#include "log.h"
#include "output.h"

struct fr_command;

struct fr_invocation {
	const struct fr_command *command;
	const struct fr_ctx *ctx;
	struct fr_logger *log;
	struct fr_error *e; /* a failing run() describes its failure here */
};

/**
 * struct fr_command - closes the file of each command
 * @name:  on the command line
 * @run:   with argv[0] being @name; 0 on success, a negative errno with
 *         fr_invocation.e filled otherwise, FR_DONE after --help
 * @help:  one line for the list of commands
 * @usage: arguments, then one line for each option; for COMMAND --help
 */
struct fr_command {
	const char *name;
	int (*run)(struct fr_invocation *inv, int argc, char **argv);
	const char *help;
	const char *usage;
};

#define FR_DONE 1

extern const struct fr_command fr_cmd_load, fr_cmd_exec, fr_cmd_restore, fr_cmd_release;
extern const struct fr_command fr_cmd_status, fr_cmd_list, fr_cmd_inspect;
extern const struct fr_command fr_cmd_unload, fr_cmd_report;

/* Every command's own option table starts with these; ':' makes getopt tell what is missing. */
#define FR_COMMON_SHORT ":hv"
#define FR_COMMON_LONG                            \
	{"help", no_argument, NULL, 'h'},         \
	{                                         \
		"verbose", no_argument, NULL, 'v' \
	}

/* The options that are not the command's own: 0, FR_DONE after --help, or a usage error. */
int fr_common_option(struct fr_invocation *inv, int opt, char **argv);
/* "release: TEXT: see ..." */
int fr_usage_error(struct fr_invocation *inv, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Parse the common options and, if @ret_json, --json; leaves optind at the arguments. */
int fr_simple_options(struct fr_invocation *inv, int argc, char **argv, bool *ret_json);
/* Refuse arguments that are left from argv[optind] on. */
int fr_no_arguments(struct fr_invocation *inv, int argc, char **argv);
/* A number of seconds, with a fraction if need be, as milliseconds (not zero). */
int fr_parse_seconds(struct fr_invocation *inv, const char *option, const char *text,
		     unsigned int *ret_ms);

const char *fr_kind_name(enum fr_kind kind);
const char *fr_state_name(enum fr_region_state state);
uint64_t fr_kept_bytes(const struct fr_region *r);

#endif
