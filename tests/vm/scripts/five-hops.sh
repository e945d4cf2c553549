# SPDX-License-Identifier: GPL-2.0-or-later
# Five hops in a row.  After each one the digests are right, and once all is restored
# the RAM and the limits that derive from it are those of the cold boot.
limits() {
	cat /proc/sys/kernel/threads-max /proc/sys/fs/file-max /proc/sys/net/ipv4/tcp_mem \
		/proc/sys/vm/min_free_kbytes | tr '\n\t' '  '
}
tables() {
	dmesg | sed -n 's/.*\(Dentry cache\|Inode-cache\|Mount-cache\|TCP established\|UDP\).* hash table entries: \([0-9]*\).*/\1 \2/p' |
		sort -u
}

# must_be_near WHAT "NUMBERS" "WANTED": within 1 %, for what the kernel's own size and
# where it lies change a little from boot to boot.
must_be_near() {
	awk -v now="$2" -v cold="$3" 'BEGIN {
		n = split(now, a, " ")
		if (n != split(cold, b, " ")) exit 1
		for (i = 1; i <= n; i++)
			if ((a[i] - b[i]) * (a[i] - b[i]) * 10000 > b[i] * b[i]) exit 1
	}' || fail "$1: $2, not near $3"
}
mem_total() { sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo; }

if [ "$FR_STAGE" = 1 ]; then
	memory_mounts 200
	must pattern fill /mnt/huge/data "$FR_NONCE" $((300 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((150 << 20))
	system_ram >/mnt/tmpfs/ram
	limits >/mnt/tmpfs/limits
	tables >/mnt/tmpfs/tables
	mem_total >/mnt/tmpfs/total
	echo 0 >/proc/sys/vm/nr_hugepages
else
	must_equal hop "$(status hop)" $((FR_STAGE - 1))
	memory_mounts 0
	must kexec-fastrestart restore --all
	must pattern check /mnt/huge/data "$FR_NONCE"
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	must_equal RAM "$(system_ram)" "$(cat /mnt/tmpfs/ram)"
	must_be_near limits "$(limits)" "$(cat /mnt/tmpfs/limits)"
	must_equal "hash tables" "$(tables)" "$(cat /mnt/tmpfs/tables)"
	say "MemTotal $(mem_total) kB, after the cold boot $(cat /mnt/tmpfs/total) kB"
	must_be_near MemTotal "$(mem_total)" "$(cat /mnt/tmpfs/total)"
fi
[ "$FR_STAGE" -lt 6 ] || done_ok
must load_next $((FR_STAGE + 1)) --digest --preserve /mnt/huge/data,name=huge \
	--preserve /mnt/tmpfs/data,name=shmem --preserve /mnt/tmpfs/ram \
	--preserve /mnt/tmpfs/limits --preserve /mnt/tmpfs/tables --preserve /mnt/tmpfs/total
jump
