// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "command.h"

#include <string.h>

static const struct fr_column columns[] = {
	{"kernel_patched", "Running kernel is patched", FR_COL_BOOL},
	{"min_version", "  oldest descriptor version", FR_COL_COUNT},
	{"max_version", "  newest descriptor version", FR_COL_COUNT},
	{"kernel_status", "Descriptor of the last hop", FR_COL_TEXT},
	{"hop", "Hops since the cold boot", FR_COL_COUNT},
	{"kept_regions", "Regions kept", FR_COL_COUNT},
	{"kept_bytes", "  memory", FR_COL_BYTES},
	{"restorable", "  can be restored here", FR_COL_BOOL},
	{"staged", "Staged for exec", FR_COL_BOOL},
	{"staged_kernel", "  kernel", FR_COL_TEXT},
	{"staged_regions", "  regions", FR_COL_COUNT},
	{"staged_vms", "  VMs", FR_COL_COUNT},
	{"left_behind", "Left by a killed exec: run unload", FR_COL_BOOL},
	{"offline_blocks", "Memory blocks offline for it", FR_COL_COUNT},
	{"offline_bytes", "  memory", FR_COL_BYTES},
};

static int show_status(struct fr_invocation *inv, const struct fr_status *s, bool json)
{
	struct fr_output *out = fr_output_new(json);
	const struct fr_descriptor *d = s->handed;
	uint64_t kept = 0, kept_bytes = 0;

	for (size_t i = 0; d && i < d->nr_regions; i++) {
		if (s->states[i] == FR_STATE_RESTORED || s->states[i] == FR_STATE_RELEASED)
			continue;
		kept++;
		kept_bytes += fr_kept_bytes(&d->regions[i]);
	}
	fr_output_record(out, "status", NULL, columns, FR_NR(columns));
	fr_output_values(out, fr_num(s->kernel_patched),
			 s->kernel_patched ? fr_num(s->min_version) : FR_ABSENT,
			 s->kernel_patched ? fr_num(s->max_version) : FR_ABSENT,
			 fr_text(s->kernel_status), fr_num(d ? d->hop : 0), fr_num(kept),
			 fr_num(kept_bytes),
			 kept ? fr_num(!strcmp(s->kernel_status, "accepted")) : FR_ABSENT,
			 fr_num(s->staged), s->staged ? fr_text(s->staged_kernel) : FR_ABSENT,
			 s->staged ? fr_num(s->staged_regions) : FR_ABSENT,
			 s->staged ? fr_num(s->staged_vms) : FR_ABSENT, fr_num(s->left_behind),
			 fr_num(s->offline_blocks),
			 s->offline_blocks ? fr_num(s->offline_bytes) : FR_ABSENT);
	return fr_output_end(out, inv->e);
}

static int run_status(struct fr_invocation *inv, int argc, char **argv)
{
	struct fr_status *s = NULL;
	bool json;
	int r = fr_simple_options(inv, argc, argv, &json);

	if (!r)
		r = fr_no_arguments(inv, argc, argv);
	if (!r)
		r = fr_status_read(inv->ctx, &s, inv->e);
	if (!r)
		r = show_status(inv, s, json);
	fr_status_free(s);
	return r;
}

const struct fr_command fr_cmd_status = {
	.name = "status",
	.run = run_status,
	.help = "what this kernel can do, what is kept and what is staged",
	.usage =
		"[--json]\n"
		"\n"
		"Show whether the running kernel is patched, what the last hop brought, how much is\n"
		"still kept, and what load has staged and taken offline.\n"
		"\n"
		"      --json     as JSON\n"
		"  -v, --verbose  show each step\n",
};
