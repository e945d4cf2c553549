# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# From reboot() to start_kernel().

# Milliseconds from reboot() to start_kernel(), of each jump of kind $1.
jump_ms() {
	paste <(bench_values "$1_reboot_tsc") <(bench_values "$1_entry_tsc") |
		awk -v khz="$(l1_tsc_khz)" '{ printf "%.3f\n", ($2 - $1) / khz }'
}

# Against kexec-tools, with and without its check; its jump begins at reboot() as well, without
# what kexec -e does before.
bench_jump() {
	local conditions ours
	bench_l1 --kernel patched-bench --next patched-bench --mem 8G --smp 4 \
		--append "fr.stages=$((3 * $1 + 2))" --limit $((60 + 90 * $1)) --add "$FR_TOOL" \
		--add "$(locked images static_program "$FR_TESTS/bench/reboot-at.c")=bin/reboot-at" \
		"$FR_TESTS/bench/l1/jump.sh"
	conditions="lz4 bzImage, same initrd, TCG, 4 vCPUs, 8 GiB, $(bench_machine)"
	mapfile -t ours < <(jump_ms ours)
	bench_result jump ms "kexec -l" "$(jump_ms checked | paste -sd ' ')" "$conditions" "${ours[@]}"
	bench_result jump_i ms "kexec -l -i" "$(jump_ms unchecked | paste -sd ' ')" "$conditions" "${ours[@]}"
}
