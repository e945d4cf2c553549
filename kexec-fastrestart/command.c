// SPDX-License-Identifier: GPL-2.0-or-later
/* What the commands share: options and words. */
#include "config.h"

#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "kexec-fastrestart"

int fr_usage_error(struct fr_invocation *inv, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fr_fail(inv->e, FR_FAULT_USAGE, EINVAL, "%s: %s: see " PROGRAM " %s --help",
		       inv->command->name, text, inv->command->name);
}

int fr_common_option(struct fr_invocation *inv, int opt, char **argv)
{
	const char *name = argv[optind - 1];

	switch (opt) {
	case 'h':
		printf("Usage: " PROGRAM " %s %s", inv->command->name, inv->command->usage);
		return FR_DONE;
	case 'v':
		inv->log->verbosity++;
		return 0;
	case ':':
		return fr_usage_error(inv, "option %s needs an argument", name);
	default:
		if (optopt && optopt < 0x80 && strncmp(name, "--", 2))
			return fr_usage_error(inv, "unknown option -%c", optopt);
		return fr_usage_error(inv, "option %s is unknown, ambiguous or takes no argument",
				      name);
	}
}

int fr_no_arguments(struct fr_invocation *inv, int argc, char **argv)
{
	if (optind < argc)
		return fr_usage_error(inv, "unexpected argument '%s'", argv[optind]);
	return 0;
}

int fr_parse_seconds(struct fr_invocation *inv, const char *option, const char *text,
		     unsigned int *ret_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.001) || seconds > 86400)
		return fr_usage_error(inv, "%s '%s': not a number of seconds (0.001 to 86400)",
				      option, text);
	*ret_ms = (unsigned int)(seconds * 1000 + 0.5);
	return 0;
}

int fr_simple_options(struct fr_invocation *inv, int argc, char **argv, bool *ret_json)
{
	static const struct option options[] = {
		FR_COMMON_LONG,
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	static const struct option options_without_json[] = {
		FR_COMMON_LONG,
		{0},
	};
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, FR_COMMON_SHORT,
				  ret_json ? options : options_without_json, NULL)) != -1) {
		int r = opt == 'j' ? 0 : fr_common_option(inv, opt, argv);

		if (r)
			return r;
		json |= opt == 'j';
	}
	if (ret_json)
		*ret_json = json;
	return 0;
}

const char *fr_kind_name(enum fr_kind kind)
{
	switch (kind) {
	case FR_KIND_RAW:
		return "raw";
	case FR_KIND_SHMEM:
		return "tmpfs";
	case FR_KIND_HUGETLB:
		return "hugetlbfs";
	}
	return "unknown";
}

const char *fr_state_name(enum fr_region_state state)
{
	switch (state) {
	case FR_STATE_KEPT:
		return "kept";
	case FR_STATE_BUSY:
		return "busy";
	case FR_STATE_RESTORED:
		return "restored";
	case FR_STATE_RELEASED:
		return "released";
	}
	return "unknown";
}

uint64_t fr_kept_bytes(const struct fr_region *r)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < r->extents.nr; i++)
		pages += r->extents.v[i].nr_pages;
	return pages << FR_PAGE_SHIFT;
}
