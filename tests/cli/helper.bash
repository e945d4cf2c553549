# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For all tests of the command: where it is, and fake hosts for it to look at.

setup_command() {
	local build=${top_builddir:-$BATS_TEST_DIRNAME/../..}
	local tools=${TOOLS_DIR:-$build/tests/unit}

	COMMAND=${COMMAND:-$build/kexec-fastrestart/kexec-fastrestart}
	MKDESCRIPTOR=$tools/mkdescriptor
	MKIMAGE=$tools/mkimage
	unset KEXEC_FASTRESTART_ROOT KEXEC_FASTRESTART_STOP_AT
	export LC_ALL=C.UTF-8
}

# The command, with what it says on standard error in $stderr.
fastrestart() {
	run --separate-stderr "$COMMAND" "$@"
}

# A message names the program, what, the object, and a remedy: at least three parts.
# shellcheck disable=SC2154
check_message() {
	local line=${stderr_lines[-1]}

	[[ $line == 'kexec-fastrestart: '*': '* ]] || {
		echo "not a message of ours: $line"
		return 1
	}
	[[ -z ${1-} || $line == *"$1"* ]] || {
		echo "no '$1' in: $line"
		return 1
	}
}

# shellcheck disable=SC2154
check_status() {
	[[ $status -eq $1 ]] || {
		printf 'exit status %s, not %s\n%s\n%s\n' "$status" "$1" "$output" "$stderr"
		return 1
	}
}

# A host with a stock kernel, on which nothing is kept; $ROOT is its root.
fake_host() {
	ROOT=$BATS_TEST_TMPDIR/root
	rm -rf "$ROOT/sys/firmware"
	mkdir -p "$ROOT"/proc/self "$ROOT"/proc/sys/kernel/random "$ROOT"/sys/kernel \
		"$ROOT"/run "$ROOT"/dev
	printf 'Name:\tx\nCapEff:\t000001ffffffffff\n' > "$ROOT/proc/self/status"
	echo 0 > "$ROOT/proc/sys/kernel/kexec_load_disabled"
	echo 01234567-89ab-cdef-0123-456789abcdef > "$ROOT/proc/sys/kernel/random/boot_id"
	echo 'BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet' > "$ROOT/proc/cmdline"
	printf 'flags\t\t: fpu lm\n' > "$ROOT/proc/cpuinfo"
	mkdir -p "$ROOT/sys/kernel/boot_params"
	head -c 4096 /dev/zero > "$ROOT/sys/kernel/boot_params/data"
	printf 'MemTotal: 8388608 kB\nHardwareCorrupted:     0 kB\n' > "$ROOT/proc/meminfo"
	printf '%s : System RAM\n' 00001000-0009efff 00100000-bfffffff 100000000-23fffffff \
		> "$ROOT/proc/iomem"
	fake_firmware_ram 0x1000 0x9efff
	fake_firmware_ram 0x100000 0xbfffffff
	fake_firmware_ram 0x100000000 0x23fffffff
	export KEXEC_FASTRESTART_ROOT=$ROOT
}

# fake_firmware_ram START END: an entry of /sys/firmware/memmap
fake_firmware_ram() {
	local entry
	local -a entries=("$ROOT"/sys/firmware/memmap/[0-9]*/)

	[[ -d ${entries[0]} ]] || entries=()
	entry=$ROOT/sys/firmware/memmap/${#entries[@]}
	mkdir -p "$entry"
	echo "$1" > "$entry/start"
	echo "$2" > "$entry/end"
	echo 'System RAM' > "$entry/type"
}

# fake_started VM [TSC]: restore has started it, and it ran on then
fake_started() {
	mkdir -p "$ROOT/run/kexec-fastrestart/vm"
	printf 'started\n%s' "${2:+resumed $2$'\n'}" > "$ROOT/run/kexec-fastrestart/vm/$1.started"
}

# What /proc/iomem says while everything in mkdescriptor's descriptor is kept.
hide_kept_sections() {
	printf '%s : System RAM\n' 00001000-0009efff 00100000-bfffffff 100000000-11fffffff \
		128000000-13fffffff 160000000-1bfffffff 1e0000000-23fffffff \
		> "$ROOT/proc/iomem"
	printf '%s : Unusable memory\n' 120000000-127ffffff 140000000-15fffffff 1c0000000-1dfffffff \
		>> "$ROOT/proc/iomem"
}

# The same after a hop into an unpatched kernel: the descriptor is in setup_data.
fake_unpatched() {
	local data=$1

	fake_host
	mkdir -p "$ROOT"/sys/kernel/boot_params/setup_data/{0,1}
	echo 0x9 > "$ROOT/sys/kernel/boot_params/setup_data/0/type"
	echo seed > "$ROOT/sys/kernel/boot_params/setup_data/0/data"
	hide_kept_sections
	echo 0xc6525354 > "$ROOT/sys/kernel/boot_params/setup_data/1/type"
	cp "$data" "$ROOT/sys/kernel/boot_params/setup_data/1/data"
}

# After a hop into a patched kernel, which has accepted it: NAME=STATE...
fake_patched() {
	local data=$1 base region

	shift
	fake_host
	hide_kept_sections
	base=$ROOT/sys/kernel/fastrestart
	mkdir -p "$base/regions"
	echo 1 1 > "$base/versions"
	echo accepted > "$base/status"
	cp "$data" "$base/descriptor"
	for region in "$@"; do
		mkdir "$base/regions/${region%=*}"
		echo "${region#*=}" > "$base/regions/${region%=*}/state"
	done
}
