// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "command.h"

static int run_release(struct fr_invocation *inv, int argc, char **argv)
{
	int r = fr_simple_options(inv, argc, argv, NULL);

	if (r)
		return r;
	if (optind == argc)
		return fr_usage_error(inv, "which regions? (list shows them)");
	return fr_release(inv->ctx, argv + optind, (size_t)(argc - optind), inv->e);
}

const struct fr_command fr_cmd_release = {
	.name = "release",
	.run = run_release,
	.help = "clear kept memory and give it to the running kernel",
	.usage = "NAME...\n"
		 "\n"
		 "Clear the pages of each region NAME and give them to the running kernel.  Their\n"
		 "contents are gone.\n"
		 "\n"
		 "  -v, --verbose  show each step\n",
};
