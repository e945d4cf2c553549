/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting the image where it will run, and the trampoline into kexec.
 *
 * In place: kernel, boot_params with setup_data, command line, initrd and late
 * data lie in physically contiguous 2 MiB hugetlb pages of this process, in
 * clean memory; kexec_load gets one trampoline page.  Fallback (or
 * exec --no-in-place): kexec copies kernel, boot_params, command line and initrd;
 * late data is in this process's huge pages either way, because it is written
 * after kexec_load, by plain stores.
 */
#ifndef FR_ARM_H
#define FR_ARM_H

#include "guardian.h"
#include "stage.h"

struct fr_arm_request {
	const struct fr_image *image;
	const void *initrd;
	size_t initrd_bytes;
	const char *cmdline;
	const struct fr_ram_map *e820; /* for boot_params */
	const struct fr_ranges *clean; /* RAM that the next kernel sees: everything goes here */
	size_t late_bytes;	       /* capacity for descriptor */
	struct fr_guardian *guardian;  /* to hold the pages; or NULL */
	bool no_in_place;
};

struct fr_armed; /* opaque: pages, pins, loaded kexec image */

/* Refuse an image that cannot be entered from the running kernel, or a host of which too little is known. */
int fr_check_host(const struct fr_ctx *ctx, const struct fr_image *image, struct fr_error *e);
/* Refuse when the sysctl kexec_load_limit_reboot leaves too few calls for a hop. */
int fr_check_load_limit(const struct fr_ctx *ctx, struct fr_error *e);
/* Refuse when an image is loaded already, which may be anybody's. */
int fr_check_not_loaded(const struct fr_ctx *ctx, struct fr_error *e);
int fr_arm(const struct fr_ctx *ctx, const struct fr_arm_request *r, struct fr_armed **ret_armed,
	   struct fr_error *e);
/*
 * Unload the kexec image, then free the pages.  When it cannot be unloaded the pages are
 * still the guardian's, and the result is not 0: end the guardian as not clean.
 */
int fr_disarm(const struct fr_ctx *ctx, struct fr_armed *armed);
/* Late data: the descriptor is written here; capacity is the request's late_bytes. */
void *fr_armed_late(const struct fr_armed *armed);
bool fr_armed_in_place(const struct fr_armed *armed);
/* Everything with its physical place, for -v. */
const struct fr_place *fr_armed_places(const struct fr_armed *armed, size_t *ret_nr);

#endif
