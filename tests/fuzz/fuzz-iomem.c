// SPDX-License-Identifier: GPL-2.0-or-later
/* /proc/iomem, and the command line with its carve-outs and sizes. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "plan.h"

static void check(struct fr_ranges *r)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->v[i].start >= r->v[i].end || (i && r->v[i].start <= r->v[i - 1].end))
			abort();
	fr_ranges_clear(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *cmdline = NULL;
	struct fr_cmdline_needs needs;
	struct fr_ranges r;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (!fr_iomem_parse(text, "System RAM", &r, NULL))
		check(&r);
	if (!fr_cmdline_carve_outs(text, &r))
		check(&r);
	if (!fr_cmdline_policy(text, true, &cmdline, NULL, NULL))
		fr_cmdline_needs(cmdline, &needs);
	free(cmdline);
	free(text);
	return 0;
}
