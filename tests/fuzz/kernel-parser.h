/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's parser of descriptors, out of the series' patches, behind an interface
 * without its types: they have the names of the library's.
 */
#ifndef FR_KERNEL_PARSER_H
#define FR_KERNEL_PARSER_H

#include <stddef.h>
#include <stdint.h>

/*
 * 0 and a digest of all that the kernel takes from the @bytes of descriptor at @data, which are
 * aligned to 8; or what it says of them, -EINVAL or -ENOMEM and *@ret_why.
 */
int kernel_parse(const void *data, size_t bytes, uint64_t *ret_digest, const char **ret_why);

#endif /* FR_KERNEL_PARSER_H */
