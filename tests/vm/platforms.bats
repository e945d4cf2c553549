#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Machines unlike the one that other tests run on.

bats_require_minimum_version 1.5.0
load helper

@test "four nodes, one of DIMMs and kept whole, through a kernel without the patches" {
	plug_dimm 3 3>&- &
	vm nodes --kernel patched --also stock-6.12 --nodes 1G,1G,1G,0 --dimm 512M@3 --smp 3 \
		--append 'no5lvl memhp_default_state=online' --limit 300
}

# 66 GiB, of which the holes leave 6
# shellcheck disable=SC2016
@test "memory blocks of 2 GiB, one of them of two nodes" {
	vm blocks --kernel patched --also stock-6.12 --nodes 2 --mem 66G \
		--append 'memmap=29184M$6G memmap=32256M$36352M' --limit 300
}

@test "UEFI, crash kernels, and pages that break" {
	vm uefi --kernel stock-6.12 --uefi --append crashkernel=192M --limit 300 \
		--allow 'sysrq triggered crash|Call Trace'
}
