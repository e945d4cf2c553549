// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "command.h"

enum { OPT_ALL = 256, OPT_DIRECTORY, OPT_NO_VMS, OPT_NO_VERIFY, OPT_VM_TIMEOUT };

static const struct option options[] = {
	FR_COMMON_LONG,
	{"all", no_argument, NULL, OPT_ALL},
	{"directory", required_argument, NULL, OPT_DIRECTORY},
	{"no-vms", no_argument, NULL, OPT_NO_VMS},
	{"no-verify", no_argument, NULL, OPT_NO_VERIFY},
	{"vm-timeout", required_argument, NULL, OPT_VM_TIMEOUT},
	{0},
};

static int restore_option(struct fr_invocation *inv, int opt, char **argv,
			  struct fr_restore_options *o)
{
	switch (opt) {
	case OPT_ALL:
		o->all = true;
		return 0;
	case OPT_DIRECTORY:
		o->directory = optarg;
		return 0;
	case OPT_NO_VMS:
		o->no_vms = true;
		return 0;
	case OPT_NO_VERIFY:
		o->verify = false;
		return 0;
	case OPT_VM_TIMEOUT:
		return fr_parse_seconds(inv, "--vm-timeout", optarg, &o->vm_timeout_ms);
	default:
		return fr_common_option(inv, opt, argv);
	}
}

static int run_restore(struct fr_invocation *inv, int argc, char **argv)
{
	struct fr_restore_options o = {.verify = true};
	int opt, r;

	while ((opt = getopt_long(argc, argv, FR_COMMON_SHORT, options, NULL)) != -1) {
		r = restore_option(inv, opt, argv, &o);
		if (r)
			return r;
	}
	if (o.all && optind < argc)
		return fr_usage_error(inv, "names and --all exclude each other");
	if (!o.all && optind == argc)
		return fr_usage_error(inv, "which ones? Give names (list shows them) or --all");
	if (!o.all) {
		o.names = argv + optind;
		o.nr_names = (size_t)(argc - optind);
	}
	return fr_restore(inv->ctx, &o, inv->e);
}

const struct fr_command fr_cmd_restore = {
	.name = "restore",
	.run = run_restore,
	.help = "give kept memory back as files and resume guests",
	.usage =
		"NAME... | --all [OPTION]...\n"
		"\n"
		"Give each region back as the file it was, and resume the guests whose memory it is.\n"
		"NAME is a region or a guest.  A region that cannot be restored stays kept.\n"
		"\n"
		"      --all                 everything that is kept\n"
		"      --directory DIR       make the files in DIR instead of at their own paths\n"
		"      --no-vms              regions only: do not start guests\n"
		"      --no-verify           do not compare contents with the digests of load --digest\n"
		"      --vm-timeout SECONDS  how long a VMM may take to answer (30)\n"
		"  -v, --verbose             show each step\n",
};
