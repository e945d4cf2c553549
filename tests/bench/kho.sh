# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Kept memory back in a file, against kernel handover (KHO) and the live update orchestrator
# (LUO) of a later kernel, which only runs where its source can be had.
#
# On both sides counts what the next kernel does only because memory is kept.  Ours: what the
# descriptor, mixed sections and the restore take.  Theirs: the tree of what is preserved
# walked, its folios reserved, the file retrieved and the session finished.  Lives of L1 take
# turns, each with one hop.

# kho_l1 SHAPE BYTES: prints "key=value ..." of a life.  A kernel that patches its own code while it
# boots now and then falls over that on emulated CPUs: such a life, which failed at nothing that its
# script did, is lived again.
kho_l1() {
	local try
	for try in 1 2 3; do
		l1_run --kernel kho --also kho --smp 4 --mem 8G --touched --limit 300 \
			--append "liveupdate=on fr.shape=$1 fr.bytes=$(numfmt --from=iec "$2")" \
			--add "$(locked images static_program "$FR_TESTS/bench/luo.c")=bin/luo" \
			--add "$(locked images static_program "$FR_TESTS/bench/frames.c")=bin/frames" \
			"$FR_TESTS/bench/l1/kho.sh" </dev/null && break
		if [ "$try" = 3 ] || grep -q 'FR: FAIL' "$L1_OUT/out"; then return 1; fi
		note "the kernel of a later series fell over: once more"
	done
	sed -n 's/.*FR: VALUE //p' "$L1_OUT/out" | tr -d '\r' | paste -sd ' '
}

# The number of extents in the last of the lives in $1.
last_extents() {
	sed -n 's/.*\bextents=\([0-9]*\).*/\1/p' <<<"$1" | tail -n 1
}

# kho_bench NAME RUNS SHAPE BYTES: seconds for BYTES. A life that fails is no result.
kho_bench() {
	local name=$1 runs=$2 shape=$3 bytes=$4 i ours='' theirs='' line values
	for ((i = 0; i < runs; i++)); do
		line=$(restore_l1 "$shape" "$bytes" 1 4 8G --touched) || return 1
		ours+=$line$'\n'
		line=$(kho_l1 "$shape" "$bytes") || return 1
		theirs+=$line$'\n'
	done
	mapfile -t values < <(grep . <<<"$ours" | sum_of copy_us mixed_us restore_us | to_s)
	bench_result "$name" s "KHO and LUO" \
		"$(grep . <<<"$theirs" | sum_of scan_us reserve_us take_us | to_s | paste -sd ' ')" \
		"${FR_L1_ACCEL:-tcg}, 4 vCPU, 8 GiB, $shape, $bytes in $(last_extents "$ours") extents (KHO: \
$(last_extents "$theirs") on Linux $(source_version kho)), $(bench_machine)" "${values[@]}"
}

# Microseconds, one a line, to seconds.
to_s() { awk '{ printf "%.4f\n", $1 / 1e6 }'; }

bench_kho() {
	locked kho-source source_package kho >/dev/null || return 1
	kho_bench kho_4k "$1" contiguous 1G &&
		kho_bench kho_4k_scattered "$1" shuffled 1G &&
		kho_bench kho_2m "$1" 2M 4G &&
		kho_bench kho_scattered "$1" second 256M
}
