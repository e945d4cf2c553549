# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# blackout, blackout_size: how long a guest stands still, seen from outside.
#
# Each L1 lives through several hops with one guest.  Ours and the peer take turns; the peer's
# L1 jumps with kexec-tools' defaults and with -i alternately.  Both have the same kernel,
# initramfs (QEMU and all that it needs is in it) and guest.

# L1's initramfs, with QEMU, the command and the guest's files.
blackout_initrd() {
	local tmp program image
	image=$FR_CACHE/images/blackout-$({
		cat "$FR_TESTS"/bench/l1/{blackout-init,fstab,fstab.later} "$FR_TESTS/vm/l1/guest.sh" /bin/busybox "$FR_TOOL" \
			"${BASH_SOURCE[0]}" "$(kernel_get guest)/vmlinux" "$(guest_initrd)"
		usr_key
	} | sha).cpio
	if [ ! -e "$image" ]; then
		tmp=$(mktemp -d)
		mkdir -p "$tmp"/{bin,dev,etc,proc,sys,run,tmp,mnt/{huge,tmpfs},payload/{guest,l1}}
		usr_root "$tmp"
		for program in $(libraries "$FR_TOOL"); do
			copy_below "$tmp" "$program"
		done
		ln -s usr/lib usr/lib64 usr/sbin "$tmp/"
		cp /bin/busybox "$tmp/bin/"
		for program in $(/bin/busybox --list); do
			[ -e "$tmp/usr/bin/$program" ] || [ -e "$tmp/bin/$program" ] ||
				ln -s busybox "$tmp/bin/$program"
		done
		install -s -m 755 "$FR_TOOL" "$tmp/bin/"
		install -m 755 "$FR_TESTS/bench/l1/blackout-init" "$tmp/init"
		cp "$FR_TESTS"/bench/l1/fstab{,.later} "$tmp/etc/"
		ldconfig -r "$tmp" -C /etc/ld.so.cache 2>/dev/null
		cp "$FR_TESTS/vm/l1/guest.sh" "$tmp/payload/l1/"
		cp "$(kernel_get guest)/vmlinux" "$tmp/payload/guest/"
		cp "$(guest_initrd)" "$tmp/payload/guest/initrd"
		pack_initramfs "$tmp" "$image"
		rm -rf "$tmp"
	fi
	echo "$image"
}

# Until L1 with its logs in $1 ends: lines "US NS", the time and what L1's vCPU has run so far.
blackout_sample() {
	local pid task never ns
	exec {never}<> <(:)
	while read -rt 0.2 -u "$never" || :; do
		for pid in $(pgrep -f -- "-D $1/resets"); do
			task=$(grep -lx 'CPU 0/TCG' "/proc/$pid"/task/*/comm 2>/dev/null) && break 2
		done
		[ -d "$1" ] || return
	done
	task=${task%/comm}
	while read -r ns _ <"$task/schedstat"; do
		echo "${EPOCHREALTIME/./} $ns"
		read -rt 0.01 -u "$never"
	done 2>/dev/null
}

# For each hop: "WALL CPU", how long the guest was silent and how much of that time L1's vCPU
# ran, in ms.  It is never idle in between, so that the latter is what a quiet machine shows.
blackout_silences() {
	awk -v start="$L1_START" '
		FILENAME ~ /vcpu$/ { at[++samples] = ($1 - start) / 1e6; ran[samples] = $2 / 1e6; next }
		FILENAME ~ /out$/ { if (/jump from stage/) jump[++n] = $1; next }
		/count=/ {
			while (i < n && $1 > jump[i + 1]) i++
			if (i && $1 - last > most[i]) { most[i] = $1 - last; from[i] = last }
			last = $1
		}
		function ran_until(t) {
			while (k < samples - 1 && at[k + 1] < t) k++
			return k ? ran[k] + (ran[k + 1] - ran[k]) * (t - at[k]) / (at[k + 1] - at[k]) : 0
		}
		END {
			for (i = 1; i <= n; i++) {
				before = ran_until(from[i])
				printf "%d %d\n", most[i] * 1000, ran_until(from[i] + most[i]) - before
			}
		}' "$L1_OUT/vcpu" "$L1_OUT/out" "$L1_OUT/g0"
}

# blackout_life HOW HOPS MIB: lines "HOW WALL CPU" for each hop of one L1; the peer's HOW are
# "default" and "i".
blackout_life() {
	local how=$1 hops=$2 mib=$3 initrd append out
	initrd=$(locked images blackout_initrd)
	# what a host that is not for debugging has
	append="loglevel=5 vm_debug=- initcall_blacklist=debug_vm_pgtable fr.how=$how fr.hops=$hops"
	# a raw one for the guest, a small one for its state; both survive a kexec
	[ "$how" = ours ] || append+=" memmap=$((mib + 128))M!4G memmap=64M!$((mib + 1024 + 4096))M"
	mkdir -p "${FR_OUT:=$FR_CACHE/runs}"
	out=$(mktemp -d "$FR_OUT/blackout-XXXXXX")
	blackout_sample "$out" >"$out/vcpu" &
	# or first hops take longer, of which ours has more than kexec -i
	l1_run --kernel patched --next patched --guest --touched --out "$out" \
		--initrd "$initrd" --add "$initrd=kernel/all.initrd" --add "$FR_TOOL" \
		--mem $((mib + 5120))M --append "$append fr.mib=$mib" --limit $((120 + hops * 60)) \
		--qemu -name --qemu l1,debug-threads=on \
		"$FR_TESTS/bench/l1/blackout.sh" >&2 && guest_lived g0 >&2 || return 1
	wait $!
	paste -d' ' <(sed -n 's/.*FR: HOP how=//p' "$out/out") <(blackout_silences)
}

# blackout_lives LIFE...: each LIFE is "KEY HOW HOPS MIB"; prints "KEY-WHAT WALL CPU" for all hops.
blackout_lives() {
	local life key how hops mib
	for life; do
		read -r key how hops mib <<<"$life"
		[ "$hops" = 0 ] || blackout_life "$how" "$hops" "$mib" | sed "s/^/$key-/" || return 1
	done
}

# blackout_results NAME PEER OURS_KEY PEER_KEY: by the clock and by the vCPU's time, from the
# lines of blackout_lives on standard input.
blackout_results() {
	local lines column suffix=('' _cpu) values
	lines=$(cat)
	for column in 0 1; do
		mapfile -t values < <(blackout_values "$3" "$column" <<<"$lines")
		bench_result "$1${suffix[column]}" ms "$2" \
			"$(blackout_values "$4" "$column" <<<"$lines" | xargs)" "$(bench_machine)" "${values[@]}"
	done
}

blackout_values() {
	awk -v key="$1" -v column="$(($2 + 2))" '$1 == key { print $column }'
}

bench_blackout() {
	local first=$((($1 + 1) / 2)) lines
	local rest=$(($1 - first))
	probe_speed
	lines=$(blackout_lives "a ours $first 1024" "a peer $((2 * first)) 1024" \
		"a ours $rest 1024" "a peer $((2 * rest)) 1024") || return 1
	blackout_results blackout "devdax carve-out, kexec-tools" a-ours a-default <<<"$lines"
	blackout_results blackout_i "devdax carve-out, kexec-tools -i" a-ours a-i <<<"$lines"
}

# Flat: the bigger guests against the one with 1 GiB.
bench_blackout_size() {
	local first=$((($1 + 1) / 2)) lives=() lines hops gib
	probe_speed
	for hops in $first $(($1 - first)); do
		for gib in 1 4 8; do
			lives+=("$gib ours $hops $((gib * 1024))")
		done
	done
	lines=$(blackout_lives "${lives[@]}") || return 1
	for gib in 1 4 8; do
		BENCH_AT="GiB=$gib" blackout_results blackout_size "ours with 1 GiB" "$gib-ours" 1-ours <<<"$lines"
	done
}
