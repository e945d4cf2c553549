# SPDX-License-Identifier: GPL-2.0-or-later
# Five hops in a row.  After each one the digests are right, and once all is restored
# the RAM and the limits that derive from it are those of the cold boot.
limits() {
	cat /proc/sys/kernel/threads-max /proc/sys/fs/file-max /proc/sys/net/ipv4/tcp_mem \
		/proc/sys/vm/min_free_kbytes
	dmesg | sed -n 's/.*\(Dentry cache\|Inode-cache\|Mount-cache\|TCP established\|UDP\).* hash table entries: \([0-9]*\).*/\1 \2/p' |
		sort -u
}
mem_total() { sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo; }

if [ "$FR_STAGE" = 1 ]; then
	memory_mounts 200
	must pattern fill /mnt/huge/data "$FR_NONCE" $((300 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((150 << 20))
	system_ram >/mnt/tmpfs/ram
	limits >/mnt/tmpfs/limits
	mem_total >/mnt/tmpfs/total
	echo 0 >/proc/sys/vm/nr_hugepages
else
	must_equal hop "$(status hop)" $((FR_STAGE - 1))
	memory_mounts
	must kexec-fastrestart restore --all
	must pattern check /mnt/huge/data "$FR_NONCE"
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	must_equal RAM "$(system_ram)" "$(cat /mnt/tmpfs/ram)"
	must_equal limits "$(limits)" "$(cat /mnt/tmpfs/limits)"
	cold=$(cat /mnt/tmpfs/total) now=$(mem_total)
	say "MemTotal $now kB, after the cold boot $cold kB"
	off=$((now > cold ? now - cold : cold - now))
	[ $((off * 200)) -lt "$cold" ] || fail "MemTotal is $now kB, after the cold boot $cold kB"
fi
[ "$FR_STAGE" -lt 6 ] || done_ok
must load_next $((FR_STAGE + 1)) --digest --preserve /mnt/huge/data,name=huge \
	--preserve /mnt/tmpfs/data,name=shmem --preserve /mnt/tmpfs/ram \
	--preserve /mnt/tmpfs/limits --preserve /mnt/tmpfs/total
jump
