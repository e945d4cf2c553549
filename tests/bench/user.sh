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
	bench_result extents_1m ms "the bar" 300 "native, $(bench_machine)" "${whole[@]}"
	bench_result extents_1m_linear ms "4 times 256 Ki extents" "${quarter[*]}" \
		"native, $(bench_machine)" "${whole[@]}"
}

# The survey of 8 GiB on 2 MiB pages.
bench_survey_2m() {
	logged "$FR_CACHE/log/bench" make -C "$FR_BUILD" tests/bench/survey
	bench_l1 --kernel patched --smp 4 --mem 10G --limit 240 --append "fr.pages=4096 fr.runs=$1" \
		--add "$FR_BUILD/tests/bench/survey" "$FR_TESTS/bench/l1/survey.sh"
	# shellcheck disable=SC2046 # a number a word
	bench_result survey_2m ms "every 4 KiB read from pagemap" "$(bench_values peer_us | to_ms)" \
		"8 GiB of hugetlbfs, page tables filled, 4 vCPUs, $(bench_machine)" $(bench_values ours_us | to_ms)
}

# Microseconds, one a line, to one word of milliseconds.
to_ms() { awk '{ printf "%s%.3f", NR > 1 ? " " : "", $1 / 1000 }'; }
