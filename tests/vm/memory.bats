#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Every kind of memory, and whoever else uses it.

bats_require_minimum_version 1.5.0
load helper

@test "memfds and unlinked files, holes, seals; a file that is swapped out" {
	# no room for what else could be swapped out
	truncate -s 190M "$BATS_TEST_TMPDIR/swap"
	vm memfd --kernel patched --mem 2G --limit 300 \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/memfd.c")=bin/memfd" \
		--qemu -drive --qemu "file=$BATS_TEST_TMPDIR/swap,if=none,format=raw,id=d2" \
		--qemu -device --qemu virtio-blk-pci,drive=d2
}

@test "other processes that use kept files: frozen for the jump; memcached finds its values again" {
	local server lib add=()
	server=$(locked images server_image)
	# four seconds to read all of it
	head -c 4M /dev/urandom >"$BATS_TEST_TMPDIR/slow"
	for lib in "$server"/lib/*; do
		add+=(--add "$lib=lib/$(basename "$lib")")
	done
	vm owners --kernel patched --mem 2G --limit 300 "${add[@]}" --add "$server/memcached=bin/memcached" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/count.c")=bin/count" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/uring.c")=bin/uring" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/aio.c")=bin/aio" \
		--qemu -drive --qemu "file=$BATS_TEST_TMPDIR/slow,if=none,format=raw,id=d2,throttling.bps-read=1048576" \
		--qemu -device --qemu virtio-blk-pci,drive=d2
}

@test "kept pages all over the memory: load --evacuate makes room, and gives it back" {
	vm evacuate --kernel stock-6.12 --mem 3G --limit 300 --append movablecore=512M
}

@test "huge pages of 2 MiB and 1 GiB in one hop: limits, reservations, cgroups" {
	# What this base's own checks (patched-debug) make of 1 GiB pages: reserved at boot, they panic
	# as hugetlb_folio_init_tail_vmemmap() clears flags that are not there yet; and page_ext_next()
	# leaves the section's array at its end.
	vm page-sizes --kernel stock-6.12 --limit 300 \
		--append 'hugepagesz=1G hugepages=1 page_table_check=off page_owner=off'
}
