# SPDX-License-Identifier: GPL-2.0-or-later
# Huge pages of 2 MiB and of 1 GiB in one hop, on several mounts with limits and reservations of their own,
# charged to the cgroups of whoever restores them.

pages=/sys/kernel/mm/hugepages
cgroup=/sys/fs/cgroup/restorer

# must_count SIZE TOTAL FREE RESERVED SURPLUS: of huge pages
must_count() {
	must_equal "pages of $1 (total, free, reserved, surplus)" "$(cd $pages/hugepages-"$1" &&
		cat nr_hugepages free_hugepages resv_hugepages surplus_hugepages | tr '\n' ' ')" "$2 $3 $4 $5 "
}
# Run a command in the cgroup.
in_cgroup() {
	sh -c 'echo 0 >'"$cgroup"'/cgroup.procs; exec "$@"' sh "$@"
}
# The next kernel reserves none at boot.
load_without_pages() {
	kexec-fastrestart load --kernel /payload/kernel/next.vmlinuz --initrd /payload/kernel/next.initrd \
		--append "$(cmdline_for 2 | sed 's/hugepage[^ ]* *//g')" "$@"
}
still_kept() { must_equal "$1: state" "$(region "$1" state)" kept; }
# The cgroup may have $1 bytes in pages of 2 MiB, which is less than a restore of $2 takes.
must_exceed() {
	echo "$1" >$cgroup/hugetlb.2MB.max
	must_fail 1 in_cgroup kexec-fastrestart restore "$2"
	still_kept "$2"
	echo max >$cgroup/hugetlb.2MB.max
}

case $FR_STAGE in
1)
	memory_mounts 80
	mkdir -p /mnt/huge1G /mnt/limited /mnt/reserved
	must_count 1048576kB 1 1 0 0
	mount -t hugetlbfs -o pagesize=1G none /mnt/huge1G
	mount -t hugetlbfs -o pagesize=2M,size=32M,min_size=16M none /mnt/limited
	mount -t hugetlbfs -o pagesize=2M none /mnt/reserved
	must pattern fill /mnt/reserved/reserved "$FR_NONCE" $((80 << 20))
	must pattern fill /mnt/huge/two "$FR_NONCE" $((32 << 20))
	must pattern fill /mnt/limited/limited "$FR_NONCE" $((24 << 20))
	# a page between two holes
	must truncate -s 3G /mnt/huge1G/one
	must pattern fill /mnt/huge1G/one "$FR_NONCE" $((64 << 20)) $((1 << 30))
	must pattern fill /mnt/tmpfs/small "$FR_NONCE" $((8 << 20))
	must load_without_pages --preserve /mnt/huge/two --preserve /mnt/huge1G/one \
		--preserve /mnt/limited/limited --preserve /mnt/reserved/reserved --preserve /mnt/tmpfs/small
	must_equal "page sizes" "$(load_without_pages --dry-run --force --json --preserve /mnt/huge/two \
		--preserve /mnt/huge1G/one | jq -c '[.regions[].page_bytes]')" '[2097152,1073741824]'
	jump
	;;
2)
	memory_mounts 20
	mkdir -p /mnt/huge1G /mnt/limited /mnt/reserved $cgroup
	echo "+memory +hugetlb" >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $cgroup

	# of another page size
	must_fail 3 kexec-fastrestart restore one --directory /mnt/huge
	must_fail 3 kexec-fastrestart restore one
	still_kept one
	mount -t hugetlbfs -o pagesize=1G none /mnt/huge1G
	must_fail 3 kexec-fastrestart restore two --directory /mnt/huge1G
	still_kept two

	# what the cgroup may not have, it does not get
	must_exceed 16M two
	must_equal "charged" "$(cat $cgroup/hugetlb.2MB.current)" 0
	must_count 2048kB 20 20 0 0
	must in_cgroup kexec-fastrestart restore two one small
	must_equal "charged, 2 MiB" "$(cat $cgroup/hugetlb.2MB.current)" $((32 << 20))
	must_equal "charged, 1 GiB" "$(cat $cgroup/hugetlb.1GB.current)" $((1 << 30))
	[ "$(cat $cgroup/memory.current)" -ge $((8 << 20)) ] || fail "charged: $(cat $cgroup/memory.current)"
	must_count 2048kB 36 20 0 16
	must_count 1048576kB 1 0 0 1

	# limits of a mount
	mount -t hugetlbfs -o pagesize=2M,size=16M none /mnt/limited
	must_fail 1 kexec-fastrestart restore limited
	still_kept limited
	umount /mnt/limited
	# and its reservation, which a file that comes back makes use of
	mount -t hugetlbfs -o pagesize=2M,size=32M,min_size=16M none /mnt/limited
	must_count 2048kB 36 20 8 16
	# also after a restore that failed when a part of it was in use
	must pattern fill /mnt/limited/other "$FR_NONCE" $((6 << 20))
	must_count 2048kB 36 17 5 16
	must_exceed 40M limited
	rm /mnt/limited/other # as many pages fewer are surplus
	must_count 2048kB 33 17 8 13
	must kexec-fastrestart restore limited
	must_count 2048kB 45 17 0 25

	# and when it failed with some of its pages adopted already, without a limit beside the reservation
	mount -t hugetlbfs -o pagesize=2M,min_size=16M none /mnt/reserved
	must pattern fill /mnt/reserved/other "$FR_NONCE" $((6 << 20))
	must_count 2048kB 45 14 5 25
	must_exceed 100M reserved
	must_count 2048kB 45 14 5 25
	must kexec-fastrestart restore reserved
	must pattern check /mnt/reserved/reserved "$FR_NONCE"
	must_count 2048kB 85 14 0 65
	# what others have left of the pool is no reservation: pages that were kept are
	must pattern fill /mnt/huge/others "$FR_NONCE" $((28 << 20))
	must_count 2048kB 85 0 0 65
	rm /mnt/reserved/reserved
	must_count 2048kB 53 8 8 33
	must pattern fill /mnt/reserved/again "$FR_NONCE" $((16 << 20))

	must pattern check /mnt/huge/two "$FR_NONCE"
	must pattern check /mnt/limited/limited "$FR_NONCE"
	must pattern check /mnt/tmpfs/small "$FR_NONCE"
	must pattern check /mnt/huge1G/one "$FR_NONCE" $((64 << 20)) $((1 << 30))
	must_equal "size of one" "$(stat -c %s /mnt/huge1G/one)" $((3 << 30))
	must_equal "MiB that one has" "$(du -m /mnt/huge1G/one | cut -f1)" 1024

	# nothing is left of them
	rm /mnt/huge/two /mnt/huge1G/one /mnt/limited/limited /mnt/reserved/* /mnt/huge/others
	must_count 2048kB 20 20 16 0
	must_count 1048576kB 0 0 0 0
	must_equal "charged, 2 MiB" "$(cat $cgroup/hugetlb.2MB.current)" 0
	must_equal "charged, 1 GiB" "$(cat $cgroup/hugetlb.1GB.current)" 0
	umount /mnt/limited
	umount /mnt/reserved
	must_count 2048kB 20 20 0 0
	done_ok
	;;
esac
