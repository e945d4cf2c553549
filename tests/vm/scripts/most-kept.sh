# SPDX-License-Identifier: GPL-2.0-or-later
# More than half of the RAM is kept, and fills sections: at boot they are not there, yet
# everything is sized by all of the RAM, also what is a power of two.

# Memory blocks of which every huge page is kept, and those of them that are there.
full_blocks() {
	bytes=$(printf %d "0x$(cat /sys/devices/system/memory/block_size_bytes)")
	kexec-fastrestart inspect --extents --json | jq --argjson size "$bytes" '[.extents[] |
		select(.region == "huge") | .start_phys + range(0; .bytes; 2097152) | . / $size | floor] |
		group_by(.)[] | select(length * 2097152 == $size) | .[0]'
}
present_blocks() {
	for block; do
		[ ! -e "/sys/devices/system/memory/memory$block" ] || echo "$block"
	done
}

case $FR_STAGE in
1)
	memory_mounts 1150
	must fallocate -l $((2300 << 20)) /mnt/huge/data
	limits >/mnt/tmpfs/limits
	tables >/mnt/tmpfs/tables
	watermarks >/mnt/tmpfs/watermarks
	must load_next 2 --preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/limits \
		--preserve /mnt/tmpfs/tables --preserve /mnt/tmpfs/watermarks
	jump
	;;
2)
	memory_mounts
	full=$(full_blocks)
	[ -n "$full" ] || fail "no memory block is kept as a whole"
	# shellcheck disable=SC2086 # several words
	must_equal "memory blocks that are kept and there" "$(present_blocks $full)" ""
	must kexec-fastrestart restore --all
	# shellcheck disable=SC2086
	must_equal "memory blocks that were restored" "$(present_blocks $full)" "$full"
	must_equal "hash tables" "$(tables)" "$(cat /mnt/tmpfs/tables)"
	must_be_near limits "$(limits)" "$(cat /mnt/tmpfs/limits)"
	# shares of zones, with the kernel in one of them
	must_be_near watermarks "$(watermarks)" "$(cat /mnt/tmpfs/watermarks)" 10
	done_ok
	;;
esac
