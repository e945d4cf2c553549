# SPDX-License-Identifier: GPL-2.0-or-later
# Memory blocks of 2 GiB, as machines have them that reach above 64 GiB.  Holes make this one
# small.  One block belongs to two nodes; what is kept fills sections in it and the last one
# of all memory: without that, and as long as a kernel lacks the patches, blocks are smaller.
block_size=/sys/devices/system/memory/block_size_bytes
end=0x1100000000
section=0x8000000
keep="--preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/data,name=shmem"
keep="$keep --preserve /mnt/tmpfs/zones --preserve /mnt/tmpfs/blocks"

case $FR_STAGE in
1)
	must_equal "block size" "$(cat $block_size)" 80000000
	memory_mounts
	mount -o remount,mpol=bind:0 /mnt/tmpfs
	# nearly all of the second node's 1.5 GiB
	echo 128 >/proc/sys/vm/min_free_kbytes
	pool=/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages
	echo 768 >$pool
	[ "$(cat $pool)" -gt 680 ] || fail "$(cat $pool) huge pages on node 1"
	must fallocate -l $(($(cat $pool) << 21)) /mnt/huge/data
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((50 << 20))
	zones >/mnt/tmpfs/zones
	blocks >/mnt/tmpfs/blocks
	stock=/payload/kernel/stock-6.12
	# shellcheck disable=SC2086 # words
	must kexec-fastrestart load --kernel $stock.vmlinuz --initrd $stock.initrd \
		--append "$(cmdline_for 2)" --allow-unpatched $keep
	jump
	;;
2)
	# shellcheck disable=SC2046 # words
	must load_next 3 $(rest_of huge $((end - section)) $((section >> 21)))
	jump
	;;
3)
	last=0x$(sed -n 's/ *\([0-9a-f]*\)-.* : System RAM.*/\1/p' /proc/iomem | tail -n 1)
	[ $((last)) -lt $((end - section)) ] || fail "the last section is not kept as a whole"
	memory_mounts
	must kexec-fastrestart restore huge shmem zones blocks
	release_rest
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	must_equal zones "$(zones)" "$(cat /mnt/tmpfs/zones)"
	must_equal blocks "$(blocks)" "$(cat /mnt/tmpfs/blocks)"
	done_ok
	;;
esac
