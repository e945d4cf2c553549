// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding out what a VM is made of, and refusing one that cannot hop. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "vm-private.h"

#define DEFAULT_TIMEOUT_MS 10000

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

/* ------------------------------------------------------------------------------- RAM */

static int qom_string(struct fr_vm *vm, const char *path, const char *property, char **ret,
		      struct fr_error *e)
{
	struct json_object *arguments =
		fr_json_object("path", json_object_new_string(path), "property",
			       json_object_new_string(property), NULL);
	struct json_object *value = NULL;
	int r = fr_qmp_command_with(vm->qmp, "qom-get", arguments, -1, &value, e);

	if (r)
		return r;
	*ret = strdup(json_object_is_type(value, json_type_string) ? json_object_get_string(value) :
								     "");
	json_object_put(value);
	return *ret ? 0 : out_of_memory(e);
}

static int refuse_ram(const struct fr_vm *vm, const char *id, const char *what, struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
		       "VM %s: its RAM \"%s\" is %s: start it with -object "
		       "memory-backend-file,id=%s,share=on,mem-path=FILE on hugetlbfs or tmpfs and "
		       "-machine memory-backend=%s",
		       vm->name, id, what, id, id);
}

/* @file: mem-path, or NULL with a descriptor @fd */
static int add_ram(const struct fr_ctx *ctx, struct fr_vm *vm, const char *id, const char *file,
		   int fd, struct fr_error *e)
{
	struct fr_vm_ram *v = reallocarray(vm->ram, vm->nr_ram + 1, sizeof(*v)), *ram;

	if (!v)
		return out_of_memory(e);
	vm->ram = v;
	ram = &v[vm->nr_ram];
	*ram = (struct fr_vm_ram){.id = strdup(id), .is_fd = !file, .fd = -1};
	vm->nr_ram++;
	if (!ram->id || (!file ? !(ram->path = fr_path(ctx, "/proc/%d/fd/%d", (int)vm->pid, fd)) :
			 *file == '/' ? !(ram->path = strdup(file)) :
					asprintf(&ram->path, "%s/%s", vm->cwd, file) < 0)) {
		ram->path = NULL;
		return out_of_memory(e);
	}
	for (size_t i = 0; i + 1 < vm->nr_ram; i++)
		ram->again |= !strcmp(vm->ram[i].path, ram->path);
	return fr_vm_check_mapping(ctx, vm, ram, e);
}

/*
 * From 8.1 on QEMU takes a memfd for memory that nobody can find again, and writes it into
 * the device state.
 */
static int check_saves_no_memfd(const struct fr_vm *vm, const char *id, struct fr_error *e)
{
	unsigned int major, minor;

	if (sscanf(fr_qmp_version(vm->qmp), "%u.%u", &major, &minor) == 2 &&
	    (major < 8 || (major == 8 && minor < 1)))
		return 0;
	return refuse_ram(
		vm, id,
		"a memory-backend-memfd, which QEMU 8.1 and later save like any other state", e);
}

static int inspect_memfd(const struct fr_ctx *ctx, struct fr_vm *vm, struct json_object *memdev,
			 struct fr_error *e)
{
	struct json_object *size = fr_json_get(memdev, "size", json_type_int);
	const char *id = fr_json_string(memdev, "id");
	int fd, r = check_saves_no_memfd(vm, id, e);

	if (!r)
		r = fr_vm_find_memfd(ctx, vm, id, size ? json_object_get_uint64(size) : 0, &fd, e);
	return r ? r : add_ram(ctx, vm, id, NULL, fd, e);
}

static int inspect_file(const struct fr_ctx *ctx, struct fr_vm *vm, const char *id,
			const char *object, struct fr_error *e)
{
	_cleanup_free_ char *file = NULL;
	int r = qom_string(vm, object, "mem-path", &file, e), fd, len = 0;

	if (r)
		return r;
	/* inherited, from a restore for one */
	if (sscanf(file, "/proc/self/fd/%d%n", &fd, &len) == 1 && !file[len] && fd >= 0)
		return add_ram(ctx, vm, id, NULL, fd, e);
	return add_ram(ctx, vm, id, file, -1, e);
}

static int inspect_memdev(const struct fr_ctx *ctx, struct fr_vm *vm, struct json_object *memdev,
			  struct fr_error *e)
{
	_cleanup_free_ char *path = NULL, *type = NULL;
	const char *id = fr_json_string(memdev, "id");
	int r;

	if (!*id)
		return refuse_ram(vm, "?", "anonymous (it has no id)", e);
	if (asprintf(&path, "/objects/%s", id) < 0) {
		path = NULL;
		return out_of_memory(e);
	}
	r = qom_string(vm, path, "type", &type, e);
	if (r)
		return r;
	if (strcmp(type, "memory-backend-file") && strcmp(type, "memory-backend-memfd"))
		return refuse_ram(vm, id, "anonymous, not a file", e);
	if (!fr_json_bool(memdev, "share"))
		return refuse_ram(vm, id, "private (share=off)", e);
	return strcmp(type, "memory-backend-file") ? inspect_memfd(ctx, vm, memdev, e) :
						     inspect_file(ctx, vm, id, path, e);
}

int fr_vm_inspect_ram(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	struct json_object *list = NULL;
	int r = fr_qmp_command(vm->qmp, "query-memdev", NULL, -1, &list, e);

	if (r)
		return r;
	if (!json_object_is_type(list, json_type_array) || !json_object_array_length(list))
		r = refuse_ram(vm, "ram", "anonymous", e);
	for (size_t i = 0; !r && i < json_object_array_length(list); i++)
		r = inspect_memdev(ctx, vm, json_object_array_get_idx(list, i), e);
	json_object_put(list);
	return r;
}

/* ----------------------------------------------------------------- what forbids a hop */

static int check_encrypted(struct fr_vm *vm, struct fr_error *e)
{
	_cleanup_free_ char *guard = NULL;
	struct json_object *sev = NULL;
	bool encrypted;
	int r = fr_qmp_command(vm->qmp, "query-sev", NULL, -1, &sev, e);

	if (r && r != -EREMOTEIO) /* this QEMU or this machine has none */
		return r;
	encrypted = !r && fr_json_bool(sev, "enabled");
	json_object_put(sev);
	if (!encrypted) {
		r = qom_string(vm, "/machine", "confidential-guest-support", &guard, e);
		if (r && r != -EREMOTEIO)
			return r;
		encrypted = !r && *guard;
	}
	return encrypted ?
		       fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
			       "VM %s: its memory is encrypted (SEV or TDX), and its keys end with "
			       "the kernel: shut it down, or migrate it away",
			       vm->name) :
		       0;
}

static int check_migration(struct fr_vm *vm, struct fr_error *e)
{
	struct json_object *info = NULL, *reasons;
	const char *status;
	int r = fr_qmp_command(vm->qmp, "query-migrate", NULL, -1, &info, e);

	if (r)
		return r;
	reasons = fr_json_get(info, "blocked-reasons", json_type_array);
	status = fr_json_string(info, "status");
	if (reasons && json_object_array_length(reasons))
		r = fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
			    "VM %s: QEMU cannot save it: %.400s: remove what blocks migration",
			    vm->name,
			    json_object_get_string(json_object_array_get_idx(reasons, 0)));
	else if (!strcmp(status, "setup") || !strcmp(status, "active") ||
		 !strncmp(status, "postcopy", 8) || !strcmp(status, "cancelling"))
		r = fr_fail(e, FR_FAULT_REFUSED, EBUSY,
			    "VM %s: a migration is %s: wait for its end, or cancel it", vm->name,
			    status);
	json_object_put(info);
	return r;
}

static int check_run_state(struct fr_vm *vm, struct fr_error *e)
{
	char state[32];
	int r = fr_vm_run_state(vm->qmp, state, e);

	if (r)
		return r;
	vm->was_running = !strcmp(state, "running");
	if (vm->was_running || !strcmp(state, "paused") || !strcmp(state, "prelaunch"))
		return 0;
	return fr_fail(e, FR_FAULT_REFUSED, EBUSY,
		       "VM %s: it is in state \"%s\": it must be running or paused", vm->name,
		       state);
}

static int choose_settings(struct fr_vm *vm, struct fr_error *e)
{
	int r = fr_vm_choose_capabilities(vm->qmp, &vm->capabilities, &vm->old_capabilities, e);

	if (!r)
		r = fr_vm_choose_parameters(vm->qmp, &vm->parameters, &vm->old_parameters, e);
	return r ? fr_fail_context(e, "VM %s", vm->name) : 0;
}

/* "pc-q35-7.2-machine" as "pc-q35-7.2"; unknown is no error, the alias then stays. */
static int find_machine(struct fr_vm *vm, struct fr_error *e)
{
	static const char suffix[] = "-machine";
	size_t len;
	int r = qom_string(vm, "/machine", "type", &vm->machine, e);

	if (r == -EREMOTEIO)
		vm->machine = strdup("");
	else if (r)
		return r;
	if (!vm->machine)
		return out_of_memory(e);
	len = strlen(vm->machine);
	if (len > sizeof(suffix) - 1 && !strcmp(vm->machine + len - (sizeof(suffix) - 1), suffix))
		vm->machine[len - (sizeof(suffix) - 1)] = '\0';
	return 0;
}

int fr_vm_inspect_state(struct fr_vm *vm, struct fr_error *e)
{
	int r = check_encrypted(vm, e);

	if (!r)
		r = check_migration(vm, e);
	if (!r)
		r = choose_settings(vm, e);
	return r ? r : find_machine(vm, e);
}

static int inspect(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	int r = fr_vm_read_process(ctx, vm, e);

	if (!r)
		r = fr_vm_argv_check(vm->name, vm->argv, e);
	if (!r)
		r = check_run_state(vm, e);
	if (!r)
		r = fr_vm_inspect_ram(ctx, vm, e);
	if (!r)
		r = fr_vm_check_process(ctx, vm, e);
	if (!r)
		r = fr_vm_check_changed(vm, e);
	return r ? r : fr_vm_inspect_state(vm, e);
}

int fr_vm_open(const struct fr_ctx *ctx, const struct fr_vm_arg *arg, unsigned int timeout_ms,
	       struct fr_vm **ret_vm, struct fr_error *e)
{
	struct fr_vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm || !(vm->name = strdup(arg->name))) {
		free(vm);
		return out_of_memory(e);
	}
	vm->state_fd = -1;
	vm->timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS;
	r = fr_qmp_open(arg->qmp_path, vm->timeout_ms, &vm->qmp, e);
	if (r) {
		fr_vm_close(vm);
		return fr_fail_context(e, "VM %s", arg->name);
	}
	vm->pid = fr_qmp_pid(vm->qmp);
	vm->qmp_path = realpath(arg->qmp_path, NULL);
	r = vm->qmp_path ?
		    inspect(ctx, vm, e) :
		    fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", arg->qmp_path, strerror(errno));
	if (r) {
		fr_vm_close(vm);
		return r;
	}
	fr_log(ctx, FR_LOG_DEBUG, "VM %s: QEMU %s, process %d, %s, %zu RAM file(s)", vm->name,
	       fr_qmp_version(vm->qmp), (int)vm->pid, vm->machine, vm->nr_ram);
	*ret_vm = vm;
	return 0;
}

const char *fr_vm_name(const struct fr_vm *vm)
{
	return vm->name;
}

pid_t fr_vm_pid(const struct fr_vm *vm)
{
	return vm->pid;
}

void fr_vm_close(struct fr_vm *vm)
{
	if (!vm)
		return;
	fr_qmp_close(vm->qmp);
	if (vm->state_fd >= 0)
		close(vm->state_fd);
	for (size_t i = 0; i < vm->nr_ram; i++) {
		free(vm->ram[i].id);
		free(vm->ram[i].path);
		free(vm->ram[i].region);
		if (vm->ram[i].fd >= 0)
			close(vm->ram[i].fd);
	}
	free(vm->ram);
	fr_strv_free(vm->argv);
	free(vm->exe);
	free(vm->cwd);
	free(vm->machine);
	free(vm->groups);
	json_object_put(vm->capabilities);
	json_object_put(vm->old_capabilities);
	json_object_put(vm->parameters);
	json_object_put(vm->old_parameters);
	free(vm->qmp_path);
	free(vm->name);
	free(vm);
}
