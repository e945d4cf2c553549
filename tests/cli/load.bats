# SPDX-License-Identifier: GPL-2.0-or-later
# load: what it refuses, and what it makes of the regions that earlier hops kept.  Files of
# this machine would need its frames: they are left to tests/vm.

bats_require_minimum_version 1.5.0
load helper

setup() {
	setup_command
	fake_host
	KERNEL=$BATS_TEST_TMPDIR/kernel
	head -c 100000 /dev/zero > "$KERNEL"
	IMAGE=$BATS_TEST_TMPDIR/bzImage
	"$MKIMAGE" > "$IMAGE"
	FULL=$BATS_TEST_TMPDIR/full
	"$MKDESCRIPTOR" > "$FULL"
}

# json FILTER: of the last output
json() {
	jq -er "$1" <<< "$output"
}

must_json() {
	[[ $(json "$1") == "$2" ]] || {
		echo "$1 is '$(json "$1")', not '$2'"
		return 1
	}
}

@test "capabilities are checked first" {
	printf 'Name:\tx\nCapEff:\t0000000000000000\n' > "$ROOT/proc/self/status"
	fastrestart load --kernel /nowhere --dry-run
	check_status 8
	check_message CAP_SYS_BOOT
}

@test "kexec switched off: sysctl, limit, lockdown, not built in" {
	echo 1 > "$ROOT/proc/sys/kernel/kexec_load_disabled"
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 8
	check_message kernel.kexec_load_disabled
	echo 0 > "$ROOT/proc/sys/kernel/kexec_load_disabled"

	echo 0 > "$ROOT/proc/sys/kernel/kexec_load_limit_reboot"
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 8
	check_message kernel.kexec_load_limit_reboot
	echo -1 > "$ROOT/proc/sys/kernel/kexec_load_limit_reboot"

	mkdir -p "$ROOT/sys/kernel/security"
	echo 'none [integrity] confidentiality' > "$ROOT/sys/kernel/security/lockdown"
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 8
	check_message lockdown
	echo '[none] integrity confidentiality' > "$ROOT/sys/kernel/security/lockdown"

	rm "$ROOT/proc/sys/kernel/kexec_load_disabled"
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 3
	check_message CONFIG_KEXEC
}

@test "images that are none" {
	fastrestart load --kernel "$BATS_TEST_TMPDIR/nowhere" --dry-run
	check_status 7
	check_message nowhere
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 4
	check_message "$KERNEL"
	: > "$KERNEL"
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 4
	fastrestart load --kernel "$BATS_TEST_TMPDIR" --dry-run
	[[ $status -eq 4 || $status -eq 1 ]]
	check_message
}

@test "something staged already is not replaced without --force" {
	mkdir -p "$ROOT/run/kexec-fastrestart/staged"
	fastrestart load --kernel "$KERNEL"
	check_status 3
	check_message --force
	fastrestart load --kernel "$KERNEL" --force
	check_status 4
	fastrestart load --kernel "$KERNEL" --dry-run
	check_status 4
}

@test "exec without load" {
	fastrestart exec
	check_status 7
	check_message staged
}

@test "nothing is left behind by what was refused" {
	find "$ROOT" ! -path "*/run/kexec-fastrestart*" | sort > "$BATS_TEST_TMPDIR/before"
	fastrestart load --kernel "$KERNEL"
	check_status 4
	find "$ROOT" ! -path "*/run/kexec-fastrestart*" | sort | cmp - "$BATS_TEST_TMPDIR/before"
}

@test "a kernel without the note, and one for other versions" {
	fake_unpatched "$FULL"
	"$MKIMAGE" unpatched > "$IMAGE"
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 4
	check_message --allow-unpatched
	fastrestart load --kernel "$IMAGE" --append x --dry-run --allow-unpatched --json
	check_status 0
	must_json .plan.patched false
	must_json '[.warnings[].text | select(test("users can read the descriptor"))] | length' 1
	"$MKIMAGE" future > "$IMAGE"
	fastrestart load --kernel "$IMAGE" --append x --dry-run --allow-unpatched
	check_status 5
	check_message 'versions 2 to 3'
}

@test "a kernel that the running one cannot enter" {
	fake_unpatched "$FULL"
	printf 'flags\t\t: fpu lm la57\n' > "$ROOT/proc/cpuinfo"
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 0
	# xloadflags without those of 5-level paging
	printf '\x03' | dd of="$IMAGE" bs=1 seek=$((0x236)) conv=notrunc status=none
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 3
	check_message no5lvl
	# a UEFI host whose kernel has no runtime map
	echo 'flags		: fpu lm' > "$ROOT/proc/cpuinfo"
	printf '\x30' | dd of="$ROOT/sys/kernel/boot_params/data" bs=1 seek=$((0x1d4)) conv=notrunc status=none
	mkdir -p "$ROOT/sys/firmware/efi"
	echo 0x7e123000 > "$ROOT/sys/firmware/efi/fw_vendor"
	echo 0x7e124000 > "$ROOT/sys/firmware/efi/config_table"
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 3
	check_message runtime-map
}

@test "initrds that are none" {
	fake_unpatched "$FULL"
	fastrestart load --kernel "$IMAGE" --initrd "$BATS_TEST_TMPDIR/nowhere" --dry-run
	check_status 7
	check_message nowhere
	fastrestart load --kernel "$IMAGE" --initrd /dev/null --dry-run
	check_status 2
	check_message /dev/null
	: > "$KERNEL"
	fastrestart load --kernel "$IMAGE" --initrd "$KERNEL" --dry-run
	check_status 2
	check_message "$KERNEL"
}

@test "after a hop into an unpatched kernel everything is kept on" {
	fake_unpatched "$FULL"
	find "$ROOT" ! -path "*/run/kexec-fastrestart*" | sort > "$BATS_TEST_TMPDIR/before"
	fastrestart load --kernel "$IMAGE" --append 'root=/dev/vda quiet' --dry-run --json
	check_status 0
	must_json '[.regions[].name] | join(" ")' 'web cache carved'
	must_json .plan.kept_bytes $(((1 << 30) + 3 * 4096 + (64 << 20)))
	must_json .plan.full_sections 8
	must_json .plan.mixed_sections 1
	must_json .plan.patched true
	must_json .plan.staged false
	must_json .plan.cmdline 'root=/dev/vda quiet'
	find "$ROOT" ! -path "*/run/kexec-fastrestart*" | sort | cmp - "$BATS_TEST_TMPDIR/before"
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 0
	grep -Eq '^web +hugetlbfs +1 GiB' <<< "$output"
	grep -Eq '^Full sections: +8' <<< "$output"
}

@test "what is staged: the next hop, its blobs, for root alone" {
	fake_unpatched "$FULL"
	umask 0
	fastrestart load --kernel "$IMAGE" --initrd "$KERNEL" --reuse-cmdline
	check_status 0
	[[ ${lines[0]} == 'staged: 3 regions'* ]]
	[[ $(stat -c %a "$ROOT/run/kexec-fastrestart"{,/lock} | xargs) == '700 600' ]]
	staged=$ROOT/run/kexec-fastrestart/staged
	[[ $(stat -c %a "$staged") == 700 ]]
	[[ $(stat -c %a "$staged"/* | sort -u) == 600 ]]
	cmp "$KERNEL" "$staged/initrd"
	[[ $(< "$staged/cmdline") == *'root=/dev/vda1 ro quiet'* ]]
	fastrestart inspect --json "$staged/regions"
	must_json .descriptor.hop 4
	must_json .descriptor.boot_id 01234567-89ab-cdef-0123-456789abcdef
	must_json '.blobs | length' 2
	must_json '.ram | length' 5
	fastrestart status --json
	must_json '.status | .staged and .staged_regions == 3 and .staged_vms == 0' true

	fastrestart load --kernel "$IMAGE"
	check_status 3
	check_message --force
	fastrestart load --kernel "$IMAGE" --force
	check_status 0
	[[ ! -e $staged/initrd ]]
	grep -q 'empty command line' <<< "$stderr"
	# left by a guardian that was killed
	echo 1 > "$ROOT/sys/kernel/kexec_loaded"
	fastrestart unload
	check_message 'kexec -u'
	check_status 0
	[[ ! -e $staged ]]
}

@test "what was restored is not kept on, nor is its guest" {
	fake_patched "$FULL" web=restored cache=kept carved=released
	fake_started web
	fastrestart load --kernel "$IMAGE" --append x --json
	check_status 0
	must_json '[.regions[].name] | join(" ")' cache
	fastrestart inspect --json "$ROOT/run/kexec-fastrestart/staged/regions"
	must_json '.blobs | length' 0
}

@test "a region that is being restored" {
	fake_patched "$FULL" web=restoring
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 3
	check_message 'region web'
}

@test "nothing to keep is a warning" {
	fake_patched "$FULL" web=restored cache=restored carved=restored
	fake_started web
	fastrestart load --kernel "$IMAGE" --append x
	check_status 0
	grep -q 'nothing is kept' <<< "$stderr"
}

@test "--descriptor: after a plain kexec, what the kernel has as RAM was given back before" {
	fake_host
	hide_kept_sections
	echo 120000000-127ffffff : System RAM >> "$ROOT/proc/iomem"
	fastrestart load --kernel "$IMAGE" --append x --dry-run --json --descriptor "$FULL"
	check_status 0
	must_json '[.regions[].name] | join(" ")' 'web carved'
	fastrestart load --kernel "$IMAGE" --append x --dry-run --descriptor "$KERNEL"
	check_status 5
	check_message "$KERNEL"
	fastrestart load --kernel "$IMAGE" --append x --dry-run --descriptor "$KERNEL.no"
	check_status 7
	fake_unpatched "$FULL"
	fastrestart load --kernel "$IMAGE" --append x --dry-run --descriptor "$FULL"
	check_status 3
	check_message 'leave the option out'
}

@test "a damaged descriptor of the last hop is not passed over" {
	cp "$FULL" "$BATS_TEST_TMPDIR/good"
	printf '\x5a' | dd of="$FULL" bs=1 seek=600 conv=notrunc status=none
	fake_patched "$FULL"
	fastrestart load --kernel "$IMAGE" --append x --dry-run
	check_status 5
	check_message --force
	fastrestart load --kernel "$IMAGE" --append x --dry-run --json \
		--descriptor "$BATS_TEST_TMPDIR/good"
	check_status 0
	must_json '.regions | length' 3
}

@test "names are unique, also among what is kept already; files are named once" {
	fake_unpatched "$FULL"
	fastrestart load --kernel "$IMAGE" --preserve "$KERNEL,name=web" --dry-run
	check_status 3
	check_message 'region web'
	fastrestart load --kernel "$IMAGE" --preserve "$KERNEL,name=a" --preserve "$FULL,name=a" --dry-run
	check_status 2
	check_message 'region a'
	ln "$KERNEL" "$KERNEL.link"
	fastrestart load --kernel "$IMAGE" --preserve "$KERNEL" --preserve "$KERNEL.link" --dry-run
	check_status 2
	check_message 'same file'
	fastrestart load --kernel "$IMAGE" --vm a=/x --vm a=/y --dry-run
	check_status 2
	check_message 'VM a'
}

# The command knows version 1.
@test "a descriptor of another version is named as such, kept off and not given up" {
	local malformed=$BATS_TEST_TMPDIR/malformed version
	mkdir "$malformed"
	"${MKDESCRIPTOR%/*}/make-malformed" "$malformed"
	for version in 0 2; do
		rm -rf "$ROOT"/sys/kernel/{fastrestart,boot_params/setup_data}
		# an unpatched kernel knows of none
		fake_unpatched "$malformed/version_$version"
		fastrestart inspect
		check_status 5
		check_message "version $version"
		fastrestart load --kernel "$IMAGE" --append x --dry-run
		check_status 5
		check_message "version $version"
		# a kernel of that release has accepted it
		fake_patched "$malformed/version_$version" web=kept
		echo "$version $version" > "$ROOT/sys/kernel/fastrestart/versions"
		rm -rf "$ROOT/sys/kernel/boot_params/setup_data"
		touch "$ROOT/dev/fastrestart"
		for command in 'restore --all' 'restore web' 'release web' inspect \
			"load --kernel $IMAGE --append x --dry-run"; do
			# shellcheck disable=SC2086 # words
			fastrestart $command
			check_status 5
			check_message "version $version"
		done
		fastrestart status
		check_status 0
		[[ $stderr == *"version $version"* ]]
		# giving it up has to be said
		fastrestart load --kernel "$IMAGE" --append x --dry-run --force
		check_status 0
		[[ $stderr == *'given up'* ]]
	done
}

@test "a kernel for newer versions takes over from one for ours, and restores what we wrote" {
	fake_patched "$FULL" web=kept cache=kept carved=kept
	echo 1 3 > "$ROOT/sys/kernel/fastrestart/versions"
	fastrestart load --kernel "$IMAGE" --append x --dry-run --json
	check_status 0
	must_json '[.regions[].name] | join(" ")' 'web cache carved'
	must_json .plan.patched true
}

@test "memory blocks that a killed load has left offline: shown, and put back" {
	journal=$ROOT/run/kexec-fastrestart/offline memory=$ROOT/sys/devices/system/memory
	mkdir -p "$ROOT/run/kexec-fastrestart" "$memory"/memory{32,33,34}
	echo 8000000 > "$memory/block_size_bytes"
	tee "$memory"/memory{32,33}/state <<< offline > /dev/null
	echo online > "$memory/memory34/state"
	printf 'block %s\n' '32 kernel' '33 movable' '34 movable' > "$journal"
	fastrestart status --json
	must_json '.status | .offline_blocks == 3 and .offline_bytes == 402653184' true
	fastrestart status
	grep -q 'offline.* 3$' <<< "$output"
	fastrestart unload
	check_status 0
	[[ $(< "$memory/memory32/state") == online_kernel ]]
	[[ $(< "$memory/memory33/state") == online_movable ]]
	[[ $(< "$memory/memory34/state") == online ]]
	[[ ! -e $journal ]]
	fastrestart unload
	check_status 7
	# load itself does the same
	echo offline > "$memory/memory32/state"
	echo 'block 32 kernel' > "$journal"
	fastrestart load --kernel "$IMAGE" --append x
	check_status 0
	[[ $(< "$memory/memory32/state") == online_kernel ]]
	# what is staged may need it
	echo offline > "$memory/memory32/state"
	echo 'block 32 kernel' > "$journal"
	fastrestart load --kernel "$IMAGE" --append x --force
	check_status 0
	[[ -e $journal && $(< "$memory/memory32/state") == offline ]]
	echo 'block 32 nowhere' > "$journal"
	fastrestart unload
	check_status 1
	check_message damaged
}
