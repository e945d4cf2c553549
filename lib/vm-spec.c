// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The blob "vm/NAME/spec": how to start a VM's VMM again.
 *
 *   {"version": 1, "name": "web", "exe": "/usr/bin/qemu-system-x86_64", "argv": [...],
 *    "cwd": "/", "qmp": "/run/web.qmp", "machine": "pc-q35-7.2", "running": true,
 *    "uid": 0, "gid": 0, "groups": [], "qemu": "7.2.22",
 *    "regions": [{"name": "web", "path": "/dev/hugepages/web", "id": "m"}]}
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vm-private.h"

#define SPEC_VERSION 1
#define SPEC_DEPTH   8

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

	for (size_t i = 0; complete && i < vm->nr_ram; i++) {
		if (vm->ram[i].again)
			continue;
		s->spec = strdup(vm->ram[i].path);
		s->path = strdup(vm->ram[i].path);
		s->name = region_name(vm, &vm->ram[i]);
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

static void add_string(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static struct json_object *spec_regions(const struct fr_vm *vm)
{
	struct json_object *list = json_object_new_array(), *o;

	for (size_t i = 0; i < vm->nr_ram; i++) {
		_cleanup_free_ char *name = region_name(vm, &vm->ram[i]);

		if (vm->ram[i].again)
			continue;
		if (!name) {
			json_object_put(list);
			return NULL;
		}
		o = json_object_new_object();
		add_string(o, "name", name);
		add_string(o, "path", vm->ram[i].path);
		add_string(o, "id", vm->ram[i].id);
		json_object_array_add(list, o);
	}
	return list;
}

int fr_vm_spec(const struct fr_vm *vm, char **ret_json)
{
	struct json_object *o = json_object_new_object(), *argv = json_object_new_array();
	struct json_object *groups = json_object_new_array(), *regions = spec_regions(vm);

	for (size_t i = 0; i < vm->argc; i++)
		json_object_array_add(argv, json_object_new_string(vm->argv[i]));
	for (size_t i = 0; i < vm->nr_groups; i++)
		json_object_array_add(groups, json_object_new_int64(vm->groups[i]));
	json_object_object_add(o, "version", json_object_new_int(SPEC_VERSION));
	add_string(o, "name", vm->name);
	add_string(o, "exe", vm->exe);
	json_object_object_add(o, "argv", argv);
	add_string(o, "cwd", vm->cwd);
	add_string(o, "qmp", vm->qmp_path);
	add_string(o, "machine", vm->machine);
	add_string(o, "qemu", vm->qmp ? fr_qmp_version(vm->qmp) : "");
	json_object_object_add(o, "running", json_object_new_boolean(vm->was_running));
	json_object_object_add(o, "uid", json_object_new_int64(vm->uid));
	json_object_object_add(o, "gid", json_object_new_int64(vm->gid));
	json_object_object_add(o, "groups", groups);
	json_object_object_add(o, "regions", regions);
	*ret_json = regions ? strdup(json_object_to_json_string_ext(
				      o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) :
			      NULL;
	json_object_put(o);
	return *ret_json ? 0 : -ENOMEM;
}

/* ----------------------------------------------------------------------------- reading */

static int malformed(const char *what, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_DESCRIPTOR, EBADMSG, "VM's spec: %s is missing or malformed",
		       what);
}

static int parse(const char *json, struct json_object **ret, struct fr_error *e)
{
	struct json_tokener *tokener = json_tokener_new_ex(SPEC_DEPTH);
	struct json_object *o, *version;

	if (!tokener)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	o = json_tokener_parse_ex(tokener, json, -1);
	json_tokener_free(tokener);
	version = fr_json_get(o, "version", json_type_int);
	if (!version || json_object_get_int(version) != SPEC_VERSION) {
		json_object_put(o);
		return malformed("version", e);
	}
	*ret = o;
	return 0;
}

/* An array of strings as a vector that ends with NULL. */
static char **strings(struct json_object *list)
{
	size_t nr = list ? json_object_array_length(list) : 0;
	char **v = nr ? calloc(nr + 1, sizeof(*v)) : NULL;

	for (size_t i = 0; v && i < nr; i++) {
		struct json_object *s = json_object_array_get_idx(list, i);

		if (!json_object_is_type(s, json_type_string) ||
		    !(v[i] = strdup(json_object_get_string(s)))) {
			fr_strv_free(v);
			return NULL;
		}
	}
	return v;
}

int fr_vm_spec_regions(const char *json, char ***ret_names, size_t *ret_nr, struct fr_error *e)
{
	struct json_object *spec, *list;
	char **v = NULL;
	size_t nr = 0;
	int r = parse(json, &spec, e);

	if (r)
		return r;
	list = fr_json_get(spec, "regions", json_type_array);
	if (list)
		v = calloc(json_object_array_length(list) + 1, sizeof(*v));
	for (size_t i = 0; v && i < json_object_array_length(list); i++) {
		const char *name = fr_json_string(json_object_array_get_idx(list, i), "name");

		if (!fr_name_valid(name) || !(v[nr++] = strdup(name))) {
			fr_strv_free(v);
			v = NULL;
		}
	}
	json_object_put(spec);
	if (!v || !nr) {
		fr_strv_free(v);
		return malformed("regions", e);
	}
	*ret_names = v;
	*ret_nr = nr;
	return 0;
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
		return -EBADMSG;
	for (; vm->nr_groups < nr; vm->nr_groups++)
		if (read_id(json_object_array_get_idx(list, vm->nr_groups),
			    &vm->groups[vm->nr_groups]))
			return -EBADMSG;
	return 0;
}

static int fill(struct json_object *spec, struct fr_vm *vm, struct fr_error *e)
{
	if (!fr_name_valid(fr_json_string(spec, "name")))
		return malformed("name", e);
	if (*fr_json_string(spec, "exe") != '/' || *fr_json_string(spec, "cwd") != '/' ||
	    *fr_json_string(spec, "qmp") != '/')
		return malformed("a path (exe, cwd or qmp)", e);
	vm->argv = strings(fr_json_get(spec, "argv", json_type_array));
	if (!vm->argv)
		return malformed("argv", e);
	while (vm->argv[vm->argc])
		vm->argc++;
	if (read_id(fr_json_get(spec, "uid", json_type_int), &vm->uid) ||
	    read_id(fr_json_get(spec, "gid", json_type_int), &vm->gid) || read_groups(spec, vm))
		return malformed("uid, gid or groups", e);
	vm->was_running = fr_json_bool(spec, "running");
	vm->name = strdup(fr_json_string(spec, "name"));
	vm->exe = strdup(fr_json_string(spec, "exe"));
	vm->cwd = strdup(fr_json_string(spec, "cwd"));
	vm->qmp_path = strdup(fr_json_string(spec, "qmp"));
	vm->machine = strdup(fr_json_string(spec, "machine"));
	if (!vm->name || !vm->exe || !vm->cwd || !vm->qmp_path || !vm->machine)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	return 0;
}

int fr_vm_parse_spec(const char *json, struct fr_vm **ret_vm, struct fr_error *e)
{
	struct fr_vm *vm = calloc(1, sizeof(*vm));
	struct json_object *spec;
	int r;

	if (!vm)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
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
