/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One generator for each way in which a descriptor can be wrong. */
#ifndef FR_MALFORMED_H
#define FR_MALFORMED_H

#include "fastrestart.h"

struct malformed {
	const char *name;
	/* Break the encoded sample_descriptor() at @p of *bytes. */
	void (*apply)(uint8_t *p, size_t *bytes);
	const char *says;		/* in the refusal */
	bool keep_csum;			/* do not repair the checksums afterwards */
	/* a rule of what user space makes of names and digests: the kernel does not look */
	bool user_only;
};

extern const struct malformed malformed[];
extern const size_t nr_malformed;

#endif /* FR_MALFORMED_H */
