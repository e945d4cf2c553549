# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Building the tool, and running the suites.

# Builds of checkouts that are gone
remove_orphans() {
	local mark
	for mark in "$FR_CACHE"/build/{tool,fuzz}-*/.configured; do
		[ ! -e "$mark" ] || [ -d "$(<"$mark")" ] || rm -rf "${mark%/*}"
	done
}

# Configure the build folder $1 with the other arguments.
configured() {
	local build=$1 mark=$1/.configured
	shift
	remove_orphans
	if [ ! -x "$FR_TOP/configure" ] || [ "$FR_TOP/configure.ac" -nt "$FR_TOP/configure" ]; then
		logged "$FR_CACHE/log/autoreconf" autoreconf -fi "$FR_TOP"
	fi
	if [ -e "$mark" ] && [ "$(<"$mark")" != "$FR_TOP" ]; then
		die "$build was configured for another checkout, $(<"$mark"): remove it"
	fi
	mkdir -p "$build"
	if [ ! -e "$mark" ] || [ "$FR_TOP/configure" -nt "$mark" ]; then
		(cd "$build" && logged "$FR_CACHE/log/configure" "$FR_TOP/configure" -q "$@") || exit 1
		printf '%s\n' "$FR_TOP" >"$mark"
	fi
}

build_tool() {
	configured "$FR_BUILD" --enable-werror
	logged "$FR_CACHE/log/make" make -s -C "$FR_BUILD" -j"$FR_JOBS"
}

cmd_build() {
	cmd_setup
	locked tool build_tool
}

# Sums over all suites.
passed=0 failed=0 skipped=0

# Add up the TAP in file $1; a suite that ended early counts as a failure.
count_tap() {
	local good bad skip plan status=${2:-0}
	good=$(grep -c '^ok ' "$1")
	bad=$(grep -c '^not ok ' "$1")
	skip=$(grep -ci '^ok .*# skip' "$1")
	plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$1" | head -n 1)
	if [ "$status" != 0 ] && [ "$bad" = 0 ] || [ "${plan:-0}" != $((good + bad)) ]; then
		echo "the suite ended early (status $status, ${plan:-no} planned, $((good + bad)) run)"
		bad=$((bad + 1))
	fi
	passed=$((passed + good - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

check_make() {
	local log=$FR_CACHE/log/make-check status=0
	note "make check"
	make -C "$FR_BUILD" -j"$FR_JOBS" check >"$log" 2>&1 || status=$?
	n() { sed -n "s/^# $1: *\([0-9]*\).*/\1/p" "$log" | awk '{ s += $1 } END { print s + 0 }'; }
	passed=$((passed + $(n PASS) + $(n XFAIL)))
	failed=$((failed + $(n FAIL) + $(n ERROR) + $(n XPASS)))
	skipped=$((skipped + $(n SKIP)))
	grep -E '^(FAIL|ERROR|XPASS|SKIP)' "$log"
	if [ "$status" != 0 ] || [ "$(n PASS)" = 0 ]; then
		tail -n 40 "$log"
		[ "$(n FAIL)$(n ERROR)" != 00 ] || failed=$((failed + 1))
	fi
}

check_patches() {
	local log=$FR_CACHE/log/patches status=0
	note "kernel-patches/check"
	"$FR_TOP/kernel-patches/check" "$(locked source source_tree patched)" >"$log" 2>&1 || status=$?
	grep -v '^ok ' "$log"
	count_tap "$log" "$status"
}

check_lint() {
	local log=$FR_CACHE/log/lint status=0
	note "lint"
	bats --tap "$FR_TESTS/lint.bats" >"$log" 2>&1 || status=$?
	grep -v '^ok ' "$log"
	count_tap "$log" "$status"
}

# Most VM tests keep one CPU busy: so many run at once.
vm_jobs() {
	echo $((FR_JOBS >= 4 ? 3 : FR_JOBS >= 2 ? 2 : 1))
}

# The VM tests whose names match the filter $1, and with the tag $2; all without them.
check_vm() {
	local log=$FR_CACHE/log/vm status before=$skipped jobs
	jobs=$(vm_jobs)
	note "VM tests, $jobs at a time"
	bats --tap --timing --jobs "$jobs" ${1:+--filter "$1"} ${2:+--filter-tags "$2"} "$FR_TESTS/vm" | tee "$log"
	status=${PIPESTATUS[0]}
	count_tap "$log" "$status"
	if [ "$skipped" != "$before" ]; then
		echo "VM tests must not be skipped"
		failed=$((failed + 1))
	fi
}

# The last line, also when a step ended everything early.
summary() {
	local status=$?
	[ "$status" = 0 ] || failed=$((failed + 1))
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] || exit 1
}

vm_prepare() {
	cmd_build
	if ! cmd_kernel >/dev/null || ! cmd_images >/dev/null; then
		die "cannot prepare the VM tests"
	fi
	probe_speed
}

cmd_vm() {
	trap summary EXIT
	vm_prepare
	check_vm "${1:-}"
	exit 0
}

# VM tests with the kernel $1 as 'patched' and $2 on every command line, those whose
# names match $3.  Such kernels take several times as long, and touch all of L1's memory.
check_kernel() {
	note "with kernel '$1'${2:+ and $2}"
	cmd_kernel "$1" >/dev/null || die "cannot build kernel '$1'"
	FR_PATCHED=$1 FR_APPEND=$2 \
		FR_TIMEOUT_SCALE=$(awk -v f="$FR_TIMEOUT_SCALE" 'BEGIN { print 3 * f }') \
		check_vm "${3:-}"
}

cmd_check_debug() {
	trap summary EXIT
	vm_prepare
	cmd_kernel patched-old >/dev/null || die "cannot build kernel 'patched-old'"
	check_kernel patched-debug 'page_poison=1 page_owner=on slub_debug=FZP'
	# no5lvl: until identify_cpu() is done again, KASAN of 6.12 takes memory for wild, as
	# pgtable_l5_enabled() looks at what that has cleared
	check_kernel patched-kasan no5lvl '^(KUnit|five hops|damaged|a restore that fails|restores without|memfds|huge pages of|a guest of|UEFI|through an)'
	exit 0
}

# So many hops in a row, with a guest, while memory is written, compacted and reclaimed.
cmd_soak() {
	local hops=${1:-5}
	[[ $hops =~ ^[1-9][0-9]*$ ]] || die "how many hops? tests/run soak [N]"
	vm_prepare
	l1_run --narrate --guest --kernel patched --next patched --limit $((120 + 60 * hops)) \
		--append "fr.hops=$hops fr.load" --add "$FR_TOOL" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/pattern.c")=bin/pattern" \
		"$FR_TESTS/vm/scripts/five-hops.sh" || return 1
	guest_lived g0 || return 1
	echo "soak: $hops hops; the guest counted from 1 to $(guest_last g0) without a gap"
}

cmd_check() {
	trap summary EXIT
	cmd_build
	check_make
	check_lint
	check_patches
	vm_prepare
	check_vm '' '!check-debug'
	exit 0
}
