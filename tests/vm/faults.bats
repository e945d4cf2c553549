#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What goes wrong: before the jump nothing is changed, after it nothing is lost.

bats_require_minimum_version 1.5.0
load helper

@test "exec, its guardian or both are killed at each stage: the guests run on" {
	grep -rhoE '(fr_stage|reach)\([^"]*"[a-z-]+"' "$FR_TOP/lib" --include='*.c' |
		sed 's/.*"\(.*\)"/\1/' | sort -u >"$BATS_TEST_TMPDIR/stages"
	[ -s "$BATS_TEST_TMPDIR/stages" ]
	vm exec-faults --guest --kernel stock-6.12 --limit 600 --add "$BATS_TEST_TMPDIR/stages=stages"
	guest_lived g0
}

@test "exec is killed at 100 random moments: the guests run on" {
	vm exec-killed --guest --kernel stock-6.12 --limit 300
	guest_lived g0
	sed -n 's/.*FR: \(seed\|stages that were reached\)/# \1/p' "$L1_OUT/out" >&3
}

@test "refusals: image, sources, guests, names" {
	# a kernel that takes descriptors of version 9 only
	perl -0777 -pe 's/(\x0c\0{3}\x08\0{3}\x01\0{3}FastRestart\0).{8}/$1 . pack("VV", 9, 9)/se or die "no note"' \
		"$(kernel_get patched)/vmlinux" >"$BATS_TEST_TMPDIR/vmlinux"
	vm refusals --guest --kernel stock-6.12 --also stock-6.12 --limit 300 --mem 3G \
		--add "$BATS_TEST_TMPDIR/vmlinux=version-9.vmlinux"
	guest_lived g0
}

@test "damaged descriptors: the kernel refuses them, and keeps off" {
	vm damage --kernel patched --mem 1536M --append "$overwrite" --limit 400 --add "$FR_TESTS/vm/damages=damages" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/edit-descriptor.c")=bin/edit-descriptor"
}

@test "a restore that fails: still kept, a second try works; release" {
	vm restore-faults --kernel patched --limit 240 \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/edit-descriptor.c")=bin/edit-descriptor"
}

@test "restores without memory, killed, four at once, under stress: all or nothing" {
	truncate -s 512M "$BATS_TEST_TMPDIR/swap"
	plug_dimm 0 3>&- &
	# vmemmap_alloc_block() has a stack trace to go with its first failure; and on a busy machine
	# 6.12's scheduler may count one task too many (its fair server) on a CPU that goes offline
	vm restore-stress --kernel patched --mem 3G --smp 4 --dimm 256M --limit 400 \
		--append memhp_default_state=online --allow 'vmemmap alloc failure|sched_cpu_dying|Call Trace' \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/adversity.c")=bin/adversity" \
		--qemu -drive --qemu "file=$BATS_TEST_TMPDIR/swap,if=none,format=raw,id=d2" \
		--qemu -device --qemu virtio-blk-pci,drive=d2
}

@test "huge pages with an optimised vmemmap: kept, and freed" {
	vm hvo --kernel patched --limit 240
}

@test "huge pages with an optimised vmemmap, on a kernel that would damage them: exec undoes none" {
	vm hvo-unpatched --kernel stock-6.12 --append hugetlb_free_vmemmap=on --limit 240
}
