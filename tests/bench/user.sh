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
