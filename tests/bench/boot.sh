# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2016 # it is memmap= that has dollar signs
# How long the next kernel takes to boot, and its struct pages, with much memory kept. What is
# kept has never been written or read (see kept.c), so that an L1 of 132 GiB touches no more
# than its struct pages: some 2 GiB.
#
# Each run is one life of L1, in which the kernels to be compared take turns (see l1/boot.sh).
# What counts comes after a kernel of the same layout, labelled "-": struct pages lie at the end
# of the memory that a kernel sees, and frames there that nobody has touched yet would have the
# machine below give out memory, with the time of all vCPUs on our clock.

# boot_run MEM COLD RUN STEP...: one life. COLD is what its first kernel does without.
boot_run() {
	local mem=$1 cold=$2 run=$3
	shift 3
	printf '%s\n' "$@" >"$BOOT_LOGS/steps"
	l1_run --kernel stock-bench --next patched-bench --also stock-bench --mem "$mem" --smp 4 \
		--append "memmap=$cold" --limit $((60 + 30 * $#)) --out "$BOOT_LOGS/$run" \
		--add "$FR_TOOL" --add "$FR_BUILD/tests/bench/kept" --add "$BOOT_LOGS/steps=steps" \
		"$FR_TESTS/bench/l1/boot.sh" >&2
}

# boot_runs RUNS MEM COLD STEP... [-- STEP...]: that many times a life, or two in turns; their
# logs are in $BOOT_LOGS then.
boot_runs() {
	local runs=$1 mem=$2 cold=$3 lives=1 i step
	local -a steps_1 steps_2
	shift 3
	for step; do
		case $lives$step in
		1--) lives=2 ;;
		1*) steps_1+=("$step") ;;
		*) steps_2+=("$step") ;;
		esac
	done
	BOOT_LOGS=$FR_CACHE/log/boot/${FUNCNAME[1]#bench_}
	rm -rf "$BOOT_LOGS"
	mkdir -p "$BOOT_LOGS"
	logged "$FR_CACHE/log/bench" make -C "$FR_BUILD" tests/bench/kept
	BOOT_CONDITIONS="TCG, 4 vCPUs, $mem, after a kexec; $(bench_machine)"
	for ((i = 0; i < runs; i++)); do
		boot_run "$mem" "$cold" "$i-1" "${steps_1[@]}" || return 1
		[ $lives = 1 ] || boot_run "$mem" "$cold" "$i-2" "${steps_2[@]}" || return 1
	done
}

# boot_ms LABEL KEY [-KEY|KEY]...: of each kernel of that label, the sum of figures.
boot_ms() {
	sed -n "s/.*FR: VALUE label=$1 //p" "$BOOT_LOGS"/*/out | awk -v keys="${*:2}" '{
		split("", value)
		sum = 0
		for (i = 1; i <= NF; i++)
			value[substr($i, 1, index($i, "=") - 1)] = substr($i, index($i, "=") + 1)
		for (i = split(keys, key, " "); i > 0; i--)
			sum += key[i] ~ /^-/ ? -value[substr(key[i], 2)] : value[key[i]]
		printf "%.1f\n", sum / 1000
	}'
}

# Of numbers on standard input, one a line: the largest less the smallest.
spread() {
	sort -g | awk 'NR == 1 { least = $1 } END { print $1 - least }'
}

GiB=$((1 << 30))
# Where the memory lies that is kept: as pieces, START BYTES STRIDE COUNT
BOOT_PIECES="$((6 * GiB)) $((GiB / 8)) $((GiB / 4)) 512"
BOOT_WHOLE="$((70 * GiB)) $((64 * GiB)) 0 1"

# GIB are kept, from 16 GiB on.
boot_kept_at() { echo "$((16 * GiB)) $(($1 * GiB)) 0 $(($1 > 0))"; }

# What boot does to the struct pages of all that is not kept.
BOOT_STRUCT_PAGES=(sparse_us memmap_us reserved_us free_us deferred_us)

# Trampoline to init with 0, 25, 50 and 100 of 128 GiB kept: the spread of the sizes' medians
# against the widest spread of one size's runs. Clean memory shrinks as what is kept grows, and
# the work on its struct pages with it: that is left out there, and counts in the results for
# each size.
bench_boot_kept() {
	local sizes=(0 25 50 100) gib steps=("- ours $(boot_kept_at 0)" '- stock memmap=100G$16G')
	local none times rest medians=() spreads=()
	for gib in "${sizes[@]}"; do
		steps+=("kept_$gib ours $(boot_kept_at "$gib")" '- stock memmap=100G$16G')
	done
	boot_runs "$1" 128G '100G$16G' "${steps[@]}" || return 1
	mapfile -t none < <(boot_ms kept_0 init_at -trampoline_at)
	for gib in "${sizes[@]}"; do
		mapfile -t times < <(boot_ms "kept_$gib" init_at -trampoline_at)
		BENCH_AT="GiB kept=$gib" bench_result boot_kept_sizes ms "nothing kept" "${none[*]}" \
			"$BOOT_CONDITIONS" "${times[@]}"
		rest=$(boot_ms "kept_$gib" init_at -trampoline_at "${BOOT_STRUCT_PAGES[@]/#/-}")
		medians+=("$(median <<<"$rest")")
		spreads+=("$(spread <<<"$rest")")
	done
	bench_result boot_kept ms "spread across runs" "$(printf '%s\n' "${spreads[@]}" | sort -g | tail -n 1)" \
		"spread across 0, 25, 50, 100 of 128 GiB kept, less what clean memory's struct pages take; $BOOT_CONDITIONS" \
		"$(printf '%s\n' "${medians[@]}" | spread)"
}

# All that boot does to struct pages, with 100 of 128 GiB kept, twice in each life.
bench_memmap_kept() {
	local ours reserved cut steps=("ours ours $(boot_kept_at 100)"
		'reserved stock reserve_mem=100G:1G:kept' 'cut stock memmap=100G$16G')
	boot_runs "$1" 128G '100G$16G' '- stock' '- stock memmap=100G$16G' "${steps[@]}" "${steps[@]}" ||
		return 1
	mapfile -t ours < <(boot_ms ours "${BOOT_STRUCT_PAGES[@]}" sections_end_us)
	mapfile -t reserved < <(boot_ms reserved "${BOOT_STRUCT_PAGES[@]}")
	mapfile -t cut < <(boot_ms cut "${BOOT_STRUCT_PAGES[@]}")
	bench_result memmap_kept ms "stock 6.12, as much reserved" "${reserved[*]}" \
		"100 of 128 GiB kept; $BOOT_CONDITIONS" "${ours[@]}"
	bench_result memmap_kept_cut ms "stock 6.12, the same cut off" "${cut[*]}" \
		"100 of 128 GiB kept; $BOOT_CONDITIONS" "${ours[@]}"
}

# Deferred init of 64 GiB (and 4 more), every other section from 6 GiB on being kept. Sections
# that arrive late, as e820 has no room for all, count as well.
bench_deferred_pieces() {
	local pieces whole stock
	# Nothing follows these kernels: of ours, stock kernels and kexec-tools have no room for all
	# pieces; of bench_cut=, memory that is RAM by e820 has no mapping. All of the memory's
	# struct pages lie where those of the pieces will.
	boot_runs "$1" 132G '128G$6G' '- stock' 'stock_pieces stock bench_cut=6G,134G,256M,128M' -- \
		"- ours $BOOT_WHOLE" 'ours_whole again' '- stock memmap=128G$6G' \
		"- ours $BOOT_PIECES" 'ours_pieces again' || return 1
	mapfile -t pieces < <(boot_ms ours_pieces deferred_us sections_end_us)
	mapfile -t whole < <(boot_ms ours_whole deferred_us sections_end_us)
	mapfile -t stock < <(boot_ms stock_pieces deferred_us)
	bench_result deferred_pieces ms "stock 6.12, the same pieces" "${stock[*]}" \
		"64 GiB clean in 512 pieces; $BOOT_CONDITIONS" "${pieces[@]}"
	bench_result deferred_pieces_whole ms "ours, in one piece" "${whole[*]}" \
		"64 GiB clean in 512 pieces; $BOOT_CONDITIONS" "${pieces[@]}"
}

# Deferred init of 68 GiB in one piece with 1, 2 and 4 CPUs, twice in each life.
bench_deferred_threads() {
	local cpus peer ours stock steps=("- ours $BOOT_WHOLE")
	for cpus in 4 2 1; do
		peer="stock_$cpus stock memmap=64G\$70G maxcpus=$cpus"
		steps+=("$peer" "ours_$cpus ours $BOOT_WHOLE maxcpus=$cpus" "ours_$cpus again maxcpus=$cpus" "$peer")
	done
	boot_runs "$1" 132G '128G$6G' "${steps[@]}" || return 1
	for cpus in 1 2 4; do
		mapfile -t ours < <(boot_ms "ours_$cpus" deferred_us)
		mapfile -t stock < <(boot_ms "stock_$cpus" deferred_us)
		BENCH_AT="CPUs=$cpus" bench_result deferred_threads ms "stock 6.12" "${stock[*]}" \
			"68 GiB in one piece; $BOOT_CONDITIONS" "${ours[@]}"
	done
}
