// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The blob "vm/NAME/spec": how to start a VM's VMM again.
 *
 *   {"version": 1, "name": "web", "exe": "/usr/bin/qemu-system-x86_64", "argv": [...],
 *    "cwd": "/", "qmp": "/run/web.qmp", "machine": "pc-q35-7.2", "running": true,
 *    "uid": 0, "gid": 0, "groups": [], "qemu": "7.2.22",
 *    "regions": [{"name": "web", "path": "/dev/hugepages/web", "id": "m"}]}
 *
 * A path of "" is a file that had no name, a memfd: QEMU inherits it.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"
#include "vm-private.h"

#define SPEC_VERSION 1

static size_t count_files(const struct fr_vm *vm)
{
	size_t nr = 0;

	for (size_t i = 0; i < vm->nr_ram; i++)
		nr += !vm->ram[i].again;
	return nr;
}

/* VMNAME, or VMNAME.ID where there are several; bytes that no name has as '_'. */
static char *region_name(const struct fr_vm *vm, const struct fr_vm_ram *ram)
{
	char *name;

	if (count_files(vm) == 1)
		return strdup(vm->name);
	if (asprintf(&name, "%s.%s", vm->name, ram->id) < 0)
		return NULL;
	for (char *p = name; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    *p))
			*p = '_';
	return name;
}

int fr_vm_sources(const struct fr_vm *vm, struct fr_source **ret_v, size_t *ret_nr)
{
	struct fr_source *v = calloc(vm->nr_ram, sizeof(*v)), *s = v;
	bool complete = v;
	struct stat st;

	for (size_t i = 0; complete && i < vm->nr_ram; i++) {
		if (vm->ram[i].again)
			continue;
		s->spec = strdup(vm->ram[i].path);
		s->path = strdup(vm->ram[i].path);
		s->name = region_name(vm, &vm->ram[i]);
		s->is_fd = vm->ram[i].is_fd;
		if (s->is_fd && s->path && !stat(s->path, &st)) {
			s->dev = st.st_dev;
			s->ino = st.st_ino;
		}
		complete = s->spec && s->path && s->name;
		s++;
	}
	if (complete) {
		*ret_v = v;
		*ret_nr = (size_t)(s - v);
		return 0;
	}
	for (; v && s > v; s--) {
		free(s[-1].spec);
		free(s[-1].path);
		free(s[-1].name);
	}
	free(v);
	return -ENOMEM;
}

static struct json_object *spec_regions(const struct fr_vm *vm)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < vm->nr_ram; i++) {
		const struct fr_vm_ram *ram = &vm->ram[i];
		_cleanup_free_ char *name = region_name(vm, ram);

		if (ram->again)
			continue;
		if (!name ||
		    fr_json_append(
			    list,
			    fr_json_object("name", json_object_new_string(name), "path",
					   json_object_new_string(ram->is_fd ? "" : ram->path),
					   "id", json_object_new_string(ram->id), NULL))) {
			json_object_put(list);
			list = NULL;
		}
	}
	return list;
}

static struct json_object *spec_argv(const struct fr_vm *vm)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < vm->argc; i++)
		if (fr_json_append(list, json_object_new_string(vm->argv[i]))) {
			json_object_put(list);
			list = NULL;
		}
	return list;
}

static struct json_object *spec_groups(const struct fr_vm *vm)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < vm->nr_groups; i++)
		if (fr_json_append(list, json_object_new_int64(vm->groups[i]))) {
			json_object_put(list);
			list = NULL;
		}
	return list;
}

int fr_vm_spec(const struct fr_vm *vm, char **ret_json)
{
	const char *qemu = vm->qmp ? fr_qmp_version(vm->qmp) : "";
	struct json_object *o = fr_json_object(
		"version", json_object_new_int(SPEC_VERSION), "name",
		json_object_new_string(vm->name), "exe", json_object_new_string(vm->exe), "argv",
		spec_argv(vm), "cwd", json_object_new_string(vm->cwd), "qmp",
		json_object_new_string(vm->qmp_path), "machine",
		json_object_new_string(vm->machine), "qemu", json_object_new_string(qemu),
		"running", json_object_new_boolean(vm->was_running), "uid",
		json_object_new_int64(vm->uid), "gid", json_object_new_int64(vm->gid), "groups",
		spec_groups(vm), "regions", spec_regions(vm), NULL);
	char *text = o ? fr_json_text(o) : NULL;

	json_object_put(o);
	if (!text)
		return -ENOMEM;
	*ret_json = text;
	return 0;
}

/* ----------------------------------------------------------------------------- reading */

static int malformed(const char *what, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG, "VM's spec: %s is missing or malformed",
		       what);
}

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

static int parse(const char *json, struct json_object **ret, struct fr_error *e)
{
	struct json_object *o = NULL, *version;
	int r = fr_json_parse(json, &o);

	if (r == -ENOMEM)
		return out_of_memory(e);
	version = fr_json_get(o, "version", json_type_int);
	if (r || !version || json_object_get_int(version) != SPEC_VERSION) {
		json_object_put(o);
		return malformed("version", e);
	}
	*ret = o;
	return 0;
}

/* The strings of @list, or their members @key, as a vector that ends with NULL. */
static int strings(struct json_object *list, const char *key, bool (*is_valid)(const char *),
		   char ***ret)
{
	size_t nr = list ? json_object_array_length(list) : 0;
	char **v = nr ? calloc(nr + 1, sizeof(*v)) : NULL;
	int r = !nr ? -EBADMSG : v ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < nr; i++) {
		struct json_object *s = json_object_array_get_idx(list, i);

		if (key)
			s = fr_json_get(s, key, json_type_string);
		if (!json_object_is_type(s, json_type_string) ||
		    (is_valid && !is_valid(json_object_get_string(s))))
			r = -EBADMSG;
		else if (!(v[i] = strdup(json_object_get_string(s))))
			r = -ENOMEM;
	}
	if (r)
		fr_strv_free(v);
	else
		*ret = v;
	return r;
}

int fr_vm_spec_regions(const char *json, char ***ret_names, size_t *ret_nr, struct fr_error *e)
{
	struct json_object *spec, *list;
	char **v = NULL;
	int r = parse(json, &spec, e);

	if (r)
		return r;
	list = fr_json_get(spec, "regions", json_type_array);
	r = strings(list, "name", fr_name_valid, &v);
	if (!r) {
		*ret_names = v;
		*ret_nr = json_object_array_length(list);
	}
	json_object_put(spec);
	return !r ? 0 : r == -ENOMEM ? out_of_memory(e) : malformed("regions", e);
}

static int read_id(struct json_object *value, uint32_t *ret)
{
	int64_t id = value ? json_object_get_int64(value) : -1;

	if (!json_object_is_type(value, json_type_int) || id < 0 || id >= UINT32_MAX)
		return -EBADMSG;
	*ret = (uint32_t)id;
	return 0;
}

static int read_groups(struct json_object *spec, struct fr_vm *vm)
{
	struct json_object *list = fr_json_get(spec, "groups", json_type_array);
	size_t nr = list ? json_object_array_length(list) : 0;

	vm->groups = calloc(nr + 1, sizeof(*vm->groups));
	if (!list || !vm->groups)
		return list ? -ENOMEM : -EBADMSG;
	for (; vm->nr_groups < nr; vm->nr_groups++)
		if (read_id(json_object_array_get_idx(list, vm->nr_groups),
			    &vm->groups[vm->nr_groups]))
			return -EBADMSG;
	return 0;
}

/* RAM that QEMU gets as a descriptor; the rest it finds by itself. */
static int read_ram(struct json_object *spec, struct fr_vm *vm)
{
	struct json_object *list = fr_json_get(spec, "regions", json_type_array), *path;
	size_t nr = list ? json_object_array_length(list) : 0;

	vm->ram = calloc(nr + 1, sizeof(*vm->ram));
	if (!vm->ram)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		struct fr_vm_ram *ram = &vm->ram[vm->nr_ram];

		path = fr_json_get(o, "path", json_type_string);
		if (!path || *json_object_get_string(path))
			continue;
		*ram = (struct fr_vm_ram){.id = strdup(fr_json_string(o, "id")),
					  .region = strdup(fr_json_string(o, "name")),
					  .is_fd = true,
					  .fd = -1};
		vm->nr_ram++;
		if (!ram->id || !ram->region)
			return -ENOMEM;
	}
	return 0;
}

static int fill(struct json_object *spec, struct fr_vm *vm, struct fr_error *e)
{
	int r;

	if (!fr_name_valid(fr_json_string(spec, "name")))
		return malformed("name", e);
	if (*fr_json_string(spec, "exe") != '/' || *fr_json_string(spec, "cwd") != '/' ||
	    *fr_json_string(spec, "qmp") != '/')
		return malformed("a path (exe, cwd or qmp)", e);
	r = strings(fr_json_get(spec, "argv", json_type_array), NULL, NULL, &vm->argv);
	if (r)
		return r == -ENOMEM ? out_of_memory(e) : malformed("argv", e);
	while (vm->argv[vm->argc])
		vm->argc++;
	if (read_id(fr_json_get(spec, "uid", json_type_int), &vm->uid) ||
	    read_id(fr_json_get(spec, "gid", json_type_int), &vm->gid))
		return malformed("uid or gid", e);
	r = read_groups(spec, vm);
	if (r)
		return r == -ENOMEM ? out_of_memory(e) : malformed("groups", e);
	vm->was_running = fr_json_bool(spec, "running");
	vm->name = strdup(fr_json_string(spec, "name"));
	vm->exe = strdup(fr_json_string(spec, "exe"));
	vm->cwd = strdup(fr_json_string(spec, "cwd"));
	vm->qmp_path = strdup(fr_json_string(spec, "qmp"));
	vm->machine = strdup(fr_json_string(spec, "machine"));
	if (!vm->name || !vm->exe || !vm->cwd || !vm->qmp_path || !vm->machine ||
	    read_ram(spec, vm))
		return out_of_memory(e);
	return 0;
}

int fr_vm_parse_spec(const char *json, struct fr_vm **ret_vm, struct fr_error *e)
{
	struct fr_vm *vm = calloc(1, sizeof(*vm));
	struct json_object *spec;
	int r;

	if (!vm)
		return out_of_memory(e);
	vm->state_fd = -1;
	r = parse(json, &spec, e);
	if (!r) {
		r = fill(spec, vm, e);
		json_object_put(spec);
	}
	if (r) {
		fr_vm_close(vm);
		return r;
	}
	*ret_vm = vm;
	return 0;
}
