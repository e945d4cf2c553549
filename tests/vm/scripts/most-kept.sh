# SPDX-License-Identifier: GPL-2.0-or-later
# 85 % of the RAM is kept, and fills sections: at boot they are not there, yet everything is sized by
# all of the RAM, also what is a power of two.  What does not fit is refused with the numbers.

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
	pages=$(($(mem_total) * 85 / 100 / 2048))
	memory_mounts $pages
	must fallocate -l $((pages << 21)) /mnt/huge/data
	must pattern fill /mnt/huge/data "$FR_NONCE" $((32 << 20))
	must pattern fill /mnt/huge/data "$FR_NONCE" $((32 << 20)) $(((pages - 16) << 21))
	# more and more of the rest, until the next kernel has not enough; load has to say so
	# with what is left here, of which watermarks may keep more than it needs
	watermark=$(cat /proc/sys/vm/min_free_kbytes)
	echo 1024 >/proc/sys/vm/min_free_kbytes
	status=0
	for mib in 320 350 370; do
		must dd if=/dev/zero of=/mnt/tmpfs/more bs=1M count=$mib
		load_next 2 --dry-run --preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/more >/tmp/said 2>&1
		status=$?
		[ $status = 0 ] || break
	done
	tail -n 3 /tmp/said
	must_equal "status of load with $mib MiB more" $status 3
	grep -Eq 'too little clean memory: [0-9.]+ [MG]iB are left .* needs [0-9.]+ [MG]iB \(kept: [0-9.]+ GiB' /tmp/said ||
		fail "load does not say what is missing"
	must_equal staged "$(status staged)" false
	rm /mnt/tmpfs/more
	echo "$watermark" >/proc/sys/vm/min_free_kbytes
	limits >/mnt/tmpfs/limits
	tables >/mnt/tmpfs/tables
	echo $((pages * 2)) >/mnt/tmpfs/mib
	watermarks >/mnt/tmpfs/watermarks
	must load_next 2 --preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/limits \
		--preserve /mnt/tmpfs/tables --preserve /mnt/tmpfs/mib --preserve /mnt/tmpfs/watermarks
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
	size=$(stat -c %s /mnt/huge/data)
	must_equal "MiB that came back" $((size >> 20)) "$(cat /mnt/tmpfs/mib)"
	must pattern check /mnt/huge/data "$FR_NONCE" $((32 << 20)) 0
	must pattern check /mnt/huge/data "$FR_NONCE" $((32 << 20)) $((size - (32 << 20)))
	must_equal "hash tables" "$(tables)" "$(cat /mnt/tmpfs/tables)"
	must_be_near limits "$(limits)" "$(cat /mnt/tmpfs/limits)"
	# shares of zones, with the kernel in one of them
	must_be_near watermarks "$(watermarks)" "$(cat /mnt/tmpfs/watermarks)" 10
	done_ok
	;;
esac
