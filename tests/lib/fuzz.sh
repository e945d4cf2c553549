# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The fuzz targets with libFuzzer, under the address and undefined behaviour sanitizers.

fuzz_targets() {
	sed -n '/^FUZZ_TARGETS/,/[^\\]$/s|.*tests/fuzz/fuzz-\([a-z]*\).*|\1|p' "$FR_TOP/Makefile.am"
}

# In a build of its own: clang's, with everything instrumented.
build_fuzz() {
	local build=$1 target
	shift
	configured "$build" CC=clang --enable-fuzzing --enable-asan --enable-ubsan --enable-werror
	for target; do
		logged "$FR_CACHE/log/make-fuzz" make -s -C "$build" -j"$FR_JOBS" \
			"tests/fuzz/fuzz-$target"
	done
}

# Target $1 of the build $2 for $3 seconds.  What it finds goes to the cache: inputs with
# new coverage, from which the next run starts, and those that crash it.
run_fuzz() {
	local target=$1 build=$2 seconds=$3 dir=$FR_CACHE/fuzz/$1 log=$FR_CACHE/log/fuzz-$1
	mkdir -p "$dir/corpus" "$dir/crash" "$(dirname "$log")"
	note "fuzz $target for $seconds s"
	if ! "$build/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="$dir/crash/" "$dir/corpus" \
		"$FR_TESTS/fuzz/corpus/$target" >"$log" 2>&1; then
		tail -n 40 "$log"
		echo "not ok - fuzz $target: $build/tests/fuzz/fuzz-$target $dir/crash/... (log: $log)"
		return 1
	fi
	echo "ok - fuzz $target:" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs," \
		"$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1) edges"
}

cmd_fuzz() {
	local seconds=${1:-} target targets build=$FR_CACHE/build/fuzz-$FR_CHECKOUT status=0
	[[ $seconds =~ ^[0-9]+$ ]] || die "how long? tests/run fuzz SECONDS, for all targets together"
	cmd_setup
	mapfile -t targets < <(fuzz_targets)
	locked fuzz build_fuzz "$build" "${targets[@]}"
	for target in "${targets[@]}"; do
		run_fuzz "$target" "$build" $((seconds / ${#targets[@]} + 1)) || status=1
	done
	return $status
}
