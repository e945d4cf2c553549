// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fr_image_parse() on arbitrary files.  A mutated payload would rarely survive its
 * checksum, so the first byte says what the rest is: a file as it is, or a payload
 * that is wrapped into a well-formed bzImage first (stored, not compressed).
 */
#include "config.h"

#include <stdlib.h>

#include "fuzz.h"
#include "image.h"
#include "make-image.h"

#define RANDOM 0x123456789abcdefull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fr_image *image = NULL;
	struct bytes payload, file;
	struct fr_error e;

	if (!size)
		return 0;
	payload = (struct bytes){(uint8_t *)(uintptr_t)data + 1, size - 1};
	file = payload;
	if (data[0] & 1)
		file = make_bzimage(&payload, MAKE_STORED);
	if (!fr_image_parse(file.v, file.n, data[0] & 2 ? RANDOM : 0, &image, &e))
		fr_image_free(image);
	if (data[0] & 1)
		free(file.v);
	return 0;
}
