/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one entry point of a fuzz target: libFuzzer's, or replay.c's. */
#ifndef FR_FUZZ_H
#define FR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* FR_FUZZ_H */
