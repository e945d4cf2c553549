// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VMM may send: after a good greeting, the input answers a few commands, and
 * once more stands for a VM's spec.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "qmp.h"
#include "util.h"
#include "vm-private.h"

#define GREETING                                                                              \
	"{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 22}}}}\n" \
	"{\"return\": {}, \"id\": 1}\n"
#define MAX_BYTES 65536 /* fits into the socket's buffer */

/* A VM as far as its monitor does not tell */
static struct fr_vm *make_vm(struct fr_qmp *q)
{
	static const char *const argv[] = {
		"qemu",
		"-device",
		"virtio-blk-pci,id=d0,drive=b0",
		"-blockdev",
		"driver=file,node-name=b0,filename=/a",
		"-drive",
		"file=/b,id=c,if=ide",
		"-cdrom",
		"/c",
		"-device",
		"{\"driver\": \"virtio-net\", \"id\": \"n\"}",
		"-device",
		"virtio-rng-pci",
	};
	struct fr_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->name = strdup("fuzz");
	vm->cwd = strdup("/");
	vm->argv = calloc(FR_ARRAY_SIZE(argv) + 1, sizeof(*vm->argv));
	vm->state_fd = -1;
	if (!vm->name || !vm->cwd || !vm->argv) {
		fr_vm_close(vm);
		return NULL;
	}
	for (; vm->argc < FR_ARRAY_SIZE(argv); vm->argc++)
		vm->argv[vm->argc] = strdup(argv[vm->argc]);
	vm->qmp = q;
	return vm;
}

static void ask_status(struct fr_vm *vm, struct fr_error *e)
{
	struct json_object *set = NULL, *undo = NULL;
	char status[32];

	fr_vm_run_state(vm->qmp, status, e);
	fr_vm_migration_status(vm->qmp, "fuzz", status, e);
	fr_vm_choose_capabilities(vm->qmp, &set, &undo, e);
	json_object_put(set);
	json_object_put(undo);
}

static void ask_ram(struct fr_vm *vm, struct fr_error *e)
{
	/* without a /proc: no reply leads to a process of this machine */
	static const struct fr_ctx ctx = {.root = "/nonexistent"};

	fr_vm_inspect_ram(&ctx, vm, e);
}

static void ask_changed(struct fr_vm *vm, struct fr_error *e)
{
	fr_vm_check_changed(vm, e);
}

static void ask_state(struct fr_vm *vm, struct fr_error *e)
{
	fr_vm_inspect_state(vm, e);
}

static void converse(const uint8_t *data, size_t size,
		     void (*ask)(struct fr_vm *vm, struct fr_error *e))
{
	struct fr_qmp *q = NULL;
	struct fr_vm *vm;
	struct fr_error e;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	if (send(fds[1], GREETING, strlen(GREETING), MSG_DONTWAIT) > 0 &&
	    send(fds[1], data, size, MSG_DONTWAIT) >= 0) {
		shutdown(fds[1], SHUT_WR);
		if (!fr_qmp_attach(fds[0], "fuzz", 1000, &q, &e)) {
			fds[0] = -1;
			vm = make_vm(q);
			if (vm)
				ask(vm, &e);
			else
				fr_qmp_close(q);
			fr_vm_close(vm);
		}
	}
	if (fds[0] >= 0)
		close(fds[0]);
	close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), **names;
	struct fr_vm *vm;
	struct fr_error e;
	size_t nr;

	if (text && !fr_vm_parse_spec(text, &vm, &e))
		fr_vm_close(vm);
	if (text && !fr_vm_spec_regions(text, &names, &nr, &e))
		fr_strv_free(names);
	free(text);
	if (size <= MAX_BYTES) {
		converse(data, size, ask_status);
		converse(data, size, ask_ram);
		converse(data, size, ask_changed);
		converse(data, size, ask_state);
	}
	return 0;
}
