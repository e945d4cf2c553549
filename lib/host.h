/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the running kernel knows of this boot and this machine's clock. */
#ifndef FR_HOST_H
#define FR_HOST_H

#include "fastrestart.h"

/*
 * The lock /run/kexec-fastrestart/lock, which stays a file when what is staged is
 * replaced.  Shared: restore and release, exclusive: load, unload and exec, whose guardian
 * inherits it.  Returns the descriptor that holds it; -EBUSY when another has it.
 */
int fr_lock(const struct fr_ctx *ctx, bool shared, struct fr_error *e);
/* Has somebody taken it to change something?  This does not take it, and is in nobody's way. */
int fr_is_locked(const struct fr_ctx *ctx, bool *ret);

/*
 * Where cgroup v2 is mounted (malloc'ed, with the root in front): alone, or beside those of
 * version 1; -ENOTSUP when it is not.
 */
int fr_cgroup_root(const struct fr_ctx *ctx, char **ret_path);

/* /proc/sys/kernel/random/boot_id, binary */
int fr_boot_id_read(const struct fr_ctx *ctx, uint8_t ret_id[16], struct fr_error *e);
/* "0-3,8" of /sys/devices/system/cpu/possible; 1 where there is no such file. */
int fr_count_cpus(const struct fr_ctx *ctx, unsigned int *ret_nr, struct fr_error *e);
/* "SwapFree: 4 kB" of /proc/meminfo, in bytes; -ENOENT without such a line. */
int fr_meminfo(const struct fr_ctx *ctx, const char *name, uint64_t *ret_bytes);
/* Frequency of the TSC in kHz; 0 when unknown. */
uint64_t fr_tsc_khz(const struct fr_ctx *ctx);
/*
 * Loops per jiffy and CONFIG_HZ out of a line of the kernel's log, "Calibrating delay
 * loop (skipped), ... 5000.00 BogoMIPS (lpj=10000000)"; -ENOENT when it is not one.
 */
int fr_lpj_parse(const char *line, uint64_t *ret_lpj, uint32_t *ret_hz);
/* The same from /dev/kmsg. */
int fr_lpj_read(const struct fr_ctx *ctx, uint64_t *ret_lpj, uint32_t *ret_hz);

#endif /* FR_HOST_H */
