// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kexec-fastrestart(8): options that come before the command, the choice of the
 * command, and the one place that maps failures to exit codes.
 *
 * The environment of the tests (HACKING.md, "Faults"):
 *   KEXEC_FASTRESTART_ROOT            prefix of /proc, /sys, /run and /dev
 *   KEXEC_FASTRESTART_STOP_AT=STAGE[:SIGNAL]
 *                                     send this process SIGNAL (KILL) at STAGE of exec
 */
#include "config.h"

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "command.h"

#define PROGRAM "kexec-fastrestart"

static const struct fr_command *const commands[] = {
	&fr_cmd_load, &fr_cmd_exec,    &fr_cmd_restore, &fr_cmd_release, &fr_cmd_status,
	&fr_cmd_list, &fr_cmd_inspect, &fr_cmd_unload,	&fr_cmd_report,
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* EXIT STATUS of kexec-fastrestart(8); these numbers are stable. */
static int exit_code(enum fr_fault fault)
{
	switch (fault) {
	case FR_FAULT_USAGE:
		return 2;
	case FR_FAULT_REFUSED:
		return 3;
	case FR_FAULT_IMAGE:
		return 4;
	case FR_FAULT_DESCRIPTOR:
		return 5;
	case FR_FAULT_VM:
		return 6;
	case FR_FAULT_NOT_FOUND:
		return 7;
	case FR_FAULT_PERMISSION:
		return 8;
	case FR_FAULT_MISMATCH:
		return 9;
	case FR_FAULT_INTERRUPTED:
		return 130;
	case FR_FAULT_NONE:
	case FR_FAULT_SYSTEM:
		break;
	}
	return 1;
}

/* What the stage callback needs beside the logger: struct fr_ctx has one data pointer. */
static struct {
	char name[64];
	int signo;
} stop_at;

static int signal_number(const char *name)
{
	char *end;
	long n = strtol(name, &end, 10);

	if (end != name && !*end)
		return n > 0 && n < NSIG ? (int)n : -1;
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *abbreviation = sigabbrev_np(i);

		if (abbreviation && !strcasecmp(name, abbreviation))
			return i;
	}
	return -1;
}

static int parse_stop_at(const char *spec, struct fr_error *e)
{
	size_t len = strcspn(spec, ":");

	stop_at.signo = spec[len] ? signal_number(spec + len + 1) : SIGKILL;
	if (!len || len >= sizeof(stop_at.name) || stop_at.signo < 0)
		return fr_fail(
			e, FR_FAULT_USAGE, EINVAL,
			"KEXEC_FASTRESTART_STOP_AT=%s: not STAGE[:SIGNAL]: correct or unset it",
			spec);
	memcpy(stop_at.name, spec, len);
	return 0;
}

static void reached_stage(void *data, const char *name)
{
	(void)data;
	if (!strcmp(stop_at.name, name))
		kill(getpid(), stop_at.signo);
}

static void help(void)
{
	puts("Usage: " PROGRAM " [-v] COMMAND [OPTION]...\n"
	     "       " PROGRAM " --help | --version\n"
	     "\n"
	     "Kexec into a new kernel while chosen memory stays where it is.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		printf("  %-8s  %s\n", commands[i]->name, commands[i]->help);
	puts("\n"
	     "  -v, --verbose  show each step; twice: details as well\n"
	     "      --help     this text, or a command's with COMMAND --help\n"
	     "      --version  version of this program and of the descriptor format\n"
	     "\n"
	     "See kexec-fastrestart(8), and kexec-fastrestart(7) for a walk-through.");
}

static void version(void)
{
	printf(PROGRAM " %s (descriptor version %u)\n", PACKAGE_VERSION, FR_VERSION);
}

static const struct fr_command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* The options before the command: FR_DONE when nothing is left to do. */
static int parse_global(int argc, char **argv, struct fr_logger *log, struct fr_error *e)
{
	static const struct option options[] = {
		FR_COMMON_LONG,
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int opt;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+hv", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			help();
			return FR_DONE;
		case 'V':
			version();
			return FR_DONE;
		case 'v':
			log->verbosity++;
			break;
		default:
			return fr_fail(e, FR_FAULT_USAGE, EINVAL,
				       "unknown option %s: see " PROGRAM " --help",
				       argv[optind - 1]);
		}
	}
	if (optind == argc)
		return fr_fail(e, FR_FAULT_USAGE, EINVAL, "which command?: see " PROGRAM " --help");
	return 0;
}

static int run(int argc, char **argv, struct fr_ctx *ctx, struct fr_error *e)
{
	const char *spec = getenv("KEXEC_FASTRESTART_STOP_AT");
	struct fr_invocation inv = {.ctx = ctx, .log = ctx->data, .e = e};
	int r = parse_global(argc, argv, inv.log, e);

	if (r)
		return r;
	if (spec) {
		r = parse_stop_at(spec, e);
		if (r)
			return r;
	}
	argc -= optind;
	argv += optind;
	inv.command = find_command(argv[0]);
	if (!inv.command)
		return fr_fail(e, FR_FAULT_USAGE, EINVAL,
			       "unknown command '%s': see " PROGRAM " --help", argv[0]);
	optind = 0; /* starts getopt anew, GNU extensions included */
	return inv.command->run(&inv, argc, argv);
}

int main(int argc, char **argv)
{
	struct fr_logger log;
	struct fr_error e = {0};
	struct fr_ctx ctx = {
		.root = getenv("KEXEC_FASTRESTART_ROOT"),
		.log = fr_logger_log,
		.progress = fr_logger_progress,
		.stage = reached_stage,
		.data = &log,
	};
	int r;

	setlocale(LC_CTYPE, "");
	fr_logger_init(&log);
	r = run(argc, argv, &ctx, &e);
	/* A full disk or a closed pipe is a failure as well: a reader may trust what it got. */
	if (r >= 0 && (fflush(stdout) || ferror(stdout)))
		r = fr_fail(&e, FR_FAULT_SYSTEM, errno ? errno : EIO, "standard output: %s",
			    strerror(errno ? errno : EIO));
	if (r >= 0)
		return EXIT_SUCCESS;
	fr_logger_error(&log, e.text[0] ? e.text : strerror(-r));
	return exit_code(e.fault);
}
