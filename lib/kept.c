// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What of the last hop's descriptor is still kept, as a descriptor.  This is what an
 * operator saves before a plain kexec: regions that were given back since then, and the
 * device state of guests that have run on, must not come back from it.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fastrestart.h"
#include "util.h"
#include "vm.h"

static bool region_is_kept(const struct fr_status *s, const char *name)
{
	for (size_t i = 0; i < s->handed->nr_regions; i++)
		if (!strcmp(s->handed->regions[i].name, name))
			return s->states[i] == FR_STATE_KEPT;
	return false;
}

/* A VM is kept as long as one of its regions is; so is what cannot be understood. */
static int vm_is_kept(const struct fr_status *s, const char *vm, size_t vm_length, bool *ret,
		      struct fr_error *e)
{
	char spec_name[2 * FR_NAME_BYTES];
	_cleanup_free_ char *json = NULL;
	const struct fr_blob *spec;
	char **names;
	size_t nr;
	int r;

	snprintf(spec_name, sizeof(spec_name), "vm/%.*s/spec", (int)vm_length, vm);
	spec = fr_descriptor_blob(s->handed, spec_name);
	json = spec ? strndup(spec->data, spec->bytes) : NULL;
	if (spec && !json)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	r = json ? fr_vm_spec_regions(json, &names, &nr, e) : -EINVAL;
	if (r == -ENOMEM)
		return r;
	*ret = r != 0;
	for (size_t i = 0; !r && i < nr; i++) {
		*ret |= region_is_kept(s, names[i]);
		free(names[i]);
	}
	if (!r)
		free(names);
	return 0;
}

static int blob_is_kept(const struct fr_status *s, const struct fr_blob *blob, bool *ret,
			struct fr_error *e)
{
	const char *vm = !strncmp(blob->name, "vm/", 3) ? blob->name + 3 : NULL;
	const char *end = vm ? strchr(vm, '/') : NULL;

	*ret = true;
	return end ? vm_is_kept(s, vm, (size_t)(end - vm), ret, e) : 0;
}

/* @d: a copy of *s->handed, whose tables are replaced by shorter ones. */
static int drop_given_back(const struct fr_status *s, struct fr_descriptor *d, struct fr_error *e)
{
	int r = 0;

	d->nr_regions = d->nr_blobs = 0;
	d->regions = calloc(s->handed->nr_regions + 1, sizeof(*d->regions));
	d->blobs = calloc(s->handed->nr_blobs + 1, sizeof(*d->blobs));
	if (!d->regions || !d->blobs)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < s->handed->nr_regions; i++)
		if (s->states[i] == FR_STATE_KEPT || s->states[i] == FR_STATE_BUSY)
			d->regions[d->nr_regions++] = s->handed->regions[i];
	for (size_t i = 0; !r && i < s->handed->nr_blobs; i++) {
		bool kept;

		r = blob_is_kept(s, &s->handed->blobs[i], &kept, e);
		if (!r && kept)
			d->blobs[d->nr_blobs++] = s->handed->blobs[i];
	}
	return r;
}

static int encode_kept(const struct fr_status *s, void **ret_data, size_t *ret_bytes,
		       struct fr_error *e)
{
	struct fr_descriptor d = *s->handed;
	size_t bytes = 0;
	void *data = NULL;
	int r = drop_given_back(s, &d, e);

	if (!r) {
		bytes = fr_descriptor_bytes(&d);
		data = calloc(1, bytes);
		r = data ? fr_descriptor_encode(&d, data, bytes, e) :
			   fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	}
	/* their contents belong to s->handed */
	free(d.regions);
	free(d.blobs);
	if (r) {
		free(data);
		return r;
	}
	*ret_data = data;
	*ret_bytes = bytes;
	return 0;
}

int fr_kept_read(const struct fr_ctx *ctx, void **ret_data, size_t *ret_bytes, struct fr_error *e)
{
	struct fr_status *s;
	int r = fr_status_read(ctx, &s, e);

	if (r)
		return r;
	r = s->handed ? encode_kept(s, ret_data, ret_bytes, e) :
			fr_handed_read(ctx, ret_data, ret_bytes, e);
	fr_status_free(s);
	return r;
}
