/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The code between the running kernel's last instruction and the next one's first. */
#ifndef FR_TRAMPOLINE_H
#define FR_TRAMPOLINE_H

#include <stddef.h>
#include <stdint.h>

#define FR_TRAMPOLINE_BYTES 64u

struct fr_trampoline {
	uint64_t stamp_phys; /* the TSC goes here; 0: nowhere */
	uint64_t boot_params_phys;
	uint64_t entry_phys; /* startup_64 of the next kernel */
};

/* Machine code that runs wherever it lies; kexec enters it in 64-bit mode, identity mapped. */
void fr_trampoline_build(const struct fr_trampoline *t, uint8_t ret_code[FR_TRAMPOLINE_BYTES]);

#endif /* FR_TRAMPOLINE_H */
