# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What it costs to get kept memory back: add_sections, restore_*, scattered.
# Each is one L1 that restores its file after each of several hops (l1/restore.sh).
#
# L1 has 64 GiB where it can, as hosts do: on smaller machines x86 has memory blocks of 128 MiB
# rather than 2 GiB, and the devices of those are most of what there is to do.  An L1 of 8 GiB has
# all of its memory touched beforehand: this machine has so much.

# restore_l1 SHAPE BYTES HOPS SMP MEM [OPTION...]: prints "key=value ..." for each hop.
restore_l1() {
	l1_run --kernel patched-bench --next patched-bench --smp "$4" --mem "$5" --limit 900 "${@:6}" \
		--append "fr.shape=$1 fr.bytes=$(numfmt --from=iec "$2") fr.hops=$3" \
		--add "$FR_TOOL" --add "$(locked images static_program "$FR_TESTS/bench/frames.c")=bin/frames" \
		"$FR_TESTS/bench/l1/restore.sh" </dev/null || return 1
	sed -n 's/.*FR: VALUE //p' "$L1_OUT/out"
}

# sum_of KEY... <LINES: for each line the sum of these values.
sum_of() {
	awk -v keys=" $* " '{
		sum = 0
		n = split($0, field, /[ =]/)
		for (i = 1; i < n; i += 2)
			if (index(keys, " " field[i] " "))
				sum += field[i + 1]
		print sum
	}'
}

# restore_bench NAME SHAPE GIB MEM BAR RUNS: to add and to insert a region of GIB, for each of them.
restore_bench() {
	local name=$1 shape=$2 size=$3 mem=$4 bar=$5 runs=$6 lines values
	lines=$(restore_l1 "$shape" "${size}G" "$runs" 4 "$mem") || return 1
	mapfile -t values < <(sum_of add_us insert_us <<<"$lines" |
		awk -v size="$size" '{ printf "%.4f\n", $1 / 1e6 / size }')
	bench_result "$name" "s/GiB" "the bar" "$bar" "${FR_L1_ACCEL:-tcg}, 4 vCPU, $shape, $size of $mem in \
$(sed -n 's/.*extents=//p' <<<"$lines" | tail -n 1) extents" "${values[@]}"
}

bench_restore_4k() { restore_bench restore_4k contiguous 4 64G 0.06 "$1"; }
bench_restore_4k_scattered() { restore_bench restore_4k_scattered shuffled 1 64G 0.4 "$1"; }
bench_restore_2m() { restore_bench restore_2m 2M 8 64G 0.012 "$1"; }
bench_restore_1g() { restore_bench restore_1g 1G 8 64G 0.004 "$1"; }

# Everything after the jump: the descriptor copied and validated, sections added, the file restored.
scattered() {
	local name=$1 lines values
	lines=$(restore_l1 "$2" "$3" "$5" 4 8G --touched) || return 1
	mapfile -t values < <(sum_of copy_us mixed_us restore_us <<<"$lines" | awk '{ printf "%.4f\n", $1 / 1e6 }')
	bench_result "$name" s "the bar" "$4" "${FR_L1_ACCEL:-tcg}, 4 vCPU, $2, $3 in \
$(sed -n 's/.*extents=//p' <<<"$lines" | tail -n 1) extents" "${values[@]}"
}

bench_scattered() {
	scattered scattered_second second 256M 0.5 "$1" && scattered scattered_eighth eighth 1G 1 "$1"
}

# The sections of 100 GiB. Pages of 100 GiB cannot be had here: one huge page is kept in each section.
# All of these are mixed, and added while the kernel boots, by the code that adds those of a restore;
# the rest of their pages is freed in the same pass. There is little more memory than that: those kernels
# use all of it, whatever order it was freed in, and the first two of them have touched it.
bench_add_sections() {
	local smp values one four
	for smp in 1 4; do
		mapfile -t values < <(restore_l1 spread 100G $(($1 + 1)) $smp 106G | tail -n "$1" | sum_of mixed_us |
			awk '{ printf "%.3f\n", $1 / 1e3 / 100 }')
		[ ${#values[@]} = "$1" ] || return 1
		if [ $smp = 1 ]; then one=("${values[@]}"); else four=("${values[@]}"); fi
	done
	bench_result add_sections "ms/GiB" "the same with 1 vCPU" "$(printf '%s\n' "${one[@]}" | median)" \
		"${FR_L1_ACCEL:-tcg}, 4 vCPU, 100 of 106 GiB in sections of which one 2 MiB page is kept, added and the \
rest freed" "${four[@]}"
}
