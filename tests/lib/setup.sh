# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The Debian packages that build and tests need.

FR_PACKAGES=(
	# the tool
	autoconf automake libtool make gcc pkg-config
	libelf-dev libkmod-dev zlib1g-dev libzstd-dev liblzma-dev liblz4-dev
	libxxhash-dev libgcrypt20-dev libsmartcols-dev libjson-c-dev liburing-dev
	libcmocka-dev mandoc
	clang # for libFuzzer
	# kernels
	"linux-source-$FR_BASE" bc bison flex libssl-dev cpio kmod xz-utils lz4 zstd
	ccache patch perl python3 python3-ply python3-git
	# VMs
	qemu-system-x86 ovmf busybox-static erofs-utils kexec-tools socat jq
	bats parallel shellcheck
	# plots of the benchmarks
	gnuplot-nox
)

packages_missing() {
	local p
	for p in "${FR_PACKAGES[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			printf '%s\n' "$p"
	done
}

cmd_setup() {
	local missing as_root=()
	command -v apt-get >/dev/null || die "needs Debian 12 (no apt-get here)"
	mapfile -t missing < <(packages_missing)
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "not root, and no sudo; install: ${missing[*]}"
		as_root=(sudo)
	fi
	note "installing ${#missing[@]} packages"
	logged "$FR_CACHE/log/apt-update" "${as_root[@]}" apt-get -q update
	logged "$FR_CACHE/log/apt-install" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install "${missing[@]}"
}
