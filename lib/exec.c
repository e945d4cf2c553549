// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * exec: prepare, freeze, seal, jump.
 *
 * Everything slow happens while the guests run: sources are pinned, the plan is made
 * again from the pinned frames, the image is put where it will run.  In the blackout
 * are left: stopping the guests, saving their devices, comparing frames, and writing the
 * descriptor into pages that are there.  Whatever fails before reboot(2) is undone.
 *
 * A guest may touch new memory between the survey and the freeze.  Sealing sees that, and
 * everything is prepared once more while the guests are frozen: a longer blackout, but
 * nothing can change any more.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "arm.h"
#include "bytes.h"
#include "collect.h"
#include "guardian.h"
#include "host.h"
#include "hugepages.h"
#include "journal.h"
#include "kernel.h"
#include "offline.h"
#include "owners.h"
#include "parallel.h"
#include "plan.h"
#include "poison.h"
#include "signals.h"
#include "stage.h"
#include "undo.h"
#include "util.h"
#include "vm.h"

#define VM_STATE_BYTES	  (4ull << 20) /* expected; more costs a second preparation */
#define OWNERS_TIMEOUT_MS 10000
#define ROUNDS		  20	/* of looking for processes to freeze */
#define SPARE_EXTENTS	  4096u /* that a preparation may find more than the survey */

struct vm_state {
	struct fr_vm *vm;
	char *spec;
	void *state;
	size_t bytes;
};

struct exec {
	const struct fr_ctx *ctx;
	const struct fr_exec_options *o;
	struct fr_stage *stage;
	struct fr_status *status;
	int lock_fd;
	struct fr_signals signals;
	char oom_score_adj[16];

	struct vm_state *vms;
	struct fr_vm **vm_list; /* the same, for the guardian */
	size_t nr_vms;
	struct fr_guardian *guardian;
	pid_t *but; /* processes that are not to be frozen: VMMs, the guardian */
	size_t nr_but;
	struct fr_owners owners; /* processes besides them that have kept files */

	struct fr_keep **keeps;	   /* one for each of stage->options.sources */
	struct fr_region *regions; /* kept on, then those of keeps; borrowed */
	size_t nr_regions, nr_kept_on;
	struct fr_blob *blobs; /* kept on, then those of vms; borrowed */
	size_t nr_blobs;
	struct fr_poison poison;
	struct fr_plan *plan;
	struct fr_armed *armed;
	size_t late_bytes;

	struct fr_descriptor sealed;	  /* header fields; tables are borrowed */
	bool frozen, still_loaded, begun; /* begun: the journal is ours */
};

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

/* ----------------------------------------------------------------- exec as a process */

/* Reach a named stage, unless a signal has come. */
static int reach(struct exec *x, const char *name, struct fr_error *e)
{
	int r;

	if (name) {
		fr_log(x->ctx, FR_LOG_DEBUG, "exec: %s", name);
		fr_stage(x->ctx, name);
	}
	r = fr_signals_check(&x->signals, "exec", e);
	if (r)
		return r;
	return x->guardian ? fr_guardian_check(x->guardian, e) : 0;
}

static int write_oom(const struct fr_ctx *ctx, const char *value)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/self/oom_score_adj");
	int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1, r;

	if (fd < 0)
		return -ENOENT;
	r = fr_write_all(fd, value, strlen(value));
	close(fd);
	return r;
}

/* Killing exec would not lose anything, but neither would it free much. */
static void spare_from_oom(struct exec *x)
{
	_cleanup_free_ char *path = fr_path(x->ctx, "/proc/self/oom_score_adj"), *old = NULL;

	if (path && !fr_read_file(path, sizeof(x->oom_score_adj) - 1, &old, NULL) &&
	    !write_oom(x->ctx, "-1000"))
		snprintf(x->oom_score_adj, sizeof(x->oom_score_adj), "%s", old);
}

/* One exec at a time; the guardian inherits the lock, and holds it until it is done. */
static int take_lock(struct exec *x, struct fr_error *e)
{
	int fd = fr_lock(x->ctx, false, e);

	if (fd < 0)
		return fd;
	x->lock_fd = fd;
	return 0;
}

/* ------------------------------------------------------------- what load has left us */

static int read_stage(struct exec *x, struct fr_error *e)
{
	uint8_t boot_id[16];
	int r = fr_stage_read(x->ctx, &x->stage, e);

	if (r == -ENOENT)
		return fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT,
			       "exec: nothing is staged: run load first");
	if (!r)
		r = fr_boot_id_read(x->ctx, boot_id, e);
	if (!r)
		r = fr_status_read(x->ctx, &x->status, e);
	if (r)
		return r;
	if (memcmp(boot_id, x->stage->boot_id, sizeof(boot_id)))
		return fr_fail(e, FR_FAULT_REFUSED, ESTALE,
			       "exec: load was run in another boot: run it again");
	return 0;
}

static bool is_source(const struct exec *x, const char *name)
{
	for (size_t i = 0; i < x->stage->options.nr_sources; i++)
		if (!strcmp(x->stage->options.sources[i].name, name))
			return true;
	return false;
}

static bool was_surveyed(const struct exec *x, const char *name)
{
	const struct fr_descriptor *d = x->stage->surveyed;

	for (size_t i = 0; i < d->nr_regions; i++)
		if (!strcmp(d->regions[i].name, name))
			return !is_source(x, name);
	return false;
}

/* What load hands on must be what is still kept. */
static int check_kept_on(const struct exec *x, struct fr_error *e)
{
	const struct fr_descriptor *handed = x->status->handed;

	for (size_t i = 0; handed && i < handed->nr_regions; i++) {
		const char *name = handed->regions[i].name;

		if (x->status->states[i] == FR_STATE_BUSY)
			return fr_fail(
				e, FR_FAULT_REFUSED, EBUSY,
				"region %s: it is being restored or released: try again later",
				name);
		if ((x->status->states[i] == FR_STATE_KEPT) != was_surveyed(x, name))
			return fr_fail(
				e, FR_FAULT_REFUSED, ESTALE,
				"region %s: it was restored or released since load: run load "
				"again",
				name);
	}
	return 0;
}

static int list_kept_on(struct exec *x, struct fr_error *e)
{
	const struct fr_descriptor *d = x->stage->surveyed;
	int r = check_kept_on(x, e);

	if (r)
		return r;
	x->regions = calloc(d->nr_regions + x->stage->options.nr_sources + 1, sizeof(*x->regions));
	x->blobs = calloc(d->nr_blobs + 2 * x->stage->options.nr_vms + 1, sizeof(*x->blobs));
	if (!x->regions || !x->blobs)
		return out_of_memory(e);
	for (size_t i = 0; i < d->nr_regions; i++)
		if (!is_source(x, d->regions[i].name))
			x->regions[x->nr_kept_on++] = d->regions[i];
	x->nr_regions = x->nr_kept_on;
	if (d->nr_blobs)
		memcpy(x->blobs, d->blobs, d->nr_blobs * sizeof(*x->blobs));
	x->nr_blobs = d->nr_blobs;
	return 0;
}

/* ------------------------------------------------------------------------------ guests */

static int add_blob(struct exec *x, const char *vm, const char *what, void *data, size_t bytes,
		    struct fr_error *e)
{
	struct fr_blob *b = &x->blobs[x->nr_blobs];

	if (snprintf(b->name, sizeof(b->name), "vm/%s/%s", vm, what) >= (int)sizeof(b->name))
		return fr_fail(e, FR_FAULT_USAGE, ENAMETOOLONG, "VM %s: the name is too long", vm);
	b->data = data;
	b->bytes = bytes;
	x->nr_blobs++;
	return 0;
}

/* What load did not survey would be lost: memory that was plugged in, another mem-path=. */
static int check_ram(const struct exec *x, const struct fr_vm *vm, struct fr_error *e)
{
	const struct fr_load_options *o = &x->stage->options;
	struct fr_load_options now = {0};
	size_t k;
	int r = fr_vm_sources(vm, &now.sources, &now.nr_sources);

	if (r)
		return out_of_memory(e);
	for (size_t i = 0; !r && i < now.nr_sources; i++) {
		const struct fr_source *ram = &now.sources[i];

		for (k = 0; k < o->nr_sources; k++)
			if (!strcmp(o->sources[k].name, ram->name) && o->sources[k].path &&
			    !strcmp(o->sources[k].path, ram->path) &&
			    o->sources[k].dev == ram->dev && o->sources[k].ino == ram->ino)
				break;
		if (k == o->nr_sources)
			r = fr_fail(e, FR_FAULT_REFUSED, ESTALE,
				    "VM %s: its RAM changed since load (%s): run load again",
				    fr_vm_name(vm), ram->path);
	}
	fr_load_options_clear(&now);
	return r;
}

static int open_vms(struct exec *x, struct fr_error *e)
{
	const struct fr_load_options *o = &x->stage->options;
	int r = 0;

	x->vms = calloc(o->nr_vms + 1, sizeof(*x->vms));
	x->vm_list = calloc(o->nr_vms + 1, sizeof(struct fr_vm *));
	if (!x->vms || !x->vm_list)
		return out_of_memory(e);
	for (size_t i = 0; !r && i < o->nr_vms; i++) {
		struct vm_state *v = &x->vms[i];

		r = fr_vm_open(x->ctx, &o->vms[i], x->o->vm_timeout_ms, &v->vm, e);
		if (r)
			break;
		x->vm_list[x->nr_vms++] = v->vm;
		r = check_ram(x, v->vm, e);
		if (!r)
			r = fr_vm_spec(v->vm, &v->spec) ? out_of_memory(e) :
							  add_blob(x, o->vms[i].name, "spec",
								   v->spec, strlen(v->spec), e);
	}
	return r;
}

static int prepare_vm(void *data, size_t i, struct fr_error *e)
{
	struct exec *x = data;

	return fr_vm_prepare(x->ctx, x->vms[i].vm, e);
}

static int find_owners(struct exec *x, struct fr_error *e)
{
	fr_owners_clear(&x->owners);
	return fr_owners_of(x->ctx, x->keeps, x->stage->options.nr_sources, x->but, x->nr_but,
			    &x->owners, e);
}

/* Whoever has opened a kept file since the preparation is looked for at the same time. */
static int save_vm(void *data, size_t i, struct fr_error *e)
{
	struct exec *x = data;

	if (i == x->nr_vms)
		return x->o->no_freeze ? 0 : find_owners(x, e);
	return fr_vm_save(x->ctx, x->vms[i].vm, &x->vms[i].state, &x->vms[i].bytes, e);
}

/* While nothing has been stopped yet: can everybody be? */
static int check_owners(struct exec *x, struct fr_error *e)
{
	int r;

	if (x->o->no_freeze || x->frozen)
		return 0;
	x->but = calloc(x->nr_vms + 1, sizeof(*x->but));
	if (!x->but)
		return out_of_memory(e);
	for (x->nr_but = 0; x->nr_but < x->nr_vms; x->nr_but++)
		x->but[x->nr_but] = fr_vm_pid(x->vms[x->nr_but].vm);
	x->but[x->nr_but++] = fr_guardian_pid(x->guardian);
	r = find_owners(x, e);
	return r ? r : fr_owners_check(x->ctx, &x->owners, e);
}

/*
 * After the guests, which may need an owner to stop (vhost-user).  One that was frozen may have
 * forked just before, and somebody else may have opened a file: look until there is nobody new.
 */
static int freeze_owners(struct exec *x, struct fr_error *e)
{
	unsigned int timeout_ms = x->o->vm_timeout_ms ? x->o->vm_timeout_ms : OWNERS_TIMEOUT_MS;
	int r = 0;

	if (x->o->no_freeze)
		return 0;
	for (int round = 0; !r && !fr_owners_frozen(x->ctx, &x->owners); round++) {
		if (round == ROUNDS)
			return fr_fail(e, FR_FAULT_REFUSED, EBUSY,
				       "process %d (%s): processes that have kept files open start "
				       "faster than they are frozen: stop what starts them",
				       (int)x->owners.v[0].pid, x->owners.v[0].comm);
		r = fr_owners_check(x->ctx, &x->owners, e);
		if (!r)
			r = fr_owners_freeze(x->ctx, &x->owners, x->but, x->nr_but, timeout_ms, e);
		if (!r)
			r = find_owners(x, e);
	}
	return !r && x->owners.nr ? fr_owners_drain(x->ctx, timeout_ms, e) : r;
}

static int stop_vm(void *data, size_t i, struct fr_error *e)
{
	struct exec *x = data;

	return fr_vm_stop(x->ctx, x->vms[i].vm, e);
}

/* For the case that nobody is left who knows how they were. */
static int note_vms(const struct exec *x, struct fr_error *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < x->nr_vms; i++) {
		_cleanup_free_ char *note = NULL;

		r = fr_vm_note(x->vms[i].vm, &note);
		if (!r)
			r = fr_journal_add(x->ctx, FR_JOURNAL_VM, note);
	}
	return r ? fr_journal_failed(r, e) : 0;
}

/* After this no guest writes to a region. */
static int freeze(struct exec *x, struct fr_error *e)
{
	int r = reach(x, "freeze", e);

	if (r)
		return r;
	x->sealed.stamp[FR_STAMP_FREEZE] = __rdtsc();
	x->frozen = true;
	r = fr_parallel(x->ctx, x->nr_vms, stop_vm, x, e);
	return r ? r : reach(x, "stopped", e);
}

static int save(struct exec *x, struct fr_error *e)
{
	int r = fr_parallel(x->ctx, x->nr_vms + 1, save_vm, x, e);

	for (size_t i = 0; !r && i < x->nr_vms; i++)
		r = add_blob(x, fr_vm_name(x->vms[i].vm), "state", x->vms[i].state, x->vms[i].bytes,
			     e);
	if (r)
		return r;
	x->sealed.stamp[FR_STAMP_STATE_SAVED] = __rdtsc();
	return reach(x, "saved", e);
}

/* ----------------------------------------------------------------------------- prepare */

static int open_sources(struct exec *x, struct fr_error *e)
{
	const struct fr_load_options *o = &x->stage->options;
	int r = 0;

	x->keeps = calloc(o->nr_sources + 1, sizeof(struct fr_keep *));
	if (!x->keeps)
		return out_of_memory(e);
	for (size_t i = 0; !r && i < o->nr_sources; i++)
		r = fr_keep_open(x->ctx, &o->sources[i], &x->keeps[i], e);
	return r;
}

static int pin_sources(struct exec *x, struct fr_error *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < x->stage->options.nr_sources; i++)
		r = fr_keep_pin(x->ctx, x->keeps[i], e);
	return r;
}

/*
 * Of what load --evacuate took offline the image is made a place: nothing that is kept moves
 * there any more.  A block that does not come back is clean memory of the next kernel's, too.
 */
static void end_evacuation(struct exec *x)
{
	struct fr_error why;

	if (!x->frozen && fr_offline_put_all(x->ctx, NULL, &why))
		fr_log(x->ctx, FR_LOG_WARN, "%s", why.text);
}

/* Regions of keeps again, after they may have changed. */
static void collect_regions(struct exec *x)
{
	x->nr_regions = x->nr_kept_on;
	for (size_t i = 0; i < x->stage->options.nr_sources; i++)
		x->regions[x->nr_regions++] = *fr_keep_region(x->keeps[i]);
}

static struct fr_descriptor *compose(struct exec *x)
{
	struct fr_descriptor *d = &x->sealed;

	collect_regions(x);
	d->hidden_bytes = x->plan ? x->plan->hidden_bytes : 0;
	d->ram = x->stage->surveyed->ram;
	d->regions = x->regions;
	d->nr_regions = x->nr_regions;
	d->poison_pfn = x->poison.pfn;
	d->nr_poison = x->poison.nr;
	d->blobs = x->blobs;
	d->nr_blobs = x->nr_blobs;
	return d;
}

/* Room for states that are not saved yet, and for what is found more until then. */
static void size_late(struct exec *x)
{
	x->late_bytes = fr_descriptor_bytes(compose(x));
	if (!x->frozen)
		x->late_bytes +=
			x->nr_vms * VM_STATE_BYTES + SPARE_EXTENTS * sizeof(struct fr_wire_extent);
}

/* The next kernel would use memory that is not there. */
static int check_machine(const struct exec *x, struct fr_error *e)
{
	struct fr_ranges gone = {0};
	int r = fr_ram_map_gone(x->ctx, &x->stage->surveyed->ram, &gone, e);

	if (!r && gone.nr)
		r = fr_fail(e, FR_FAULT_REFUSED, ESTALE,
			    "RAM at 0x%" PRIx64 " was taken out since load: load again",
			    gone.v[0].start);
	fr_ranges_clear(&gone);
	return r;
}

static int plan(struct exec *x, struct fr_error *e)
{
	const struct fr_stage *s = x->stage;
	struct fr_ranges system_ram = {0}, pram = {0};
	struct fr_plan_request request = {
		.ram = &s->surveyed->ram,
		.system_ram = &system_ram,
		.pram = &pram,
		.image = s->image,
		.initrd_bytes = s->initrd_bytes,
		.cmdline = s->cmdline,
		.reuse_cmdline = s->options.reuse_cmdline,
		.allow_unpatched = s->options.allow_unpatched,
	};
	int r = check_machine(x, e);

	if (!r)
		r = fr_count_cpus(x->ctx, &request.nr_cpus, e);
	if (!r)
		r = fr_iomem_ranges(x->ctx, "System RAM", &system_ram, e);
	if (!r)
		r = fr_iomem_ranges(x->ctx, "Persistent Memory (legacy)", &pram, e);
	/* looked for once: it can take seconds, and no guest is to wait for it */
	if (!r && !x->frozen)
		r = fr_poison_find(x->ctx, x->status->handed, &s->surveyed->ram, &x->poison, e);
	if (!r) {
		size_late(x);
		request.poison_pfn = x->poison.pfn;
		request.nr_poison = x->poison.nr;
		request.regions = x->regions;
		request.nr_regions = x->nr_regions;
		request.late_bytes = x->late_bytes;
		r = fr_plan_make(&request, &x->plan, e);
		if (r)
			fr_fail_context(e, "exec: the plan of load no longer holds");
	}
	fr_ranges_clear(&system_ram);
	fr_ranges_clear(&pram);
	return r;
}

static int arm(struct exec *x, struct fr_error *e)
{
	const struct fr_stage *s = x->stage;
	struct fr_arm_request request = {
		.image = s->image,
		.initrd = s->initrd,
		.initrd_bytes = s->initrd_bytes,
		.cmdline = x->plan->cmdline,
		.e820 = &x->plan->e820,
		.clean = &x->plan->clean,
		.late_bytes = x->late_bytes,
		.guardian = x->guardian,
		.no_in_place = x->o->no_in_place,
	};

	return fr_arm(x->ctx, &request, &x->armed, e);
}

static void unprepare(struct exec *x)
{
	x->still_loaded |= fr_disarm(x->ctx, x->armed) != 0;
	x->armed = NULL;
	fr_plan_free(x->plan);
	x->plan = NULL;
	for (size_t i = 0; x->keeps && i < x->stage->options.nr_sources; i++)
		fr_keep_close(x->keeps[i]);
	free(x->keeps);
	x->keeps = NULL;
	x->nr_regions = x->nr_kept_on;
}

/* Stages are announced while the guests run; a second preparation is not one. */
static int prepare(struct exec *x, struct fr_error *e)
{
	int r = fr_hugepages_check_pins(x->ctx, e);

	if (!r)
		r = open_sources(x, e);
	if (!r)
		r = reach(x, x->frozen ? NULL : "opened", e);
	if (!r)
		r = pin_sources(x, e);
	if (!r)
		r = reach(x, x->frozen ? NULL : "pinned", e);
	if (!r)
		r = check_owners(x, e);
	/* not before what may be refused for other reasons than memory */
	if (!r)
		end_evacuation(x);
	if (!r)
		r = plan(x, e);
	if (!r)
		r = arm(x, e);
	return r ? r : reach(x, x->frozen ? NULL : "armed", e);
}

/* -------------------------------------------------------------------------------- seal */

static int seal_keep(void *data, size_t i, struct fr_error *e)
{
	struct exec *x = data;

	return fr_keep_seal(x->ctx, x->keeps[i], x->stage->options.digest, e);
}

static void stamp_sealed(struct exec *x, enum fr_stamp_id id)
{
	uint8_t *late = fr_armed_late(x->armed);

	fr_put_le64(late + offsetof(struct fr_wire_header, stamp) + id * sizeof(__le64), __rdtsc());
}

static int seal(struct exec *x, struct fr_error *e)
{
	int r = fr_parallel(x->ctx, x->stage->options.nr_sources, seal_keep, x, e);

	if (!r)
		r = fr_descriptor_encode(compose(x), fr_armed_late(x->armed), x->late_bytes, e);
	if (!r)
		stamp_sealed(x, FR_STAMP_SEALED);
	return r;
}

static int seal_for_sure(struct exec *x, struct fr_error *e)
{
	int r = fr_status_read_states(x->ctx, x->status, e);

	if (!r)
		r = check_kept_on(x, e);
	if (r)
		return r;
	r = seal(x, e);
	if (r != -ESTALE && r != -ENOSPC)
		return r;
	fr_log(x->ctx, FR_LOG_STEP, "%s: preparing again while nothing can change", e->text);
	unprepare(x);
	if (x->still_loaded)
		return fr_fail(e, FR_FAULT_SYSTEM, EBUSY,
			       "exec: the kexec image cannot be unloaded, to prepare again what "
			       "has changed: try again");
	r = prepare(x, e);
	return r ? r : seal(x, e);
}

/* ------------------------------------------------------------------------------- hop */

static void describe_machine(struct exec *x)
{
	const struct fr_descriptor *handed = x->status->handed;
	struct fr_descriptor *d = &x->sealed;

	d->hop = x->stage->surveyed->hop;
	memcpy(d->boot_id, x->stage->boot_id, sizeof(d->boot_id));
	d->tsc_khz = handed && handed->tsc_khz ? handed->tsc_khz : fr_tsc_khz(x->ctx);
	if (handed && handed->lpj) {
		d->lpj = handed->lpj;
		d->lpj_hz = handed->lpj_hz;
	} else if (fr_lpj_read(x->ctx, &d->lpj, &d->lpj_hz)) {
		d->lpj = 0;
		d->lpj_hz = 0;
	}
}

static int get_ready(struct exec *x, struct fr_error *e)
{
	int r = fr_signals_take(&x->signals, e);

	spare_from_oom(x);
	if (!r)
		r = take_lock(x, e);
	if (!r)
		r = read_stage(x, e);
	if (!r)
		r = reach(x, "start", e);
	if (!r)
		r = fr_undo_left(x->ctx, e);
	x->begun = r >= 0;
	if (r >= 0)
		r = list_kept_on(x, e);
	if (!r)
		r = open_vms(x, e);
	/* the guardian unloads what is loaded: it must not be somebody else's */
	if (!r)
		r = fr_check_not_loaded(x->ctx, e);
	if (!r)
		r = fr_check_load_limit(x->ctx, e);
	if (r)
		return r;
	describe_machine(x);
	/* before any mapping is made: the guardian must not share one */
	return fr_guardian_start(x->ctx, x->vm_list, x->nr_vms,
				 x->o->patience_ms ? x->o->patience_ms : FR_GUARDIAN_PATIENCE_MS,
				 &x->guardian, e);
}

static int jump(struct exec *x, struct fr_error *e)
{
	int r = reach(x, "jump", e);

	if (r)
		return r;
	stamp_sealed(x, FR_STAMP_JUMP);
	r = fr_ops(x->ctx)->reboot_kexec(x->ctx->ops_data);
	return fr_fail(e, FR_FAULT_SYSTEM, r ? -r : EIO, "reboot into the loaded kernel: %s",
		       strerror(r ? -r : EIO));
}

static int hop(struct exec *x, struct fr_error *e)
{
	int r = get_ready(x, e);

	if (!r)
		r = prepare(x, e);
	if (r)
		return r;
	if (!x->o->no_sync)
		sync();
	r = note_vms(x, e);
	if (!r)
		r = fr_guardian_watch(x->guardian, e);
	if (!r)
		r = reach(x, "guardian", e);
	if (!r)
		r = fr_parallel(x->ctx, x->nr_vms, prepare_vm, x, e);
	if (!r)
		r = freeze(x, e);
	if (!r)
		r = save(x, e);
	if (!r)
		r = freeze_owners(x, e);
	if (!r)
		r = seal_for_sure(x, e);
	if (!r)
		r = reach(x, "sealed", e);
	return r ? r : jump(x, e);
}

static int resume_vm(void *data, size_t i, struct fr_error *e)
{
	struct exec *x = data;
	struct fr_error local;

	(void)e; /* one that cannot be resumed must not keep others from it */
	if (!fr_vm_resume(x->ctx, x->vms[i].vm, &local))
		return 0;
	fr_log(x->ctx, FR_LOG_WARN, "%s: the guardian will try again for two minutes", local.text);
	fr_vm_hang_up(x->vms[i].vm);
	x->vms[i].bytes = SIZE_MAX; /* marks it */
	return 0;
}

/* Guests first: they must not wait for anything else, but for those who help them to run. */
static bool undo(struct exec *x)
{
	bool clean = true;

	if (x->frozen)
		clean = !fr_owners_thaw(x->ctx);
	fr_parallel(x->ctx, x->nr_vms, resume_vm, x, NULL);
	for (size_t i = 0; i < x->nr_vms; i++)
		clean &= x->vms[i].bytes != SIZE_MAX;
	unprepare(x);
	/* its pages are the guardian's now, which goes on trying */
	clean &= !x->still_loaded;
	if (x->begun && !x->still_loaded)
		clean &= !fr_undo_limit(x->ctx);
	if (clean && x->begun)
		FR_INSIST(fr_journal_remove(x->ctx));
	fr_guardian_end(x->guardian, clean);
	return clean;
}

static void clear(struct exec *x)
{
	for (size_t i = 0; i < x->nr_vms; i++) {
		fr_vm_close(x->vms[i].vm);
		free(x->vms[i].spec);
		free(x->vms[i].state);
	}
	free(x->vms);
	free(x->vm_list);
	free(x->but);
	fr_owners_clear(&x->owners);
	free(x->regions);
	free(x->blobs);
	fr_poison_clear(&x->poison);
	fr_status_free(x->status);
	fr_stage_free(x->stage);
	if (x->lock_fd >= 0)
		close(x->lock_fd);
	if (*x->oom_score_adj)
		write_oom(x->ctx, x->oom_score_adj);
	fr_signals_release(&x->signals);
}

int fr_exec(const struct fr_ctx *ctx, const struct fr_exec_options *o, struct fr_error *e)
{
	struct exec x = {.ctx = ctx, .o = o, .lock_fd = -1, .signals = {.fd = -1}};
	struct fr_error local = {0};
	int r;

	e = e ? e : &local;
	r = hop(&x, e);
	if (undo(&x) && e->fault == FR_FAULT_INTERRUPTED) {
		size_t len = strlen(e->text);

		snprintf(e->text + len, sizeof(e->text) - len,
			 ": nothing was changed, the guests run on");
	}
	clear(&x);
	return r;
}
