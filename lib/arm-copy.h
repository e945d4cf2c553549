/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fallback: places for what kexec copies itself at the jump. */
#ifndef FR_ARM_COPY_H
#define FR_ARM_COPY_H

#include "hugepages.h"

/*
 * Choose @pieces[].phys at random in @within, away from the running kernel's own frames
 * (under an emulator those are slow to overwrite) and from @taken.  Nothing is allocated:
 * kexec moves aside whatever is there.  FR_FAULT_REFUSED with -ENOSPC.
 */
int fr_copy_place(const struct fr_ctx *ctx, const struct fr_ranges *within,
		  const struct fr_range *taken, size_t nr_taken, struct fr_huge_piece *pieces,
		  size_t nr, struct fr_error *e);

#endif /* FR_ARM_COPY_H */
