#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Hops that go well.

bats_require_minimum_version 1.5.0
load helper

@test "a guest of 1 GiB: from stock 6.12, then patched to patched, three hops" {
	vm demo --guest --kernel stock-6.12 --mem 6G --limit 340
	guest_lived g0
}

@test "first hop from stock 6.12: guests on hugetlbfs and tmpfs go on" {
	vm first-hop --guest --kernel stock-6.12 --limit 240 \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/memfd.c")=bin/memfd"
	guest_lived g0
	guest_lived g1
}

@test "first hop from stock 6.1: guests on hugetlbfs and tmpfs go on" {
	vm first-hop --guest --kernel stock-6.1 --limit 240 \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/memfd.c")=bin/memfd"
	guest_lived g0
	guest_lived g1
}

@test "two guests, restored in the other order, one for a later hop" {
	vm two-guests --guest --kernel patched --limit 240
	guest_lived g0
	guest_lived g1
}

# Not a test of `tests/run check`, for which the other release's kernel would take too long to build.
# bats test_tags=check-debug
@test "to another 6.12 release and back" {
	vm releases --kernel patched-old --also patched-old --limit 180
	sed -n 's/.*FR: stage \([0-9]\) of releases on /# stage \1: /p' "$L1_OUT/out" >&3
}

@test "five hops: digests, RAM and limits stay what they were" {
	vm five-hops --kernel patched --limit 240
}

@test "five hops on two NUMA nodes with two vCPUs each" {
	vm five-hops --kernel patched --nodes 2 --smp 4 --limit 240
}

@test "85 % of RAM is kept: not there at boot, but in all sizes; more is refused" {
	vm most-kept --kernel patched --limit 240
}

@test "a raw range stays through hops, and is not given up for RAM" {
	vm raw --kernel stock-6.12 --mem 8G --append 'memmap=256M$0x140000000 iomem=relaxed' --limit 180 \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/edit-descriptor.c")=bin/edit-descriptor"
}

@test "through an unpatched kernel and back, and a plain kexec" {
	vm unpatched --guest --kernel patched --also stock-6.12 --mem 2G --append "$overwrite" --limit 240
	guest_lived g0
}

@test "systemd's units: services stop, the jump, files and the guest come back, twice" {
	make -C "$FR_BUILD" install DESTDIR="$BATS_TEST_TMPDIR/install" >"$BATS_TEST_TMPDIR/install.log" 2>&1
	vm systemd --systemd --guest --kernel stock-6.12 --limit 240 --add "$BATS_TEST_TMPDIR/install/usr/local=local"
	guest_lived g0
	# the script is an ordinary service
	[ "$(grep -c 'FR: stopped in stage' "$L1_OUT/out")" = 2 ]
}
