// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stop, save, resume.
 *
 * The device state is a migration stream without RAM (capability x-ignore-shared),
 * into a memory file that cannot grow beyond a bound: a QEMU that sends RAM after all
 * fails instead of filling the host.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"
#include "vm-private.h"

#define STATE_BYTES (64u << 20)
#define QUERY_MS    64 /* between queries, unless an event comes */

int fr_vm_run_state(struct fr_qmp *qmp, char ret[32], struct fr_error *e)
{
	struct json_object *status = NULL;
	int r = fr_qmp_command(qmp, "query-status", NULL, -1, &status, e);

	if (r)
		return r;
	snprintf(ret, 32, "%s", fr_json_string(status, "status"));
	json_object_put(status);
	return 0;
}

int fr_vm_migration_status(struct fr_qmp *qmp, const char *name, char ret[32], struct fr_error *e)
{
	struct json_object *info = NULL;
	int r = fr_qmp_command(qmp, "query-migrate", NULL, -1, &info, e);

	if (r)
		return r;
	snprintf(ret, 32, "%s", fr_json_string(info, "status"));
	if (!strcmp(ret, "failed"))
		fr_fail(e, FR_FAULT_VM, EIO, "VM %s: migration failed: %.400s", name,
			*fr_json_string(info, "error-desc") ? fr_json_string(info, "error-desc") :
							      "QEMU gives no reason");
	json_object_put(info);
	return 0;
}

static bool is_passing(const char *status)
{
	return !strcmp(status, "setup") || !strcmp(status, "active") || !strcmp(status, "device") ||
	       !strcmp(status, "cancelling") || !strcmp(status, "wait-unplug") ||
	       !strcmp(status, "pre-switchover");
}

int fr_vm_wait_migration(struct fr_qmp *qmp, const char *name, unsigned int timeout_ms,
			 char ret_status[32], struct fr_error *e)
{
	uint64_t deadline = fr_now_ms() + timeout_ms;
	int r;

	for (;;) {
		r = fr_vm_migration_status(qmp, name, ret_status, e);
		if (r)
			return r;
		/* an incoming one has no status until its first byte is read */
		if (*ret_status && strcmp(ret_status, "none") && !is_passing(ret_status))
			return 0;
		if (fr_now_ms() >= deadline)
			return fr_fail(e, FR_FAULT_VM, ETIMEDOUT,
				       "VM %s: migration still \"%s\" after %u ms", name,
				       ret_status, timeout_ms);
		fr_qmp_wait(qmp, QUERY_MS);
	}
}

static int add_capability(struct json_object *list, const char *name, bool state)
{
	return fr_json_append(list, fr_json_object("capability", json_object_new_string(name),
						   "state", json_object_new_boolean(state), NULL));
}

/* Both or none of @ret_set and @ret_undo from lists, which are consumed. */
static int arguments_of(const char *key, struct json_object *set, struct json_object *undo,
			struct json_object **ret_set, struct json_object **ret_undo,
			struct fr_error *e)
{
	set = fr_json_object(key, set, NULL);
	undo = fr_json_object(key, undo, NULL);
	if (set && undo) {
		*ret_set = set;
		*ret_undo = undo;
		return 0;
	}
	json_object_put(set);
	json_object_put(undo);
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

int fr_vm_choose_capabilities(struct fr_qmp *qmp, struct json_object **ret_set,
			      struct json_object **ret_undo, struct fr_error *e)
{
	static const char *const off[] = {"multifd",
					  "mapped-ram",
					  "postcopy-ram",
					  "postcopy-preempt",
					  "background-snapshot",
					  "return-path",
					  "x-colo",
					  "xbzrle",
					  "pause-before-switchover",
					  "compress",
					  "rdma-pin-all",
					  "switchover-ack",
					  "zero-copy-send"};
	struct json_object *have = NULL, *set, *undo, *c;
	const char *capability;
	bool state, want, found = false, complete = true;
	int r = fr_qmp_command(qmp, "query-migrate-capabilities", NULL, -1, &have, e);

	if (r)
		return r;
	set = json_object_new_array();
	undo = json_object_new_array();
	for (size_t i = 0;
	     json_object_is_type(have, json_type_array) && i < json_object_array_length(have);
	     i++) {
		c = json_object_array_get_idx(have, i);
		capability = fr_json_string(c, "capability");
		state = want = fr_json_bool(c, "state");
		if (!strcmp(capability, "x-ignore-shared"))
			found = want = true;
		/* MIGRATION events, for fr_vm_wait_migration() */
		want |= !strcmp(capability, "events");
		for (size_t j = 0; j < FR_ARRAY_SIZE(off); j++)
			want &= strcmp(capability, off[j]) != 0;
		if (want == state)
			continue;
		complete &= !add_capability(set, capability, want) &&
			    !add_capability(undo, capability, state);
	}
	json_object_put(have);
	if (complete && found)
		return arguments_of("capabilities", set, undo, ret_set, ret_undo, e);
	json_object_put(set);
	json_object_put(undo);
	if (!complete)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	return fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
		       "QEMU %s cannot save a VM without its RAM (capability x-ignore-shared): use "
		       "QEMU 4.0 or later",
		       fr_qmp_version(qmp));
}

/* The default limit, 128 MiB/s, would be part of the blackout. */
int fr_vm_choose_parameters(struct fr_qmp *qmp, struct json_object **ret_set,
			    struct json_object **ret_undo, struct fr_error *e)
{
	struct json_object *have = NULL, *set, *undo, *limit;
	bool complete;
	int r = fr_qmp_command(qmp, "query-migrate-parameters", NULL, -1, &have, e);

	if (r)
		return r;
	set = json_object_new_object();
	undo = json_object_new_object();
	complete = set && undo;
	limit = fr_json_get(have, "max-bandwidth", json_type_int);
	if (complete && limit)
		complete = !fr_json_add(set, "max-bandwidth", json_object_new_int64(1ll << 40)) &&
			   !fr_json_add(undo, "max-bandwidth", json_object_get(limit));
	json_object_put(have);
	if (!complete) {
		json_object_put(set);
		json_object_put(undo);
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
	}
	*ret_set = set;
	*ret_undo = undo;
	return 0;
}

static struct json_object *fd_name(void)
{
	return fr_json_object("fdname", json_object_new_string(FR_VM_FD_NAME), NULL);
}

int fr_vm_getfd(struct fr_qmp *qmp, int fd, struct fr_error *e)
{
	return fr_qmp_command_with(qmp, "getfd", fd_name(), fd, NULL, e);
}

/* Run @command with arguments that stay the caller's. */
static int set(struct fr_qmp *qmp, const char *command, struct json_object *arguments,
	       struct fr_error *e)
{
	return fr_qmp_command_with(qmp, command, json_object_get(arguments), -1, NULL, e);
}

int fr_vm_stop(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	int r;

	(void)ctx;
	vm->touched = true;
	r = fr_qmp_command(vm->qmp, "stop", NULL, -1, NULL, e);
	if (r)
		return fr_fail_context(e, "VM %s", vm->name);
	/* it may have been changed while everything was prepared */
	return fr_vm_check_changed(vm, e);
}

struct json_object *fr_vm_uri(void)
{
	return fr_json_object("uri", json_object_new_string("fd:" FR_VM_FD_NAME), NULL);
}

static int state_file(struct fr_error *e)
{
	int fd = memfd_create("kexec-fastrestart-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && !ftruncate(fd, STATE_BYTES) && !fcntl(fd, F_ADD_SEALS, F_SEAL_GROW))
		return fd;
	fr_fail(e, FR_FAULT_SYSTEM, errno, "memory for a VM's state: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -e->err;
}

int fr_vm_prepare(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	int r = state_file(e);

	(void)ctx;
	if (r < 0)
		return r;
	vm->state_fd = r;
	vm->touched = true;
	r = set(vm->qmp, "migrate-set-capabilities", vm->capabilities, e);
	if (!r)
		r = set(vm->qmp, "migrate-set-parameters", vm->parameters, e);
	if (!r)
		r = fr_vm_getfd(vm->qmp, vm->state_fd, e);
	return r ? fr_fail_context(e, "VM %s", vm->name) : 0;
}

static int migrate(struct fr_vm *vm, struct fr_error *e)
{
	char status[32];
	int r = fr_qmp_command_with(vm->qmp, "migrate", fr_vm_uri(), -1, NULL, e);

	if (r)
		fr_fail_context(e, "VM %s", vm->name);
	else
		r = fr_vm_wait_migration(vm->qmp, vm->name, vm->timeout_ms, status, e);
	if (r || !strcmp(status, "completed"))
		return r;
	if (!strcmp(status, "failed"))
		return -e->err;
	return fr_fail(e, FR_FAULT_VM, ECANCELED, "VM %s: migration ended as \"%s\"", vm->name,
		       status);
}

/* QEMU wrote through the same open file: its offset is where the state ends. */
static int fetch_state(const struct fr_vm *vm, void **ret, size_t *ret_bytes, struct fr_error *e)
{
	int fd = vm->state_fd;
	off_t end = lseek(fd, 0, SEEK_CUR);
	size_t got = 0;
	void *state;
	int r;

	if (end < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "VM %s: its state: %s", vm->name,
			       strerror(errno));
	if (!end || end >= STATE_BYTES)
		return fr_fail(
			e, FR_FAULT_VM, EPROTO,
			"VM %s: QEMU saved %lld bytes of device state, which cannot be right",
			vm->name, (long long)end);
	state = malloc((size_t)end);
	r = !state		   ? -ENOMEM :
	    lseek(fd, 0, SEEK_SET) ? -errno :
				     fr_read_full(fd, state, (size_t)end, &got);
	if (!r && got != (size_t)end)
		r = -EIO;
	if (r) {
		free(state);
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "VM %s: its state: %s", vm->name,
			       strerror(-r));
	}
	*ret = state;
	*ret_bytes = got;
	return 0;
}

int fr_vm_save(const struct fr_ctx *ctx, struct fr_vm *vm, void **ret_state, size_t *ret_bytes,
	       struct fr_error *e)
{
	struct fr_error local = {0};
	int r;

	e = e ? e : &local;
	r = migrate(vm, e);
	if (!r)
		r = fetch_state(vm, ret_state, ret_bytes, e);
	if (!r)
		fr_log(ctx, FR_LOG_DEBUG, "VM %s: %zu bytes of device state", vm->name, *ret_bytes);
	return r;
}

static int cancel_migration(struct fr_vm *vm, struct fr_error *e)
{
	char status[32];
	int r = fr_vm_migration_status(vm->qmp, vm->name, status, e);

	if (r || !is_passing(status))
		return r;
	r = fr_qmp_command(vm->qmp, "migrate_cancel", NULL, -1, NULL, e);
	return r ? r : fr_vm_wait_migration(vm->qmp, vm->name, vm->timeout_ms, status, e);
}

/* QEMU has closed its end if the migration began, and says that it does not know it. */
static void forget_state(struct fr_vm *vm)
{
	fr_qmp_command_with(vm->qmp, "closefd", fd_name(), -1, NULL, NULL);
	if (vm->state_fd >= 0)
		close(vm->state_fd);
	vm->state_fd = -1;
}

/*
 * Every step is tried whatever QEMU answered to those before it: `cont` is what counts.
 */
static int resume(struct fr_vm *vm, struct fr_error *e)
{
	int r = cancel_migration(vm, e);

	if (r && r != -EREMOTEIO)
		return r;
	set(vm->qmp, "migrate-set-capabilities", vm->old_capabilities, NULL);
	set(vm->qmp, "migrate-set-parameters", vm->old_parameters, NULL);
	forget_state(vm);
	return vm->was_running ? fr_qmp_command(vm->qmp, "cont", NULL, -1, NULL, e) : 0;
}

void fr_vm_hang_up(struct fr_vm *vm)
{
	fr_qmp_close(vm->qmp);
	vm->qmp = NULL;
	vm->touched = true;
}

int fr_vm_resume(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e)
{
	int r = -ENOTCONN;

	if (!vm->touched)
		return 0;
	if (vm->qmp)
		r = resume(vm, e);
	if (r && r != -EREMOTEIO) {
		/* an answer came late or broken: begin a new conversation */
		fr_vm_hang_up(vm);
		r = fr_qmp_open(vm->qmp_path, vm->timeout_ms, &vm->qmp, e);
		if (!r && fr_qmp_pid(vm->qmp) != vm->pid)
			r = fr_fail(e, FR_FAULT_VM, ENOENT, "it is gone, and another has its place");
		if (!r)
			r = resume(vm, e);
	}
	if (r)
		return fr_fail_context(e, "VM %s: cannot resume it", vm->name);
	vm->touched = false;
	fr_log(ctx, FR_LOG_STEP, "VM %s: %s", vm->name,
	       vm->was_running ? "runs on" : "paused, as before");
	return 0;
}
