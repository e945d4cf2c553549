/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory that stands for /, filled by the test. */
#ifndef FR_FAKE_ROOT_H
#define FR_FAKE_ROOT_H

#include <stddef.h>

struct fake_root {
	char path[64];
};

void fake_root_make(struct fake_root *r);
void fake_root_remove(struct fake_root *r);
/* Create @name (absolute, below the root) with its directories. */
void fake_root_write(const struct fake_root *r, const char *name, const void *data, size_t bytes);
void fake_root_text(const struct fake_root *r, const char *name, const char *text);
void fake_root_link(const struct fake_root *r, const char *name, const char *target);
/* First line, without newline; static buffer. */
const char *fake_root_line(const struct fake_root *r, const char *name);

#endif /* FR_FAKE_ROOT_H */
