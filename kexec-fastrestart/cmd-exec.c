// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "command.h"

enum { OPT_NO_IN_PLACE = 256, OPT_NO_FREEZE, OPT_NO_SYNC, OPT_VM_TIMEOUT };

static const struct option options[] = {
	FR_COMMON_LONG,
	{"no-in-place", no_argument, NULL, OPT_NO_IN_PLACE},
	{"no-freeze", no_argument, NULL, OPT_NO_FREEZE},
	{"no-sync", no_argument, NULL, OPT_NO_SYNC},
	{"vm-timeout", required_argument, NULL, OPT_VM_TIMEOUT},
	{0},
};

static int exec_option(struct fr_invocation *inv, int opt, char **argv, struct fr_exec_options *o)
{
	switch (opt) {
	case OPT_NO_IN_PLACE:
		o->no_in_place = true;
		return 0;
	case OPT_NO_FREEZE:
		o->no_freeze = true;
		return 0;
	case OPT_NO_SYNC:
		o->no_sync = true;
		return 0;
	case OPT_VM_TIMEOUT:
		return fr_parse_seconds(inv, "--vm-timeout", optarg, &o->vm_timeout_ms);
	default:
		return fr_common_option(inv, opt, argv);
	}
}

static int run_exec(struct fr_invocation *inv, int argc, char **argv)
{
	struct fr_exec_options o = {0};
	int opt, r;

	while ((opt = getopt_long(argc, argv, FR_COMMON_SHORT, options, NULL)) != -1) {
		r = exec_option(inv, opt, argv, &o);
		if (r)
			return r;
	}
	r = fr_no_arguments(inv, argc, argv);
	return r ? r : fr_exec(inv->ctx, &o, inv->e);
}

const struct fr_command fr_cmd_exec = {
	.name = "exec",
	.run = run_exec,
	.help = "pause the guests and jump into the staged kernel",
	.usage =
		"[OPTION]...\n"
		"\n"
		"Pause the guests, seal the descriptor and jump into the kernel that load has staged.\n"
		"Other processes that have kept files open are frozen.  If anything fails before the\n"
		"jump, all of them run on and the host is as it was.\n"
		"\n"
		"      --no-in-place         let kexec copy the image instead of placing it where it runs\n"
		"      --no-freeze           do not freeze other processes that have kept files open\n"
		"      --no-sync             do not sync file systems before the guests are paused\n"
		"      --vm-timeout SECONDS  how long a VMM may take to answer (10)\n"
		"  -v, --verbose             show each step\n",
};
