/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FR_PARSERS_H
#define FR_PARSERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Give @bytes of descriptor at @p to both parsers, the library's and the kernel's: NULL, or
 * what is wrong with what they make of it.  *@ret_taken: both accept it.
 */
const char *compare_parsers(const void *p, size_t bytes, bool *ret_taken);

#endif /* FR_PARSERS_H */
