# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Sourced by tests/run, tests/lib/l1 and the bats files: names of places, and the
# few helpers that everything uses.

FR_TESTS=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
FR_TOP=$(dirname -- "$FR_TESTS")
FR_CACHE=${KEXEC_FASTRESTART_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kexec-fastrestart}
FR_BASE=6.12
sha() { sha256sum | cut -c1-16; }
# A build is of one checkout: its dependencies name files there.
FR_CHECKOUT=$(sha <<<"$FR_TOP")
FR_BUILD=${FR_BUILD:-$FR_CACHE/build/tool-$FR_CHECKOUT}
FR_TOOL=${FR_TOOL:-$FR_BUILD/kexec-fastrestart/kexec-fastrestart}
FR_JOBS=${FR_JOBS:-$(nproc)}
export FR_TESTS FR_TOP FR_CACHE FR_BASE FR_BUILD FR_TOOL FR_JOBS

note() { printf '== %s\n' "$*" >&2; }
die() { printf 'tests: %s\n' "$*" >&2; exit 1; }

# Output of a command to the log file $1; on failure its end is shown.
logged() {
	local log=$1
	shift
	mkdir -p "$(dirname -- "$log")"
	if ! "$@" >"$log" 2>&1; then
		tail -n 30 -- "$log" >&2
		die "failed: $* (log: $log)"
	fi
}

# locked NAME COMMAND...: run a command while nobody else makes NAME in the cache.
locked() {
	mkdir -p "$FR_CACHE/lock"
	local fd
	exec {fd}>"$FR_CACHE/lock/$1"
	shift
	flock "$fd" || die "cannot lock in $FR_CACHE"
	"$@" {fd}>&-
	local status=$?
	exec {fd}>&-
	return $status
}

