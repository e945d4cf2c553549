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
#include "vm-private.h"

#define GREETING  "{\"QMP\": {}}\n{\"return\": {}, \"id\": 1}\n"
#define MAX_BYTES 65536 /* fits into the socket's buffer */

static void converse(const uint8_t *data, size_t size)
{
	struct fr_qmp *q = NULL;
	struct json_object *set = NULL, *undo = NULL;
	char status[32];
	struct fr_error e;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return;
	if (send(fds[1], GREETING, strlen(GREETING), MSG_DONTWAIT) > 0 &&
	    send(fds[1], data, size, MSG_DONTWAIT) >= 0) {
		shutdown(fds[1], SHUT_WR);
		if (!fr_qmp_attach(fds[0], "fuzz", 1000, &q, &e)) {
			fds[0] = -1;
			fr_vm_run_state(q, status, &e);
			fr_vm_migration_status(q, "fuzz", status, &e);
			fr_vm_choose_capabilities(q, &set, &undo, &e);
			json_object_put(set);
			json_object_put(undo);
		}
	}
	fr_qmp_close(q);
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
	if (size <= MAX_BYTES)
		converse(data, size);
	return 0;
}
