# SPDX-License-Identifier: GPL-2.0-or-later
# Memory blocks of 2 GiB, as machines have them that reach above 64 GiB.  Holes make this one
# small.  One block belongs to two nodes; what is kept fills sections in it and at the end of
# memory, without which a kernel would choose smaller blocks.
memory=/sys/devices/system/memory
pool=/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages

# Those memory blocks that the file of region "huge" lies in, decimal
kept_blocks() {
	bytes=$(printf %d "0x$(cat $memory/block_size_bytes)")
	kexec-fastrestart inspect --extents --json |
		jq --argjson size "$bytes" '[.extents[] | select(.region == "huge") | .start_phys / $size | floor] | unique[]'
}

case $FR_STAGE in
1)
	must_equal "block size" "$(cat $memory/block_size_bytes)" 80000000
	memory_mounts
	# nearly all of its 1.5 GiB, so that some of the last section is among them
	echo 128 >/proc/sys/vm/min_free_kbytes
	echo 768 >$pool
	[ "$(cat $pool)" -gt 700 ] || fail "$(cat $pool) huge pages on node 1"
	must fallocate -l $(($(cat $pool) << 21)) /mnt/huge/data
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((50 << 20))
	zones >/mnt/tmpfs/zones
	blocks >/mnt/tmpfs/blocks
	;;
*)
	must_equal "block size" "$(cat $memory/block_size_bytes)" 80000000
	memory_mounts
	must_equal "blocks with kept memory" "$(kept_blocks | tr '\n' ' ')" "17 33 "
	for block in 17 33; do
		(echo offline >$memory/memory$block/state) 2>/dev/null && fail "block $block is offline"
	done
	must kexec-fastrestart restore --all
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	must_equal zones "$(zones)" "$(cat /mnt/tmpfs/zones)"
	must_equal blocks "$(blocks)" "$(cat /mnt/tmpfs/blocks)"
	[ "$FR_STAGE" = 2 ] || done_ok
	;;
esac
must load_next $((FR_STAGE + 1)) --preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/data,name=shmem \
	--preserve /mnt/tmpfs/zones --preserve /mnt/tmpfs/blocks
jump
