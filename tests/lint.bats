#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What can be said of the sources without running them.

setup() {
	cd "$BATS_TEST_DIRNAME/.." || return 1
}

@test "shellcheck: tests, patches and CI" {
	shellcheck tests/run tests/lib/l1 tests/lib/*.sh tests/bench/*.sh tests/vm/helper.bash \
		.ci/run kernel-patches/{apply,check,merge,refresh}
}

@test "shellcheck: scripts that run in L1" {
	shellcheck -x -P SCRIPTDIR tests/vm/l1/{init,main,*.sh} tests/bench/l1/*-init
	# they are sourced, after lib.sh
	shellcheck -s dash -e SC2154 tests/vm/scripts/*.sh tests/bench/l1/*.sh
}

@test "mandoc: man pages" {
	mandoc -T lint -W warning man/*.[578]
}
