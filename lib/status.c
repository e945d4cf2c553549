// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the last hop brought, what has become of it, and what load has staged.
 *
 * A patched kernel tells in /sys/kernel/fastrestart.  Any other x86 kernel still
 * shows the setup_data node that announced the descriptor: for SETUP_INDIRECT,
 * /sys/kernel/boot_params/setup_data/N/type and data are those of what the node
 * points to (arch/x86/kernel/ksysfs.c).
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fastrestart.h"
#include "host.h"
#include "journal.h"
#include "offline.h"
#include "stage.h"
#include "util.h"

#define SETUP_INDIRECT	   (1u << 31) /* Documentation/arch/x86/boot.rst, "setup_indirect" */
#define MAX_SETUP_DATA	   1024	      /* nodes looked at */
#define TOTAL_BYTES_OFFSET 16	      /* fr_wire_header.total_bytes */
#define HEADER_BYTES	   1024	      /* sizeof(struct fr_wire_header) */

static int read_failed(int err, const char *path, struct fr_error *e)
{
	if (err == EACCES || err == EPERM)
		return fr_fail(e, FR_FAULT_PERMISSION, err, "%s: permission denied: run as root",
			       path);
	return fr_fail(e, FR_FAULT_SYSTEM, err, "%s: %s", path, strerror(err));
}

/* One file of /sys without its newline; -ENOENT, without @e, when it is not there. */
static int read_line(const struct fr_ctx *ctx, char *ret, size_t size, struct fr_error *e,
		     const char *dir, const char *name)
{
	_cleanup_free_ char *path = fr_path(ctx, "%s/%s", dir, name);
	_cleanup_free_ char *text = NULL;
	int r;

	if (!path)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	r = fr_read_file(path, 4096, &text, NULL);
	if (r == -ENOENT)
		return r;
	if (r)
		return read_failed(-r, path, e);
	text[strcspn(text, "\n")] = '\0';
	snprintf(ret, size, "%s", text);
	return 0;
}

/* A setup_data area may be larger than the descriptor in it: late data has spare room. */
static size_t trim(const uint8_t *data, size_t bytes)
{
	uint64_t total = 0;

	if (bytes < HEADER_BYTES || memcmp(data, FR_MAGIC, sizeof(FR_MAGIC) - 1))
		return bytes;
	for (int i = 7; i >= 0; i--)
		total = total << 8 | data[TOTAL_BYTES_OFFSET + i];
	return total >= HEADER_BYTES && total < bytes ? (size_t)total : bytes;
}

static int read_setup_data(const struct fr_ctx *ctx, void **ret_data, size_t *ret_bytes,
			   struct fr_error *e)
{
	for (unsigned int i = 0; i < MAX_SETUP_DATA; i++) {
		_cleanup_free_ char *path = NULL;
		char dir[64], type[32];
		char *data;
		int r;

		snprintf(dir, sizeof(dir), "/sys/kernel/boot_params/setup_data/%u", i);
		r = read_line(ctx, type, sizeof(type), e, dir, "type");
		if (r == -ENOENT)
			break;
		if (r)
			return r;
		if (strtoul(type, NULL, 16) != (SETUP_INDIRECT | FR_SETUP_TYPE))
			continue;
		path = fr_path(ctx, "%s/data", dir);
		if (!path)
			return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
		r = fr_read_file(path, FR_MAX_TOTAL_BYTES, &data, ret_bytes);
		if (r)
			return read_failed(-r, path, e);
		*ret_data = data;
		return 0;
	}
	return fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT,
		       "descriptor: the last boot brought none: nothing is kept");
}

/* @ret_from_setup_data may be NULL. */
static int read_handed(const struct fr_ctx *ctx, void **ret_data, size_t *ret_bytes,
		       bool *ret_from_setup_data, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/kernel/fastrestart/descriptor");
	size_t bytes = 0;
	bool from_setup_data = false;
	char *text = NULL;
	void *data;
	int r;

	if (!path)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	r = fr_read_file(path, FR_MAX_TOTAL_BYTES, &text, &bytes);
	if (r && r != -ENOENT)
		return read_failed(-r, path, e);
	data = text;
	if (r || !bytes) {
		free(text);
		r = read_setup_data(ctx, &data, &bytes, e);
		if (r)
			return r;
		from_setup_data = true;
	}
	*ret_data = data;
	*ret_bytes = trim(data, bytes);
	if (ret_from_setup_data)
		*ret_from_setup_data = from_setup_data;
	return 0;
}

int fr_handed_read(const struct fr_ctx *ctx, void **ret_data, size_t *ret_bytes, struct fr_error *e)
{
	return read_handed(ctx, ret_data, ret_bytes, NULL, e);
}

/* A region without a directory is taken for kept: memory is never given up on a guess. */
static int read_state(const struct fr_ctx *ctx, const char *name, enum fr_region_state *ret,
		      struct fr_error *e)
{
	char dir[sizeof("/sys/kernel/fastrestart/regions/") + FR_NAME_BYTES], state[32];
	int r;

	snprintf(dir, sizeof(dir), "/sys/kernel/fastrestart/regions/%s", name);
	r = read_line(ctx, state, sizeof(state), e, dir, "state");
	if (r && r != -ENOENT)
		return r;
	if (r || !strcmp(state, "kept"))
		*ret = FR_STATE_KEPT;
	else if (!strcmp(state, "restored"))
		*ret = FR_STATE_RESTORED;
	else if (!strcmp(state, "released"))
		*ret = FR_STATE_RELEASED;
	else
		*ret = FR_STATE_BUSY; /* restoring, releasing */
	return 0;
}

static int read_kernel(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e)
{
	char versions[64];
	int r = read_line(ctx, versions, sizeof(versions), e, "/sys/kernel/fastrestart",
			  "versions");

	if (r == -ENOENT)
		return 0;
	if (r)
		return r;
	if (sscanf(versions, "%u %u", &s->min_version, &s->max_version) != 2)
		return fr_fail(e, FR_FAULT_SYSTEM, EPROTO,
			       "/sys/kernel/fastrestart/versions: '%s' is not MIN MAX", versions);
	s->kernel_patched = true;
	r = read_line(ctx, s->kernel_status, sizeof(s->kernel_status), e, "/sys/kernel/fastrestart",
		      "status");
	return r == -ENOENT ? 0 : r;
}

int fr_status_read_states(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e)
{
	int r = 0;

	for (size_t i = 0; !r && s->handed && !s->handed_from_setup_data && i < s->handed->nr_regions;
	     i++)
		r = read_state(ctx, s->handed->regions[i].name, &s->states[i], e);
	return r;
}

static int read_regions(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e)
{
	_cleanup_free_ void *data = NULL;
	struct fr_error why = {0};
	size_t bytes;
	int r = read_handed(ctx, &data, &bytes, &s->handed_from_setup_data, e);

	if (r == -ENOENT) {
		if (!s->kernel_patched)
			strcpy(s->kernel_status, "none");
		return 0;
	}
	if (r)
		return r;
	if (!s->kernel_patched)
		strcpy(s->kernel_status, "not known to this kernel");
	r = fr_descriptor_decode(data, bytes, &s->handed, &why);
	if (r == -ENOMEM)
		return fr_fail(e, why.fault, why.err, "%s", why.text);
	if (r) {
		fr_log(ctx, FR_LOG_WARN, "last hop: %s", why.text);
		snprintf(s->handed_error, sizeof(s->handed_error), "%.*s",
			 (int)sizeof(s->handed_error) - 1, why.text);
		return 0;
	}
	s->states = calloc(s->handed->nr_regions + 1, sizeof(*s->states));
	if (!s->states)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	return fr_status_read_states(ctx, s, e);
}

static int read_staged(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e)
{
	struct fr_stage *stage;
	int r = fr_stage_read(ctx, &stage, e);

	if (r == -ENOENT)
		return 0;
	if (r)
		return r;
	s->staged = true;
	snprintf(s->staged_kernel, sizeof(s->staged_kernel), "%s",
		 stage->options.kernel ? stage->options.kernel : "");
	s->staged_regions = stage->surveyed->nr_regions;
	s->staged_vms = stage->options.nr_vms;
	fr_stage_free(stage);
	return 0;
}

static int has_journal(const struct fr_ctx *ctx, bool *ret)
{
	struct fr_journal j;
	int r = fr_journal_read(ctx, &j);

	if (!r)
		fr_journal_clear(&j);
	*ret = !r;
	return r == -ENOENT ? 0 : r;
}

/* What an exec that still runs, or its guardian, has written down is theirs; both may just end. */
static int read_journal(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e)
{
	bool locked = false;
	int r = has_journal(ctx, &s->left_behind);

	if (!r && s->left_behind)
		r = fr_is_locked(ctx, &locked);
	if (!r || r == -ENOENT)
		r = has_journal(ctx, &s->left_behind);
	s->left_behind &= !locked;
	return r ? read_failed(-r, "/run/kexec-fastrestart", e) : 0;
}

static int read_offline(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e)
{
	_cleanup_(fr_offline_clear) struct fr_offline o = {0};
	uint64_t bytes = 0;
	int r = fr_offline_read(ctx, &o, e);

	if (!r && o.nr)
		r = fr_blocks_size(ctx, &bytes, e);
	s->offline_blocks = o.nr;
	s->offline_bytes = o.nr * bytes;
	return r;
}

int fr_status_read(const struct fr_ctx *ctx, struct fr_status **ret_s, struct fr_error *e)
{
	struct fr_status *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	r = read_kernel(ctx, s, e);
	if (!r)
		r = read_regions(ctx, s, e);
	if (!r)
		r = read_staged(ctx, s, e);
	if (!r)
		r = read_journal(ctx, s, e);
	if (!r)
		r = read_offline(ctx, s, e);
	if (r) {
		fr_status_free(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

void fr_status_free(struct fr_status *s)
{
	if (!s)
		return;
	fr_descriptor_free(s->handed);
	free(s->states);
	free(s);
}
