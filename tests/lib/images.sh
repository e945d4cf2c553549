# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a VM boots from, besides kernels:
#
#   usr.erofs       /usr of L1: QEMU with its libraries and firmware, and a few tools;
#                   not compressed, or QEMU would take seconds longer to start
#   initrd of L1    busybox, the stock kernels' modules, vm/l1/init
#   guest.cpio      L2's initramfs, with vm/guest/guest.c as its init
#   payload.erofs   made for each run: the tool, kernels, the script (lib/l1.sh)

# What L1 runs from the distribution, besides busybox.
FR_L1_PROGRAMS=(/usr/bin/qemu-system-x86_64 /usr/bin/socat /usr/bin/jq /sbin/kexec)
FR_L1_FIRMWARE=(seabios/bios-256k.bin qemu/linuxboot_dma.bin qemu/kvmvapic.bin qemu/pvh.bin)

# Shared libraries of programs, their loader included.
libraries() {
	ldd "$@" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | sort -u
}

# Put file $2 at the same place below $1 (with /usr in front where there is none).
copy_below() {
	local root=$1 file=$2 to
	to=$(realpath -s "$file")
	[[ $to = /usr/* ]] || to=/usr$to
	mkdir -p "$root$(dirname "$to")"
	cp -L "$file" "$root$to"
}

usr_image() {
	local key image tmp f
	key=$({
		dpkg-query -W qemu-system-x86 seabios libc6 busybox-static socat jq kexec-tools
		cat "${BASH_SOURCE[0]}"
	} | sha)
	image=$FR_CACHE/images/usr-$key.erofs
	if [ ! -e "$image" ]; then
		tmp=$FR_CACHE/build/usr
		rm -rf "$tmp"
		mkdir -p "$tmp/usr/lib64" "$FR_CACHE/images"
		local files=("${FR_L1_PROGRAMS[@]}" /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so)
		for f in "${files[@]}" $(libraries "${files[@]}"); do
			copy_below "$tmp" "$f"
		done
		for f in "${FR_L1_FIRMWARE[@]}"; do
			copy_below "$tmp" "/usr/share/$f"
		done
		logged "$FR_CACHE/log/usr" mkfs.erofs "$image.new" "$tmp/usr"
		mv "$image.new" "$image"
		rm -rf "$tmp"
	fi
	echo "$image"
}

# Pack folder $1 as an initramfs into $2.
pack_initramfs() {
	(cd "$1" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
		cpio -o -H newc -R 0:0 --reproducible --quiet) >"$2.new"
	mv "$2.new" "$2"
}

# Initramfs of L1 for a kernel whose modules are in folder $1 ("" if it needs none).
l1_initrd() {
	local modules=$1 image tmp
	image=$FR_CACHE/images/l1-$({
		cat "$FR_TESTS/vm/l1/init" /bin/busybox
		[ -z "$modules" ] || cat "$modules"/*
	} | sha).cpio
	if [ ! -e "$image" ]; then
		tmp=$(mktemp -d)
		mkdir -p "$tmp"/{bin,dev,proc,sys,run,tmp,usr,payload,mnt,etc,sys}
		ln -s usr/lib "$tmp/lib"
		ln -s usr/lib64 "$tmp/lib64"
		ln -s usr/sbin "$tmp/sbin"
		cp /bin/busybox "$tmp/bin/"
		install -m 755 "$FR_TESTS/vm/l1/init" "$tmp/init"
		[ -z "$modules" ] || cp -r "$modules" "$tmp/modules"
		mkdir -p "$FR_CACHE/images"
		pack_initramfs "$tmp" "$image"
		rm -rf "$tmp"
	fi
	echo "$image"
}

# A static program from vm/tools or vm/guest, built into the cache.
static_program() {
	local source=$1 out
	out=$FR_CACHE/images/$(basename "$source" .c)-$(cat "$source" "$FR_TESTS"/vm/tools/*.h "$FR_TOP/lib/abi.h" | sha)
	if [ ! -e "$out" ]; then
		mkdir -p "$FR_CACHE/images"
		gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$out.new" "$source" \
			-I"$FR_TESTS/vm/tools" -I"$FR_TOP/lib" || die "cannot build $source"
		mv "$out.new" "$out"
	fi
	echo "$out"
}

guest_initrd() {
	local program image tmp
	program=$(static_program "$FR_TESTS/vm/guest/guest.c")
	image=$program.cpio
	if [ ! -e "$image" ]; then
		tmp=$(mktemp -d)
		mkdir -p "$tmp"/{dev,proc,sys}
		install -m 755 "$program" "$tmp/init"
		pack_initramfs "$tmp" "$image"
		rm -rf "$tmp"
	fi
	echo "$image"
}

images_get_all() {
	usr_image && l1_initrd "" && guest_initrd
}

cmd_images() { locked images images_get_all; }
