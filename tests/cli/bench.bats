# SPDX-License-Identifier: GPL-2.0-or-later
# From figures to results, tables and plots: tests/lib/bench.sh, without a VM.

bats_require_minimum_version 1.5.0

setup() {
	local part

	export KEXEC_FASTRESTART_CACHE=$BATS_TEST_TMPDIR/cache
	for part in "$BATS_TEST_DIRNAME"/../{lib,bench}/*.sh; do
		# shellcheck source=/dev/null
		. "$part"
	done
	json=$BATS_TEST_TMPDIR/json
}

# A benchmark of this file's own instead of all others.
bench_fake() {
	bench_result fake ms "another way" "30 10 20" "made up" 5 "$1" 4
}

only_fake() {
	FR_BENCHES=(fake broken) FR_BENCHES_NAMED=()
	bench_prepare() { :; }
}

is() {
	jq -es "$1" "$json" || {
		cat "$json"
		return 1
	}
}

@test "bench: the median of an odd and an even number, sorted as numbers" {
	[[ $(printf '%s\n' 100 9 20 | median) == 20 ]]
	[[ $(printf '%s\n' 1e2 9 20 10.5 | median) == 15.25 ]]
	run ! median < /dev/null
}

@test "bench: a result has medians, the ratio and all runs, as numbers" {
	bench_fake 11 > "$json"
	is '.[0] | .name == "fake" and .unit == "ms" and .ours == 5 and .peer_value == 20 and .ratio == 4'
	is '.[0] | .runs == [5, 11, 4] and .peer_runs == [30, 10, 20] and .conditions == "made up"'
	is '.[0] | .bar == null and .reached == null and (.machine.cpus | type) == "number"'
	bench_result fake s "another way" 1 "" 0.1 0.2 > "$json"
	is '.[0] | (.ours - 0.15 | fabs) < 1e-9 and .ratio == 6.667'
}

@test "bench: what is no figure is no result" {
	run ! bench_result fake ms "the bar" 1 "" 1 '"2"'
	run ! bench_result fake ms "the bar" 1 "" 1 none
	run ! bench_result fake ms "the bar" 1 "" 0
	run ! bench_result fake ms "the bar" 0 "" 1
	run ! bench_result fake ms "the bar" "" "" 1
	run ! bench_result fake ms "the bar" 1 ""
}

@test "bench: bars are reached or not" {
	FR_BARS[fake]=4
	bench_fake 11 > "$json"
	is '.[0] | .bar == 4 and .reached'
	FR_BARS[fake]=4.01
	bench_fake 11 > "$json"
	is '.[0].reached == false'
	bench_table < "$json" | grep -Eq '^fake .* 4 +4\.01 +NO$'
	unset 'FR_BARS[fake]'
	bench_result fake ms "the bar" 300 "" 299 > "$json"
	is '.[0] | .bar == 1 and .reached'
	bench_result fake ms "the bar" 300 "" 301 > "$json"
	is '.[0].reached == false'
}

@test "bench: figures of a run in L1" {
	L1_OUT=$BATS_TEST_TMPDIR
	printf '%s\r\n' '  1.0 FR: VALUE add_ms=3.5 cpus=4' '  1.1 FR: add_ms=9' '  1.2 FR: VALUE add_ms=2' \
		'  1.3 FR: VALUE padd_ms=7' > "$L1_OUT/out"
	[[ $(bench_values add_ms) == $'3.5\n2' ]]
	[[ $(bench_values cpus) == 4 ]]
	run ! bench_values none
	[[ $output == *'no value of none'* ]]
}

@test "bench: a name that there is none of, an option that there is none of" {
	run "$FR_TESTS/run" bench nonesuch
	[[ $status == 1 && $output == *'no benchmark nonesuch; there are: '*extents_1m* ]]
	run "$FR_TESTS/run" bench result
	[[ $status == 1 && $output == *'no benchmark result'* ]]
	run "$FR_TESTS/run" bench --frobnicate
	[[ $status == 1 && $output == *'unknown option --frobnicate'* ]]
	run "$FR_TESTS/run" bench --json
	[[ $status != 0 && $output == *'--json needs a name'* ]]
}

@test "bench: what runs when nothing is named is defined, and not only on demand" {
	only_fake
	FR_BENCHES=(absent fake rare) FR_BENCHES_NAMED=(rare)
	bench_rare() { :; }
	[[ $(bench_default) == fake ]]
	bench_exists rare
}

@test "bench: kho runs on demand; without its kernel's source it fails and says so" {
	[[ " $(bench_names) " == *' kho '* && " $(bench_default | paste -sd ' ') " != *' kho '* ]]
	apt-get() { return 100; }
	run bench_kho 1
	[[ $status == 1 && ${#lines[@]} == 2 && ${lines[1]} == "tests: linux-source-"*" cannot be had: "* ]]
}

@test "bench: one that fails fails the run, and the others' results stay" {
	only_fake
	bench_broken() { die "broken"; }
	run cmd_bench --json "$json" broken fake
	[[ $status == 1 && $output == *'benchmark broken failed'* ]]
	is 'length == 1 and .[0].runs == [5, 5, 4]'
	run cmd_bench --quick --json "$json" fake
	[[ $status == 0 ]]
	is '.[0].runs == [5, 3, 4]'
}

@test "bench: --results keeps what is around the marks" {
	only_fake
	bench_fake 11 > "$json"
	printf '%s\n' 'before' '<!-- results -->' 'old' '<!-- end -->' 'after' > "$BATS_TEST_TMPDIR/md"
	cmd_bench --from "$json" --results "$BATS_TEST_TMPDIR/md"
	run cat "$BATS_TEST_TMPDIR/md"
	[[ ${lines[0]} == before && ${lines[-1]} == after && $output != *old* ]]
	[[ $output == *'| fake |  | 5 | 4–11 | 20 | 10–30 | ms | another way | 4 |'* ]]
	[[ $output == *'- fake: made up'* ]]
	cmd_bench --from "$json" --results "$BATS_TEST_TMPDIR/new"
	grep -q '^| fake ' "$BATS_TEST_TMPDIR/new"
}

@test "bench: plots" {
	command -v gnuplot > /dev/null || skip "no gnuplot"
	bench_fake 11 > "$json"
	for cpus in 1 2 4; do
		BENCH_AT=CPUs=$cpus bench_result threads ms "another way" 400 "" $((400 / cpus))
	done >> "$json"
	is '.[2] | .axis == "CPUs" and .at == 2'
	cmd_bench --from "$json" --plots "$BATS_TEST_TMPDIR/plots"
	run ls "$BATS_TEST_TMPDIR/plots"
	[[ $output == $'ratios.svg\nthreads.svg' ]]
	grep -q 'fake, against another way' "$BATS_TEST_TMPDIR/plots/ratios.svg"
	grep -q CPUs "$BATS_TEST_TMPDIR/plots/threads.svg"
}
