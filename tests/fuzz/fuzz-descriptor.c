// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both parsers of the descriptor.  Checksums are repaired, so that mutations reach them,
 * and what one accepts the other has to accept (parsers.h).
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "parsers.h"
#include "sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p = malloc(size ? size : 1);
	const char *wrong;
	bool taken;

	if (!p)
		return 0;
	if (size)
		memcpy(p, data, size);
	sample_repair(p, size);
	wrong = compare_parsers(p, size, &taken);
	if (wrong) {
		fprintf(stderr, "%s\n", wrong);
		abort();
	}
	free(p);
	return 0;
}
