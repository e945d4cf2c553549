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

/* The VM's command line, and whether memory lacked while it was looked into. */
struct line {
	struct fr_vm *vm;
	char *const *argv;
	bool out_of_memory;
};

/* Value of option @i of @argv if it is -NAME or --NAME, else NULL. */
static const char *value_of(char *const *argv, size_t i, const char *name)
{
	const char *o = fr_vm_option(argv[i]);

	return o && !strcmp(o, name) ? argv[i + 1] : NULL;
}

/* Text that was allocated: NULL says that it could not be. */
static char *noted(struct line *l, char *text)
{
	l->out_of_memory |= !text;
	return text;
}

/* NULL, too, for what is no JSON. */
static struct json_object *parse(struct line *l, const char *json)
{
	struct json_object *o = NULL;

	l->out_of_memory |= fr_json_parse(json, &o) == -ENOMEM;
	return o;
}

static char *member(struct line *l, const char *value, const char *key)
{
	char *found = NULL;

	l->out_of_memory |= fr_vm_member(value, key, &found) == -ENOMEM;
	return found;
}

/* Is there an option @name whose member @key is @wanted? */
static bool has_option(struct line *l, const char *name, const char *key, const char *wanted)
{
	bool has = false;

	for (size_t i = 1; !has && l->argv[0] && l->argv[i]; i++) {
		const char *value = value_of(l->argv, i, name);
		_cleanup_free_ char *found = value ? member(l, value, key) : NULL;

		has = found && !strcmp(found, wanted);
	}
	return has;
}

/* Devices without an id that come from the command line; other options make none. */
static size_t count_anonymous(struct line *l)
{
	char *const *argv = l->argv;
	size_t nr = 0;

	for (size_t i = 1; argv[0] && argv[i]; i++) {
		const char *device = value_of(argv, i, "device");
		const char *drive = value_of(argv, i, "drive");
		_cleanup_free_ char *id = device ? member(l, device, "id") : NULL;
		_cleanup_free_ char *bus = drive ? member(l, drive, "if") : NULL;

		nr += device && !id;
		nr += bus && (!strcmp(bus, "virtio") || !strcmp(bus, "xen"));
		nr += value_of(argv, i, "virtfs") || value_of(argv, i, "watchdog") ||
		      value_of(argv, i, "balloon");
	}
	return nr;
}

static int list_children(struct fr_vm *vm, const char *path, struct json_object **ret,
			 struct fr_error *e)
{
	struct json_object *arguments = fr_json_object("path", json_object_new_string(path), NULL);
	int r = fr_qmp_command_with(vm->qmp, "qom-list", arguments, -1, ret, e);

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

static int check_named_devices(struct line *l, struct fr_error *e)
{
	struct fr_vm *vm = l->vm;
	struct json_object *list;
	int r = list_children(vm, "/machine/peripheral", &list, e);

	if (r)
		return r;
	for (size_t i = 0; !r && i < json_object_array_length(list); i++) {
		const char *name = child(list, i);

		/* -debugcon gives its device a name of its own */
		if (name && strcmp(name, "debugcon") && !has_option(l, "device", "id", name))
			r = refuse(vm, name, "was plugged in", e);
	}
	for (size_t i = 1; !r && vm->argv[0] && vm->argv[i]; i++) {
		const char *device = value_of(vm->argv, i, "device");
		_cleanup_free_ char *id = device ? member(l, device, "id") : NULL;
		_cleanup_free_ char *pair = device ? member(l, device, "failover_pair_id") : NULL;

		/* a failover primary comes and goes with migrations */
		if (id && !pair && !is_child(list, id))
			r = refuse(vm, id, "was unplugged", e);
	}
	json_object_put(list);
	return r;
}

static int check_anonymous_devices(struct line *l, struct fr_error *e)
{
	static const char what[] = "/machine/peripheral-anon";
	struct json_object *list;
	size_t nr = 0;
	int r = list_children(l->vm, what, &list, e);

	if (r)
		return r;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		nr += !!child(list, i);
	json_object_put(list);
	return nr > count_anonymous(l) ? refuse(l->vm, what, "got a device without an id", e) : 0;
}

/* Is @text a whole value somewhere? */
static bool is_named(char *const *argv, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 1; argv[0] && argv[i]; i++)
		for (const char *p = argv[i]; (p = strstr(p, text)); p++)
			if ((p == argv[i] || strchr("=:\"'", p[-1])) && strchr(",\"'", p[len]))
				return true; /* the end of the string counts as found, too */
	return false;
}

/* Does the command line name this file?  In key=value lists commas are doubled. */
static bool names_file(struct line *l, const char *file)
{
	_cleanup_free_ char *written = noted(l, calloc(2, strlen(file) + 1));
	char *out = written;

	if (!written)
		return false;
	for (const char *p = file; *p; p++) {
		*out++ = *p;
		if (*p == ',')
			*out++ = ',';
	}
	/* QEMU says ./a:b for file:a:b */
	return is_named(l->argv, written) || is_named(l->argv, file) ||
	       (!strncmp(file, "./", 2) && strchr(file, ':') && names_file(l, file + 2));
}

/* What is written to, of a name json:{...}: the innermost file. */
static char *json_file(struct line *l, const char *json)
{
	struct json_object *root = parse(l, json), *o = root, *inner;
	char *name;

	while ((inner = fr_json_get(o, "file", json_type_object)))
		o = inner;
	name = noted(l, strdup(fr_json_string(o, "filename")));
	json_object_put(root);
	return name;
}

static bool has_pflash(struct line *l, const char *node)
{
	return has_option(l, "machine", "pflash0", node) ||
	       has_option(l, "machine", "pflash1", node) || has_option(l, "M", "pflash0", node) ||
	       has_option(l, "M", "pflash1", node);
}

/* Is the disk's image the one that the command line gives it? */
static bool is_same_image(struct line *l, struct json_object *inserted)
{
	const char *file = fr_json_string(inserted, "file");
	const char *node = fr_json_string(inserted, "node-name");
	_cleanup_free_ char *inner = NULL;

	/* A -blockdev may be another disk's, or this one's backing file: who has it counts. */
	if (*node && has_option(l, "blockdev", "node-name", node))
		return has_option(l, "device", "drive", node) || has_pflash(l, node);
	if (!strncmp(file, "json:", 5)) {
		inner = json_file(l, file + 5);
		file = inner ? inner : "";
	}
	/* images that are no files go by names that QEMU makes up */
	return !*file || strstr(file, "://") || names_file(l, file);
}

/* Did the command line put a medium into this drive, which is empty now? */
static bool was_emptied(struct line *l, struct json_object *drive)
{
	const char *name = fr_json_string(drive, "device"), *qdev = fr_json_string(drive, "qdev");

	for (size_t i = 1; l->argv[0] && l->argv[i]; i++) {
		const char *value = value_of(l->argv, i, "drive");
		_cleanup_free_ char *id = value ? member(l, value, "id") : NULL;
		_cleanup_free_ char *file = value ? member(l, value, "file") : NULL;

		if (*name && id && file && !strcmp(id, name))
			return true;
		if (!strncmp(name, "ide", 3) && strstr(name, "-cd") &&
		    value_of(l->argv, i, "cdrom"))
			return true;
		if (!strncmp(name, "floppy", 6) &&
		    (value_of(l->argv, i, "fda") || value_of(l->argv, i, "fdb")))
			return true;
	}
	for (size_t i = 1; *qdev && l->argv[0] && l->argv[i]; i++) {
		const char *value = value_of(l->argv, i, "device");
		_cleanup_free_ char *id = value ? member(l, value, "id") : NULL;
		_cleanup_free_ char *node = value ? member(l, value, "drive") : NULL;

		if (id && node && !strcmp(id, qdev) && has_option(l, "blockdev", "node-name", node))
			return true;
	}
	return false;
}

static int check_disks(struct line *l, struct fr_error *e)
{
	struct fr_vm *vm = l->vm;
	struct json_object *list = NULL;
	int r = fr_qmp_command(vm->qmp, "query-block", NULL, -1, &list, e);

	if (r)
		return r;
	if (!json_object_is_type(list, json_type_array))
		r = fr_fail(e, FR_FAULT_VM, EPROTO, "VM %s: query-block: not an array", vm->name);
	for (size_t i = 0; !r && i < json_object_array_length(list); i++) {
		struct json_object *drive = json_object_array_get_idx(list, i);
		struct json_object *inserted = fr_json_get(drive, "inserted", json_type_object);
		const char *name = fr_json_string(drive, "device");

		if (!inserted && was_emptied(l, drive))
			r = refuse(vm, *name ? name : fr_json_string(drive, "qdev"),
				   "lost its medium", e);
		else if (inserted && !is_same_image(l, inserted))
			r = refuse(vm, fr_json_string(inserted, "file"),
				   "became an image of a disk", e);
	}
	json_object_put(list);
	return r;
}

int fr_vm_check_changed(struct fr_vm *vm, struct fr_error *e)
{
	struct line l = {.vm = vm, .argv = vm->argv};
	int r;

	/* devices and disks may be in a file that was read then */
	for (size_t i = 1; vm->argv[0] && vm->argv[i]; i++)
		if (value_of(vm->argv, i, "readconfig"))
			return 0;
	r = check_named_devices(&l, e);
	if (!r)
		r = check_anonymous_devices(&l, e);
	if (!r)
		r = check_disks(&l, e);
	return l.out_of_memory ? fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory") : r;
}
