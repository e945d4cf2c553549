// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The descriptor's parser.  Checksums are repaired, so that mutations reach it, and
 * what it accepts has to be encodable again.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bytes.h"
#include "fastrestart.h"
#include "fuzz.h"

static void repair(uint8_t *p, size_t size)
{
	uint64_t total;

	if (size < sizeof(struct fr_wire_header))
		return;
	total = fr_get_le64(p + offsetof(struct fr_wire_header, total_bytes));
	if (total < sizeof(struct fr_wire_header) || total > size)
		return;
	fr_put_le64(p + offsetof(struct fr_wire_header, body_csum),
		    XXH64(p + sizeof(struct fr_wire_header), total - sizeof(struct fr_wire_header),
			  0));
	fr_put_le64(p + offsetof(struct fr_wire_header, header_csum),
		    XXH64(p, offsetof(struct fr_wire_header, header_csum), 0));
}

static void encode_again(const struct fr_descriptor *d)
{
	size_t bytes = fr_descriptor_bytes(d);
	void *p = malloc(bytes);

	if (p && fr_descriptor_encode(d, p, bytes, NULL))
		abort();
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fr_descriptor *d = NULL;
	uint8_t *p = malloc(size ? size : 1);

	if (!p)
		return 0;
	if (size)
		memcpy(p, data, size);
	repair(p, size);
	if (!fr_descriptor_decode(p, size, &d, NULL))
		encode_again(d);
	fr_descriptor_free(d);
	free(p);
	return 0;
}
