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
# The cgroup may have $2 bytes of what $1 limits, which is less than a restore of $3 takes.
must_exceed() {
	echo "$2" >"$cgroup/$1"
	must_fail 1 in_cgroup kexec-fastrestart restore "$3"
	still_kept "$3"
	echo max >"$cgroup/$1"
}
must_exceed_huge() { must_exceed hugetlb.2MB.max "$@"; }
# Bytes of tmpfs that the cgroup is charged for; the kernel adds them up every two seconds.
shmem_is() { grep -qx "shmem $1" $cgroup/memory.stat; }
must_have_shmem() { wait_for 20 shmem_is "$1" || fail "$(grep '^shmem ' $cgroup/memory.stat), not $1"; }
# Three files in folder $1, in pages of 2 MiB or less: as load finds them, as exec has pinned them and
# then finds them, and what they have to be like in the end.
make_changing() {
	must pattern fill "$1/punched" "$FR_NONCE" $((6 << 20))
	must pattern fill "$1/grown" "$FR_NONCE" $((2 << 20))
	must pattern fill "$1/cut" "$FR_NONCE" $((6 << 20))
}
preserve_changing() {
	for f in punched grown cut; do
		echo "--preserve $1/$f,name=$2-$f"
	done
}
change() {
	must pattern punch "$1/punched" - $((2 << 20)) $((2 << 20))
	must pattern fill "$1/grown" "$FR_NONCE" $((4 << 20))
	must truncate -s 2M "$1/cut"
}
must_be_changed() {
	must pattern check-holes "$1/punched" "$FR_NONCE" $((6 << 20))
	must pattern check "$1/grown" "$FR_NONCE" $((4 << 20))
	must pattern check "$1/cut" "$FR_NONCE" $((2 << 20))
}
# KiB of what is there, before a look at a hole of hugetlbfs fills it
kib() { (cd "$1" && du -k punched grown cut | cut -f1 | tr '\n' ' '); }

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
	make_changing /mnt/huge
	make_changing /mnt/tmpfs
	# shellcheck disable=SC2046 # words
	must load_without_pages --preserve /mnt/huge/two --preserve /mnt/huge1G/one \
		--preserve /mnt/limited/limited --preserve /mnt/reserved/reserved --preserve /mnt/tmpfs/small \
		$(preserve_changing /mnt/huge huge) $(preserve_changing /mnt/tmpfs tmpfs)
	must_equal "page sizes" "$(load_without_pages --dry-run --force --json --preserve /mnt/huge/two \
		--preserve /mnt/huge1G/one | jq -c '[.regions[].page_bytes]')" '[2097152,1073741824]'
	exec_held_at guardian
	# exec has what was free of the pool
	echo 1000 >$pages/hugepages-2048kB/nr_overcommit_hugepages
	change /mnt/huge
	change /mnt/tmpfs
	say "jump from stage 1, with files that have changed"
	kill -CONT "$exec"
	wait "$exec"
	fail "exec came back with status $?"
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
	must_exceed_huge 16M two
	must_equal "charged" "$(cat $cgroup/hugetlb.2MB.current)" 0
	must_exceed memory.max 8M small
	must_equal "processes killed for memory" "$(sed -n 's/^oom_kill //p' $cgroup/memory.events)" 0
	must_have_shmem 0
	must_count 2048kB 20 20 0 0
	must in_cgroup kexec-fastrestart restore two one small
	must_equal "charged, 2 MiB" "$(cat $cgroup/hugetlb.2MB.current)" $((32 << 20))
	must_equal "charged, 1 GiB" "$(cat $cgroup/hugetlb.1GB.current)" $((1 << 30))
	must_have_shmem $((8 << 20))
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
	must_exceed_huge 40M limited
	rm /mnt/limited/other # as many pages fewer are surplus
	must_count 2048kB 33 17 8 13
	must kexec-fastrestart restore limited
	must_count 2048kB 45 17 0 25

	# and when it failed with some of its pages adopted already, without a limit beside the reservation
	mount -t hugetlbfs -o pagesize=2M,min_size=16M none /mnt/reserved
	must pattern fill /mnt/reserved/other "$FR_NONCE" $((6 << 20))
	must_count 2048kB 45 14 5 25
	must_exceed_huge 100M reserved
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

	# what has changed after the pin
	# shellcheck disable=SC2046 # words
	must kexec-fastrestart restore $(for f in punched grown cut; do echo huge-$f tmpfs-$f; done)
	must_equal "KiB, hugetlbfs" "$(kib /mnt/huge)" "4096 4096 2048 "
	must_equal "KiB, tmpfs" "$(kib /mnt/tmpfs)" "4096 4096 2048 "
	must_be_changed /mnt/huge
	must_be_changed /mnt/tmpfs
	done_ok
	;;
esac
