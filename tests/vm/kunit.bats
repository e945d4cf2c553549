#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The series' KUnit tests, which the patched kernel runs when it boots.

bats_require_minimum_version 1.5.0
load helper

@test "KUnit: all of the series' tests pass at boot" {
	vm probe --kernel patched --limit 60
	# "# fastrestart...: pass:12 fail:0 skip:0 total:12", one line for each suite
	run -0 grep -E '# (fastrestart|padata)[a-z_]*: pass:[1-9]' "$L1_OUT/console"
	! grep -E '# [a-z_]*: pass:.* fail:[1-9]' <<<"$output"
	! grep -E 'not ok [0-9]' "$L1_OUT/console"
}
