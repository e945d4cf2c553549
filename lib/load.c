// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * load: survey what is to be kept, plan, prepare the next kernel's image and stage
 * everything for exec.  Nothing here touches the running kernel or a guest: frames
 * are read, not pinned, and no image is armed.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arm.h"
#include "collect.h"
#include "evacuate.h"
#include "fastrestart.h"
#include "host.h"
#include "hugepages.h"
#include "image.h"
#include "initrd.h"
#include "offline.h"
#include "owners.h"
#include "plan.h"
#include "poison.h"
#include "ramap.h"
#include "signals.h"
#include "stage.h"
#include "undo.h"
#include "util.h"
#include "vm.h"

#define VM_STATE_BYTES (4ull << 20) /* spec and device state; as exec expects */

struct load {
	const struct fr_ctx *ctx;
	const struct fr_load_options *o;
	bool dry_run;
	struct fr_signals signals; /* with o->evacuate */

	struct fr_image *image;
	void *initrd;
	size_t initrd_bytes;
	char *cmdline; /* before the policy */
	uint8_t boot_id[16];

	struct fr_status *status;
	struct fr_descriptor *saved;	    /* of --descriptor */
	const struct fr_descriptor *handed; /* status->handed or saved, or NULL */

	struct fr_vm **vms;
	size_t nr_vms;
	struct fr_load_options vm_sources; /* owns the sources that the VMs named */
	struct fr_source *sources;	   /* all of them, borrowed from there and from @o */
	size_t nr_sources;
	struct fr_keep **keeps; /* one for each source */

	struct fr_region *regions;     /* borrowed from keeps and @handed */
	size_t nr_regions, nr_kept_on; /* those of @handed go first */
	struct fr_blob *blobs;	       /* borrowed from @handed */
	size_t nr_blobs;
	struct fr_poison poison;

	struct fr_ram_map ram;
	struct fr_ranges system_ram;
	struct fr_ranges pram; /* Persistent Memory (legacy): memmap=SIZE!START */
	struct fr_evacuation *evacuation;
	size_t nr_would_go; /* with dry_run: blocks that would go offline */
	struct fr_plan *plan;
};

static int out_of_memory(struct fr_error *e)
{
	return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "out of memory");
}

/* ---------------------------------------------------- the host, and what it allows */

/* A short file of /proc or /sys as a string. */
static int read_host(const struct load *l, const char *name, char **ret, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(l->ctx, "%s", name);
	int r;

	if (!path)
		return out_of_memory(e);
	r = fr_read_file(path, 1 << 20, ret, NULL);
	return r ? fr_fail(e, FR_FAULT_SYSTEM, -r, "%s: %s", name, strerror(-r)) : 0;
}

static int check_capabilities(const struct load *l, struct fr_error *e)
{
	const uint64_t needed = 1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_BOOT;
	_cleanup_free_ char *text = NULL;
	const char *line;
	int r = read_host(l, "/proc/self/status", &text, e);

	if (r)
		return r;
	line = strstr(text, "\nCapEff:");
	if (!line || (strtoull(line + strlen("\nCapEff:"), NULL, 16) & needed) != needed)
		return fr_fail(e, FR_FAULT_PERMISSION, EPERM,
			       "load: CAP_SYS_ADMIN and CAP_SYS_BOOT are needed: run as root");
	return 0;
}

/* The three switches that forbid kexec, each with its own remedy. */
static int check_kexec_allowed(const struct load *l, struct fr_error *e)
{
	_cleanup_free_ char *disabled = NULL, *lockdown = NULL;
	int r = read_host(l, "/proc/sys/kernel/kexec_load_disabled", &disabled, e);

	if (r == -ENOENT)
		return fr_fail(e, FR_FAULT_REFUSED, ENOSYS,
			       "running kernel: it has no kexec (CONFIG_KEXEC): boot one that has");
	if (r)
		return r;
	if (disabled[0] == '1')
		return fr_fail(
			e, FR_FAULT_PERMISSION, EPERM,
			"running kernel: kexec is switched off until the next boot: unset the sysctl kernel.kexec_load_disabled and reboot");
	r = fr_check_load_limit(l->ctx, e);
	if (r)
		return r;
	if (!read_host(l, "/sys/kernel/security/lockdown", &lockdown, NULL) &&
	    !strstr(lockdown, "[none]"))
		return fr_fail(
			e, FR_FAULT_PERMISSION, EPERM,
			"running kernel: lockdown forbids kexec_load: boot without lockdown= and secure boot");
	return 0;
}

static int read_boot_id(struct load *l, struct fr_error *e)
{
	return fr_boot_id_read(l->ctx, l->boot_id, e);
}

static int check_not_staged(const struct load *l, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(l->ctx, "/run/kexec-fastrestart/staged");

	if (!path)
		return out_of_memory(e);
	if (l->o->force)
		return 0;
	if (!access(path, F_OK))
		return fr_fail(
			e, FR_FAULT_REFUSED, EEXIST,
			"load: an image is staged already: unload it, or replace it with --force");
	return errno == ENOENT ?
		       0 :
		       fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", path, strerror(errno));
}

/* ------------------------------------------------------------------ the next kernel */

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = line; *p; p += strcspn(p, " ")) {
		p += strspn(p, " ");
		if (strcspn(p, " ") == len && !memcmp(p, word, len))
			return true;
	}
	return false;
}

static int open_image(struct load *l, struct fr_error *e)
{
	const char *path = l->o->kernel;
	int r = fr_image_open(l->ctx, path, !has_word(l->cmdline, "nokaslr"), &l->image, e);

	if (r)
		return r;
	if (!l->image->has_note && !l->o->allow_unpatched)
		return fr_fail(
			e, FR_FAULT_IMAGE, ENOEXEC,
			"%s: this kernel lacks the fastrestart patches: it would leave the memory alone, but could not restore it: use a patched one, or --allow-unpatched",
			path);
	if (l->image->has_note &&
	    (FR_VERSION < l->image->min_version || FR_VERSION > l->image->max_version))
		return fr_fail(
			e, FR_FAULT_DESCRIPTOR, EPROTONOSUPPORT,
			"%s: this kernel takes descriptor versions %u to %u, and this command writes %u: use releases that fit together",
			path, l->image->min_version, l->image->max_version, FR_VERSION);
	return fr_check_host(l->ctx, l->image, e);
}

/* A patched kernel's initramfs takes over pages of it, but for what is not aligned. */
static int align_initrd(struct load *l, struct fr_error *e)
{
	size_t bytes;
	void *p;

	if (!l->initrd || !l->image->max_version)
		return 0;
	bytes = fr_initrd_align(l->initrd, l->initrd_bytes, NULL);
	if (bytes == l->initrd_bytes)
		return 0;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return out_of_memory(e);
	fr_initrd_align(l->initrd, l->initrd_bytes, p);
	munmap(l->initrd, l->initrd_bytes);
	l->initrd = p;
	l->initrd_bytes = bytes;
	return 0;
}

static int open_initrd(struct load *l, struct fr_error *e)
{
	const char *path = l->o->initrd;
	struct stat st;
	int fd, r;

	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fr_fail(e, errno == ENOENT ? FR_FAULT_NOT_FOUND : FR_FAULT_SYSTEM, errno,
			       "%s: %s", path, strerror(errno));
	if (fstat(fd, &st)) {
		r = fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || !st.st_size) {
		r = fr_fail(e, FR_FAULT_USAGE, EINVAL,
			    "%s: not a regular file with something in it: name an initrd", path);
	} else {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		r = p == MAP_FAILED ?
			    fr_fail(e, FR_FAULT_SYSTEM, errno, "%s: %s", path, strerror(errno)) :
			    0;
		if (!r) {
			l->initrd = p;
			l->initrd_bytes = (size_t)st.st_size;
		}
	}
	close(fd);
	return r ? r : align_initrd(l, e);
}

static int make_cmdline(struct load *l, struct fr_error *e)
{
	int r;

	if (l->o->reuse_cmdline) {
		r = read_host(l, "/proc/cmdline", &l->cmdline, e);
		if (r)
			return r;
		l->cmdline[strcspn(l->cmdline, "\n")] = '\0';
		return 0;
	}
	l->cmdline = strdup(l->o->append ? l->o->append : "");
	return l->cmdline ? 0 : out_of_memory(e);
}

/* ------------------------------------------------------------ what is kept already */

static int read_saved(struct load *l, struct fr_error *e)
{
	_cleanup_free_ char *data = NULL;
	const char *path = l->o->descriptor_file;
	size_t bytes;
	int r = fr_read_file(path, FR_MAX_TOTAL_BYTES, &data, &bytes);

	if (r)
		return fr_fail(e, r == -ENOENT ? FR_FAULT_NOT_FOUND : FR_FAULT_SYSTEM, -r, "%s: %s",
			       path, strerror(-r));
	r = fr_descriptor_decode(data, bytes, &l->saved, e);
	return r ? fr_fail_context(e, "%s", path) : 0;
}

/* There is a descriptor, but a damaged one: @why. */
static int give_up(const struct load *l, const struct fr_error *why, struct fr_error *e)
{
	if (why->fault != FR_FAULT_DESCRIPTOR)
		return fr_fail(e, why->fault, why->err, "%s", why->text);
	if (!l->o->force)
		return fr_fail(
			e, why->fault, why->err,
			"last hop: %s: give a good copy with --descriptor, or give up what it kept with --force",
			why->text);
	fr_log(l->ctx, FR_LOG_WARN,
	       "last hop: %s: what it kept is given up, and is no RAM until a cold boot",
	       why->text);
	return 0;
}

/*
 * The descriptor of the last hop, from the kernel or, after a plain kexec, from the
 * file that inspect --raw saved.  One that is there but cannot be read is no reason
 * to forget what it kept.
 */
static int find_handed(struct load *l, struct fr_error *e)
{
	_cleanup_free_ void *data = NULL;
	struct fr_error why = {0};
	size_t bytes;
	int r = fr_status_read(l->ctx, &l->status, e);

	if (r)
		return r;
	if (l->status->handed && l->o->descriptor_file)
		return fr_fail(
			e, FR_FAULT_REFUSED, EEXIST,
			"--descriptor %s: the running kernel has the descriptor of the last hop itself: leave the option out",
			l->o->descriptor_file);
	l->handed = l->status->handed;
	if (l->o->descriptor_file) {
		r = read_saved(l, e);
		l->handed = l->saved;
		return r;
	}
	if (l->handed)
		return 0;
	r = fr_handed_read(l->ctx, &data, &bytes, e);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = fr_descriptor_decode(data, bytes, &l->saved, &why);
	if (r)
		return give_up(l, &why, e);
	l->handed = l->saved;
	return 0;
}

static bool in_system_ram(const struct load *l, const struct fr_region *g)
{
	for (size_t i = 0; i < g->extents.nr; i++) {
		const struct fr_extent *x = &g->extents.v[i];

		if (fr_ranges_touch(&l->system_ram, x->start_pfn << FR_PAGE_SHIFT,
				    (x->start_pfn + x->nr_pages) << FR_PAGE_SHIFT))
			return true;
	}
	return false;
}

/*
 * Whether region @i of the last hop is still kept.  The kernel knows; for a saved
 * descriptor, memory that is RAM to the running kernel has been given back before.
 */
static int still_kept(const struct load *l, size_t i, bool *ret, struct fr_error *e)
{
	const struct fr_region *g = &l->handed->regions[i];

	if (l->handed != l->status->handed) {
		*ret = !in_system_ram(l, g);
		if (!*ret)
			fr_log(l->ctx, FR_LOG_WARN,
			       "region %s: the running kernel has memory of it as System RAM: taken as given back, and not kept on",
			       g->name);
		return 0;
	}
	if (l->status->states[i] == FR_STATE_BUSY)
		return fr_fail(e, FR_FAULT_REFUSED, EBUSY,
			       "region %s: it is being restored or released: try again later",
			       g->name);
	*ret = l->status->states[i] == FR_STATE_KEPT;
	return 0;
}

static int add_region(struct load *l, const struct fr_region *g, struct fr_error *e)
{
	struct fr_region *v = reallocarray(l->regions, l->nr_regions + 1, sizeof(*v));

	if (!v)
		return out_of_memory(e);
	l->regions = v;
	v[l->nr_regions] = *g;
	v[l->nr_regions++].extents.borrowed = true;
	return 0;
}

static bool has_region(const struct load *l, const char *name)
{
	for (size_t i = 0; i < l->nr_regions; i++)
		if (!strcmp(l->regions[i].name, name))
			return true;
	return false;
}

/* What is kept on goes first, with what user space needs to make something of it. */
static int hand_on_regions(struct load *l, struct fr_error *e)
{
	for (size_t i = 0; i < l->handed->nr_regions; i++) {
		const struct fr_region *g = &l->handed->regions[i];
		bool kept = false;
		int r = still_kept(l, i, &kept, e);

		if (!r && kept)
			r = add_region(l, g, e);
		if (r)
			return r;
		if (kept)
			fr_log(l->ctx, FR_LOG_STEP, "region %s: kept on from the last hop",
			       g->name);
	}
	return 0;
}

/* "vm/NAME/" of a blob's name, as a length; 0 for other blobs. */
static size_t vm_prefix(const char *blob)
{
	const char *end = !strncmp(blob, "vm/", 3) ? strchr(blob + 3, '/') : NULL;

	return end ? (size_t)(end + 1 - blob) : 0;
}

static bool was_restored(const struct load *l, const char *region)
{
	for (size_t i = 0; i < l->handed->nr_regions; i++)
		if (!strcmp(l->handed->regions[i].name, region))
			return l->status->states[i] == FR_STATE_RESTORED;
	return false;
}

/* The device state of VM @name is about to be dropped: has restore made use of it? */
static int check_started(const struct load *l, const char *name, char *const *regions, size_t nr,
			 struct fr_error *e)
{
	_cleanup_free_ char *marker = fr_path(l->ctx, "/run/kexec-fastrestart/vm/%s.started", name);
	bool restored = false;
	struct stat st;

	if (!marker)
		return out_of_memory(e);
	/* a saved descriptor is of an earlier boot, whose markers are gone */
	if (l->handed != l->status->handed || l->o->force)
		return 0;
	for (size_t i = 0; i < nr; i++)
		restored |= was_restored(l, regions[i]);
	if (!restored || (!stat(marker, &st) && st.st_size))
		return 0;
	return fr_fail(
		e, FR_FAULT_REFUSED, EBUSY,
		"VM %s: its memory was restored, but it was never started: start it with restore, or give it up with --force",
		name);
}

/* A VM waits for its restore as long as one of its regions is kept. */
static int vm_is_kept(const struct load *l, const struct fr_blob *blob, bool *ret,
		      struct fr_error *e)
{
	char spec_name[FR_NAME_BYTES + sizeof("spec")], vm[FR_NAME_BYTES];
	const struct fr_blob *spec;
	_cleanup_free_ char *json = NULL;
	struct fr_error why = {0};
	char **names;
	size_t nr;
	int r;

	*ret = false;
	snprintf(spec_name, sizeof(spec_name), "%.*sspec", (int)vm_prefix(blob->name), blob->name);
	spec = fr_descriptor_blob(l->handed, spec_name);
	if (!spec)
		return 0;
	json = strndup(spec->data, spec->bytes);
	if (!json)
		return out_of_memory(e);
	r = fr_vm_spec_regions(json, &names, &nr, &why);
	if (r == -ENOMEM)
		return out_of_memory(e);
	if (r) {
		/* of another release, maybe: for one that knows better */
		fr_log(l->ctx, FR_LOG_WARN, "%s: %s: handed on as it is", spec_name, why.text);
		*ret = true;
		return 0;
	}
	for (size_t i = 0; i < nr; i++)
		*ret |= has_region(l, names[i]);
	snprintf(vm, sizeof(vm), "%.*s", (int)vm_prefix(blob->name) - 4, blob->name + 3);
	r = *ret ? 0 : check_started(l, vm, names, nr, e);
	for (size_t i = 0; i < nr; i++)
		free(names[i]);
	free(names);
	return r;
}

static int hand_on_blobs(struct load *l, struct fr_error *e)
{
	l->blobs = calloc(l->handed->nr_blobs + 1, sizeof(*l->blobs));
	if (!l->blobs)
		return out_of_memory(e);
	for (size_t i = 0; i < l->handed->nr_blobs; i++) {
		const struct fr_blob *blob = &l->handed->blobs[i];
		bool kept = true;
		int r = vm_prefix(blob->name) ? vm_is_kept(l, blob, &kept, e) : 0;

		if (r)
			return r;
		if (kept)
			l->blobs[l->nr_blobs++] = *blob;
	}
	return 0;
}

static int hand_on(struct load *l, struct fr_error *e)
{
	int r;

	if (!l->handed)
		return 0;
	r = hand_on_regions(l, e);
	l->nr_kept_on = l->nr_regions;
	return r ? r : hand_on_blobs(l, e);
}

/* --------------------------------------------------------------- what is to be kept */

static bool same_file(const struct fr_source *a, const struct fr_source *b)
{
	struct stat sa, sb;

	if (!a->path || !b->path)
		return false;
	if (stat(a->path, &sa) || stat(b->path, &sb))
		return !strcmp(a->path, b->path);
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* A process may close a file and open another, or end: exec takes no other file than this. */
static int note_file(struct fr_source *src, struct fr_error *e)
{
	struct stat st;

	if (!src->is_fd)
		return 0;
	if (stat(src->path, &st))
		return fr_fail(e, FR_FAULT_NOT_FOUND, errno,
			       "%s: there is no such process, or it has no such file open",
			       src->spec);
	src->dev = st.st_dev;
	src->ino = st.st_ino;
	return 0;
}

/* Add @src unless a VM has brought that file already; names stay unique. */
static int add_source(struct load *l, const struct fr_source *src, bool of_vm, struct fr_error *e)
{
	if (!fr_name_valid(src->name))
		return fr_fail(e, FR_FAULT_REFUSED, ENAMETOOLONG,
			       "%s: region %.100s: a name has at most %u bytes: give the VM or its "
			       "memory backend a shorter one",
			       src->spec, src->name, FR_NAME_BYTES - 1);
	for (size_t i = 0; i < l->nr_sources; i++) {
		const struct fr_source *other = &l->sources[i];

		if (same_file(src, other) && !of_vm && i < l->vm_sources.nr_sources) {
			fr_log(l->ctx, FR_LOG_STEP, "%s: memory of a VM, kept as region %s",
			       src->spec, other->name);
			return 0;
		}
		if (same_file(src, other))
			return fr_fail(e, of_vm ? FR_FAULT_REFUSED : FR_FAULT_USAGE, EEXIST,
				       "%s: the same file as %s: %s", src->spec, other->spec,
				       of_vm ? "two VMs that share memory cannot hop" :
					       "name it once");
		if (!strcmp(src->name, other->name))
			return fr_fail(
				e, FR_FAULT_USAGE, EEXIST,
				"%s: region %s is named twice: choose another with ,name=NAME",
				src->spec, src->name);
	}
	if (has_region(l, src->name))
		return fr_fail(
			e, FR_FAULT_REFUSED, EEXIST,
			"%s: a region %s is still kept from the last hop: restore or release it first, or choose another name",
			src->spec, src->name);
	l->sources[l->nr_sources] = *src;
	return note_file(&l->sources[l->nr_sources++], e);
}

static int open_vm(struct load *l, const struct fr_vm_arg *arg, struct fr_error *e)
{
	struct fr_source *found, *v;
	size_t nr;
	int r = fr_vm_open(l->ctx, arg, 0, &l->vms[l->nr_vms], e);

	if (r)
		return r;
	r = fr_vm_sources(l->vms[l->nr_vms++], &found, &nr);
	if (r)
		return fr_fail(e, FR_FAULT_SYSTEM, -r, "VM %s: %s", arg->name, strerror(-r));
	v = reallocarray(l->vm_sources.sources, l->vm_sources.nr_sources + nr + 1, sizeof(*v));
	if (!v) {
		fr_load_options_clear(
			&(struct fr_load_options){.sources = found, .nr_sources = nr});
		return out_of_memory(e);
	}
	memcpy(v + l->vm_sources.nr_sources, found, nr * sizeof(*v));
	free(found);
	l->vm_sources.sources = v;
	l->vm_sources.nr_sources += nr;
	fr_log(l->ctx, FR_LOG_STEP, "VM %s: %zu RAM file%s", arg->name, nr, nr == 1 ? "" : "s");
	return 0;
}

static int check_vm_names(const struct fr_load_options *o, struct fr_error *e)
{
	for (size_t i = 0; i < o->nr_vms; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(o->vms[i].name, o->vms[k].name))
				return fr_fail(e, FR_FAULT_USAGE, EEXIST,
					       "VM %s: named twice: choose another name",
					       o->vms[i].name);
	return 0;
}

static int find_sources(struct load *l, struct fr_error *e)
{
	int r = check_vm_names(l->o, e);

	if (r)
		return r;
	l->vms = calloc(l->o->nr_vms + 1, sizeof(*l->vms));
	if (!l->vms)
		return out_of_memory(e);
	for (size_t i = 0; i < l->o->nr_vms && !r; i++)
		r = open_vm(l, &l->o->vms[i], e);
	if (r)
		return r;
	l->sources = calloc(l->vm_sources.nr_sources + l->o->nr_sources + 1, sizeof(*l->sources));
	if (!l->sources)
		return out_of_memory(e);
	for (size_t i = 0; i < l->vm_sources.nr_sources && !r; i++)
		r = add_source(l, &l->vm_sources.sources[i], true, e);
	for (size_t i = 0; i < l->o->nr_sources && !r; i++)
		r = add_source(l, &l->o->sources[i], false, e);
	return r;
}

static int survey(struct load *l, struct fr_error *e)
{
	l->keeps = calloc(l->nr_sources + 1, sizeof(struct fr_keep *));
	if (!l->keeps)
		return out_of_memory(e);
	for (size_t i = 0; i < l->nr_sources; i++) {
		int r = fr_keep_open(l->ctx, &l->sources[i], &l->keeps[i], e);

		if (!r)
			r = add_region(l, fr_keep_region(l->keeps[i]), e);
		if (r)
			return r;
		fr_log(l->ctx, FR_LOG_STEP, "region %s: %" PRIu64 " bytes in %zu extents",
		       l->sources[i].name, l->regions[l->nr_regions - 1].size_bytes,
		       l->regions[l->nr_regions - 1].extents.nr);
	}
	return 0;
}

static void close_sources(struct load *l)
{
	for (size_t i = 0; l->keeps && i < l->nr_sources; i++)
		fr_keep_close(l->keeps[i]);
	free(l->keeps);
	l->keeps = NULL;
	l->nr_regions = l->nr_kept_on;
}

/* --------------------------------------------------------------------- plan, stage */

static int find_poison(struct load *l, struct fr_error *e)
{
	return fr_poison_find(l->ctx, l->handed, &l->ram, &l->poison, e);
}

static int read_iomem(struct load *l, struct fr_error *e)
{
	int r = fr_iomem_ranges(l->ctx, "System RAM", &l->system_ram, e);

	return r ? r : fr_iomem_ranges(l->ctx, "Persistent Memory (legacy)", &l->pram, e);
}

/* The running kernel knows nothing of a saved descriptor, or an unpatched one of any. */
static int check_machine(struct load *l, struct fr_error *e)
{
	int r;

	if (!l->handed || (l->handed != l->saved && !l->status->handed_from_setup_data))
		return 0;
	r = fr_ram_map_check(l->ctx, &l->handed->ram, &l->system_ram, e);
	return r && l->o->descriptor_file ?
		       fr_fail_context(e, "--descriptor %s", l->o->descriptor_file) :
		       r;
}

/* The map depends on which carve-outs are kept. */
static int read_ram(struct load *l, struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges kept = {0};

	for (size_t i = 0; i < l->nr_regions; i++)
		if (l->regions[i].kind == FR_KIND_RAW &&
		    fr_ranges_add_extents(&kept, &l->regions[i].extents))
			return out_of_memory(e);
	fr_ranges_normalise(&kept);
	return fr_ram_map_read(l->ctx, l->handed, &kept, &l->ram, e);
}

static struct fr_descriptor surveyed(const struct load *l)
{
	struct fr_descriptor d = {
		.hop = l->handed ? l->handed->hop + 1 : 1,
		.hidden_bytes = l->plan ? l->plan->hidden_bytes : 0,
		.ram = l->ram,
		.regions = l->regions,
		.nr_regions = l->nr_regions,
		.poison_pfn = l->poison.pfn,
		.nr_poison = l->poison.nr,
		.blobs = l->blobs,
		.nr_blobs = l->nr_blobs,
	};

	memcpy(d.boot_id, l->boot_id, sizeof(d.boot_id));
	return d;
}

static int warn(struct fr_plan *p, char *text, struct fr_error *e)
{
	struct fr_warning *v =
		text ? reallocarray(p->warnings, p->nr_warnings + 1, sizeof(*v)) : NULL;

	if (!v) {
		free(text);
		return out_of_memory(e);
	}
	p->warnings = v;
	v[p->nr_warnings++].text = text;
	return 0;
}

/* Room for the descriptor with what exec adds to it: each VM's spec and device state. */
static uint64_t late_bytes(const struct fr_descriptor *d, size_t nr_vms)
{
	return fr_descriptor_bytes(d) + nr_vms * VM_STATE_BYTES;
}

/* What exec would refuse, which can still change. */
static int warn_of_pool(struct load *l, struct fr_error *e)
{
	struct fr_descriptor d = surveyed(l);
	struct fr_error why;
	int r = fr_hugepages_check_pool(l->ctx, late_bytes(&d, l->nr_vms), &why);
	char *text;

	if (!r)
		return 0;
	if (why.fault != FR_FAULT_REFUSED)
		return fr_fail(e, why.fault, why.err, "%s", why.text);
	if (asprintf(&text, "exec would refuse: %s", why.text) < 0)
		text = NULL;
	return warn(l->plan, text, e);
}

/* Drivers of this host that the next kernel would not have. */
static int warn_of_modules(struct load *l, struct fr_error *e)
{
	_cleanup_free_ char *release = strndup(l->image->version, strcspn(l->image->version, " "));
	char **texts = NULL;
	size_t nr = 0;
	int r;

	if (!release)
		return out_of_memory(e);
	r = fr_modules_check(l->ctx, release, &texts, &nr, e);
	for (size_t i = 0; i < nr; i++) {
		if (r)
			free(texts[i]);
		else
			r = warn(l->plan, texts[i], e);
	}
	free(texts);
	return r;
}

/* Who will be frozen, and not be there afterwards. */
static int warn_of_owners(struct load *l, struct fr_error *e)
{
	_cleanup_free_ pid_t *but = calloc(l->nr_vms + 1, sizeof(*but));
	struct fr_owners owners = {0};
	char *text;
	int r;

	if (!but)
		return out_of_memory(e);
	for (size_t i = 0; i < l->nr_vms; i++)
		but[i] = fr_vm_pid(l->vms[i]);
	r = fr_owners_of(l->ctx, l->keeps, l->nr_sources, but, l->nr_vms, &owners, e);
	for (size_t i = 0; !r && i < owners.nr; i++) {
		if (asprintf(
			    &text,
			    "process %d (%s) has a kept file open: exec freezes it, and it ends with "
			    "this kernel",
			    (int)owners.v[i].pid, owners.v[i].comm) < 0)
			text = NULL;
		r = warn(l->plan, text, e);
	}
	fr_owners_clear(&owners);
	return r;
}

/* The plan of what was surveyed last; with @may_lack also one that does not fit. */
static int plan(struct load *l, bool may_lack, struct fr_plan **ret_plan, struct fr_error *e)
{
	struct fr_descriptor d = surveyed(l);
	struct fr_plan_request request = {
		.ram = &l->ram,
		.system_ram = &l->system_ram,
		.pram = &l->pram,
		.regions = l->regions,
		.nr_regions = l->nr_regions,
		.poison_pfn = l->poison.pfn,
		.nr_poison = l->poison.nr,
		.image = l->image,
		.initrd_bytes = l->initrd_bytes,
		.cmdline = l->cmdline,
		.reuse_cmdline = l->o->reuse_cmdline,
		.allow_unpatched = l->o->allow_unpatched,
		.late_bytes = late_bytes(&d, l->nr_vms),
		.evacuated = l->evacuation,
		.may_lack = may_lack,
	};
	int r = fr_count_cpus(l->ctx, &request.nr_cpus, e);

	return r ? r : fr_plan_make(&request, ret_plan, e);
}

/* What stays where it is, whatever goes offline: kept since the last hop, or poisoned. */
static int fixed_ranges(const struct load *l, struct fr_ranges *ret, struct fr_error *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < l->nr_kept_on; i++)
		r = fr_ranges_add_extents(ret, &l->regions[i].extents);
	for (size_t i = 0; !r && i < l->poison.nr; i++)
		r = fr_ranges_add(ret, l->poison.pfn[i] << FR_PAGE_SHIFT,
				  (l->poison.pfn[i] + 1) << FR_PAGE_SHIFT);
	fr_ranges_normalise(ret);
	return r ? out_of_memory(e) : 0;
}

/* Empty some blocks for a plan that lacks memory; *ret_nr: how many. */
static int empty_blocks(struct load *l, const struct fr_plan *draft, size_t *ret_nr,
			struct fr_error *e)
{
	_cleanup_(fr_ranges_clear) struct fr_ranges fixed = {0};
	struct fr_descriptor d = surveyed(l);
	struct fr_evacuate_request request = {
		.plan = draft,
		.fixed = &fixed,
		/* exec places these beside what is staged */
		.reserve_bytes =
			2 * (l->image->memory_bytes + l->initrd_bytes + late_bytes(&d, l->nr_vms)),
		.dry_run = l->dry_run,
	};
	int r = fixed_ranges(l, &fixed, e);

	if (!r && !l->evacuation)
		r = fr_evacuation_new(l->ctx, l->signals.fd, &l->evacuation, e);
	if (r)
		return r;
	/* nothing of ours keeps a page where it is */
	if (!l->dry_run)
		close_sources(l);
	r = fr_evacuate(l->evacuation, &request, ret_nr, e);
	if (r == -ECANCELED) {
		r = fr_signals_check(&l->signals, "load", e);
		r = r ? r : -ECANCELED;
	}
	return r;
}

/* Pages that move may land where they hurt as much as before: look again until it fits. */
static int evacuate(struct load *l, struct fr_error *e)
{
	size_t nr = 1;
	int r = 0;

	while (l->o->evacuate && !r && nr) {
		struct fr_plan *draft = NULL;

		r = plan(l, true, &draft, e);
		nr = 0;
		if (!r && (draft->lack_bytes || draft->lack_low_bytes || draft->lack_piece_bytes)) {
			r = empty_blocks(l, draft, &nr, e);
			if (!r && !l->dry_run)
				r = survey(l, e);
		}
		if (l->dry_run) {
			l->nr_would_go = nr;
			nr = 0;
		}
		fr_plan_free(draft);
		if (!r)
			r = fr_signals_check(&l->signals, "load", e);
	}
	return r;
}

static int make_plan(struct load *l, struct fr_error *e)
{
	int r = plan(l, l->nr_would_go, &l->plan, e);
	char *text;

	if (r && l->evacuation && e && e->fault == FR_FAULT_REFUSED)
		fr_evacuation_explain(l->evacuation, e);
	if (!r && l->nr_would_go) {
		if (asprintf(
			    &text,
			    "clean memory is short: load would first take %zu memory blocks offline",
			    l->nr_would_go) < 0)
			text = NULL;
		r = warn(l->plan, text, e);
	}
	if (r)
		return r;
	r = warn_of_modules(l, e);
	if (!r)
		r = warn_of_owners(l, e);
	if (!r)
		r = warn_of_pool(l, e);
	if (!r && !l->nr_regions)
		r = warn(l->plan, strdup("nothing is kept: --preserve and --vm name what to keep"),
			 e);
	if (!r && !l->plan->patched)
		r = warn(
			l->plan,
			strdup("the next kernel lacks the patches: its users can read the descriptor, with the state of guests' devices, in /sys/kernel/boot_params/setup_data"),
			e);
	if (!r && !l->cmdline[0])
		r = warn(
			l->plan,
			strdup("the next kernel gets an empty command line: --append or --reuse-cmdline give one"),
			e);
	return r;
}

static int write_stage(const struct load *l, struct fr_error *e)
{
	struct fr_descriptor d = surveyed(l);
	struct fr_stage stage = {
		.options = *l->o,
		.image = l->image,
		.initrd = l->initrd,
		.initrd_bytes = l->initrd_bytes,
		.cmdline = l->plan->cmdline,
		.surveyed = &d,
	};

	stage.options.sources = l->sources;
	stage.options.nr_sources = l->nr_sources;
	memcpy(stage.boot_id, l->boot_id, sizeof(stage.boot_id));
	return fr_stage_write(l->ctx, &stage, e);
}

static void clear(struct load *l)
{
	fr_plan_free(l->plan);
	fr_ranges_clear(&l->pram);
	fr_ranges_clear(&l->system_ram);
	fr_ram_map_clear(&l->ram);
	fr_poison_clear(&l->poison);
	fr_evacuation_free(l->evacuation);
	free(l->blobs);
	free(l->regions);
	close_sources(l);
	free(l->sources);
	for (size_t i = 0; i < l->nr_vms; i++)
		fr_vm_close(l->vms[i]);
	free(l->vms);
	fr_load_options_clear(&l->vm_sources);
	fr_descriptor_free(l->saved);
	fr_status_free(l->status);
	free(l->cmdline);
	if (l->initrd)
		munmap(l->initrd, l->initrd_bytes);
	fr_image_free(l->image);
}

static int run(struct load *l, struct fr_error *e)
{
	static int (*const steps[])(struct load *, struct fr_error *) = {
		read_boot_id, make_cmdline,  open_image, open_initrd,  find_handed,
		read_iomem,   check_machine, hand_on,	 find_sources, survey,
		read_ram,     find_poison,   evacuate,	 make_plan,
	};
	int r = check_kexec_allowed(l, e);

	if (!r)
		r = fr_hugepages_check_pins(l->ctx, e);
	if (!r && !l->dry_run)
		r = check_not_staged(l, e);
	for (size_t i = 0; !r && i < FR_ARRAY_SIZE(steps); i++)
		r = steps[i](l, e);
	/* a signal that comes from here on finds it staged */
	if (!r)
		r = fr_signals_check(&l->signals, "load", e);
	return r || l->dry_run ? r : write_stage(l, e);
}

/* What a load took offline that was killed: nothing staged needs it. */
static int put_back_left_over(const struct fr_ctx *ctx, struct fr_error *e)
{
	_cleanup_free_ char *staged = fr_path(ctx, "/run/kexec-fastrestart/staged");

	if (!staged)
		return out_of_memory(e);
	return access(staged, F_OK) ? fr_offline_put_all(ctx, NULL, e) : 0;
}

static int get_ready(struct load *l, struct fr_error *e)
{
	int lock_fd = fr_lock(l->ctx, false, e);
	int r = lock_fd < 0 ? lock_fd : fr_undo_left(l->ctx, e);

	if (r >= 0)
		r = put_back_left_over(l->ctx, e);
	if (!r && l->o->evacuate)
		r = fr_signals_take(&l->signals, e);
	if (r && lock_fd >= 0)
		close(lock_fd);
	return r ? r : lock_fd;
}

/* The host is as it was, but for blocks that do not come back, which @e does not hide. */
static void undo_evacuation(struct load *l)
{
	struct fr_error why;

	if (fr_evacuation_undo(l->evacuation, &why))
		fr_log(l->ctx, FR_LOG_WARN, "%s", why.text);
}

int fr_load(const struct fr_ctx *ctx, const struct fr_load_options *o, bool dry_run,
	    struct fr_plan **ret_plan, struct fr_error *e)
{
	struct load l = {.ctx = ctx, .o = o, .dry_run = dry_run, .signals = {.fd = -1}};
	_cleanup_close_ int lock_fd = -1;
	int r = check_capabilities(&l, e);

	if (!r && !dry_run)
		r = lock_fd = get_ready(&l, e);
	if (r >= 0)
		r = run(&l, e);
	/* a dry run has no lock: what is written down is not its own */
	if (r < 0 && !dry_run)
		undo_evacuation(&l);

	if (!r) {
		*ret_plan = l.plan;
		l.plan = NULL;
	}
	fr_signals_release(&l.signals);
	clear(&l);
	return r;
}

int fr_unload(const struct fr_ctx *ctx, struct fr_error *e)
{
	_cleanup_close_ int lock_fd = fr_lock(ctx, false, e);
	size_t nr_back = 0;
	int left, back = 0, r;

	if (lock_fd < 0)
		return lock_fd;
	left = fr_undo_left(ctx, e);
	r = fr_stage_remove(ctx, left < 0 ? NULL : e);
	/* what is left of an exec has been told of */
	if (left >= 0 && fr_check_not_loaded(ctx, NULL) == -EBUSY)
		fr_log(ctx, FR_LOG_WARN,
		       "a kernel is loaded for kexec, but not by exec: kexec -u unloads it");
	if (!r || r == -ENOENT)
		back = fr_offline_put_all(ctx, &nr_back, left < 0 ? NULL : e);
	if (left < 0 || back)
		return left < 0 ? left : back;
	if (r == -ENOENT)
		return left || nr_back ?
			       0 :
			       fr_fail(e, FR_FAULT_NOT_FOUND, ENOENT, "unload: nothing is staged");
	return r;
}
