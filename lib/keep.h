/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of struct fr_keep, shared by collect-*.c and pin.c. */
#ifndef FR_KEEP_H
#define FR_KEEP_H

#include <sys/stat.h>

#include "collect.h"

/* Where restore puts files that had no name; there, a file's name says nothing. */
#define FR_UNNAMED_DIR "/run/kexec-fastrestart/unnamed"

/*
 * Modes of a file that waits for its memory or is to be verified, later with the bits of its own
 * to execute it, and of one that was found wrong.
 */
#define FR_MODE_EXECUTABLE (S_IXUSR | S_IXGRP | S_IXOTH)
#define FR_MODE_RESTORING  S_ISVTX
#define FR_MODE_MISTRUSTED (S_ISVTX | S_IRUSR)

/* Does restore still have to finish it? */
static inline bool fr_mode_is_unfinished(mode_t mode)
{
	return S_ISREG(mode) && ((mode & 07777 & ~FR_MODE_EXECUTABLE) == FR_MODE_RESTORING ||
				 (mode & 07777) == FR_MODE_MISTRUSTED);
}

struct fr_keep {
	struct fr_region region;
	char *label;	  /* for messages: the path, or what it was named by */
	int fd;		  /* -1 for a physical range */
	uint64_t dev, ino;
	char *addr;	  /* mapping of the whole file, NULL if empty */
	size_t map_bytes; /* a multiple of page_bytes */
	size_t page_bytes;
	bool read_only; /* sealed against writing: the mapping is, and is private */
	int64_t blocks; /* st_blocks before the pages were looked up */
	const struct fr_kernel_ops *ops;
	void *ops_data;
	void **pins; /* of ops->pin */
	size_t nr_pins;
};

int fr_keep_open_phys(const struct fr_ctx *ctx, const struct fr_source *src, struct fr_keep *k,
		      struct fr_error *e);
int fr_keep_open_file(const struct fr_ctx *ctx, const struct fr_source *src, struct fr_keep *k,
		      struct fr_error *e);

/* What a memfd must not be changed in, into the region. */
int fr_keep_read_seals(struct fr_keep *k, struct fr_error *e);
/*
 * Enter the file's pages into this process's page table, and no others: a hole
 * stays one.  Swapped pages come in.
 */
int fr_keep_map_present(struct fr_keep *k, struct fr_error *e);
/* Frames of the pages in the page table as extents. */
int fr_keep_read_extents(const struct fr_ctx *ctx, const struct fr_keep *k, struct fr_extents *ret,
			 struct fr_error *e);
/* Are they still those of the region? */
int fr_keep_compare_extents(const struct fr_ctx *ctx, const struct fr_keep *k, bool *ret_equal,
			    struct fr_error *e);

#endif /* FR_KEEP_H */
