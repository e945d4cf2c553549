# SPDX-License-Identifier: GPL-2.0-or-later
# Damaged descriptors, one for each hop: the kernel boots, says what it refuses, and keeps off.
# Each damage is undone in what the kernel shows of the descriptor, and so one file makes it
# through all hops.
damages=$(wc -l </payload/damages)
damage=$(sed -n "${FR_STAGE}p" /payload/damages)

must_overwrite_free
if [ "$FR_STAGE" = 1 ]; then
	memory_mounts 64
	must pattern fill /mnt/huge/data "$FR_NONCE" $((96 << 20))
	regions="--preserve /mnt/huge/data,name=huge"
elif [ "$FR_STAGE" -le $((damages + 1)) ]; then
	said=$(cat /sys/kernel/fastrestart/status)
	say "stage $FR_STAGE: $said"
	case $said in
	refused:*) ;;
	*) fail "a damaged descriptor is $said" ;;
	esac
	dmesg | grep -i fastrestart | grep -qi refuse || fail "no word of it in the kernel's log"
	cat /sys/kernel/fastrestart/descriptor >/tmp/descriptor || fail "the descriptor is not shown"
	must_fail 5 kexec-fastrestart inspect /tmp/descriptor
	must edit-descriptor --undo /tmp/descriptor
	must kexec-fastrestart inspect /tmp/descriptor
	regions="--descriptor /tmp/descriptor"
else
	must_equal status "$(status kernel_status)" accepted
	memory_mounts
	must kexec-fastrestart restore --all
	must pattern check /mnt/huge/data "$FR_NONCE"
	done_ok
fi

# shellcheck disable=SC2086 # several words
load_next $((FR_STAGE + 1)) $regions >/tmp/said 2>&1
grep '^staged: 1 region, 96 MiB kept' /tmp/said || fail "load says: $(cat /tmp/said)"
[ -n "$damage" ] || jump
jump_damaged "$damage"
