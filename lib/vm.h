/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QEMU VMs: discovery, refusal, freeze, device state, resume. */
#ifndef FR_VM_H
#define FR_VM_H

#include "fastrestart.h"

struct fr_vm;				/* opaque: QMP connection and facts */

/*
 * Connect to the QMP socket, find the process, its RAM files and command line;
 * refuse what cannot hop (private or anonymous RAM, VFIO, SEV/TDX, migration
 * blockers, RAM file on another file system) with reason and remedy.  @timeout_ms
 * bounds each answer; 0: 10000.
 */
int fr_vm_open(const struct fr_ctx *ctx, const struct fr_vm_arg *arg, unsigned int timeout_ms,
	       struct fr_vm **ret_vm, struct fr_error *e);
/* RAM files as sources, named VMNAME or VMNAME.ID with several. */
int fr_vm_sources(const struct fr_vm *vm, struct fr_source **ret_v, size_t *ret_nr);
/* What saving needs and can be done while the guest runs. */
int fr_vm_prepare(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e);
int fr_vm_stop(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e);
/* Migrate the device state (x-ignore-shared) into @ret_state (malloc'ed); after prepare. */
int fr_vm_save(const struct fr_ctx *ctx, struct fr_vm *vm, void **ret_state,
	       size_t *ret_bytes, struct fr_error *e);
/* Undo prepare, stop and save: the guest runs again as if nothing had happened. */
int fr_vm_resume(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e);
/* As it was found, in JSON (malloc'ed); and a VM that only can be resumed, from that. */
int fr_vm_note(const struct fr_vm *vm, char **ret_json);
int fr_vm_left(const char *json, struct fr_vm **ret_vm, struct fr_error *e);
/*
 * After a fork: forget the connection, which is the other process's; a later
 * fr_vm_resume() makes one of its own.
 */
void fr_vm_hang_up(struct fr_vm *vm);
/* "vm/NAME/spec": argv, cwd, QMP path, RAM regions, as JSON (malloc'ed). */
int fr_vm_spec(const struct fr_vm *vm, char **ret_json);
const char *fr_vm_name(const struct fr_vm *vm);
pid_t fr_vm_pid(const struct fr_vm *vm);
void fr_vm_close(struct fr_vm *vm);

struct fr_vm_restart {
	const char *spec;	/* "vm/NAME/spec", as a string */
	const void *state;	/* "vm/NAME/state" */
	size_t state_bytes;
	unsigned int timeout_ms;
	/*
	 * An empty file.  Gets "started\n" just before the guest runs, then "resumed TSC\n" once
	 * it does, unless it had been paused.
	 */
	int marker_fd;
	/* Open the restored file of a region that QEMU gets as a descriptor. */
	int (*open_region)(void *data, const char *region, struct fr_error *e);
	void (*up)(void *data);	/* called once the VMM answers; may be NULL */
	void *data;
};

/*
 * Next kernel: start the VMM with -incoming, load the state, continue (a guest that was
 * paused stays so).  On failure with the marker empty no VMM is left, and it can be tried
 * again; with contents the guest may have run, and its VMM is left alone.
 */
int fr_vm_start(const struct fr_ctx *ctx, const struct fr_vm_restart *restart,
		struct fr_error *e);
/* Names of the regions that a spec needs. */
int fr_vm_spec_regions(const char *spec_json, char ***ret_names, size_t *ret_nr,
		       struct fr_error *e);

#endif
