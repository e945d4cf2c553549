// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

enum { OPT_JSON = 256, OPT_RAW, OPT_EXTENTS };

static const struct option options[] = {
	FR_COMMON_LONG,
	{"json", no_argument, NULL, OPT_JSON},
	{"raw", no_argument, NULL, OPT_RAW},
	{"extents", no_argument, NULL, OPT_EXTENTS},
	{0},
};

struct inspect_arguments {
	bool json, raw, extents;
	const char *file;
};

static const struct fr_column header_columns[] = {
	{"version", "Version", FR_COL_COUNT},
	{"total_bytes", "Size", FR_COL_BYTES},
	{"hop", "Hop", FR_COL_COUNT},
	{"hidden_bytes", "Hidden memory", FR_COL_BYTES},
	{"boot_id", "Sealed by boot", FR_COL_TEXT},
	{"tsc_khz", "TSC frequency (kHz)", FR_COL_COUNT},
	{"lpj", "Loops per jiffy", FR_COL_COUNT},
	{"lpj_hz", "  at CONFIG_HZ", FR_COL_COUNT},
	{"poisoned_pages", "Poisoned pages", FR_COL_COUNT},
};

static const struct fr_column ram_columns[] = {
	{"start_phys", "START", FR_COL_HEX}, {"end_phys", "END", FR_COL_HEX},
	{"bytes", "SIZE", FR_COL_BYTES},     {"type", NULL, FR_COL_COUNT},
	{"type_name", "TYPE", FR_COL_TEXT},  {"node", "NODE", FR_COL_COUNT},
};

static const struct fr_column region_columns[] = {
	{"name", "NAME", FR_COL_TEXT},	      {"kind", "KIND", FR_COL_TEXT},
	{"size_bytes", "SIZE", FR_COL_BYTES}, {"kept_bytes", "KEPT", FR_COL_BYTES},
	{"page_bytes", "PAGE", FR_COL_BYTES}, {"extents", "EXTENTS", FR_COL_COUNT},
	{"mode", "MODE", FR_COL_TEXT},	      {"uid", "UID", FR_COL_COUNT},
	{"gid", "GID", FR_COL_COUNT},	      {"unlinked", NULL, FR_COL_BOOL},
	{"seals", NULL, FR_COL_COUNT},	      {"digest", "XXH3-128", FR_COL_TEXT},
	{"path", "PATH", FR_COL_TEXT},
};

static const struct fr_column extent_columns[] = {
	{"region", "REGION", FR_COL_TEXT},
	{"start_phys", "START", FR_COL_HEX},
	{"bytes", "SIZE", FR_COL_BYTES},
	{"file_offset", "OFFSET", FR_COL_HEX},
};

static const struct fr_column blob_columns[] = {
	{"name", "BLOB", FR_COL_TEXT},
	{"bytes", "SIZE", FR_COL_BYTES},
};

static const char *ram_type_name(uint32_t type)
{
	switch (type) {
	case FR_E820_RAM:
		return "RAM";
	case FR_E820_RESERVED:
		return "reserved";
	case FR_E820_ACPI:
		return "ACPI tables";
	case FR_E820_NVS:
		return "ACPI NVS";
	case FR_E820_UNUSABLE:
		return "unusable";
	case FR_E820_PMEM:
		return "persistent";
	case FR_E820_PRAM:
		return "persistent (legacy)";
	case (uint32_t)FR_E820_SOFT_RESERVED:
		return "soft reserved";
	default:
		return "other";
	}
}

static void show_header(struct fr_output *out, const struct fr_descriptor *d, size_t bytes)
{
	const uint8_t *b = d->boot_id;
	char id[40];

	snprintf(id, sizeof(id),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	fr_output_record(out, "descriptor", NULL, header_columns, FR_NR(header_columns));
	fr_output_values(out, fr_num(FR_VERSION), fr_num(bytes), fr_num(d->hop),
			 fr_num(d->hidden_bytes), fr_text(id),
			 d->tsc_khz ? fr_num(d->tsc_khz) : FR_ABSENT,
			 d->lpj ? fr_num(d->lpj) : FR_ABSENT,
			 d->lpj_hz ? fr_num(d->lpj_hz) : FR_ABSENT, fr_num(d->nr_poison));
}

static void show_ram(struct fr_output *out, const struct fr_descriptor *d)
{
	fr_output_table(out, "ram", "RAM at the last cold boot", ram_columns, FR_NR(ram_columns));
	for (size_t i = 0; i < d->ram.nr; i++) {
		const struct fr_ram *m = &d->ram.v[i];

		fr_output_values(out, fr_num(m->start), fr_num(m->end), fr_num(m->end - m->start),
				 fr_num(m->type), fr_text(ram_type_name(m->type)),
				 m->type == FR_E820_RAM ? fr_num(m->nid) : FR_ABSENT);
	}
}

static void show_regions(struct fr_output *out, const struct fr_descriptor *d)
{
	fr_output_table(out, "regions", "Regions", region_columns, FR_NR(region_columns));
	for (size_t i = 0; i < d->nr_regions; i++) {
		const struct fr_region *g = &d->regions[i];
		char digest[2 * FR_DIGEST_BYTES + 1], mode[16];

		for (size_t k = 0; k < FR_DIGEST_BYTES; k++)
			snprintf(digest + 2 * k, 3, "%02x", g->digest[k]);
		snprintf(mode, sizeof(mode), "%04o", g->mode & 07777);
		fr_output_values(out, fr_text(g->name), fr_text(fr_kind_name(g->kind)),
				 fr_num(g->size_bytes), fr_num(fr_kept_bytes(g)),
				 fr_num(1ull << g->page_shift), fr_num(g->extents.nr),
				 fr_text(mode), fr_num(g->uid), fr_num(g->gid),
				 fr_num((g->flags & FR_REGION_UNLINKED) != 0), fr_num(g->seals),
				 g->digest_alg == FR_DIGEST_NONE ? FR_ABSENT : fr_text(digest),
				 fr_text(g->path));
	}
}

static void show_extents(struct fr_output *out, const struct fr_descriptor *d)
{
	fr_output_table(out, "extents", "Extents", extent_columns, FR_NR(extent_columns));
	for (size_t i = 0; i < d->nr_regions; i++) {
		const struct fr_region *g = &d->regions[i];

		for (size_t k = 0; k < g->extents.nr; k++) {
			const struct fr_extent *x = &g->extents.v[k];

			fr_output_values(out, fr_text(g->name),
					 fr_num(x->start_pfn << FR_PAGE_SHIFT),
					 fr_num(x->nr_pages << FR_PAGE_SHIFT),
					 fr_num(x->pgoff << FR_PAGE_SHIFT));
		}
	}
}

static void show_blobs(struct fr_output *out, const struct fr_descriptor *d)
{
	fr_output_table(out, "blobs", "For user space", blob_columns, FR_NR(blob_columns));
	for (size_t i = 0; i < d->nr_blobs; i++)
		fr_output_values(out, fr_text(d->blobs[i].name), fr_num(d->blobs[i].bytes));
}

static int show_descriptor(struct fr_invocation *inv, const struct inspect_arguments *a,
			   const void *data, size_t bytes)
{
	struct fr_descriptor *d;
	struct fr_output *out;
	int r = fr_descriptor_decode(data, bytes, &d, inv->e);

	if (r)
		return fr_fail_context(inv->e, "%s", a->file ? a->file : "last hop");
	out = fr_output_new(a->json);
	show_header(out, d, bytes);
	show_ram(out, d);
	show_regions(out, d);
	if (a->extents)
		show_extents(out, d);
	show_blobs(out, d);
	r = fr_output_end(out, inv->e);
	fr_descriptor_free(d);
	return r;
}

static int read_all(int fd, void **ret_data, size_t *ret_bytes)
{
	size_t bytes = 0, cap = 0;
	char *data = NULL;

	for (;;) {
		ssize_t n;

		if (bytes == cap) {
			char *bigger;

			cap = cap ? 2 * cap : 64 << 10;
			bigger = cap <= 2 * FR_MAX_TOTAL_BYTES ? realloc(data, cap) : NULL;
			if (!bigger) {
				free(data);
				return cap > 2 * FR_MAX_TOTAL_BYTES ? -EFBIG : -ENOMEM;
			}
			data = bigger;
		}
		n = read(fd, data + bytes, cap - bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = errno;

			free(data);
			return -err;
		}
		if (!n)
			break;
		bytes += (size_t)n;
	}
	*ret_data = data;
	*ret_bytes = bytes;
	return 0;
}

static int read_file(struct fr_invocation *inv, const char *path, void **ret_data,
		     size_t *ret_bytes)
{
	bool is_stdin = !strcmp(path, "-");
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_all(fd, ret_data, ret_bytes);

	if (fd >= 0 && !is_stdin)
		close(fd);
	if (!r)
		return 0;
	return fr_fail(inv->e,
		       r == -ENOENT ? FR_FAULT_NOT_FOUND :
		       r == -EFBIG  ? FR_FAULT_DESCRIPTOR :
				      FR_FAULT_SYSTEM,
		       -r, "%s: %s", path,
		       r == -EFBIG ? "too large for a descriptor" : strerror(-r));
}

static int write_raw(struct fr_invocation *inv, const void *data, size_t bytes)
{
	if (isatty(STDOUT_FILENO))
		return fr_usage_error(inv,
				      "--raw does not write to a terminal: redirect it to a file");
	if (fwrite(data, 1, bytes, stdout) != bytes || fflush(stdout))
		return fr_fail(inv->e, FR_FAULT_SYSTEM, errno, "standard output: %s",
			       strerror(errno));
	return 0;
}

static int inspect_arguments(struct fr_invocation *inv, int argc, char **argv,
			     struct inspect_arguments *a)
{
	int opt, r;

	while ((opt = getopt_long(argc, argv, FR_COMMON_SHORT, options, NULL)) != -1) {
		r = opt < OPT_JSON ? fr_common_option(inv, opt, argv) : 0;
		if (r)
			return r;
		a->json |= opt == OPT_JSON;
		a->raw |= opt == OPT_RAW;
		a->extents |= opt == OPT_EXTENTS;
	}
	if (optind < argc)
		a->file = argv[optind++];
	if (a->raw && (a->json || a->extents))
		return fr_usage_error(inv, "--raw excludes --json and --extents");
	return fr_no_arguments(inv, argc, argv);
}

static int run_inspect(struct fr_invocation *inv, int argc, char **argv)
{
	struct inspect_arguments a = {0};
	void *data = NULL;
	size_t bytes;
	int r = inspect_arguments(inv, argc, argv, &a);

	if (r)
		return r;
	if (a.file)
		r = read_file(inv, a.file, &data, &bytes);
	else if (a.raw)
		r = fr_kept_read(inv->ctx, &data, &bytes, inv->e);
	else
		r = fr_handed_read(inv->ctx, &data, &bytes, inv->e);
	if (r)
		return r;
	r = a.raw ? write_raw(inv, data, bytes) : show_descriptor(inv, &a, data, bytes);
	free(data);
	return r;
}

const struct fr_command fr_cmd_inspect = {
	.name = "inspect",
	.run = run_inspect,
	.help = "decode a descriptor, from the running kernel or a file",
	.usage =
		"[FILE] [OPTION]...\n"
		"\n"
		"Validate and decode the descriptor that the last hop brought, or the one in FILE\n"
		"('-': standard input).\n"
		"\n"
		"      --extents  list every extent as well\n"
		"      --json     as JSON\n"
		"      --raw      write the bytes of FILE to standard output; without FILE, a descriptor\n"
		"                 of what is still kept (save it before a plain kexec, for load\n"
		"                 --descriptor)\n"
		"  -v, --verbose  show each step\n",
};
