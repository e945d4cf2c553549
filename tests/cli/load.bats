# SPDX-License-Identifier: GPL-2.0-or-later
# load: what it refuses before it looks at any memory.  Whole plans are in tests/unit
# (captured machines) and tests/vm.

bats_require_minimum_version 1.5.0
load helper

setup() {
	setup_command
	fake_host
	KERNEL=$BATS_TEST_TMPDIR/kernel
	head -c 100000 /dev/zero > "$KERNEL"
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
	find "$ROOT" | sort > "$BATS_TEST_TMPDIR/before"
	fastrestart load --kernel "$KERNEL"
	check_status 4
	find "$ROOT" | sort | cmp - "$BATS_TEST_TMPDIR/before"
}
