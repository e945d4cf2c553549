// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

struct load_arguments {
	struct fr_load_options o;
	bool dry_run, json;
};

static int add_source(struct fr_invocation *inv, struct fr_load_options *o, const char *spec)
{
	struct fr_source *v = reallocarray(o->sources, o->nr_sources + 1, sizeof(*v));
	int r;

	if (!v)
		return fr_fail(inv->e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	o->sources = v;
	r = fr_source_parse(spec, &v[o->nr_sources], inv->e);
	if (!r)
		o->nr_sources++;
	return r;
}

static int add_vm(struct fr_invocation *inv, struct fr_load_options *o, const char *spec)
{
	struct fr_vm_arg *v = reallocarray(o->vms, o->nr_vms + 1, sizeof(*v));
	int r;

	if (!v)
		return fr_fail(inv->e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	o->vms = v;
	r = fr_vm_arg_parse(spec, &v[o->nr_vms], inv->e);
	if (!r)
		o->nr_vms++;
	return r;
}

enum {
	OPT_KERNEL = 256,
	OPT_INITRD,
	OPT_APPEND,
	OPT_REUSE_CMDLINE,
	OPT_PRESERVE,
	OPT_VM,
	OPT_DIGEST,
	OPT_DRY_RUN,
	OPT_ALLOW_UNPATCHED,
	OPT_FORCE,
	OPT_EVACUATE,
	OPT_DESCRIPTOR,
	OPT_JSON,
};

static const struct option options[] = {
	FR_COMMON_LONG,
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"initrd", required_argument, NULL, OPT_INITRD},
	{"append", required_argument, NULL, OPT_APPEND},
	{"reuse-cmdline", no_argument, NULL, OPT_REUSE_CMDLINE},
	{"preserve", required_argument, NULL, OPT_PRESERVE},
	{"vm", required_argument, NULL, OPT_VM},
	{"digest", no_argument, NULL, OPT_DIGEST},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"allow-unpatched", no_argument, NULL, OPT_ALLOW_UNPATCHED},
	{"force", no_argument, NULL, OPT_FORCE},
	{"evacuate", no_argument, NULL, OPT_EVACUATE},
	{"descriptor", required_argument, NULL, OPT_DESCRIPTOR},
	{"json", no_argument, NULL, OPT_JSON},
	{0},
};

static int load_option(struct fr_invocation *inv, int opt, char **argv, struct load_arguments *a)
{
	struct fr_load_options *o = &a->o;

	switch (opt) {
	case OPT_KERNEL:
		o->kernel = optarg;
		return 0;
	case OPT_INITRD:
		o->initrd = optarg;
		return 0;
	case OPT_APPEND:
		o->append = optarg;
		return 0;
	case OPT_REUSE_CMDLINE:
		o->reuse_cmdline = true;
		return 0;
	case OPT_PRESERVE:
		return add_source(inv, o, optarg);
	case OPT_VM:
		return add_vm(inv, o, optarg);
	case OPT_DIGEST:
		o->digest = true;
		return 0;
	case OPT_DRY_RUN:
		a->dry_run = true;
		return 0;
	case OPT_ALLOW_UNPATCHED:
		o->allow_unpatched = true;
		return 0;
	case OPT_FORCE:
		o->force = true;
		return 0;
	case OPT_EVACUATE:
		o->evacuate = true;
		return 0;
	case OPT_DESCRIPTOR:
		o->descriptor_file = optarg;
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	default:
		return fr_common_option(inv, opt, argv);
	}
}

static int load_arguments(struct fr_invocation *inv, int argc, char **argv,
			  struct load_arguments *a)
{
	int opt, r;

	while ((opt = getopt_long(argc, argv, FR_COMMON_SHORT, options, NULL)) != -1) {
		r = load_option(inv, opt, argv, a);
		if (r)
			return r;
	}
	r = fr_no_arguments(inv, argc, argv);
	if (r)
		return r;
	if (!a->o.kernel)
		return fr_usage_error(inv, "--kernel is missing");
	if (a->o.append && a->o.reuse_cmdline)
		return fr_usage_error(inv, "--append and --reuse-cmdline exclude each other");
	return 0;
}

static const struct fr_column plan_columns[] = {
	{"patched", "Next kernel takes the descriptor", FR_COL_BOOL},
	{"regions", "Regions", FR_COL_COUNT},
	{"kept_bytes", "Kept memory", FR_COL_BYTES},
	{"full_sections", "Full sections", FR_COL_COUNT},
	{"mixed_sections", "Mixed sections", FR_COL_COUNT},
	{"hidden_bytes", "Hidden from the next kernel's boot", FR_COL_BYTES},
	{"clean_bytes", "Clean memory", FR_COL_BYTES},
	{"needed_bytes", "  needed", FR_COL_BYTES},
	{"clean_low_bytes", "Clean memory below 4 GiB", FR_COL_BYTES},
	{"needed_low_bytes", "  needed", FR_COL_BYTES},
	{"largest_clean_bytes", "Largest clean range", FR_COL_BYTES},
	{"cmdline", "Command line", FR_COL_TEXT},
	{"staged", NULL, FR_COL_BOOL},
};

static const struct fr_column region_columns[] = {
	{"name", "NAME", FR_COL_TEXT},	      {"kind", "KIND", FR_COL_TEXT},
	{"size_bytes", "SIZE", FR_COL_BYTES}, {"kept_bytes", "KEPT", FR_COL_BYTES},
	{"page_bytes", "PAGE", FR_COL_BYTES}, {"extents", "EXTENTS", FR_COL_COUNT},
	{"first_phys", "FIRST", FR_COL_HEX},  {"path", "PATH", FR_COL_TEXT},
};

static const struct fr_column place_columns[] = {
	{"what", "WHAT", FR_COL_TEXT},
	{"bytes", "SIZE", FR_COL_BYTES},
};

static const struct fr_column range_columns[] = {
	{"start_phys", "START", FR_COL_HEX},
	{"end_phys", "END", FR_COL_HEX},
	{"bytes", "SIZE", FR_COL_BYTES},
};

static const struct fr_column warning_columns[] = {
	{"text", "WARNING", FR_COL_TEXT},
};

static void show_regions(struct fr_output *out, const struct fr_plan *p)
{
	fr_output_table(out, "regions", "Regions", region_columns, FR_NR(region_columns));
	for (size_t i = 0; i < p->nr_regions; i++) {
		const struct fr_region *g = &p->regions[i];

		fr_output_values(out, fr_text(g->name), fr_text(fr_kind_name(g->kind)),
				 fr_num(g->size_bytes), fr_num(fr_kept_bytes(g)),
				 fr_num(1ull << g->page_shift), fr_num(g->extents.nr),
				 g->extents.nr ?
					 fr_num(g->extents.v[0].start_pfn << FR_PAGE_SHIFT) :
					 FR_ABSENT,
				 fr_text(g->path));
	}
}

/* Sizes only: exec chooses the addresses, out of the pages that it gets. */
static void show_places(struct fr_output *out, const struct fr_plan *p)
{
	fr_output_table(out, "places", "Needed in clean memory", place_columns,
			FR_NR(place_columns));
	for (size_t i = 0; i < p->nr_places; i++)
		fr_output_values(out, fr_text(p->places[i].what), fr_num(p->places[i].bytes));
}

static void show_ranges(struct fr_output *out, const char *key, const char *title,
			const struct fr_ranges *ranges)
{
	fr_output_table(out, key, title, range_columns, FR_NR(range_columns));
	for (size_t i = 0; i < ranges->nr; i++) {
		const struct fr_range *g = &ranges->v[i];

		fr_output_values(out, fr_num(g->start), fr_num(g->end), fr_num(g->end - g->start));
	}
}

static int show_plan(struct fr_invocation *inv, const struct load_arguments *a,
		     const struct fr_plan *p)
{
	struct fr_output *out = fr_output_new(a->json);

	show_regions(out, p);
	fr_output_record(out, "plan", "Plan", plan_columns, FR_NR(plan_columns));
	fr_output_values(out, fr_num(p->patched), fr_num(p->nr_regions), fr_num(p->kept_bytes),
			 fr_num(p->full_sections), fr_num(p->mixed_sections),
			 fr_num(p->hidden_bytes), fr_num(p->clean_bytes), fr_num(p->needed_bytes),
			 fr_num(p->clean_low_bytes), fr_num(p->needed_low_bytes),
			 fr_num(p->largest_clean_bytes), fr_text(p->cmdline), fr_num(!a->dry_run));
	show_places(out, p);
	show_ranges(out, "hidden", "Hidden ranges", &p->hidden);
	show_ranges(out, "clean", "Clean ranges", &p->clean);
	fr_output_table(out, "warnings", NULL, warning_columns, FR_NR(warning_columns));
	for (size_t i = 0; i < p->nr_warnings; i++)
		fr_output_values(out, fr_text(p->warnings[i].text));
	return fr_output_end(out, inv->e);
}

static int run_load(struct fr_invocation *inv, int argc, char **argv)
{
	struct load_arguments a = {0};
	struct fr_plan *plan = NULL;
	char size[32];
	int r = load_arguments(inv, argc, argv, &a);

	if (!r)
		r = fr_load(inv->ctx, &a.o, a.dry_run, &plan, inv->e);
	if (r)
		goto out;
	if (a.dry_run || a.json) {
		r = show_plan(inv, &a, plan);
		goto out;
	}
	for (size_t i = 0; i < plan->nr_warnings; i++)
		fr_logger_log(inv->log, FR_LOG_WARN, plan->warnings[i].text);
	printf("staged: %zu region%s, %s kept, %zu VM%s; kexec-fastrestart exec jumps\n",
	       plan->nr_regions, plan->nr_regions == 1 ? "" : "s",
	       fr_bytes_text(plan->kept_bytes, size, sizeof(size)), a.o.nr_vms,
	       a.o.nr_vms == 1 ? "" : "s");
out:
	fr_plan_free(plan);
	fr_load_options_clear(&a.o);
	return r;
}

const struct fr_command fr_cmd_load = {
	.name = "load",
	.run = run_load,
	.help = "plan a hop, prepare the next kernel and stage both",
	.usage =
		"--kernel IMAGE [OPTION]...\n"
		"\n"
		"Plan a hop, prepare the next kernel's image and stage both for exec.  The running\n"
		"kernel and the guests are not touched, but for memory that --evacuate takes offline.\n"
		"\n"
		"      --kernel IMAGE      bzImage or vmlinux ELF of the next kernel\n"
		"      --initrd FILE       its initrd\n"
		"      --append ARGS       its command line\n"
		"      --reuse-cmdline     the running kernel's command line, less what would contradict\n"
		"                          the plan\n"
		"      --preserve SOURCE[,name=NAME]\n"
		"                          keep SOURCE: [file:]/PATH on hugetlbfs or tmpfs, or\n"
		"                          phys:START+SIZE (may be repeated)\n"
		"      --vm NAME=SOCKET    keep the QEMU guest behind the QMP socket (may be repeated)\n"
		"      --digest            take digests of the contents at exec, for restore to check\n"
		"      --dry-run           show the whole plan and change nothing\n"
		"      --allow-unpatched   accept a kernel that cannot restore; it leaves the memory alone\n"
		"      --force             replace what is staged already; go on without a descriptor of the\n"
		"                          last hop that is damaged\n"
		"      --evacuate          where kept pages leave the next kernel too little memory, take memory\n"
		"                          blocks offline to make some; unload puts them back\n"
		"      --descriptor FILE   regions kept since before a plain kexec (see inspect --raw)\n"
		"      --json              show the plan as JSON\n"
		"  -v, --verbose           show each step\n",
};
