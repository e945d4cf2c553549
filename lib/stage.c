// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The staged image: a folder in /run, written next to its place and renamed.  What
 * is read back was written by root, but maybe by another release, or a disk-full
 * write by hand: every field is checked.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "ramap.h"
#include "stage.h"
#include "util.h"

#define STAGE_FORMAT	   1
#define RUN_DIR		   "/run/kexec-fastrestart"
#define JSON_MAX_BYTES	   (16u << 20)
#define IMAGE_MAX_BYTES	   (1ull << 30)		/* KERNEL_IMAGE_SIZE of x86-64 */
#define INITRD_MAX_BYTES   (4ull << 30)
#define CMDLINE_MAX_BYTES  65536u

static const char *const stage_files[] = { "load.json", "kernel", "initrd", "cmdline", "regions" };

static int fail_errno(struct fr_error *e, int r, const char *what, const char *path)
{
	return fr_fail(e, FR_FAULT_SYSTEM, -r, "%s %s: %s", what, path, strerror(-r));
}

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "staged image: out of memory");
}

static int damaged(struct fr_error *e, const char *what)
{
	return fr_fail(e, FR_FAULT_SYSTEM, EBADMSG,
		       "staged image: %s is damaged or of another release: run unload, then load again",
		       what);
}

/* ------------------------------------------------------------------------ writing */

static int write_file(int dir_fd, const char *name, const void *data, size_t bytes,
		      struct fr_error *e)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return fail_errno(e, -errno, "cannot create", name);
	r = fr_write_all(fd, data, bytes);
	if (r)
		return fail_errno(e, r, "cannot write", name);
	return 0;
}

static int add_string(json_object *o, const char *key, const char *text)
{
	return text ? fr_json_add(o, key, json_object_new_string(text)) : 0;
}

static int add_u64(json_object *o, const char *key, uint64_t value)
{
	return fr_json_add(o, key, json_object_new_uint64(value));
}

static int add_bool(json_object *o, const char *key, bool value)
{
	return fr_json_add(o, key, json_object_new_boolean(value));
}

static int add_hex(json_object *o, const char *key, const uint8_t *bytes, size_t nr)
{
	char text[2 * FR_SETUP_HEADER_MAX + 1];

	for (size_t i = 0; i < nr; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	text[2 * nr] = '\0';
	return add_string(o, key, text);
}

static json_object *source_to_json(const struct fr_source *s)
{
	json_object *o = json_object_new_object();

	if (!o || add_string(o, "spec", s->spec) || add_string(o, "name", s->name) ||
	    add_string(o, "path", s->path) ||
	    (s->is_phys && (add_u64(o, "phys_start", s->phys_start) ||
			    add_u64(o, "phys_bytes", s->phys_bytes))) ||
	    (s->is_fd && (add_u64(o, "dev", s->dev) || add_u64(o, "ino", s->ino)))) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static json_object *vm_to_json(const struct fr_vm_arg *v)
{
	json_object *o = json_object_new_object();

	if (!o || add_string(o, "name", v->name) || add_string(o, "qmp_path", v->qmp_path)) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static json_object *image_to_json(const struct fr_image *image)
{
	json_object *o = json_object_new_object();

	if (!o || add_u64(o, "bytes", image->bytes) ||
	    add_u64(o, "memory_bytes", image->memory_bytes) ||
	    add_u64(o, "entry_offset", image->entry_offset) ||
	    add_u64(o, "align_bytes", image->align_bytes) ||
	    add_u64(o, "virt_offset", image->virt_offset) ||
	    add_bool(o, "randomised", image->randomised) ||
	    add_hex(o, "setup_header", image->setup_header, sizeof(image->setup_header)) ||
	    add_u64(o, "setup_header_bytes", image->setup_header_bytes) ||
	    add_string(o, "version", image->version) || add_bool(o, "has_note", image->has_note) ||
	    add_u64(o, "min_version", image->min_version) ||
	    add_u64(o, "max_version", image->max_version) ||
	    add_u64(o, "e820_entries", image->e820_entries) ||
	    add_u64(o, "xloadflags", image->xloadflags)) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

/* An array of what @convert makes of @nr elements of @bytes each. */
#define ARRAY_TO_JSON(v, nr, convert)                                                              \
	({                                                                                         \
		json_object *array_ = json_object_new_array();                                     \
                                                                                                   \
		for (size_t i_ = 0; array_ && i_ < (nr); i_++) {                                   \
			json_object *item_ = convert(&(v)[i_]);                                    \
                                                                                                   \
			if (fr_json_append(array_, item_)) {                                       \
				json_object_put(array_);                                           \
				array_ = NULL;                                                     \
			}                                                                          \
		}                                                                                  \
		array_;                                                                            \
	})

static json_object *stage_to_json(const struct fr_stage *s)
{
	const struct fr_load_options *o = &s->options;
	json_object *root = json_object_new_object();

	if (!root || add_u64(root, "format", STAGE_FORMAT) ||
	    add_hex(root, "boot_id", s->boot_id, sizeof(s->boot_id)) ||
	    add_string(root, "kernel", o->kernel) || add_string(root, "initrd", o->initrd) ||
	    add_bool(root, "reuse_cmdline", o->reuse_cmdline) ||
	    add_bool(root, "allow_unpatched", o->allow_unpatched) ||
	    add_bool(root, "digest", o->digest) || add_u64(root, "initrd_bytes", s->initrd_bytes) ||
	    fr_json_add(root, "image", image_to_json(s->image)) ||
	    fr_json_add(root, "sources", ARRAY_TO_JSON(o->sources, o->nr_sources, source_to_json)) ||
	    fr_json_add(root, "vms", ARRAY_TO_JSON(o->vms, o->nr_vms, vm_to_json))) {
		json_object_put(root);
		return NULL;
	}
	return root;
}

static int write_json(int dir_fd, const struct fr_stage *s, struct fr_error *e)
{
	json_object *root = stage_to_json(s);
	_cleanup_free_ char *text = root ? fr_json_text(root) : NULL;
	int r = text ? write_file(dir_fd, "load.json", text, strlen(text), e) : out_of_memory(e);

	json_object_put(root);
	return r;
}

static int write_regions(int dir_fd, const struct fr_descriptor *d, struct fr_error *e)
{
	size_t bytes = fr_descriptor_bytes(d);
	_cleanup_free_ void *buf = calloc(1, bytes);
	int r;

	if (!buf)
		return out_of_memory(e);
	r = fr_descriptor_encode(d, buf, bytes, e);
	return r ? r : write_file(dir_fd, "regions", buf, bytes, e);
}

static int remove_dir(const struct fr_ctx *ctx, const char *name)
{
	_cleanup_free_ char *path = fr_path(ctx, RUN_DIR "/%s", name);
	int dir_fd, r = 0;

	if (!path)
		return -ENOMEM;
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	for (size_t i = 0; !r && i < sizeof(stage_files) / sizeof(*stage_files); i++)
		if (unlinkat(dir_fd, stage_files[i], 0) && errno != ENOENT)
			r = -errno;
	close(dir_fd);
	if (!r && rmdir(path))
		r = -errno;
	return r;
}

/* @fresh becomes @final, and the other way round if there is one: never neither. */
static int put_in_place(const char *fresh, const char *final, struct fr_error *e)
{
	if (!rename(fresh, final))
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		if (!renameat2(AT_FDCWD, fresh, AT_FDCWD, final, RENAME_EXCHANGE))
			return 0;
	return fail_errno(e, -errno, "cannot rename to", final);
}

int fr_stage_write(const struct fr_ctx *ctx, const struct fr_stage *s, struct fr_error *e)
{
	_cleanup_free_ char *run = fr_path(ctx, RUN_DIR), *fresh = fr_path(ctx, RUN_DIR "/staged.new"),
			    *final = fr_path(ctx, RUN_DIR "/staged");
	_cleanup_close_ int dir_fd = -1;
	int r;

	if (!run || !fresh || !final)
		return out_of_memory(e);
	if (mkdir(run, 0700) && errno != EEXIST)
		return fail_errno(e, -errno, "cannot create", run);
	r = remove_dir(ctx, "staged.new");
	if (r && r != -ENOENT)
		return fail_errno(e, r, "cannot remove", fresh);
	if (mkdir(fresh, 0700))
		return fail_errno(e, -errno, "cannot create", fresh);
	dir_fd = open(fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		r = fail_errno(e, -errno, "cannot open", fresh);
	else
		r = write_file(dir_fd, "kernel", s->image->data, s->image->bytes, e);
	if (!r && s->initrd)
		r = write_file(dir_fd, "initrd", s->initrd, s->initrd_bytes, e);
	if (!r)
		r = write_file(dir_fd, "cmdline", s->cmdline, strlen(s->cmdline), e);
	if (!r)
		r = write_regions(dir_fd, s->surveyed, e);
	if (!r)
		r = write_json(dir_fd, s, e);
	if (!r)
		r = put_in_place(fresh, final, e);
	/* what has just been written and is of no use, or what it replaces */
	FR_INSIST(remove_dir(ctx, "staged.new"));
	return r;
}

int fr_stage_remove(const struct fr_ctx *ctx, struct fr_error *e)
{
	_cleanup_free_ char *away = fr_path(ctx, RUN_DIR "/staged.new"),
			    *final = fr_path(ctx, RUN_DIR "/staged");
	int r;

	if (!away || !final)
		return out_of_memory(e);
	r = remove_dir(ctx, "staged.new");
	if (r && r != -ENOENT)
		return fail_errno(e, r, "cannot remove", away);
	/* all of it at once: from here on nothing is staged */
	if (rename(final, away))
		return errno == ENOENT ? fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT,
						 "nothing is staged: run load first") :
					 fail_errno(e, -errno, "cannot remove", final);
	r = FR_INSIST(remove_dir(ctx, "staged.new"));
	return r ? fail_errno(e, r, "cannot remove", away) : 0;
}

/* ------------------------------------------------------------------------ reading */

static json_object *get(json_object *o, const char *key, json_type type)
{
	json_object *value;

	return json_object_object_get_ex(o, key, &value) && json_object_is_type(value, type) ?
		       value :
		       NULL;
}

static bool get_u64(json_object *o, const char *key, uint64_t max, uint64_t *ret)
{
	json_object *value = get(o, key, json_type_int);
	uint64_t v;

	if (!value || json_object_get_int64(value) < 0)
		return false;
	v = json_object_get_uint64(value);
	if (v > max)
		return false;
	*ret = v;
	return true;
}

static bool get_bool(json_object *o, const char *key, bool *ret)
{
	json_object *value = get(o, key, json_type_boolean);

	if (value)
		*ret = json_object_get_boolean(value);
	return value;
}

/* A missing string is NULL; false is for ENOMEM only. */
static bool get_string(json_object *o, const char *key, char **ret)
{
	json_object *value = get(o, key, json_type_string);

	*ret = value ? strdup(json_object_get_string(value)) : NULL;
	return !value || *ret;
}

static bool get_hex(json_object *o, const char *key, uint8_t *ret, size_t nr)
{
	json_object *value = get(o, key, json_type_string);
	const char *text = value ? json_object_get_string(value) : "";

	if (strlen(text) != 2 * nr)
		return false;
	for (size_t i = 0; i < nr; i++) {
		unsigned int byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		ret[i] = (uint8_t)byte;
	}
	return true;
}

static bool source_from_json(json_object *o, struct fr_source *s)
{
	if (!get_string(o, "spec", &s->spec) || !get_string(o, "name", &s->name) ||
	    !get_string(o, "path", &s->path))
		return false;
	if (get(o, "ino", json_type_int)) {
		if (!s->path || !get_u64(o, "dev", INT64_MAX, &s->dev) ||
		    !get_u64(o, "ino", INT64_MAX, &s->ino))
			return false;
		s->is_fd = true;
	}
	if (!s->path) {
		if (!get_u64(o, "phys_start", FR_PHYS_LIMIT, &s->phys_start) ||
		    !get_u64(o, "phys_bytes", FR_PHYS_LIMIT, &s->phys_bytes))
			return false;
		s->is_phys = true;
	}
	return s->name && fr_name_valid(s->name);
}

static bool vm_from_json(json_object *o, struct fr_vm_arg *v)
{
	return get_string(o, "name", &v->name) && get_string(o, "qmp_path", &v->qmp_path) &&
	       v->name && v->qmp_path && fr_name_valid(v->name);
}

static bool options_from_json(json_object *root, struct fr_load_options *o)
{
	json_object *sources = get(root, "sources", json_type_array);
	json_object *vms = get(root, "vms", json_type_array);
	size_t nr_sources, nr_vms;

	if (!sources || !vms || !get_bool(root, "reuse_cmdline", &o->reuse_cmdline) ||
	    !get_bool(root, "allow_unpatched", &o->allow_unpatched) ||
	    !get_bool(root, "digest", &o->digest))
		return false;
	nr_sources = json_object_array_length(sources);
	nr_vms = json_object_array_length(vms);
	if (nr_sources > FR_MAX_REGIONS || nr_vms > FR_MAX_REGIONS)
		return false;
	o->sources = calloc(nr_sources + 1, sizeof(*o->sources));
	o->vms = calloc(nr_vms + 1, sizeof(*o->vms));
	if (!o->sources || !o->vms)
		return false;
	while (o->nr_sources < nr_sources) {
		size_t i = o->nr_sources++;

		if (!source_from_json(json_object_array_get_idx(sources, i), &o->sources[i]))
			return false;
	}
	while (o->nr_vms < nr_vms) {
		size_t i = o->nr_vms++;

		if (!vm_from_json(json_object_array_get_idx(vms, i), &o->vms[i]))
			return false;
	}
	return true;
}

static bool image_from_json(json_object *root, struct fr_image *image)
{
	json_object *o = get(root, "image", json_type_object);
	_cleanup_free_ char *version = NULL;
	uint64_t bytes, header_bytes, min_version, max_version, e820_entries, xloadflags;

	if (!o || !get_u64(o, "bytes", IMAGE_MAX_BYTES, &bytes) ||
	    !get_u64(o, "memory_bytes", IMAGE_MAX_BYTES, &image->memory_bytes) ||
	    !get_u64(o, "entry_offset", IMAGE_MAX_BYTES, &image->entry_offset) ||
	    !get_u64(o, "align_bytes", IMAGE_MAX_BYTES, &image->align_bytes) ||
	    !get_u64(o, "virt_offset", IMAGE_MAX_BYTES, &image->virt_offset) ||
	    !get_bool(o, "randomised", &image->randomised) ||
	    !get_hex(o, "setup_header", image->setup_header, sizeof(image->setup_header)) ||
	    !get_u64(o, "setup_header_bytes", sizeof(image->setup_header), &header_bytes) ||
	    !get_string(o, "version", &version) || !get_bool(o, "has_note", &image->has_note) ||
	    !get_u64(o, "min_version", UINT32_MAX, &min_version) ||
	    !get_u64(o, "max_version", UINT32_MAX, &max_version) ||
	    !get_u64(o, "e820_entries", UINT32_MAX, &e820_entries) ||
	    !get_u64(o, "xloadflags", UINT32_MAX, &xloadflags))
		return false;
	if (!bytes || image->memory_bytes < bytes || image->entry_offset >= bytes ||
	    !image->align_bytes || image->align_bytes & (image->align_bytes - 1))
		return false;
	image->bytes = bytes;
	image->setup_header_bytes = header_bytes;
	image->min_version = (uint32_t)min_version;
	image->max_version = (uint32_t)max_version;
	image->e820_entries = (uint32_t)e820_entries;
	image->xloadflags = (uint32_t)xloadflags;
	snprintf(image->version, sizeof(image->version), "%s", version ? version : "");
	return true;
}

/* Read a staged file of exactly @bytes, or any length up to @max with @bytes 0. */
static int read_file(const struct fr_ctx *ctx, const char *name, size_t max, size_t bytes,
		     void *ret_data, size_t *ret_bytes, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, RUN_DIR "/staged/%s", name);
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	if (!path)
		return out_of_memory(e);
	r = fr_read_file(path, max, &data, &size);
	if (r)
		return fail_errno(e, r, "cannot read", path);
	if (bytes && size != bytes)
		return damaged(e, path);
	*(void **)ret_data = data;
	if (ret_bytes)
		*ret_bytes = size;
	data = NULL;
	return 0;
}

static int read_json(const struct fr_ctx *ctx, struct fr_stage *s, struct fr_error *e)
{
	_cleanup_free_ char *text = NULL;
	json_object *root = NULL;
	uint64_t format, initrd_bytes;
	bool ok;
	int r = read_file(ctx, "load.json", JSON_MAX_BYTES, 0, &text, NULL, e);

	if (r)
		return r;
	if (fr_json_parse(text, &root) == -ENOMEM)
		return out_of_memory(e);
	errno = 0; /* what is wrong, but for memory, is no error of libc */
	ok = root && get_u64(root, "format", STAGE_FORMAT, &format) && format == STAGE_FORMAT &&
	     get_hex(root, "boot_id", s->boot_id, sizeof(s->boot_id)) &&
	     get_u64(root, "initrd_bytes", INITRD_MAX_BYTES, &initrd_bytes) &&
	     get_string(root, "kernel", &s->kernel_path) &&
	     get_string(root, "initrd", &s->initrd_path) &&
	     options_from_json(root, &s->options) && image_from_json(root, s->image);
	s->options.kernel = s->kernel_path;
	s->options.initrd = s->initrd_path;
	if (ok)
		s->initrd_bytes = initrd_bytes;
	r = ok ? 0 : errno == ENOMEM ? out_of_memory(e) : damaged(e, RUN_DIR "/staged/load.json");
	json_object_put(root);
	return r;
}

static int read_payload(const struct fr_ctx *ctx, struct fr_stage *s, struct fr_error *e)
{
	_cleanup_free_ void *regions = NULL;
	size_t bytes;
	int r;

	r = read_file(ctx, "kernel", IMAGE_MAX_BYTES, s->image->bytes, &s->image->data, NULL, e);
	if (!r && s->initrd_bytes)
		r = read_file(ctx, "initrd", INITRD_MAX_BYTES, s->initrd_bytes, &s->initrd, NULL, e);
	if (!r)
		r = read_file(ctx, "cmdline", CMDLINE_MAX_BYTES, 0, &s->cmdline, NULL, e);
	if (!r)
		r = read_file(ctx, "regions", FR_MAX_TOTAL_BYTES, 0, &regions, &bytes, e);
	if (r)
		return r;
	r = fr_descriptor_decode(regions, bytes, &s->surveyed, e);
	return r ? fr_fail_context(e, RUN_DIR "/staged/regions") : 0;
}

int fr_stage_read(const struct fr_ctx *ctx, struct fr_stage **ret_s, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, RUN_DIR "/staged");
	struct fr_stage *s;
	int r;

	if (!path)
		return out_of_memory(e);
	if (access(path, F_OK) && errno == ENOENT)
		return fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT, "nothing is staged: run load first");
	s = calloc(1, sizeof(*s));
	if (s)
		s->image = calloc(1, sizeof(*s->image));
	if (!s || !s->image) {
		fr_stage_free(s);
		return out_of_memory(e);
	}
	r = read_json(ctx, s, e);
	if (!r)
		r = read_payload(ctx, s, e);
	if (r) {
		fr_stage_free(s);
		return r;
	}
	*ret_s = s;
	return 0;
}

void fr_stage_free(struct fr_stage *s)
{
	if (!s)
		return;
	free(s->kernel_path);
	free(s->initrd_path);
	fr_load_options_clear(&s->options);
	fr_image_free(s->image);
	free(s->initrd);
	free(s->cmdline);
	fr_descriptor_free(s->surveyed);
	free(s);
}
