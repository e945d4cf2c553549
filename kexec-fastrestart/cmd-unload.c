// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "command.h"

static int run_unload(struct fr_invocation *inv, int argc, char **argv)
{
	int r = fr_simple_options(inv, argc, argv, NULL);

	if (r)
		return r;
	r = fr_no_arguments(inv, argc, argv);
	return r ? r : fr_unload(inv->ctx, inv->e);
}

const struct fr_command fr_cmd_unload = {
	.name = "unload",
	.run = run_unload,
	.help = "remove what load has staged",
	.usage = "\n"
		 "\n"
		 "Remove what load has staged, and put back online what it has taken offline.\n"
		 "\n"
		 "  -v, --verbose  show each step\n",
};
