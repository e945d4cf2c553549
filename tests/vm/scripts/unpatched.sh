# SPDX-License-Identifier: GPL-2.0-or-later
# Through a kernel without the patches and back; then a plain kexec of kexec-tools
# while something is kept.
case $FR_STAGE in
1)
	memory_mounts 200
	must pattern fill /mnt/huge/data "$FR_NONCE" $((300 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((40 << 20))
	guest_boots g0 /mnt/huge/g0 64
	stock=/payload/kernel/stock-6.12
	must_fail 4 kexec-fastrestart load --kernel $stock.vmlinuz --initrd $stock.initrd \
		--append "$(cmdline_for 2)" --preserve /mnt/huge/data,name=huge
	must kexec-fastrestart load --kernel $stock.vmlinuz --initrd $stock.initrd \
		--append "$(cmdline_for 2)" --allow-unpatched --digest \
		--preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/data,name=shmem \
		--vm g0=/run/g0.qmp
	jump
	;;
2)
	[ ! -e /sys/kernel/fastrestart ] || fail "this kernel is patched"
	must_overwrite_free
	kexec-fastrestart list
	must_equal "huge's state" "$(region huge state)" kept
	must_fail 3 kexec-fastrestart restore huge
	must load_next 3
	jump
	;;
3)
	must_equal status "$(status kernel_status)" accepted
	memory_mounts 32
	must kexec-fastrestart restore huge g0
	must pattern check /mnt/huge/data "$FR_NONCE"
	guest_counts g0
	guest_verified g0
	qmp g0 '{"execute":"quit"}' >/dev/null
	must_equal "shmem's state" "$(region shmem state)" kept
	# the descriptor does not come along, so it is saved where the next stage finds it
	mkdir -p /tmp/saved
	kexec-fastrestart inspect --raw >/tmp/saved/descriptor
	must kexec-fastrestart inspect /tmp/saved/descriptor
	{
		cat /payload/kernel/next.initrd
		(cd /tmp/saved && echo descriptor | cpio -o -H newc)
	} >/tmp/initrd
	must kexec -l /payload/kernel/next.vmlinuz --initrd=/tmp/initrd \
		--command-line="$(cmdline_for 4)"
	say "plain kexec from stage 3"
	kexec -e
	fail "kexec -e came back"
	;;
4)
	must_equal status "$(status kernel_status)" none
	must_overwrite_free
	must load_next 5 --descriptor /descriptor
	jump
	;;
5)
	must_equal "shmem's state" "$(region shmem state)" kept
	memory_mounts 32
	must kexec-fastrestart restore --all
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	done_ok
	;;
esac
