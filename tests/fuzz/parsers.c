// SPDX-License-Identifier: GPL-2.0-or-later
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fastrestart.h"
#include "kernel-parser.h"
#include "malformed.h"
#include "parsers.h"

/* Does the library refuse for a reason that the kernel has none to look at? */
static bool is_for_user_space(const char *text)
{
	for (size_t i = 0; i < nr_malformed; i++)
		if (malformed[i].user_only && strstr(text, malformed[i].says))
			return true;
	/* the one above has a number in it */
	return strstr(text, "RAM map entry") && strstr(text, "type 0");
}

/* What was decoded, encoded: the same again, and the same to the kernel. */
static const char *encode_again(const struct fr_descriptor *d, uint64_t kernel)
{
	size_t bytes = fr_descriptor_bytes(d);
	uint8_t *p = malloc(bytes), *again = malloc(bytes);
	struct fr_descriptor *copy = NULL;
	const char *why, *wrong = NULL;
	uint64_t digest = 0;

	if (!p || !again)
		abort();
	if (fr_descriptor_encode(d, p, bytes, NULL))
		wrong = "what was accepted cannot be encoded";
	else if (fr_descriptor_decode(p, bytes, &copy, NULL))
		wrong = "what was encoded is refused";
	else if (fr_descriptor_bytes(copy) != bytes ||
		 fr_descriptor_encode(copy, again, bytes, NULL) || memcmp(p, again, bytes))
		wrong = "what was encoded is decoded to something else";
	else if (kernel_parse(p, bytes, &digest, &why) || digest != kernel)
		wrong = "what was encoded is something else to the kernel";
	fr_descriptor_free(copy);
	free(p);
	free(again);
	return wrong;
}

const char *compare_parsers(const void *p, size_t bytes, bool *ret_taken)
{
	struct fr_descriptor *d = NULL;
	struct fr_error e = {0};
	static char text[sizeof(e.text) + 40];
	const char *why = NULL, *wrong = NULL;
	uint64_t kernel = 0;
	int ours = fr_descriptor_decode(p, bytes, &d, &e);
	int theirs = kernel_parse(p, bytes, &kernel, &why);

	*text = '\0';
	*ret_taken = !ours && !theirs;
	if (ours && (ours != -EBADMSG || e.fault != FR_FAULT_DESCRIPTOR || !*e.text))
		wrong = "the library refuses it in the wrong way";
	else if (theirs && (theirs != -EINVAL || !why))
		wrong = "the kernel refuses it in the wrong way";
	else if (!ours && theirs)
		snprintf(text, sizeof(text), "only the kernel refuses it: %s", why);
	else if (ours && !theirs && !is_for_user_space(e.text))
		snprintf(text, sizeof(text), "only the library refuses it: %s", e.text);
	else if (!ours)
		wrong = encode_again(d, kernel);
	if (!wrong && *text)
		wrong = text;
	fr_descriptor_free(d);
	return wrong;
}
