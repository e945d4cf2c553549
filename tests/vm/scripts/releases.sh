# SPDX-License-Identifier: GPL-2.0-or-later
# From an older release of the kernel to a newer one and back: each restores what the other handed
# over, and sees the RAM of the cold boot. One region goes through the newer one untouched.
keep='--digest --preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/data,name=shmem
	--preserve /mnt/tmpfs/release --preserve /mnt/tmpfs/ram'

restored() {
	memory_mounts 0
	must_equal status "$(status kernel_status)" accepted
	must_equal hop "$(status hop)" $((FR_STAGE - 1))
	must kexec-fastrestart restore "$@"
	must pattern check /mnt/huge/data "$FR_NONCE"
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
}

case $FR_STAGE in
1)
	memory_mounts 150
	must pattern fill /mnt/huge/data "$FR_NONCE" $((200 << 20))
	must pattern fill /mnt/huge/later "$FR_NONCE" $((80 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((150 << 20))
	uname -r >/mnt/tmpfs/release
	system_ram >/mnt/tmpfs/ram
	# shellcheck disable=SC2086 # words
	must load_next 2 $keep --preserve /mnt/huge/later
	jump
	;;
2)
	restored huge shmem release ram
	[ "$(uname -r)" != "$(cat /mnt/tmpfs/release)" ] || fail "both kernels are $(uname -r)"
	must_equal "later's state" "$(region later state)" kept
	# shellcheck disable=SC2086 # words
	must load_next 3 --kernel /payload/kernel/patched-old.vmlinuz \
		--initrd /payload/kernel/patched-old.initrd $keep
	jump
	;;
3)
	restored --all
	must pattern check /mnt/huge/later "$FR_NONCE"
	must_equal release "$(uname -r)" "$(cat /mnt/tmpfs/release)"
	must_equal RAM "$(system_ram)" "$(cat /mnt/tmpfs/ram)"
	done_ok
	;;
esac
