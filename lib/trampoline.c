// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * State on entry (arch/x86/kernel/relocate_kernel_64.S): interrupts off, RAM identity
 * mapped, general registers zero, a stack in kexec's control page.  The 64-bit
 * entry (Documentation/arch/x86/boot.rst) wants %rsi only: startup_64 loads a GDT and
 * a stack of its own.
 */
#include "config.h"

#include <string.h>

#include "bytes.h"
#include "trampoline.h"

static uint8_t *emit(uint8_t *p, const char *code, size_t n)
{
	memcpy(p, code, n);
	return p + n;
}

#define EMIT(p, code) emit(p, code, sizeof(code) - 1)

static uint8_t *emit_imm64(uint8_t *p, uint64_t v)
{
	fr_put_le64(p, v);
	return p + 8;
}

void fr_trampoline_build(const struct fr_trampoline *t, uint8_t ret_code[FR_TRAMPOLINE_BYTES])
{
	uint8_t code[FR_TRAMPOLINE_BYTES], *p = code;

	memset(code, 0xcc, sizeof(code)); /* int3 */
	p = EMIT(p, "\xfa\xfc");	  /* cli; cld */
	if (t->stamp_phys) {
		p = EMIT(p, "\x0f\x31");	 /* rdtsc */
		p = EMIT(p, "\x48\xc1\xe2\x20"); /* shl $32, %rdx */
		p = EMIT(p, "\x48\x09\xd0");	 /* or %rdx, %rax */
		p = EMIT(p, "\x48\xba");	 /* movabs $stamp, %rdx */
		p = emit_imm64(p, t->stamp_phys);
		p = EMIT(p, "\x48\x89\x02"); /* mov %rax, (%rdx) */
	}
	p = EMIT(p, "\x48\xbe"); /* movabs $boot_params, %rsi */
	p = emit_imm64(p, t->boot_params_phys);
	p = EMIT(p, "\x48\xb8"); /* movabs $entry, %rax */
	p = emit_imm64(p, t->entry_phys);
	p = EMIT(p, "\xff\xe0"); /* jmp *%rax */
	memcpy(ret_code, code, sizeof(code));
}
