/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of struct fr_vm, shared by vm-*.c. */
#ifndef FR_VM_PRIVATE_H
#define FR_VM_PRIVATE_H

#include "qmp.h"
#include "vm.h"

#define FR_VM_FD_NAME "fastrestart" /* of a state passed by getfd */

struct fr_vm_ram { /* a memory-backend-file or -memfd */
	char *id;
	char *path;   /* absolute; /proc/PID/fd/N of one without a name */
	bool is_fd;   /* a descriptor that QEMU has or got: no path leads to the file */
	bool again;   /* the same file as an earlier one's, at another offset */
	char *region; /* only of a VM that is to be started */
	int fd;	      /* the same: to hand over, or -1 */
};

struct fr_vm {
	char *name;
	char *qmp_path; /* absolute */
	struct fr_qmp *qmp;
	pid_t pid; /* 0 before it is started */
	unsigned int timeout_ms;

	struct fr_vm_ram *ram;
	size_t nr_ram;

	/* how it is started */
	char **argv;
	size_t argc;
	char *exe, *cwd, *machine; /* machine: "pc-q35-7.2" */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t nr_groups;

	/* how it was found, for undo */
	bool was_running;
	bool touched; /* there is something to undo */
	int state_fd; /* memory file that QEMU will save its state to, or -1 */
	/* arguments of migrate-set-...: for saving, and back to what was found */
	struct json_object *capabilities, *old_capabilities, *parameters, *old_parameters;
};

/* vm-process.c: what /proc tells about it */
int fr_vm_read_process(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e);
int fr_vm_check_process(const struct fr_ctx *ctx, const struct fr_vm *vm, struct fr_error *e);
/*
 * Whether the process maps the file of @ram; -ESTALE: another file has its path now.  One that is
 * handed over as a descriptor, which can write, has to be mapped for writing.
 */
int fr_vm_check_mapping(const struct fr_ctx *ctx, const struct fr_vm *vm,
			const struct fr_vm_ram *ram, struct fr_error *e);
/* The descriptor of a memory-backend-memfd of @size bytes; there must be one only. */
int fr_vm_find_memfd(const struct fr_ctx *ctx, const struct fr_vm *vm, const char *id,
		     uint64_t size, int *ret_fd, struct fr_error *e);

/* vm-migrate.c, for both sides */
/* Arguments of migrate-set-capabilities for one stream without RAM, and back. */
int fr_vm_choose_capabilities(struct fr_qmp *qmp, struct json_object **ret_set,
			      struct json_object **ret_undo, struct fr_error *e);
int fr_vm_choose_parameters(struct fr_qmp *qmp, struct json_object **ret_set,
			    struct json_object **ret_undo, struct fr_error *e);
/* "status" of query-migrate, copied to @ret; @e gets "error-desc" when it is "failed". */
int fr_vm_migration_status(struct fr_qmp *qmp, const char *name, char ret[32], struct fr_error *e);
/* "status" of query-status. */
int fr_vm_run_state(struct fr_qmp *qmp, char ret[32], struct fr_error *e);
/* Wait until the migration is no longer in one of its passing states. */
int fr_vm_wait_migration(struct fr_qmp *qmp, const char *name, unsigned int timeout_ms,
			 char ret_status[32], struct fr_error *e);
/* Arguments of migrate and migrate-incoming for what fr_vm_getfd() passed; NULL: no memory. */
struct json_object *fr_vm_uri(void);
/* Pass @fd under the name "fastrestart". */
int fr_vm_getfd(struct fr_qmp *qmp, int fd, struct fr_error *e);

/* vm-argv.c: an option's name, without its dashes; NULL when @arg is none */
const char *fr_vm_option(const char *arg);
/* Rewritten for a restart; -EOPNOTSUPP with what cannot be restarted */
int fr_vm_argv_check(const char *name, char *const *argv, struct fr_error *e);
char **fr_vm_argv_restart(char *const *argv, const char *machine, const struct fr_vm_ram *ram,
			  size_t nr_ram);
/* Member @key of an option's value, key=value or JSON: to be freed, NULL without one; -ENOMEM. */
int fr_vm_member(const char *value, const char *key, char **ret);

/* vm-open.c, steps of fr_vm_open() that ask the monitor */
/* The files of its RAM; refuses RAM that is none, or private. */
int fr_vm_inspect_ram(const struct fr_ctx *ctx, struct fr_vm *vm, struct fr_error *e);
/* Settings of a migration, and its machine; refuses what QEMU cannot save. */
int fr_vm_inspect_state(struct fr_vm *vm, struct fr_error *e);

/* vm-changed.c: refuse when the VM is no longer what its command line says */
int fr_vm_check_changed(struct fr_vm *vm, struct fr_error *e);

void fr_strv_free(char **v);

/* vm-spec.c: a VM that is not running yet */
int fr_vm_parse_spec(const char *json, struct fr_vm **ret_vm, struct fr_error *e);

#endif /* FR_VM_PRIVATE_H */
