// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM as exec has found it, for the journal: what fr_vm_resume() needs when nobody is left
 * who knows.
 *
 *   {"name": "web", "qmp": "/run/web.qmp", "pid": 123, "running": true,
 *    "capabilities": {...}, "parameters": {...}}
 *
 * The last two are arguments of migrate-set-...
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vm-private.h"

#define TIMEOUT_MS 5000 /* for an answer: undo.c tries for longer, with a new connection */

int fr_vm_note(const struct fr_vm *vm, char **ret_json)
{
	struct json_object *o =
		fr_json_object("name", json_object_new_string(vm->name), "qmp",
			       json_object_new_string(vm->qmp_path), "pid",
			       json_object_new_int64(vm->pid), "running",
			       json_object_new_boolean(vm->was_running), "capabilities",
			       json_object_get(vm->old_capabilities), "parameters",
			       json_object_get(vm->old_parameters), NULL);
	char *text = o ? fr_json_text(o) : NULL;

	json_object_put(o);
	if (!text)
		return -ENOMEM;
	*ret_json = text;
	return 0;
}

static bool fill(struct json_object *o, struct fr_vm *vm)
{
	struct json_object *pid = fr_json_get(o, "pid", json_type_int);

	vm->old_capabilities = json_object_get(fr_json_get(o, "capabilities", json_type_object));
	vm->old_parameters = json_object_get(fr_json_get(o, "parameters", json_type_object));
	vm->pid = pid ? (pid_t)json_object_get_int(pid) : 0;
	vm->was_running = fr_json_bool(o, "running");
	return vm->old_capabilities && vm->old_parameters && vm->pid > 0 &&
	       fr_name_valid(fr_json_string(o, "name")) && *fr_json_string(o, "qmp") == '/';
}

int fr_vm_left(const char *json, struct fr_vm **ret_vm, struct fr_error *e)
{
	struct fr_vm *vm = calloc(1, sizeof(*vm));
	struct json_object *o = NULL;
	int r = vm ? fr_json_parse(json, &o) : -ENOMEM;

	if (vm)
		vm->state_fd = -1;
	if (!r) {
		vm->timeout_ms = TIMEOUT_MS;
		vm->touched = true;
		r = fill(o, vm) ? 0 : -EBADMSG;
	}
	if (!r) {
		vm->name = strdup(fr_json_string(o, "name"));
		vm->qmp_path = strdup(fr_json_string(o, "qmp"));
		r = vm->name && vm->qmp_path ? 0 : -ENOMEM;
	}
	json_object_put(o);
	if (!r) {
		*ret_vm = vm;
		return 0;
	}
	fr_vm_close(vm);
	return r == -ENOMEM ?
		       fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory") :
		       fr_fail(e, FR_FAULT_SYSTEM, EBADMSG,
			       "/run/kexec-fastrestart/journal is damaged or of another release: "
			       "resume guests by hand (QMP cont), and remove it");
}
