// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include "command.h"

#include <stdio.h>

static const struct fr_column region_columns[] = {
	{"name", "NAME", FR_COL_TEXT},	      {"state", "STATE", FR_COL_TEXT},
	{"kind", "KIND", FR_COL_TEXT},	      {"size_bytes", "SIZE", FR_COL_BYTES},
	{"kept_bytes", "KEPT", FR_COL_BYTES}, {"page_bytes", "PAGE", FR_COL_BYTES},
	{"unlinked", NULL, FR_COL_BOOL},      {"digest", NULL, FR_COL_BOOL},
	{"path", "PATH", FR_COL_TEXT},
};

static const struct fr_column vm_columns[] = {
	{"name", "VM", FR_COL_TEXT},
	{"state_bytes", "DEVICE STATE", FR_COL_BYTES},
};

static void show_regions(struct fr_output *out, const struct fr_status *s)
{
	const struct fr_descriptor *d = s->handed;

	fr_output_table(out, "regions", NULL, region_columns, FR_NR(region_columns));
	for (size_t i = 0; d && i < d->nr_regions; i++) {
		const struct fr_region *g = &d->regions[i];

		fr_output_values(out, fr_text(g->name), fr_text(fr_state_name(s->states[i])),
				 fr_text(fr_kind_name(g->kind)), fr_num(g->size_bytes),
				 fr_num(fr_kept_bytes(g)), fr_num(1ull << g->page_shift),
				 fr_num((g->flags & FR_REGION_UNLINKED) != 0),
				 fr_num(g->digest_alg != FR_DIGEST_NONE), fr_text(g->path));
	}
}

static void show_vms(struct fr_output *out, const struct fr_descriptor *d)
{
	fr_output_table(out, "vms", NULL, vm_columns, FR_NR(vm_columns));
	for (size_t i = 0; d && i < d->nr_blobs; i++) {
		char name[FR_NAME_BYTES], state[2 * FR_NAME_BYTES];
		const struct fr_blob *blob;

		if (!fr_descriptor_vm(d, i, name))
			continue;
		snprintf(state, sizeof(state), "vm/%s/state", name);
		blob = fr_descriptor_blob(d, state);
		fr_output_values(out, fr_text(name), blob ? fr_num(blob->bytes) : FR_ABSENT);
	}
}

static int run_list(struct fr_invocation *inv, int argc, char **argv)
{
	struct fr_status *s = NULL;
	struct fr_output *out;
	bool json;
	int r = fr_simple_options(inv, argc, argv, &json);

	if (!r)
		r = fr_no_arguments(inv, argc, argv);
	if (!r)
		r = fr_status_read(inv->ctx, &s, inv->e);
	if (r)
		return r;
	out = fr_output_new(json);
	show_regions(out, s);
	show_vms(out, s->handed);
	r = fr_output_end(out, inv->e);
	fr_status_free(s);
	return r;
}

const struct fr_command fr_cmd_list = {
	.name = "list",
	.run = run_list,
	.help = "the regions and guests that the last hop brought",
	.usage =
		"[--json]\n"
		"\n"
		"List the regions that the last hop brought, with their state (kept, busy, restored,\n"
		"released), and the guests that came along.\n"
		"\n"
		"      --json     as JSON\n"
		"  -v, --verbose  show each step\n",
};
