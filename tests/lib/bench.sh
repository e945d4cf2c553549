# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/run bench: what things cost, as ratios to what else could be done.
#
# A benchmark NAME is a function bench_NAME in one of tests/bench/*.sh, called with the number
# of runs.  It prints one JSON object a line; bench_result makes it.  Less is better everywhere,
# and a ratio is how many times better than the peer.

# In the order of the table.  Those that nobody has defined, and those that need what the
# distribution may not have, run only when they are named.
FR_BENCHES=(boot_kept memmap_kept deferred_pieces deferred_threads add_sections
	restore_4k restore_4k_scattered restore_2m restore_1g scattered extents_1m survey_2m
	jump blackout blackout_size kho)
FR_BENCHES_NAMED=(kho)
FR_BENCHES_NATIVE=(extents_1m)

# The bars: the least ratio of a result.  One whose peer is "the bar" needs none here.
declare -A FR_BARS=(
	[boot_kept]=1
	[memmap_kept]=15 [memmap_kept_cut]=0.9
	[deferred_pieces]=2.5 [deferred_pieces_whole]=0.77
	[deferred_threads]=1
	[add_sections]=2.5
	[extents_1m_linear]=0.8
	[survey_2m]=50
	[jump]=10 [jump_i]=4
	[blackout]=1.5 [blackout_i]=1.25
	[blackout_size]=1
	[kho_4k]=8 [kho_4k_scattered]=3 [kho_2m]=1.5 [kho_scattered]=50
)

# The median of the numbers on standard input, one a line.
median() {
	sort -g | awk '{ v[NR] = $1 } END {
		if (!NR) exit 1
		print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
	}'
}

# bench_result NAME UNIT PEER PEER_VALUES CONDITIONS VALUE...: a result.  PEER_VALUES are one
# word, of one number or several with blanks between them.  With BENCH_AT="AXIS=X" it is one
# point of NAME's plot.
bench_result() {
	local name=$1 unit=$2 peer=$3 peers=$4 conditions=$5
	shift 5
	jq -nc --arg name "$name" --arg unit "$unit" --arg peer "$peer" --arg conditions "$conditions" \
		--arg bar "${FR_BARS[$name]:-}" --arg at "${BENCH_AT:-}" --argjson machine "$(bench_facts)" \
		--argjson peers "[${peers// /,}]" '
		def median: sort | if length % 2 == 1 then .[length / 2 | floor]
			else (.[length / 2 - 1] + .[length / 2]) / 2 end;
		if [$ARGS.positional[], $peers[]] | any(type != "number" or . <= 0)
		then error("\($name): not a positive number") else . end
		| ($ARGS.positional | median) as $ours | ($peers | median) as $peer_value
		| ($peer_value / $ours) as $ratio
		| (if $bar != "" then $bar | tonumber elif $peer == "the bar" then 1 else null end) as $bar
		| {name: $name, unit: $unit, ours: $ours, peer: $peer, peer_value: $peer_value,
		   ratio: ($ratio * 1000 | round / 1000),
		   bar: $bar, reached: (if $bar then $ratio >= $bar else null end),
		   runs: $ARGS.positional, peer_runs: $peers}
		  + (if $at == "" then {} else $at | capture("(?<axis>.*)=(?<at>.*)") | .at |= tonumber end)
		  + {conditions: $conditions, machine: $machine}' --jsonargs "$@"
}

# What goes into the conditions of a result besides what it says itself.
bench_machine() {
	printf '%s CPUs, load %s\n' "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
}

# What one run has in common: goes into each result.
bench_facts() {
	jq -nc --arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		--argjson cpus "$(nproc)" --arg kernel "$(source_version)" --arg date "$(date -u +%F)" \
		--arg qemu "$(qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version //p' | head -n 1)" \
		--arg accel "${FR_L1_ACCEL:-}" --argjson load "$(cut -d' ' -f1 /proc/loadavg)" \
		'{date: $date, cpu: $cpu, cpus: $cpus, kernel: $kernel, qemu: $qemu, accel: $accel, load: $load}'
}

# A run of L1 (l1_run's arguments) that must pass; its logs are in $L1_OUT.
bench_l1() {
	l1_run "$@" || die "bench: the run in L1 failed"
}

# bench_values KEY: the figures of the last run of L1, one a line, from the script's lines
# "VALUE KEY=NUMBER [KEY=NUMBER]...".
bench_values() {
	sed -n 's/.*FR: VALUE //p' "$L1_OUT/out" | tr -d '\r' | tr ' ' '\n' | sed -n "s/^$1=//p" | grep . ||
		die "bench: no value of $1 in $L1_OUT/out"
}

bench_exists() {
	declare -F "bench_$1" >/dev/null && [[ " ${FR_BENCHES[*]} " = *" $1 "* ]]
}

bench_names() {
	local name
	for name in "${FR_BENCHES[@]}"; do
		! bench_exists "$name" || printf '%s ' "$name"
	done
}

# The benchmarks that run when none is named.
bench_default() {
	local name
	for name in $(bench_names); do
		[[ " ${FR_BENCHES_NAMED[*]} " = *" $name "* ]] || echo "$name"
	done
}

bench_prepare() {
	local name
	for name in "$@"; do
		if [[ " ${FR_BENCHES_NATIVE[*]} " != *" $name "* ]]; then
			vm_prepare
			return
		fi
	done
	cmd_build
}

# One that fails does not take the others' results away.
bench_run() {
	local runs=$1 name status=0
	shift
	for name in "$@"; do
		note "benchmark $name, $runs runs"
		if ! ("bench_$name" "$runs"); then
			note "benchmark $name failed"
			status=1
		fi
	done
	return $status
}

cmd_bench() {
	local runs=5 json='' from='' plots='' results='' temporary='' names=() name status=0
	while [ $# -gt 0 ]; do
		case $1 in
		--quick) runs=3 ;;
		--json | --from | --plots | --results)
			printf -v "${1#--}" %s "${2:?$1 needs a name}"
			shift
			;;
		-*) die "bench: unknown option $1" ;;
		*) names+=("$1") ;;
		esac
		shift
	done
	for name in "${names[@]}"; do
		bench_exists "$name" || die "bench: no benchmark $name; there are: $(bench_names)"
	done
	if [ -n "$from" ]; then
		[ -f "$from" ] || die "bench: no such file: $from"
	else
		[ ${#names[@]} -gt 0 ] || mapfile -t names < <(bench_default)
		bench_prepare "${names[@]}"
		[ -n "$json" ] || json=$(mktemp) temporary=$json
		from=$json
		bench_run "$runs" "${names[@]}" >"$from" || status=1
	fi
	bench_table <"$from"
	[ -z "$plots" ] || bench_plots "$from" "$plots"
	[ -z "$results" ] || bench_write_results "$from" "$results" "$plots"
	rm -f "$temporary"
	return $status
}
