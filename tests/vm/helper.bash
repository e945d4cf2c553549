# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For the bats files here.  A test is one run of L1, with a script of scripts/:
#
#	vm first-hop --kernel stock-6.1
#
# Options are those of l1_run (lib/l1.sh); the tool and the patched kernel as the next
# one come along.

FR_LIB=$BATS_TEST_DIRNAME/../lib
for part in common kernel images l1; do
	# shellcheck source=/dev/null
	. "$FR_LIB/$part.sh"
done

# An L1 with guests that hangs as a whole (it does, on emulated SVM: see README.md) gets one more
# try; a script that fails, or a guest that is wrong, does not.
vm() {
	vm_once "$@" && return
	[[ -n $L1_HUNG && " $* " = *" --guest "* ]] || return 1
	echo "L1 hung: once more" >&2
	vm_once "$@"
}

vm_once() {
	local script=$BATS_TEST_DIRNAME/scripts/$1.sh
	shift
	FR_RERUN="tests/run vm '^$BATS_TEST_DESCRIPTION\$'" \
		l1_run --out "$BATS_TEST_TMPDIR/run" --next patched \
		--add "$FR_TOOL" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/pattern.c")=bin/pattern" \
		"$@" "$script" 3>&-
}

# For kernels that are to overwrite all that they take for free, see must_overwrite_free of l1/lib.sh;
# without "erms", whose instructions an emulated CPU does byte by byte, it takes a third of the time.
# shellcheck disable=SC2034 # of tests
overwrite='init_on_free=1 clearcpuid=erms'

# Plug a DIMM of 256 MiB into node $1 when the script says so, if it does.
plug_dimm() {
	local run=$BATS_TEST_TMPDIR/run
	until grep -qs 'FR: plug a DIMM' "$run/out"; do
		[ ! -e "$run/out" ] || [ -e "$run/payload.erofs" ] || return 0
		sleep 1
	done
	l1_monitor "$run" 'object_add memory-backend-ram,id=late,size=256M,reserve=off' \
		"device_add pc-dimm,id=late0,memdev=late,node=$1"
}

# Logs of a failed run stay, for a look.
teardown() {
	[ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
	[ -d "$BATS_TEST_TMPDIR/run" ] || return 0
	local keep=$FR_CACHE/failed/$BATS_TEST_NAME
	rm -rf "$keep"
	mkdir -p "$(dirname "$keep")"
	cp -r "$BATS_TEST_TMPDIR/run" "$keep"
	echo "logs kept in $keep"
}
