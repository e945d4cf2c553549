/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The initrd in a form that the next kernel need not copy. */
#ifndef FR_INITRD_H
#define FR_INITRD_H

#include <stddef.h>
#include <stdint.h>

/*
 * Zeros before the headers of larger files, so that their contents begin at page boundaries:
 * a patched kernel gives the pages to its initramfs instead of copying them, and any other
 * skips the zeros.  What is no cpio archive, or is compressed, stays as it is.
 *
 * Returns the size of the result, which is written to @out unless that is NULL.
 */
size_t fr_initrd_align(const uint8_t *initrd, size_t bytes, uint8_t *out);

#endif /* FR_INITRD_H */
