# SPDX-License-Identifier: GPL-2.0-or-later
# Huge pages whose vmemmap is optimised (HVO) are kept; undoing HVO leaves no page that is not as
# good as any, before and after the hop.
hvo=/proc/sys/vm/hugetlb_optimize_vmemmap
pool=/proc/sys/vm/nr_hugepages

# most of memory as huge pages of tmpfs, and then in parts
use_memory() {
	mkdir -p /mnt/use
	mount -t tmpfs -o size=80%,huge=always none /mnt/use || fail "tmpfs"
	must pattern fill /mnt/use/data "$FR_NONCE" $((512 << 20))
	must pattern check /mnt/use/data "$FR_NONCE"
	must truncate -s 1M /mnt/use/data
	umount /mnt/use
}

echo 1 >$hvo
case $FR_STAGE in
1)
	memory_mounts 200
	echo 100 >$pool
	must pattern fill /mnt/huge/data "$FR_NONCE" $((64 << 20))
	use_memory
	must load_next 2 --digest --preserve /mnt/huge/data,name=huge
	jump
	;;
2)
	mkdir -p /mnt/huge
	mount -t hugetlbfs -o pagesize=2M none /mnt/huge || fail "hugetlbfs"
	must kexec-fastrestart restore huge
	must pattern check /mnt/huge/data "$FR_NONCE"
	# pages that came back and optimised ones, in one pool
	echo 64 >$pool
	must rm /mnt/huge/data
	must_equal "pool" "$(cat $pool)" 64
	echo 0 >$pool
	use_memory
	done_ok
	;;
esac
