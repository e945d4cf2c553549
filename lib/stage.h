/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What load leaves in /run/kexec-fastrestart/staged (0700, files 0600) for exec:
 *   load.json   options: sources, VMs, digests, and the image's facts
 *   kernel      the flat image        initrd, cmdline   as is
 *   regions     a descriptor with the surveyed regions and the RAM map
 * Written to staged.new and renamed, so that exec sees all or nothing.
 */
#ifndef FR_STAGE_H
#define FR_STAGE_H

#include "image.h"

struct fr_stage {
	struct fr_load_options options;	/* as given at load: paths, sources, VMs, digest */
	char *kernel_path, *initrd_path;/* what options.kernel and .initrd point to after a read */
	struct fr_image *image;		/* data mapped from the staged file */
	void *initrd;			/* mapped; NULL if none */
	size_t initrd_bytes;
	char *cmdline;
	struct fr_descriptor *surveyed;	/* RAM map, all regions with extents, kept-on blobs */
	uint8_t boot_id[16];		/* of the boot that load ran in; exec refuses another */
};

int fr_stage_write(const struct fr_ctx *ctx, const struct fr_stage *s, struct fr_error *e);
/* -ENOENT when nothing is staged */
int fr_stage_read(const struct fr_ctx *ctx, struct fr_stage **ret_s, struct fr_error *e);
int fr_stage_remove(const struct fr_ctx *ctx, struct fr_error *e);
void fr_stage_free(struct fr_stage *s);

#endif
