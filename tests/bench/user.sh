# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What load and exec do in user space.

# Plan, encode, validate and look up 1 M extents, natively; and whether four times the extents
# cost more than four times as much.
bench_extents_1m() {
	local program=$FR_BUILD/tests/bench/extents whole=() quarter=() i
	logged "$FR_CACHE/log/bench" make -C "$FR_BUILD" tests/bench/extents
	for ((i = 0; i < $1; i++)); do
		quarter+=("$("$program" $((1 << 18)) | jq '.all_ms * 4')")
		whole+=("$("$program" $((1 << 20)) | jq .all_ms)")
	done
	bench_result extents_1m ms "the bar" 300 "native, CPU time of one thread, $(bench_machine)" "${whole[@]}"
	bench_result extents_1m_linear ms "4 times 256 Ki extents" "${quarter[*]}" \
		"native, CPU time of one thread, $(bench_machine)" "${whole[@]}"
}

# Microseconds, one a line, to milliseconds.
to_ms() { awk '{ printf "%.3f\n", $1 / 1000 }'; }

# The survey of 8 GiB on 2 MiB pages, against reading pagemap for every 4 KiB of it: in large
# batches, and each for itself.
bench_survey_2m() {
	local conditions ours
	logged "$FR_CACHE/log/bench" make -C "$FR_BUILD" tests/bench/survey
	bench_l1 --kernel patched --smp 4 --mem 10G --limit 240 --append "fr.pages=4096 fr.runs=$1" \
		--add "$FR_BUILD/tests/bench/survey" "$FR_TESTS/bench/l1/survey.sh"
	mapfile -t ours < <(bench_values ours_us | to_ms)
	conditions="8 GiB of hugetlbfs in the page table, TCG, 4 vCPUs, $(bench_machine)"
	bench_result survey_2m ms "each 4 KiB, 64 Ki entries a read" \
		"$(bench_values batch_us | to_ms | paste -sd ' ')" "$conditions" "${ours[@]}"
	bench_result survey_2m_each ms "each 4 KiB, one entry a read (1/16 of it, times 16)" \
		"$(bench_values each_us | to_ms | paste -sd ' ')" "$conditions" "${ours[@]}"
}
