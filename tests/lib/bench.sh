# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/run bench [--quick] [--json FILE] [NAME]...
#
# A benchmark NAME is a function bench_NAME, called with the number of runs. It prints one
# JSON object a line; bench_result makes it.

FR_BENCHES=(extents_1m)

# The median of the numbers on standard input, one a line.
median() {
	sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# bench_result NAME UNIT PEER PEER_VALUE CONDITIONS VALUE...: less is better; ratio is how many
# times better than the peer the median is.
bench_result() {
	local name=$1 unit=$2 peer=$3 peer_value=$4 conditions=$5
	shift 5
	jq -nc --arg name "$name" --arg unit "$unit" --arg peer "$peer" --argjson peer_value "$peer_value" \
		--arg conditions "$conditions" --argjson ours "$(printf '%s\n' "$@" | median)" \
		'{name: $name, unit: $unit, ours: $ours, peer: $peer, peer_value: $peer_value,
		  ratio: ($peer_value / $ours * 100 | round / 100), runs: $ARGS.positional, conditions: $conditions}' \
		--jsonargs "$@"
}

bench_machine() {
	printf '%s CPUs, %s, load %s\n' "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		"$(cut -d' ' -f1 /proc/loadavg)"
}

# Plan, encode and validate 1 M extents, natively, against the bar of 0.3 s; and
# whether four times the extents cost more than four times as much.
bench_extents_1m() {
	local program=$FR_BUILD/tests/bench/extents whole=() quarter=() i
	logged "$FR_CACHE/log/bench" make -C "$FR_BUILD" tests/bench/extents
	for ((i = 0; i < $1; i++)); do
		quarter+=("$("$program" $((1 << 18)) | jq .all_ms)")
		whole+=("$("$program" $((1 << 20)) | jq .all_ms)")
	done
	bench_result extents_1m ms "the bar" 300 "$(bench_machine)" "${whole[@]}"
	bench_result extents_1m_linear ms "4 times 256 Ki extents" \
		"$(printf '%s\n' "${quarter[@]}" | median | awk '{ print 4 * $1 }')" "$(bench_machine)" "${whole[@]}"
}

bench_table() {
	jq -rs '(["benchmark", "ours", "peer", "ratio", "unit", "peer is"],
		(.[] | [.name, .ours, .peer_value, .ratio, .unit, .peer])) | @tsv' | column -t -s $'\t'
}

cmd_bench() {
	local runs=5 json='' names=() name
	while [ $# -gt 0 ]; do
		case $1 in
		--quick) runs=3 ;;
		--json)
			json=${2:?--json needs a file}
			shift
			;;
		-*) die "bench: unknown option $1" ;;
		*) names+=("$1") ;;
		esac
		shift
	done
	[ ${#names[@]} -gt 0 ] || names=("${FR_BENCHES[@]}")
	for name in "${names[@]}"; do
		declare -F "bench_$name" >/dev/null || die "bench: no benchmark $name; there are: ${FR_BENCHES[*]}"
	done
	cmd_build
	set -o pipefail
	for name in "${names[@]}"; do
		note "benchmark $name, $runs runs"
		"bench_$name" "$runs" || die "bench: $name failed"
	done | tee "${json:-/dev/null}" | bench_table
}
