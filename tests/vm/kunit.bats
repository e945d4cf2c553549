#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The series' KUnit tests, which the patched kernel runs at boot when it is asked to.

bats_require_minimum_version 1.5.0
load helper

# "# fastrestart-parse: pass:9 fail:0 skip:0 total:9", one line for each suite
passes() {
	grep -E "# $1: pass:[1-9][0-9]* fail:0 skip:0 " "$L1_OUT/console"
}

@test "KUnit: all of the series' tests pass at boot; the cap of padata's threads later" {
	vm kunit --kernel patched --append kunit.enable=1 --limit 60
	passes fastrestart-parse
	passes padata_mt
	# parse_kunit.seed= makes others of them
	grep -E '# mutations: seed [0-9]+: [0-9]+ of 10000 accepted' "$L1_OUT/console"
	run grep -E 'not ok [0-9]' "$L1_OUT/console"
	[ "$status" = 1 ]
}
