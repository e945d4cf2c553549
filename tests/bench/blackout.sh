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
	local programs=("$FR_TOOL" "${FR_L1_PROGRAMS[@]}" /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so)
	image=$FR_CACHE/images/blackout-$({
		cat "$FR_TESTS"/bench/l1/{blackout-init,fstab,fstab.later} "$FR_TESTS/vm/l1/guest.sh" /bin/busybox "$FR_TOOL" \
			"${BASH_SOURCE[0]}" "$(kernel_get guest)/vmlinux" "$(guest_initrd)"
		dpkg-query -W qemu-system-x86 seabios libc6 socat jq kexec-tools
	} | sha).cpio
	if [ ! -e "$image" ]; then
		tmp=$(mktemp -d)
		mkdir -p "$tmp"/{bin,dev,etc,proc,sys,run,tmp,mnt/{huge,tmpfs},payload/{guest,l1}}
		for program in "${programs[@]}" $(libraries "${programs[@]}"); do
			[ "$program" = "$FR_TOOL" ] || copy_below "$tmp" "$program"
		done
		for program in "${FR_L1_FIRMWARE[@]}"; do
			copy_below "$tmp" "/usr/share/$program"
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

# blackout_life HOW HOPS MIB: lines "HOW MS" for each hop of one L1; the peer's HOW are
# "default" and "i".
blackout_life() {
	local how=$1 hops=$2 mib=$3 initrd append
	initrd=$(locked images blackout_initrd)
	append="loglevel=5 vm_debug=- initcall_blacklist=debug_vm_pgtable fr.how=$how fr.hops=$hops"
	# a raw one for the guest, a small one for its state; both survive a kexec
	[ "$how" = ours ] || append+=" memmap=$((mib + 128))M!4G memmap=64M!$((mib + 1024 + 4096))M"
	l1_run --kernel "${FR_BENCH_KERNEL:-patched}" --next "${FR_BENCH_KERNEL:-patched}" --guest \
		--initrd "$initrd" --add "$initrd=kernel/all.initrd" --add "$FR_TOOL" \
		--mem $((mib + 5120))M --append "$append fr.mib=$mib" --limit $((120 + hops * 60)) \
		"$FR_TESTS/bench/l1/blackout.sh" >&2 && guest_lived g0 >&2 || return 1
	paste -d' ' <(sed -n 's/.*FR: HOP how=//p' "$L1_OUT/out") <(demo_silences)
}

# blackout_lives LIFE...: each LIFE is "KEY HOW HOPS MIB"; prints "KEY-WHAT MS" for all hops.
blackout_lives() {
	local life key how hops mib
	for life; do
		read -r key how hops mib <<<"$life"
		[ "$hops" = 0 ] || blackout_life "$how" "$hops" "$mib" | sed "s/^/$key-/" || return 1
	done
}

# blackout_values KEY: the figures of that key, of the lines on standard input.
blackout_values() {
	sed -n "s/^$1 //p"
}

bench_blackout() {
	local first=$((($1 + 1) / 2)) lines ours how
	local rest=$(($1 - first))
	probe_speed
	lines=$(blackout_lives "a ours $first 1024" "a peer $((2 * first)) 1024" \
		"a ours $rest 1024" "a peer $((2 * rest)) 1024") || return 1
	mapfile -t ours < <(blackout_values a-ours <<<"$lines")
	for how in default i; do
		bench_result "blackout${how/#[^i]*/}" ms "devdax carve-out, kexec-tools ${how/#i/-i}" \
			"$(blackout_values "a-$how" <<<"$lines" | median)" "$(bench_machine)" "${ours[@]}"
	done
}

# Flat: the bigger guests against the one with 1 GiB.
bench_blackout_size() {
	local first=$((($1 + 1) / 2)) lives=() lines values hops gib
	probe_speed
	for hops in $first $(($1 - first)); do
		for gib in 1 4 8; do
			lives+=("$gib ours $hops $((gib * 1024))")
		done
	done
	lines=$(blackout_lives "${lives[@]}") || return 1
	for gib in 4 8; do
		mapfile -t values < <(blackout_values "$gib-ours" <<<"$lines")
		bench_result "blackout_size_${gib}g" ms "ours with 1 GiB" \
			"$(blackout_values 1-ours <<<"$lines" | median)" "$(bench_machine)" "${values[@]}"
	done
}
