// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <inttypes.h>
#include <linux/kexec.h>
#include <sys/random.h>

#include "arm-copy.h"
#include "arm.h"
#include "bootparams.h"
#include "hugepages.h"
#include "journal.h"
#include "trampoline.h"
#include "util.h"

enum {
	PIECE_KERNEL,
	PIECE_PARAMS, /* boot_params, then one page of trampoline */
	PIECE_INITRD,
	PIECE_LATE,
	NR_PIECES,
};

struct fr_armed {
	struct fr_hugepages *huge;
	struct fr_huge_piece piece[NR_PIECES];
	size_t params_bytes; /* without the trampoline's page, whole pages */
	uint8_t *params;     /* fallback: kexec copies from here */
	uint8_t trampoline[FR_TRAMPOLINE_BYTES];
	struct fr_place place[NR_PIECES + 1];
	size_t nr_places;
	bool in_place, loaded;
	struct fr_guardian *guardian; /* that holds the pages */
};

static uint64_t whole_pages(uint64_t bytes)
{
	return fr_align_up(bytes, FR_PAGE_BYTES);
}

void *fr_armed_late(const struct fr_armed *armed)
{
	return armed->piece[PIECE_LATE].addr;
}

bool fr_armed_in_place(const struct fr_armed *armed)
{
	return armed->in_place;
}

const struct fr_place *fr_armed_places(const struct fr_armed *armed, size_t *ret_nr)
{
	*ret_nr = armed->nr_places;
	return armed->place;
}

int fr_disarm(const struct fr_ctx *ctx, struct fr_armed *armed)
{
	int r = 0;

	if (!armed)
		return 0;
	/* First of all: an armed trampoline must not outlive the pages that it jumps to. */
	if (armed->loaded)
		r = fr_kexec_unload(ctx);
	if (r)
		fr_log(ctx, FR_LOG_WARN,
		       "the kexec image cannot be unloaded: do not use kexec -e, and run kexec -u");
	else
		fr_guardian_drop(armed->guardian);
	fr_hugepages_put(ctx, armed->huge);
	free(armed->params);
	free(armed);
	return r;
}

/* Can this kernel be entered from the running one? */
static int check_host(const struct fr_image *image, const struct fr_host_params *host,
		      struct fr_error *e)
{
	if (host->memory_encrypted)
		return fr_fail(
			e, FR_FAULT_REFUSED, EOPNOTSUPP,
			"the running kernel encrypts its memory (mem_encrypt=on): boot without it");
	/*
	 * Only the decompressor, which is not run, can switch CR4.LA57 off, and a kernel
	 * without CONFIG_X86_5LEVEL would walk five levels as four.
	 */
	if (host->la57 && (image->xloadflags & (XLF_5LEVEL | XLF_5LEVEL_ENABLED)) !=
				  (XLF_5LEVEL | XLF_5LEVEL_ENABLED))
		return fr_fail(e, FR_FAULT_REFUSED, EOPNOTSUPP,
			       "the running kernel uses 5-level paging and kernel %s cannot: "
			       "boot the running one with no5lvl",
			       image->version);
	return 0;
}

int fr_check_host(const struct fr_ctx *ctx, const struct fr_image *image, struct fr_error *e)
{
	struct fr_host_params host;
	int r = fr_host_params_read(ctx, &host, e);

	if (r)
		return r;
	r = check_host(image, &host, e);
	fr_host_params_clear(&host);
	return r;
}

/* kexec_load is counted each time, unloading too: a hop that fails late needs these. */
#define LOADS_NEEDED 4

int fr_check_load_limit(const struct fr_ctx *ctx, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/proc/sys/kernel/kexec_load_limit_reboot");
	_cleanup_free_ char *text = NULL;
	long left;

	if (!path || fr_read_file(path, 64, &text, NULL))
		return 0; /* before Linux 6.3 there was none */
	left = strtol(text, NULL, 10);
	if (left < 0 || left >= LOADS_NEEDED)
		return 0;
	return fr_fail(e, FR_FAULT_PERMISSION, EPERM,
		       "running kernel: the sysctl kernel.kexec_load_limit_reboot leaves %ld calls "
		       "of kexec_load, %d are needed: unset it and reboot",
		       left, LOADS_NEEDED);
}

/* Someone else's loaded image would be replaced, and could not be given back. */
int fr_check_not_loaded(const struct fr_ctx *ctx, struct fr_error *e)
{
	_cleanup_free_ char *path = fr_path(ctx, "/sys/kernel/kexec_loaded"), *text = NULL;
	size_t bytes;
	int r;

	r = path ? fr_read_file(path, FR_PAGE_BYTES, &text, &bytes) : -ENOMEM;
	if (r < 0)
		return fr_fail(e, FR_FAULT_SYSTEM, -r,
			       "/sys/kernel/kexec_loaded: %s: the running "
			       "kernel needs CONFIG_KEXEC",
			       strerror(-r));
	if (strtoul(text, NULL, 10))
		return fr_fail(e, FR_FAULT_REFUSED, EBUSY,
			       "another kernel is loaded for kexec: unload it first (kexec -u)");
	return 0;
}

static struct fr_boot_params_request params_request(const struct fr_arm_request *r,
						    const struct fr_host_params *host,
						    const struct fr_armed *a)
{
	return (struct fr_boot_params_request){
		.host = host,
		.image = r->image,
		.cmdline = r->cmdline,
		.e820 = r->e820,
		.initrd_phys = a->piece[PIECE_INITRD].phys,
		.initrd_bytes = r->initrd_bytes,
		.late_phys = a->piece[PIECE_LATE].phys,
		.late_bytes = r->late_bytes,
	};
}

static void measure(const struct fr_arm_request *r, const struct fr_host_params *host,
		    struct fr_armed *a)
{
	struct fr_boot_params_request params = params_request(r, host, a);

	a->params_bytes = whole_pages(fr_boot_params_bytes(&params));
	a->piece[PIECE_KERNEL] = (struct fr_huge_piece){
		.what = "kernel",
		.bytes = r->image->memory_bytes,
		.align_bytes = r->image->align_bytes,
	};
	a->piece[PIECE_PARAMS] = (struct fr_huge_piece){
		.what = "boot_params",
		.bytes = a->params_bytes + FR_PAGE_BYTES,
	};
	a->piece[PIECE_INITRD] = (struct fr_huge_piece){
		.what = "initrd",
		.bytes = r->initrd_bytes,
	};
	a->piece[PIECE_LATE] = (struct fr_huge_piece){
		.what = "late data",
		.bytes = r->late_bytes,
	};
}

/* Huge pages for the pieces from @first on; those of no size are left out. */
static int get_pieces(const struct fr_ctx *ctx, const struct fr_arm_request *r, struct fr_armed *a,
		      size_t first, struct fr_error *e)
{
	struct fr_huge_piece v[NR_PIECES];
	size_t i, n = 0;
	int rc;

	for (i = first; i < NR_PIECES; i++)
		if (a->piece[i].bytes)
			v[n++] = a->piece[i];
	if (!n)
		return 0;
	rc = fr_hugepages_get(ctx, r->clean, v, n, &a->huge, e);
	if (rc < 0)
		return rc;
	for (n = 0, i = first; i < NR_PIECES; i++)
		if (a->piece[i].bytes)
			a->piece[i] = v[n++];
	return 0;
}

static int place_in_place(const struct fr_ctx *ctx, const struct fr_arm_request *r,
			  struct fr_armed *a, struct fr_error *e)
{
	int rc = get_pieces(ctx, r, a, PIECE_KERNEL, e);

	if (rc < 0)
		return rc;
	memcpy(a->piece[PIECE_KERNEL].addr, r->image->data, r->image->bytes);
	if (r->initrd_bytes)
		memcpy(a->piece[PIECE_INITRD].addr, r->initrd, r->initrd_bytes);
	a->in_place = true;
	return 0;
}

/* Late data in huge pages, places for the rest that kexec copies to. */
static int place_for_copy(const struct fr_ctx *ctx, const struct fr_arm_request *r,
			  struct fr_armed *a, struct fr_error *e)
{
	struct fr_huge_piece *late = &a->piece[PIECE_LATE];
	struct fr_range taken;
	int rc;

	rc = get_pieces(ctx, r, a, PIECE_LATE, e);
	if (rc < 0)
		return rc;
	taken = (struct fr_range){late->phys, late->phys + whole_pages(late->bytes)};
	rc = fr_copy_place(ctx, r->clean, &taken, r->late_bytes ? 1 : 0, a->piece,
			   r->initrd_bytes ? PIECE_INITRD + 1 : PIECE_INITRD, e);
	if (rc < 0)
		return rc;
	a->params = calloc(1, a->params_bytes);
	if (!a->params)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	return 0;
}

static int fill_params(const struct fr_arm_request *r, const struct fr_host_params *host,
		       struct fr_armed *a, struct fr_error *e)
{
	struct fr_boot_params_request params = params_request(r, host, a);
	uint64_t at = a->piece[PIECE_PARAMS].phys;
	struct fr_trampoline t = {
		.boot_params_phys = at,
		.entry_phys = a->piece[PIECE_KERNEL].phys + r->image->entry_offset,
	};

	if (r->late_bytes)
		t.stamp_phys = a->piece[PIECE_LATE].phys +
			       offsetof(struct fr_wire_header, stamp[FR_STAMP_TRAMPOLINE]);
	fr_trampoline_build(&t, a->trampoline);
	if (getrandom(params.seed, sizeof(params.seed), 0) != sizeof(params.seed))
		return fr_fail(e, FR_FAULT_SYSTEM, errno, "getrandom: %m");
	return fr_boot_params_build(&params, at,
				    a->in_place ? a->piece[PIECE_PARAMS].addr : a->params,
				    a->params_bytes, e);
}

static int load_failed(int r, struct fr_error *e)
{
	if (r == -EPERM)
		return fr_fail(e, FR_FAULT_PERMISSION, EPERM,
			       "kexec_load: not allowed: needs CAP_SYS_BOOT, no lockdown "
			       "(secure boot), kernel.kexec_load_disabled=0");
	if (r == -EBUSY)
		return fr_fail(e, FR_FAULT_SYSTEM, EBUSY,
			       "kexec_load: another kexec is under way: try again");
	return fr_fail(e, FR_FAULT_SYSTEM, -r, "kexec_load: %s", strerror(-r));
}

static int load(const struct fr_ctx *ctx, const struct fr_arm_request *r, struct fr_armed *a,
		struct fr_error *e)
{
	uint64_t entry = a->piece[PIECE_PARAMS].phys + a->params_bytes;
	struct fr_kexec_segment v[NR_PIECES];
	unsigned long n = 0;
	int rc;

	v[n++] = (struct fr_kexec_segment){a->trampoline, sizeof(a->trampoline), entry,
					   FR_PAGE_BYTES};
	if (!a->in_place) {
		v[n++] = (struct fr_kexec_segment){r->image->data, r->image->bytes,
						   a->piece[PIECE_KERNEL].phys,
						   whole_pages(r->image->memory_bytes)};
		v[n++] = (struct fr_kexec_segment){a->params, a->params_bytes,
						   a->piece[PIECE_PARAMS].phys, a->params_bytes};
		if (r->initrd_bytes)
			v[n++] = (struct fr_kexec_segment){r->initrd, r->initrd_bytes,
							   a->piece[PIECE_INITRD].phys,
							   whole_pages(r->initrd_bytes)};
	}
	rc = fr_journal_add(ctx, FR_JOURNAL_IMAGE, "");
	if (rc < 0)
		return fr_journal_failed(rc, e);
	rc = fr_guardian_hold(r->guardian, a->huge ? fr_hugepages_fd(a->huge) : -1, e);
	if (rc < 0)
		return rc;
	a->guardian = r->guardian;
	rc = fr_ops(ctx)->kexec_load(ctx->ops_data, entry, n, v, KEXEC_ARCH_DEFAULT);
	if (rc < 0)
		return load_failed(rc, e);
	a->loaded = true;
	return 0;
}

static void note_place(const struct fr_ctx *ctx, struct fr_armed *a, const char *what,
		       uint64_t start, uint64_t bytes)
{
	a->place[a->nr_places++] = (struct fr_place){
		.what = what, .start = start, .end = start + bytes, .bytes = bytes};
	fr_log(ctx, FR_LOG_STEP, "%s at %#" PRIx64 ", %" PRIu64 " KiB", what, start, bytes >> 10);
}

static void note_places(const struct fr_ctx *ctx, struct fr_armed *a)
{
	const struct fr_huge_piece *params = &a->piece[PIECE_PARAMS];
	size_t i;

	for (i = 0; i < NR_PIECES; i++)
		if (i == PIECE_PARAMS) {
			note_place(ctx, a, params->what, params->phys, a->params_bytes);
			note_place(ctx, a, "trampoline", params->phys + a->params_bytes,
				   FR_PAGE_BYTES);
		} else if (a->piece[i].bytes) {
			note_place(ctx, a, a->piece[i].what, a->piece[i].phys, a->piece[i].bytes);
		}
}

static int arm(const struct fr_ctx *ctx, const struct fr_arm_request *r,
	       const struct fr_host_params *host, struct fr_armed *a, struct fr_error *e)
{
	struct fr_error why = {};
	int rc;

	rc = check_host(r->image, host, e);
	if (!rc)
		rc = fr_check_not_loaded(ctx, e);
	if (rc < 0)
		return rc;
	measure(r, host, a);
	if (r->no_in_place) {
		rc = place_for_copy(ctx, r, a, e);
	} else {
		rc = place_in_place(ctx, r, a, &why);
		if (rc == -ENOSPC) {
			fr_log(ctx, FR_LOG_WARN, "kexec copies the image at the jump: %s",
			       why.text);
			rc = place_for_copy(ctx, r, a, e);
		} else if (rc < 0 && e) {
			*e = why;
		}
	}
	if (!rc)
		rc = fill_params(r, host, a, e);
	if (!rc)
		rc = load(ctx, r, a, e);
	return rc;
}

int fr_arm(const struct fr_ctx *ctx, const struct fr_arm_request *r, struct fr_armed **ret_armed,
	   struct fr_error *e)
{
	struct fr_host_params host;
	struct fr_armed *a;
	int rc;

	a = calloc(1, sizeof(*a));
	if (!a)
		return fr_fail(e, FR_FAULT_SYSTEM, ENOMEM, "no memory");
	rc = fr_host_params_read(ctx, &host, e);
	if (!rc) {
		rc = arm(ctx, r, &host, a, e);
		fr_host_params_clear(&host);
	}
	if (rc < 0) {
		fr_disarm(ctx, a);
		return rc;
	}
	note_places(ctx, a);
	*ret_armed = a;
	return 0;
}
