/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What restore has to ask root and a patched kernel for, where files come back that had no name:
 * mount(), statx(), statfs(), fcntl() and fchmod() in functions that stand in for libc's.  A folder that is
 * mounted on is sticky from then on; by its name "4K" is tmpfs, and "2M" hugetlbfs.
 */
#ifndef FR_FAKE_MOUNT_H
#define FR_FAKE_MOUNT_H

#include <stdbool.h>

/* Called by mount() before it does anything; an error is mount()'s. */
extern int (*fake_mount_hook)(const char *dir);

bool fake_mount_is(const char *dir);
/* What the kernel does with a file that had no name: it has no seals, and can get some. */
void fake_mount_make_sealable(int fd);
/* Those that it has got since; -1 if it cannot have any. */
int fake_mount_seals(const char *path);

#endif /* FR_FAKE_MOUNT_H */
