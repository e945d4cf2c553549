/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libfastrestart: the only header that the command includes.
 *
 * The library does not print, does not exit and has no globals.  Functions
 * return 0 or a negative errno and describe a failure in a struct fr_error;
 * ret_* parameters are written last, and never on failure.  Destructors accept
 * NULL and half-built objects.  Ranges are half-open, a page is 4 KiB.
 *
 * Data flows one way; only the outer ring (collect, image files, kernel, vm)
 * touches the system:
 *
 *   collect --> extents --> plan (pure) --> descriptor (pure) --> bytes
 *   image ----------------------------------------------------------> exec
 */
#ifndef FASTRESTART_H
#define FASTRESTART_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "abi.h"

#define FR_PAGE_SHIFT		12
#define FR_PAGE_BYTES		(1ull << FR_PAGE_SHIFT)
#define FR_HUGE_BYTES		(2ull << 20)	/* pages that exec places the image in */
#define FR_SECTION_BYTES	(128ull << 20)	/* x86-64 SECTION_SIZE_BITS */
#define FR_SUBSECTION_BYTES	(2ull << 20)
#define FR_PHYS_LIMIT		(1ull << FR_MAX_PHYS_BITS)

/* ------------------------------------------------------------------ errors */

/* What kind of failure it is; main.c maps it to the documented exit code. */
enum fr_fault {
	FR_FAULT_NONE,
	FR_FAULT_USAGE,		/* the caller asked for something malformed */
	FR_FAULT_REFUSED,	/* the plan does not work on this host; nothing was changed */
	FR_FAULT_IMAGE,		/* the next kernel's image is damaged or unsuitable */
	FR_FAULT_DESCRIPTOR,	/* a descriptor is damaged or of another version */
	FR_FAULT_VM,		/* a VMM did not do what was asked */
	FR_FAULT_NOT_FOUND,	/* no such region, file, process */
	FR_FAULT_PERMISSION,	/* capability, lockdown, sysctl */
	FR_FAULT_SYSTEM,	/* a system call failed */
	FR_FAULT_INTERRUPTED,	/* by a signal */
	FR_FAULT_MISMATCH,	/* content differs from its digest, or seals from what they were */
};

struct fr_error {
	int err;		/* positive errno */
	enum fr_fault fault;
	char text[768];		/* what failed, on which object, what to do */
};

/* Fill @e (may be NULL) and return -@err. */
int fr_fail(struct fr_error *e, enum fr_fault fault, int err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Put "@fmt: " in front of what @e says; returns -@e->err. */
int fr_fail_context(struct fr_error *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ----------------------------------------------------------------- context */

struct fr_kernel_ops;		/* kernel.h: the scripted boundary of the tests */

enum fr_log_level { FR_LOG_DEBUG, FR_LOG_STEP, FR_LOG_WARN };

/*
 * Everything that the library takes from its surroundings.  Zero-initialise;
 * a NULL member means the default.
 */
struct fr_ctx {
	const char *root;		/* prefix of /proc, /sys, /run, /dev; "" */
	const struct fr_kernel_ops *ops;/* fr_kernel_ops_default */
	void *ops_data;
	/* library messages: steps (shown with -v), warnings */
	void (*log)(void *data, enum fr_log_level level, const char *text);
	/* @done of @total @unit are finished; called at most 10 times a second */
	void (*progress)(void *data, const char *what, uint64_t done,
			 uint64_t total, const char *unit);
	void *data;
	unsigned int nr_threads;	/* 0: one per online CPU */
	/*
	 * Named stages of exec: called on reaching each, for the fault tests
	 * (KEXEC_FASTRESTART_STOP_AT in main.c).
	 */
	void (*stage)(void *data, const char *name);
};

void fr_log(const struct fr_ctx *ctx, enum fr_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void fr_stage(const struct fr_ctx *ctx, const char *name);
/* asprintf of ctx->root + formatted path; NULL on ENOMEM. */
char *fr_path(const struct fr_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ----------------------------------------------------------------- extents */

struct fr_extent {
	uint64_t start_pfn;
	uint64_t nr_pages;
	uint64_t pgoff;			/* in the file, in 4 KiB pages */
};

struct fr_extents {
	struct fr_extent *v;
	size_t nr, cap;
	bool borrowed;			/* v belongs to somebody else */
};

/* Half-open physical byte ranges, sorted and disjoint after fr_ranges_normalise() */
struct fr_range {
	uint64_t start, end;
};

struct fr_ranges {
	struct fr_range *v;
	size_t nr, cap;
};

/* --------------------------------------------------------------------- RAM */

enum fr_e820_type {			/* arch/x86/include/uapi/asm/setup_data.h, e820/types.h */
	FR_E820_RAM = 1, FR_E820_RESERVED = 2, FR_E820_ACPI = 3, FR_E820_NVS = 4,
	FR_E820_UNUSABLE = 5, FR_E820_PMEM = 7, FR_E820_PRAM = 12,
	FR_E820_SOFT_RESERVED = (int)0xefffffff,
};

struct fr_ram {				/* one entry of a RAM map */
	uint64_t start, end;
	uint32_t type;			/* E820_TYPE_* */
	uint32_t nid;
};

struct fr_ram_map {
	struct fr_ram *v;
	size_t nr, cap;
};

/* ------------------------------------------------- regions and descriptors */

struct fr_region {
	char name[FR_NAME_BYTES];
	enum fr_kind kind;
	unsigned int page_shift;
	uint64_t size_bytes;
	uint32_t mode, uid, gid, flags, seals;
	uint32_t digest_alg;
	uint8_t digest[FR_DIGEST_BYTES];
	char *path;			/* owned; "" if none */
	struct fr_extents extents;
};

struct fr_blob {
	char name[FR_NAME_BYTES];
	void *data;			/* owned */
	size_t bytes;
};

struct fr_descriptor {
	uint64_t hop, hidden_bytes, tsc_khz, lpj;
	uint32_t lpj_hz;
	uint8_t boot_id[16];
	uint64_t stamp[FR_NR_STAMPS];
	struct fr_ram_map ram;
	struct fr_region *regions;
	size_t nr_regions;
	uint64_t *poison_pfn;
	size_t nr_poison;
	struct fr_blob *blobs;
	size_t nr_blobs;
};

void fr_descriptor_free(struct fr_descriptor *d);
void fr_region_clear(struct fr_region *r);
/* Bytes that fr_descriptor_encode() needs. */
size_t fr_descriptor_bytes(const struct fr_descriptor *d);
/*
 * Encode @d into @buf of @size bytes, checksums included.
 * -ENOSPC: @buf too small; -EINVAL: @d breaks a rule of the format (@e says which).
 */
int fr_descriptor_encode(const struct fr_descriptor *d, void *buf, size_t size,
			 struct fr_error *e);
/*
 * Decode and fully validate untrusted bytes.  -EBADMSG with FR_FAULT_DESCRIPTOR.
 * A region's name that is wrong, an overlap, a count: all are refused here.
 */
int fr_descriptor_decode(const void *buf, size_t size,
			 struct fr_descriptor **ret_d, struct fr_error *e);
bool fr_name_valid(const char *name);
const struct fr_blob *fr_descriptor_blob(const struct fr_descriptor *d, const char *name);
/* A VM came along with each "vm/NAME/spec": is blob @i one?  If not, *ret_name stays as it is. */
bool fr_descriptor_vm(const struct fr_descriptor *d, size_t i, char ret_name[FR_NAME_BYTES]);

/* ----------------------------------------------------------- load and exec */

struct fr_source {			/* one --preserve */
	char *spec;			/* as given, for messages */
	char *name;			/* NAME, or derived from the path */
	char *path;			/* file, or NULL; pid:N/fd:M: "/proc/N/fd/M" */
	uint64_t phys_start, phys_bytes;/* phys:START+SIZE */
	bool is_phys;
	bool is_fd;			/* pid:N/fd:M, of that process */
	uint64_t dev, ino;		/* with is_fd: the file that load found; 0, 0: any */
};

struct fr_vm_arg {			/* one --vm */
	char *name;
	char *qmp_path;
};

struct fr_load_options {
	const char *kernel, *initrd;	/* initrd may be NULL */
	const char *append;		/* NULL with reuse_cmdline */
	bool reuse_cmdline;
	bool allow_unpatched;
	bool digest;
	bool force;			/* replace an already staged image */
	struct fr_source *sources;
	size_t nr_sources;
	struct fr_vm_arg *vms;
	size_t nr_vms;
	const char *descriptor_file;	/* regions kept since before a plain kexec, or NULL */
	bool evacuate;			/* take memory blocks offline if clean memory is short */
};

/*
 * "file:/path", "/path", "pid:N/fd:M", "phys:0x140000000+1G", each with ",name=NAME".
 * The default name is the path's last component with invalid bytes as '_'.
 */
int fr_source_parse(const char *spec, struct fr_source *ret_source, struct fr_error *e);
int fr_vm_arg_parse(const char *spec, struct fr_vm_arg *ret_vm, struct fr_error *e);
void fr_load_options_clear(struct fr_load_options *o);

/* Where something goes in the next kernel's memory. */
struct fr_place {
	const char *what;		/* "kernel", "initrd", "boot_params", ... */
	uint64_t start, end;		/* bytes; 0,0 until exec has pages for it */
	uint64_t bytes;			/* needed */
};

struct fr_warning {
	char *text;
};

/* The result of planning, for --dry-run and the human. */
struct fr_plan {
	struct fr_ram_map ram;		/* original map */
	struct fr_ram_map e820;		/* for the next kernel's boot_params */
	struct fr_region *regions;	/* with extents; the kept-on ones too */
	size_t nr_regions;
	struct fr_ranges hidden;	/* RAM that the next kernel does not see */
	struct fr_ranges clean;		/* RAM that it sees */
	struct fr_place *places;
	size_t nr_places;
	char *cmdline;
	struct fr_warning *warnings;
	size_t nr_warnings;
	uint64_t kept_bytes, hidden_bytes, clean_bytes, needed_bytes;
	uint64_t clean_low_bytes, needed_low_bytes;	/* below 4 GiB */
	uint64_t largest_clean_bytes;
	uint64_t lack_bytes, lack_low_bytes, lack_piece_bytes; /* 0: there is enough */
	uint64_t full_sections, mixed_sections;
	bool patched;			/* next kernel takes our descriptor */
};

void fr_plan_free(struct fr_plan *p);

/*
 * Survey, plan, prepare the image and stage everything in /run/kexec-fastrestart.
 * With @dry_run nothing is written.  The running kernel and the guests are not
 * touched either way, but for memory blocks that go offline with o->evacuate.
 */
int fr_load(const struct fr_ctx *ctx, const struct fr_load_options *o, bool dry_run,
	    struct fr_plan **ret_plan, struct fr_error *e);
/*
 * Remove what load staged, and put back online what it took offline; -ENOENT when there was
 * neither.
 */
int fr_unload(const struct fr_ctx *ctx, struct fr_error *e);

struct fr_exec_options {
	unsigned int vm_timeout_ms;	/* how long a VMM may take to answer; 0: 10000 */
	unsigned int patience_ms;	/* how long exec may be stopped, e.g. by SIGSTOP; 0: 30000 */
	bool no_in_place;		/* let kexec copy the image */
	bool no_sync;			/* skip sync() before the freeze */
	bool no_freeze;			/* leave other processes that have kept files alone */
};

/*
 * Prepare, freeze, seal, jump.  Returns only on failure, with every guest running
 * again and nothing armed.
 */
int fr_exec(const struct fr_ctx *ctx, const struct fr_exec_options *o, struct fr_error *e);

/* ------------------------------------------------- state, restore, release */

enum fr_region_state { FR_STATE_KEPT, FR_STATE_BUSY, FR_STATE_RESTORED, FR_STATE_RELEASED };

struct fr_status {
	bool kernel_patched;		/* /sys/kernel/fastrestart exists */
	unsigned int min_version, max_version;
	char kernel_status[256];	/* "none", "accepted", "refused: ..." */
	bool staged;			/* load has been run, exec not yet */
	char staged_kernel[512];
	size_t staged_regions, staged_vms;
	size_t offline_blocks;		/* memory blocks that load has taken offline */
	uint64_t offline_bytes;
	struct fr_descriptor *handed;	/* what the last hop brought, or NULL */
	char handed_error[256];		/* why that cannot be read; "" */
	enum fr_region_state *states;	/* of handed->regions */
	bool handed_from_setup_data;	/* by an unpatched kernel: cannot be restored here */
	bool left_behind;		/* exec was killed, with its guardian: unload undoes it */
};

int fr_status_read(const struct fr_ctx *ctx, struct fr_status **ret_s, struct fr_error *e);
/* Only @s->states, again. */
int fr_status_read_states(const struct fr_ctx *ctx, struct fr_status *s, struct fr_error *e);
/*
 * The bytes of the descriptor that the last hop brought (malloc'ed, not validated);
 * -ENOENT with FR_FAULT_NOT_FOUND when there is none.
 */
int fr_handed_read(const struct fr_ctx *ctx, void **ret_data, size_t *ret_bytes,
		   struct fr_error *e);
/* The same without what was given back since: regions, and VMs none of whose regions is kept. */
int fr_kept_read(const struct fr_ctx *ctx, void **ret_data, size_t *ret_bytes,
		 struct fr_error *e);
void fr_status_free(struct fr_status *s);

struct fr_restore_options {
	char **names;			/* regions or VMs; NULL with all */
	size_t nr_names;
	bool all;
	const char *directory;		/* put files here instead of their own paths */
	bool no_vms;			/* regions only */
	bool verify;			/* check digests (default when there is one) */
	unsigned int vm_timeout_ms;	/* 0: 30000 */
};

int fr_restore(const struct fr_ctx *ctx, const struct fr_restore_options *o, struct fr_error *e);
/* What the TSC was when restore had that VM run on; 0: it did not, or that is not known. */
uint64_t fr_vm_resumed(const struct fr_ctx *ctx, const char *name);
int fr_release(const struct fr_ctx *ctx, char **names, size_t nr_names, struct fr_error *e);

#endif /* FASTRESTART_H */
