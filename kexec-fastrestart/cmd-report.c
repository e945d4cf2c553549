// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

enum { OPT_JSON = 256, OPT_SVG };

static const struct option options[] = {
	FR_COMMON_LONG,
	{"json", no_argument, NULL, OPT_JSON},
	{"svg", required_argument, NULL, OPT_SVG},
	{0},
};

/* What was going on until the stamp was taken. */
static const struct {
	const char *key, *phase;
} stamps[FR_STAMP_USER_NR] = {
	[FR_STAMP_FREEZE] = {"freeze", "running"},
	[FR_STAMP_STATE_SAVED] = {"state_saved", "stop guests, save device state"},
	[FR_STAMP_SEALED] = {"sealed", "compare frames, seal descriptor"},
	[FR_STAMP_JUMP] = {"jump", "reach reboot()"},
	[FR_STAMP_TRAMPOLINE] = {"trampoline", "running kernel shuts down"},
	[FR_STAMP_KERNEL_ENTRY] = {"kernel_entry", "enter next kernel"},
	[FR_STAMP_DEFERRED_BEGIN] = {"deferred_begin", "early boot"},
	[FR_STAMP_DEFERRED_END] = {"deferred_end", "deferred struct pages"},
	[FR_STAMP_SECTIONS_BEGIN] = {"sections_begin", "page allocator, late"},
	[FR_STAMP_SECTIONS_END] = {"sections_end", "add mixed sections"},
	[FR_STAMP_INIT] = {"init", "initcalls"},
	[FR_STAMP_RESTORE_BEGIN] = {"restore_begin", "user space until restore"},
	[FR_STAMP_RESTORED] = {"restored", "restore regions"},
	[FR_STAMP_VMM_UP] = {"vmm_up", "start first VMM"},
	[FR_STAMP_RESUMED] = {"resumed", "load device state, resume guests"},
};

struct phase {
	enum fr_stamp_id end;  /* the stamp that ends it */
	uint64_t begin_us, us; /* from the first stamp */
};

struct vm {
	char name[FR_NAME_BYTES];
	uint64_t begin_us, us; /* from the freeze until it ran on; as above */
	bool resumed;
};

struct timeline {
	struct phase v[FR_STAMP_USER_NR];
	size_t nr;
	struct vm *vms;
	size_t nr_vms;
	uint64_t total_us, blackout_us;
	bool has_blackout; /* guests were stopped and run again */
};

static uint64_t ticks_to_us(uint64_t ticks, uint64_t khz)
{
	return (uint64_t)((unsigned __int128)ticks * 1000 / khz);
}

/*
 * Stamps in the order of time, which for some (a VMM that is up before the last
 * region is restored) is not the order of their numbers.
 */
static size_t sort_stamps(const struct fr_descriptor *d, enum fr_stamp_id *sorted)
{
	size_t nr = 0;

	for (size_t id = 0; id < FR_STAMP_USER_NR; id++) {
		size_t at = nr;

		if (!d->stamp[id])
			continue;
		for (; at && d->stamp[sorted[at - 1]] > d->stamp[id]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = (enum fr_stamp_id)id;
		nr++;
	}
	return nr;
}

/* Each guest's own time; that of the last one is the blackout. */
static int add_vms(const struct fr_ctx *ctx, const struct fr_descriptor *d, uint64_t first,
		   struct timeline *t, struct fr_error *e)
{
	uint64_t freeze = d->stamp[FR_STAMP_FREEZE];

	t->vms = calloc(d->nr_blobs + 1, sizeof(*t->vms));
	if (!t->vms)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < d->nr_blobs; i++) {
		struct vm *vm = &t->vms[t->nr_vms];
		uint64_t resumed, end;

		if (!fr_descriptor_vm(d, i, vm->name))
			continue;
		t->nr_vms++;
		resumed = fr_vm_resumed(ctx, vm->name);
		if (!freeze || resumed <= freeze)
			continue;
		end = ticks_to_us(resumed - first, d->tsc_khz);
		vm->begin_us = ticks_to_us(freeze - first, d->tsc_khz);
		vm->us = end - vm->begin_us;
		vm->resumed = true;
		/* the last stamp is later, unless restore was killed before it */
		if (end > t->total_us)
			t->total_us = end;
	}
	return 0;
}

static int make_timeline(const struct fr_ctx *ctx, const struct fr_descriptor *d,
			 struct timeline *ret, struct fr_error *e)
{
	enum fr_stamp_id sorted[FR_STAMP_USER_NR];
	const uint64_t *stamp = d->stamp;
	struct timeline t = {0};
	size_t nr = sort_stamps(d, sorted);

	if (!d->tsc_khz || nr < 2)
		return fr_fail(e, FR_FAULT_NOT_FOUND, ENODATA,
			       "descriptor of the last hop: it has %s: nothing to report",
			       nr < 2 ? "no stamps" : "no TSC frequency");
	for (size_t i = 1; i < nr; i++) {
		uint64_t first = stamp[sorted[0]];
		uint64_t begin = ticks_to_us(stamp[sorted[i - 1]] - first, d->tsc_khz);
		uint64_t end = ticks_to_us(stamp[sorted[i]] - first, d->tsc_khz);

		t.v[t.nr++] = (struct phase){sorted[i], begin, end - begin};
		t.total_us = end;
	}
	t.has_blackout = stamp[FR_STAMP_FREEZE] && stamp[FR_STAMP_RESUMED] > stamp[FR_STAMP_FREEZE];
	if (t.has_blackout)
		t.blackout_us =
			ticks_to_us(stamp[FR_STAMP_RESUMED] - stamp[FR_STAMP_FREEZE], d->tsc_khz);
	*ret = t;
	return add_vms(ctx, d, stamp[sorted[0]], ret, e);
}

static const struct fr_column phase_columns[] = {
	{"until", NULL, FR_COL_TEXT},
	{"phase", "PHASE", FR_COL_TEXT},
	{"begin_us", "BEGIN", FR_COL_US},
	{"us", "TIME", FR_COL_US},
};

static const struct fr_column vm_columns[] = {
	{"name", "VM", FR_COL_TEXT},
	{"begin_us", "BEGIN", FR_COL_US},
	{"us", "TIME", FR_COL_US},
};

static const struct fr_column total_columns[] = {
	{"hop", "Hop", FR_COL_COUNT},
	{"total_us", "Total", FR_COL_US},
	{"blackout_us", "Blackout", FR_COL_US},
};

static int show_timeline(struct fr_invocation *inv, const struct fr_descriptor *d,
			 const struct timeline *t, bool json)
{
	struct fr_output *out = fr_output_new(json);

	fr_output_table(out, "phases", NULL, phase_columns, FR_NR(phase_columns));
	for (size_t i = 0; i < t->nr; i++)
		fr_output_values(out, fr_text(stamps[t->v[i].end].key),
				 fr_text(stamps[t->v[i].end].phase), fr_num(t->v[i].begin_us),
				 fr_num(t->v[i].us));
	fr_output_table(out, "vms", NULL, vm_columns, FR_NR(vm_columns));
	for (size_t i = 0; i < t->nr_vms; i++) {
		const struct vm *vm = &t->vms[i];

		fr_output_values(out, fr_text(vm->name),
				 vm->resumed ? fr_num(vm->begin_us) : FR_ABSENT,
				 vm->resumed ? fr_num(vm->us) : FR_ABSENT);
	}
	fr_output_record(out, "report", NULL, total_columns, FR_NR(total_columns));
	fr_output_values(out, fr_num(d->hop), fr_num(t->total_us),
			 t->has_blackout ? fr_num(t->blackout_us) : FR_ABSENT);
	return fr_output_end(out, inv->e);
}

/* Rows of a label and a bar, which lies where it does in time. */
struct picture {
	FILE *f;
	size_t label; /* width of the labels */
	size_t y;     /* of the next row */
	double scale; /* pixels for a microsecond */
};

enum { BARS = 600, AFTER = 100, ROW = 22, TOP = 40, GAP = 10, BOTTOM = 10 };

/* Phases, and names of VMs (fr_name_valid()), have nothing that XML would want escaped. */
static void draw_label(const struct picture *p, const char *kind, const char *name)
{
	fprintf(p->f, "<text x=\"%zu\" y=\"%zu\" text-anchor=\"end\">%s%s</text>\n", p->label - 8,
		p->y + 15, kind, name);
}

static void draw_bar(const struct picture *p, uint64_t begin_us, uint64_t us, const char *color)
{
	double x = (double)p->label + (double)begin_us * p->scale, width = (double)us * p->scale;

	fprintf(p->f,
		"<rect x=\"%.2f\" y=\"%zu\" width=\"%.2f\" height=\"%d\" fill=\"%s\"/>\n"
		"<text x=\"%.2f\" y=\"%zu\">%.1f ms</text>\n",
		x, p->y + 3, width < 0.5 ? 0.5 : width, ROW - 6, color, x + width + 5, p->y + 15,
		(double)us / 1000);
}

static struct picture begin_picture(FILE *f, const struct timeline *t)
{
	struct picture p = {.f = f, .label = 250, .y = TOP};
	size_t height = TOP + ROW * (t->nr + t->nr_vms) + (t->nr_vms ? GAP : 0) + BOTTOM;

	for (size_t i = 0; i < t->nr_vms; i++)
		if (p.label < 8 * (strlen(t->vms[i].name) + 5))
			p.label = 8 * (strlen(t->vms[i].name) + 5);
	if (t->total_us)
		p.scale = (double)BARS / (double)t->total_us;
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		p.label + BARS + AFTER, height);
	return p;
}

/* The phases, one after the other, and the guests that waited meanwhile. */
static void write_svg(FILE *f, const struct fr_descriptor *d, const struct timeline *t)
{
	struct picture p = begin_picture(f, t);

	fprintf(f, "<text x=\"10\" y=\"20\" font-size=\"14\">hop %" PRIu64 ": %.3f s", d->hop,
		(double)t->total_us / 1e6);
	if (t->has_blackout)
		fprintf(f, ", blackout %.3f s", (double)t->blackout_us / 1e6);
	fprintf(f, "</text>\n");
	for (size_t i = 0; i < t->nr; i++, p.y += ROW) {
		const struct phase *phase = &t->v[i];

		draw_label(&p, "", stamps[phase->end].phase);
		draw_bar(&p, phase->begin_us, phase->us,
			 phase->end <= FR_STAMP_JUMP ? "#4878a8" :
			 phase->end <= FR_STAMP_INIT ? "#c87830" :
						       "#58944c");
	}
	p.y += GAP;
	for (size_t i = 0; i < t->nr_vms; i++, p.y += ROW) {
		const struct vm *vm = &t->vms[i];

		draw_label(&p, "VM ", vm->name);
		if (vm->resumed)
			draw_bar(&p, vm->begin_us, vm->us, "#8860a0");
		else
			fprintf(f, "<text x=\"%zu\" y=\"%zu\">not resumed</text>\n", p.label + 5,
				p.y + 15);
	}
	fprintf(f, "</svg>\n");
}

static int save_svg(struct fr_invocation *inv, const char *path, const struct fr_descriptor *d,
		    const struct timeline *t)
{
	FILE *f = fopen(path, "we");
	bool failed;

	if (!f)
		return fr_fail(inv->e, FR_FAULT_SYSTEM, errno, "%s: %s", path, strerror(errno));
	write_svg(f, d, t);
	failed = ferror(f);
	if (fclose(f) || failed)
		return fr_fail(inv->e, FR_FAULT_SYSTEM, EIO, "%s: could not be written", path);
	return 0;
}

static int report(struct fr_invocation *inv, bool json, const char *svg)
{
	struct fr_descriptor *d = NULL;
	struct timeline t = {0};
	void *data = NULL;
	size_t bytes;
	int r = fr_handed_read(inv->ctx, &data, &bytes, inv->e);

	if (!r)
		r = fr_descriptor_decode(data, bytes, &d, inv->e);
	if (!r)
		r = make_timeline(inv->ctx, d, &t, inv->e);
	if (!r)
		r = svg ? save_svg(inv, svg, d, &t) : show_timeline(inv, d, &t, json);
	free(t.vms);
	fr_descriptor_free(d);
	free(data);
	return r;
}

static int run_report(struct fr_invocation *inv, int argc, char **argv)
{
	const char *svg = NULL;
	bool json = false;
	int opt, r;

	while ((opt = getopt_long(argc, argv, FR_COMMON_SHORT, options, NULL)) != -1) {
		if (opt == OPT_JSON) {
			json = true;
		} else if (opt == OPT_SVG) {
			svg = optarg;
		} else {
			r = fr_common_option(inv, opt, argv);
			if (r)
				return r;
		}
	}
	if (json && svg)
		return fr_usage_error(inv, "--json and --svg exclude each other");
	r = fr_no_arguments(inv, argc, argv);
	return r ? r : report(inv, json, svg);
}

const struct fr_command fr_cmd_report = {
	.name = "report",
	.run = run_report,
	.help = "how long each phase of the last hop took",
	.usage =
		"[--json | --svg FILE]\n"
		"\n"
		"Show the phases of the last hop, from the stamps in its descriptor, and how long each of\n"
		"its guests stood still.\n"
		"\n"
		"      --json      as JSON\n"
		"      --svg FILE  draw a timeline into FILE\n"
		"  -v, --verbose   show each step\n",
};
