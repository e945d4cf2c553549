// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes a small synthetic kernel to standard output, for the tests of the command: a
 * bzImage that takes descriptors of versions 1 to 3.  With "unpatched", one without
 * the note that says so; with "future", one that takes only later versions.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "make-image.h"

#define NOTE_NAME (MAKE_NOTE + 12)
#define NOTE_MIN  (MAKE_NOTE + MAKE_NOTE_DESC)

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	struct bytes elf = make_elf(), image;
	int status = EXIT_FAILURE;

	if (!strcmp(kind, "unpatched"))
		elf.v[NOTE_NAME] = 'x';
	else if (!strcmp(kind, "future"))
		fr_put_le32(elf.v + NOTE_MIN, 2);
	make_relocations(&elf, 1);
	image = make_bzimage(&elf, MAKE_GZIP);
	if (fwrite(image.v, 1, image.n, stdout) == image.n && !fflush(stdout))
		status = EXIT_SUCCESS;
	free(elf.v);
	free(image.v);
	return status;
}
