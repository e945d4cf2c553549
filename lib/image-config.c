// SPDX-License-Identifier: GPL-2.0-or-later
/* The configuration inside the kernel (kernel/configs.c): "IKCFG_ST" gzip "IKCFG_ED". */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "bytes.h"
#include "decompress.h"
#include "image-parse.h"

#define CONFIG_MAX (4u << 20)

int fr_image_config(struct fr_image *image)
{
	const uint8_t *start, *end, *limit = image->data + image->bytes;
	size_t bytes;
	char *text;
	int r;

	start = memmem(image->data, image->bytes, "IKCFG_ST", 8);
	if (!start)
		return 0;
	start += 8;
	end = memmem(start, (size_t)(limit - start), "IKCFG_ED", 8);
	if (!end || end - start < 18)
		return 0;
	bytes = fr_get_le32(end - 4); /* gzip: unpacked size */
	if (bytes > CONFIG_MAX)
		return 0;
	text = malloc(bytes + 1);
	if (!text)
		return -ENOMEM;
	r = fr_decompress_gzip(start, (size_t)(end - start), text, bytes);
	if (r < 0) { /* not there, or not readable: not worth refusing a kernel */
		free(text);
		return r == -ENOMEM ? r : 0;
	}
	text[bytes] = 0;
	image->config = text;
	return 0;
}
