// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What was changed over the monitor since QEMU was started.  restore starts the VM with
 * its command line, so that has to be what the VM is made of now: a device too many or
 * too few and the state does not load; a disk that a live snapshot moved to another file
 * would be written to where nobody writes any more.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vm-private.h"

/* Value of option @i of @argv if it is -NAME or --NAME, else NULL. */
static const char *value_of(char *const *argv, size_t i, const char *name)
{
	const char *o = argv[i];

	if (*o != '-')
		return NULL;
	o += 1 + (o[1] == '-');
	return strcmp(o, name) ? NULL : argv[i + 1];
}

/* The id in the value of a -device, key=value or JSON: to be freed, NULL without one. */
static char *device_id(const char *value)
{
	struct json_object *o;
	const char *found;
	char *id;

	if (*value != '{') {
		for (const char *p = value; p; p = strchr(p, ',')) {
			p += *p == ',';
			if (!strncmp(p, "id=", 3))
				return strndup(p + 3, strcspn(p + 3, ","));
		}
		return NULL;
	}
	o = json_tokener_parse(value);
	found = fr_json_string(o, "id");
	id = *found ? strdup(found) : NULL;
	json_object_put(o);
	return id;
}

static bool has_device(char *const *argv, const char *name)
{
	bool has = false;

	for (size_t i = 1; !has && argv[0] && argv[i]; i++) {
		const char *device = value_of(argv, i, "device");
		_cleanup_free_ char *id = device ? device_id(device) : NULL;

		has = id && !strcmp(id, name);
	}
	return has;
}

/* At most so many devices without an id can come from the command line. */
static size_t count_anonymous(char *const *argv)
{
	static const char *const makes_one[] = {"drive", "virtfs", "watchdog", "balloon", "hda",
						"hdb",	 "hdc",	   "hdd",      "cdrom",	  "fsdev"};
	size_t nr = 0;

	for (size_t i = 1; argv[0] && argv[i]; i++) {
		const char *device = value_of(argv, i, "device");
		_cleanup_free_ char *id = device ? device_id(device) : NULL;

		nr += device && !id;
		for (size_t k = 0; k < FR_ARRAY_SIZE(makes_one); k++)
			nr += !!value_of(argv, i, makes_one[k]);
	}
	return nr;
}

static int list_children(struct fr_vm *vm, const char *path, struct json_object **ret,
			 struct fr_error *e)
{
	struct json_object *arguments = json_object_new_object();
	int r;

	json_object_object_add(arguments, "path", json_object_new_string(path));
	r = fr_qmp_command(vm->qmp, "qom-list", arguments, -1, ret, e);
	if (r)
		return r;
	if (json_object_is_type(*ret, json_type_array))
		return 0;
	json_object_put(*ret);
	return fr_fail(e, FR_FAULT_VM, EPROTO, "VM %s: qom-list %s: not an array", vm->name, path);
}

static const char *child(struct json_object *list, size_t i)
{
	struct json_object *o = json_object_array_get_idx(list, i);

	return strncmp(fr_json_string(o, "type"), "child<", 6) ? NULL : fr_json_string(o, "name");
}

static bool is_child(struct json_object *list, const char *id)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name = child(list, i);

		if (name && !strcmp(name, id))
			return true;
	}
	return false;
}

static int refuse(const struct fr_vm *vm, const char *what, const char *why, struct fr_error *e)
{
	return fr_fail(
		e, FR_FAULT_REFUSED, EOPNOTSUPP,
		"VM %s: \"%.200s\" %s since QEMU was started, and its command line, with which "
		"it is restored, says otherwise: undo that, or start the VM anew as it is now",
		vm->name, what, why);
}

static int check_named_devices(struct fr_vm *vm, struct fr_error *e)
{
	struct json_object *list;
	int r = list_children(vm, "/machine/peripheral", &list, e);

	if (r)
		return r;
	for (size_t i = 0; !r && i < json_object_array_length(list); i++) {
		const char *name = child(list, i);

		if (name && !has_device(vm->argv, name))
			r = refuse(vm, name, "was plugged in", e);
	}
	for (size_t i = 1; !r && vm->argv[0] && vm->argv[i]; i++) {
		const char *device = value_of(vm->argv, i, "device");
		_cleanup_free_ char *id = device ? device_id(device) : NULL;

		if (id && !is_child(list, id))
			r = refuse(vm, id, "was unplugged", e);
	}
	json_object_put(list);
	return r;
}

static int check_anonymous_devices(struct fr_vm *vm, struct fr_error *e)
{
	static const char what[] = "/machine/peripheral-anon";
	struct json_object *list;
	size_t nr = 0;
	int r = list_children(vm, what, &list, e);

	if (r)
		return r;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		nr += !!child(list, i);
	json_object_put(list);
	return nr > count_anonymous(vm->argv) ? refuse(vm, what, "got a device without an id", e) :
						0;
}

/* Does the command line name this file?  Commas are doubled there. */
static bool names_file(char *const *argv, const char *file)
{
	_cleanup_free_ char *written = calloc(2, strlen(file) + 1);
	char *out = written;
	size_t len;

	if (!written)
		return false;
	for (const char *p = file; *p; p++) {
		*out++ = *p;
		if (*p == ',')
			*out++ = ',';
	}
	len = strlen(written);
	for (size_t i = 1; argv[0] && argv[i]; i++)
		for (const char *p = argv[i]; (p = strstr(p, written)); p++)
			if ((p == argv[i] || strchr("=:\"", p[-1])) && strchr(",\"", p[len]))
				return true; /* the end of the string counts as found, too */
	return false;
}

/* Images that are no plain file go by names that QEMU makes up. */
static bool is_plain(const char *file)
{
	return *file && strncmp(file, "json:", 5) && !strstr(file, "://");
}

static int check_disks(struct fr_vm *vm, struct fr_error *e)
{
	struct json_object *list = NULL;
	int r = fr_qmp_command(vm->qmp, "query-block", NULL, -1, &list, e);

	if (r)
		return r;
	if (!json_object_is_type(list, json_type_array))
		r = fr_fail(e, FR_FAULT_VM, EPROTO, "VM %s: query-block: not an array", vm->name);
	for (size_t i = 0; !r && i < json_object_array_length(list); i++) {
		struct json_object *inserted = fr_json_get(json_object_array_get_idx(list, i),
							   "inserted", json_type_object);
		const char *file = fr_json_string(inserted, "file");

		if (is_plain(file) && !names_file(vm->argv, file))
			r = refuse(vm, file, "became an image of a disk", e);
	}
	json_object_put(list);
	return r;
}

int fr_vm_check_changed(struct fr_vm *vm, struct fr_error *e)
{
	int r;

	/* devices and disks may be in a file that was read then */
	for (size_t i = 1; vm->argv[0] && vm->argv[i]; i++)
		if (value_of(vm->argv, i, "readconfig"))
			return 0;
	r = check_named_devices(vm, e);
	if (!r)
		r = check_anonymous_devices(vm, e);
	return r ? r : check_disks(vm, e);
}
