# SPDX-License-Identifier: GPL-2.0-or-later
# Frames of a file on 2 MiB pages, all of it there; fr.pages and fr.runs say how many.

pages=$(arg pages)
memory_mounts "$pages"
must fallocate -l $((pages << 21)) /mnt/huge/data
survey /mnt/huge/data "$(arg runs)" >/tmp/survey || fail "survey"
while read -r line; do
	say "VALUE $line"
done </tmp/survey
done_ok
