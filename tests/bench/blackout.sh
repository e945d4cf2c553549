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
		cat "$FR_TESTS/bench/l1/blackout-init" "$FR_TESTS/vm/l1/guest.sh" /bin/busybox "$FR_TOOL" \
			"${BASH_SOURCE[0]}" "$(kernel_get guest)/vmlinux" "$(guest_initrd)"
		dpkg-query -W qemu-system-x86 seabios libc6 socat jq kexec-tools
	} | sha).cpio
	if [ ! -e "$image" ]; then
		tmp=$(mktemp -d)
		mkdir -p "$tmp"/{bin,dev,proc,sys,run,tmp,mnt/{huge,tmpfs},payload/{guest,l1}}
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
	local how=$1 hops=$2 mib=$3 initrd carve=() append
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

bench_blackout() {
	local hops=$((($1 + 1) / 2)) life what values=() peer
	local -A ms=()
	probe_speed
	for life in "ours $hops" "peer $((2 * hops))" "ours $(($1 - hops))" "peer $((2 * ($1 - hops)))"; do
		# shellcheck disable=SC2086 # two words
		while read -r what peer; do
			ms[$what]+="$peer "
		done < <(blackout_life $life 1024)
	done
	read -ra values <<<"${ms[ours]:-}"
	for what in default i; do
		peer=$(tr ' ' '\n' <<<"${ms[$what]:-}" | grep . | median)
		bench_result "blackout${what/default/}" ms "devdax carve-out, kexec-tools ${what/#i/-i}" "$peer" \
			"$(bench_machine)" "${values[@]}"
	done
}
