# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What a VM boots from, besides kernels:
#
#   usr.erofs       /usr of L1: QEMU with its libraries and firmware, and a few tools;
#                   not compressed, or QEMU would take seconds longer to start
#   systemd.erofs   the same as a root with the distribution's systemd, for l1_run --systemd
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
	cp -L --remove-destination "$file" "$root$to"
}

# What usr_root() makes is made of.
usr_key() {
	dpkg-query -W qemu-system-x86 seabios libc6 busybox-static socat jq kexec-tools
	cat "${BASH_SOURCE[0]}"
}

usr_root() {
	local root=$1 f
	mkdir -p "$root/usr/lib64"
	local files=("${FR_L1_PROGRAMS[@]}" /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so)
	for f in "${files[@]}" $(libraries "${files[@]}"); do
		copy_below "$root" "$f"
	done
	for f in "${FR_L1_FIRMWARE[@]}"; do
		copy_below "$root" "/usr/share/$f"
	done
}

usr_image() {
	local image tmp=$FR_CACHE/build/usr
	image=$FR_CACHE/images/usr-$(usr_key | sha).erofs
	if [ ! -e "$image" ]; then
		rm -rf "$tmp"
		mkdir -p "$FR_CACHE/images"
		usr_root "$tmp"
		logged "$FR_CACHE/log/usr" mkfs.erofs "$image.new" "$tmp/usr"
		mv "$image.new" "$image"
		rm -rf "$tmp"
	fi
	echo "$image"
}

# What L1's root has from packages when systemd is its init. They are only unpacked:
# what their scripts would set up is made here.
FR_SYSTEMD_PACKAGES=(systemd-sysv udev bash coreutils util-linux base-files base-passwd)

# Names and versions of those packages and all that they depend on.
systemd_closure() {
	apt-get -s -o Dir::State::status=/dev/null --no-install-recommends install "${FR_SYSTEMD_PACKAGES[@]}" |
		sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p'
}

systemd_root() {
	local root=$1 debs=$2 f
	mkdir -p "$root"/{usr/{bin,sbin,lib,lib64},etc,dev,proc,sys,run,tmp,var,mnt,payload} "$debs"
	for f in bin sbin lib lib64; do
		ln -s "usr/$f" "$root/$f"
	done
	(cd "$debs" && apt-get -q -o APT::Sandbox::User=root download "${@:3}")
	for f in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$f" | tar -x --keep-directory-symlink -C "$root"
	done
	rm -rf "${root:?}/usr/local"
	ln -s /payload/local "$root/usr/local"
	# empty: made for each boot, in /run
	: >"$root/etc/machine-id"
	cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
	cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
	echo "vm.nr_hugepages = 60" >"$root/etc/sysctl.d/hugepages.conf"
	printf 'tmpfs /%s tmpfs defaults 0 0\n' var tmp mnt >"$root/etc/fstab"
}

systemd_image() {
	local image closure tmp=$FR_CACHE/build/systemd
	closure=$(systemd_closure)
	[ -n "$closure" ] || die "systemd is not known to apt; run 'apt-get update' first"
	image=$FR_CACHE/images/systemd-$({ echo "$closure" && usr_key; } | sha).erofs
	if [ ! -e "$image" ]; then
		rm -rf "$tmp"
		mkdir -p "$FR_CACHE/images"
		# shellcheck disable=SC2086 # one word a package
		logged "$FR_CACHE/log/systemd" systemd_root "$tmp/root" "$tmp/debs" $closure
		usr_root "$tmp/root"
		cp /bin/busybox "$tmp/root/usr/bin/"
		logged "$FR_CACHE/log/systemd" mkfs.erofs "$image.new" "$tmp/root"
		mv "$image.new" "$image"
		rm -rf "$tmp"
	fi
	echo "$image"
}

# A server of the distribution with the libraries that others may not have brought, only unpacked.
server_image() {
	local image tmp=$FR_CACHE/build/server
	local packages=(memcached libevent-2.1-7 libsasl2-2 libssl3)
	image=$FR_CACHE/images/server-$({ apt-cache show --no-all-versions "${packages[@]}" | grep ^SHA256: && cat "${BASH_SOURCE[0]}"; } | sha)
	if [ ! -e "$image" ]; then
		rm -rf "$tmp"
		mkdir -p "$tmp"/{debs,root,image/lib} "$FR_CACHE/images"
		(cd "$tmp/debs" && logged "$FR_CACHE/log/server" apt-get -q -o APT::Sandbox::User=root download "${packages[@]}")
		for deb in "$tmp"/debs/*.deb; do
			dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$tmp/root"
		done
		cp "$tmp/root/usr/bin/memcached" "$tmp/image/"
		find "$tmp/root/usr/lib" -maxdepth 2 -name '*.so.*' -exec cp -L {} "$tmp/image/lib/" \;
		mv "$tmp/image" "$image"
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
	usr_image && systemd_image && server_image && l1_initrd "" && guest_initrd
}

cmd_images() { locked images images_get_all; }
