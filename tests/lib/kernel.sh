# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Kernels, each in a folder of its own below $FR_CACHE/kernels that is named after
# all that goes into it, so that it is built once:
#
#   patched      host.config on linux-source with the series
#   patched-*    the same with debug.config or kasan.config added, for check-debug
#   patched-old  the series merged with the oldest linux-source that the distribution still has, for
#                check-debug too: another 6.12.y. It is fetched into the cache, and never installed
#   guest        guest.config on pristine linux-source, for the guests (L2)
#   stock-6.12   the distribution's cloud kernels, unpacked and never installed
#   stock-6.1
#   stock-bench    for benchmarks only: host.config without debugging, on pristine
#   patched-bench  linux-source and with the series; and bench/stamps.patch, which has them
#                  tell where their time goes
#   kho            the peer of a benchmark: kho.config on linux-source-7.3, which has KHO and LUO,
#                  with bench/kho-stamps.patch. Backports of the next release have that source; it
#                  is fetched into the cache, and never installed
#
# With FR_PATCHED in the environment, the VM tests use that bzImage, or the kernel of
# that name, as 'patched', and benchmarks FR_PATCHED_BENCH and FR_STOCK_BENCH.
#
# Each folder holds vmlinuz, release, config and, for the stock kernels, modules/
# with the few modules that L1 needs, and modules/order.

FR_KERNELS=(patched guest stock-6.12 stock-6.1)
FR_SERIES=$FR_TOP/kernel-patches/$FR_BASE
FR_STAMPS=$FR_TESTS/bench/stamps.patch
FR_KHO_STAMPS=$FR_TESTS/bench/kho-stamps.patch
FR_KHO_BASE=7.3
FR_KHO_SUITE=trixie-backports

# The version of the sources of kernel $1.
source_version() {
	local deb
	case ${1:-} in
	kho | patched-old)
		deb=$(locked "$1-source" source_package "$1") || return 1
		dpkg-deb -f "$deb" Version
		;;
	*) dpkg-query -W -f '${Version}' "linux-source-$FR_BASE" ;;
	esac
}

# The linux-source of kernel $1, where that is not the one that is installed.
source_base() {
	[ "$1" != kho ] || { echo "$FR_KHO_BASE"; return; }
	echo "$FR_BASE"
}

# apt-get with the mirror that this machine has the distribution from, and nothing else but
# $FR_KHO_SUITE in its lists, which are its own.
kho_apt() {
	local apt=$FR_CACHE/src/apt site
	# shellcheck disable=SC2016 # apt's
	site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
		head -n 1)
	[ -n "$site" ] || return 1
	mkdir -p "$apt/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $FR_KHO_SUITE main" >"$apt/list"
	apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$apt/list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$apt" "$@"
}

kho_fetch() {
	kho_apt update && kho_apt download "linux-source-$FR_KHO_BASE"
}

# Security updates stay in the archive for a while.
old_fetch() {
	local oldest installed
	oldest=$(apt-cache madison "linux-source-$FR_BASE" | awk '{ print $3 }' | sort -V | head -n 1)
	installed=$(source_version)
	echo "oldest in apt's lists: ${oldest:-none}; installed: $installed"
	dpkg --compare-versions "$oldest" lt-nl "$installed" &&
		apt-get -q -o APT::Sandbox::User=root download "linux-source-$FR_BASE=$oldest"
}

# The package with the sources of kernel $1, downloaded once.
source_package() {
	local dir=$FR_CACHE/src/$1 log=$FR_CACHE/log/$1-source name
	name=linux-source-$(source_base "$1")
	if ! compgen -G "$dir/${name}_*_all.deb" >/dev/null; then
		note "fetching $name for kernel '$1'"
		rm -rf "$dir"
		mkdir -p "$dir" "$FR_CACHE/log"
		if ! (cd "$dir" && "${1#patched-}_fetch") >"$log" 2>&1; then
			tail -n 3 -- "$log" >&2
			die "$name for kernel '$1' cannot be had: put its .deb into $dir (log: $log)"
		fi
	fi
	compgen -G "$dir/${name}_*_all.deb"
}

series_patches() {
	[ -e "$FR_SERIES/series" ] || return 0
	sed "/^#/d; /^\$/d; s|^|$FR_SERIES/|" "$FR_SERIES/series"
}

# The configuration of kernel $1. Debugging would be most of what a benchmark measures:
# CONFIG_DEBUG_VM fills all struct pages with a pattern at boot. Faults are for tests to inject.
kernel_config() {
	local config=$FR_TESTS/vm/config
	case $1 in
	patched | patched-old) cat "$config/host.config" ;;
	*-bench) sed '/CONFIG_DEBUG_\(VM\|LIST\)\>/d; /KUNIT/d; /CONFIG_FA\(ULT\|IL\)/d' "$config/host.config" ;;
	patched-*) cat "$config/host.config" "$config/${1#patched-}.config" ;;
	*) cat "$config/$1.config" ;;
	esac
}

# What has kernel $1 tell where its time goes.
stamps_patch() {
	case $1 in
	*-bench) echo "$FR_STAMPS" ;;
	kho) echo "$FR_KHO_STAMPS" ;;
	esac
}

# What is applied to the pristine sources of kernel $1.
kernel_patches() {
	case $1 in patched*) series_patches ;; esac
	stamps_patch "$1"
}

# The real package behind a meta package of the distribution.
stock_package() {
	local meta
	case $1 in
	stock-6.12) meta=linux-image-6.12-cloud-amd64 ;;
	stock-6.1) meta=linux-image-cloud-amd64 ;;
	*) die "no such kernel: $1" ;;
	esac
	apt-cache depends "$meta" | awk '/Depends: linux-image-/ { print $2; exit }'
}

stock_version() {
	apt-cache policy "$1" | awk '/Candidate:/ { print $2 }'
}

# The folder of kernel $1 (it need not exist yet).
kernel_dir() {
	local key version
	case $1 in
	stock-6*)
		local package
		package=$(stock_package "$1")
		[ -n "$package" ] || die "$1: not known to apt; run 'apt-get update' first"
		key="$(stock_version "$package" | tr -c 'A-Za-z0-9.\n' _)-$(sha <"$FR_TESTS/vm/config/modules")"
		;;
	*)
		version=$(source_version "$1") || return 1
		key=$({
			printf %s "$version"
			[ "$1" != patched-old ] || source_version
			kernel_patches "$1" | xargs -r cat --
			kernel_config "$1"
			gcc --version | head -n 1
		} | sha)
		;;
	esac
	echo "$FR_CACHE/kernels/$1-$key"
}

# The sources of kernel $1 as a tar archive on standard output.
source_tar() {
	case $1 in
	kho | patched-old)
		dpkg-deb --fsys-tarfile "$(source_package "$1")" |
			tar -xO "./usr/src/linux-source-$(source_base "$1").tar.xz"
		;;
	*) cat "/usr/src/linux-source-$FR_BASE.tar.xz" ;;
	esac | xz -dc
}

# A pristine source tree for kernel $1, extracted once for each version.
source_tree() {
	local version dir
	version=$(source_version "$1") || return 1
	dir=$FR_CACHE/src/$version
	if [ ! -d "$dir" ]; then
		note "extracting linux-source $version"
		rm -rf "$dir.new"
		mkdir -p "$dir.new"
		source_tar "$1" | tar -x -C "$dir.new" --strip-components=1 || die "cannot extract linux-source"
		mv "$dir.new" "$dir"
	fi
	echo "$dir"
}

# Sources and objects lie at the same place for each build, or ccache would miss.
kernel_build() {
	local name=$1 dir=$2 work=$FR_CACHE/build/$1 tree pristine
	local start=$SECONDS
	tree=$work/linux
	pristine=$(locked source source_tree "$name") || exit
	rm -rf "$work"
	mkdir -p "$work/obj" "$dir.new"
	cp -al "$pristine" "$tree"
	[[ $name != patched* || -e $FR_SERIES/series ]] || die "no series in $FR_SERIES"
	case $name in
	patched-old)
		pristine=$(locked source source_tree patched) || exit
		logged "$FR_CACHE/log/$name-merge" "$FR_TOP/kernel-patches/merge" "$tree" "$pristine"
		;;
	patched*) logged "$FR_CACHE/log/$name-apply" "$FR_TOP/kernel-patches/apply" "$tree" ;;
	esac
	# made for the pristine sources: a little fuzz is in order on the series
	local stamps
	stamps=$(stamps_patch "$name")
	[ -z "$stamps" ] ||
		logged "$FR_CACHE/log/$name-stamps" patch -d "$tree" -p1 -N --no-backup-if-mismatch -i "$stamps"
	export CCACHE_DIR=${CCACHE_DIR:-$FR_CACHE/ccache} CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1
	export KBUILD_BUILD_TIMESTAMP=0 KBUILD_BUILD_USER=tests KBUILD_BUILD_HOST=tests
	local target=alldefconfig
	case $name in guest | kho) target=allnoconfig ;; esac
	note "building kernel '$name' (log: $FR_CACHE/log/kernel-$name)"
	kernel_config "$name" >"$work/config"
	KCONFIG_ALLCONFIG=$work/config logged "$FR_CACHE/log/kernel-$name-config" \
		make -C "$tree" O="$work/obj" CC='ccache gcc' "$target"
	logged "$FR_CACHE/log/kernel-$name" \
		make -C "$tree" O="$work/obj" CC='ccache gcc' -j"$FR_JOBS" bzImage
	cp "$work/obj/arch/x86/boot/bzImage" "$dir.new/vmlinuz"
	cp "$work/obj/System.map" "$dir.new/"
	cp "$work/obj/.config" "$dir.new/config"
	# for -kernel with PVH, and as the ELF image of a test
	strip --strip-debug -o "$dir.new/vmlinux" "$work/obj/vmlinux"
	make -s -C "$tree" O="$work/obj" kernelrelease >"$dir.new/release" 2>/dev/null
	note "kernel '$name' built in $((SECONDS - start)) s"
}

kernel_unpack() {
	local name=$1 dir=$2 package tmp release
	package=$(stock_package "$name")
	tmp=$FR_CACHE/build/$name
	rm -rf "$tmp"
	mkdir -p "$tmp/root" "$dir.new/modules"
	note "fetching $package"
	(cd "$tmp" && logged "$FR_CACHE/log/$name" apt-get -q -o APT::Sandbox::User=root download "$package")
	dpkg-deb -x "$tmp"/*.deb "$tmp/root"
	cp "$tmp"/root/boot/vmlinuz-* "$dir.new/vmlinuz"
	cp "$tmp"/root/boot/config-* "$dir.new/config"
	cp "$tmp"/root/boot/System.map-* "$dir.new/System.map"
	release=$(ls "$tmp/root/lib/modules")
	echo "$release" >"$dir.new/release"
	[ -e "$tmp/root/lib/modules/$release/modules.dep" ] || /sbin/depmod -b "$tmp/root" "$release"
	local module line file
	while read -r module; do
		[[ $module && $module != \#* ]] || continue
		/sbin/modprobe -d "$tmp/root" -S "$release" --show-depends "$module" || true
	done <"$FR_TESTS/vm/config/modules" 2>/dev/null | while read -r line file _; do
		[ "$line" = insmod ] || continue
		module=$(basename "$file")
		module=${module%.xz}
		[ ! -e "$dir.new/modules/$module" ] || continue
		case $file in
		*.xz) xz -dc "$file" >"$dir.new/modules/$module" ;;
		*) cp "$file" "$dir.new/modules/$module" ;;
		esac
		echo "$module" >>"$dir.new/modules/order"
	done
	rm -rf "$tmp"
}

kernel_make() {
	local dir=$2
	if [ ! -d "$dir" ]; then
		rm -rf "$dir.new"
		mkdir -p "$dir.new"
		case $1 in
		stock-6*) kernel_unpack "$1" "$dir" ;;
		*) kernel_build "$1" "$dir" ;;
		esac
		mv "$dir.new" "$dir"
	fi
}

# Print the folder of kernel $1, after building or fetching it when it is not there.
kernel_get() {
	local dir
	dir=$(kernel_dir "$1") || return 1
	[ -d "$dir" ] || locked "$1" kernel_make "$1" "$dir" >&2 || return 1
	echo "$dir"
}

cmd_kernel() {
	local k
	for k in "${@:-${FR_KERNELS[@]}}"; do
		[ "$k" != patched ] || [ -z "${FR_PATCHED:-}" ] || continue
		kernel_get "$k" || return 1
	done
}
