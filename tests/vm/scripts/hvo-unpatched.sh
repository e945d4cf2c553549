# SPDX-License-Identifier: GPL-2.0-or-later
# A kernel that damages huge pages when it undoes the optimisation of their vmemmap (HVO): exec undoes
# none, and refuses rather than that.
pages=/sys/kernel/mm/hugepages/hugepages-2048kB
pool=/proc/sys/vm/nr_hugepages

# The administrator allows that many surplus pages, and there are none.
overcommit=5

# must_count TOTAL FREE: pages of the pool; none is surplus, and the limit is as it was
must_count() {
	must_equal "pages (total, free, surplus, limit of surplus)" "$(cd $pages &&
		cat nr_hugepages free_hugepages surplus_hugepages nr_overcommit_hugepages | tr '\n' ' ')" "$1 $2 0 $overcommit "
}
# must_give_back STAGE SIGNAL TOTAL FREE WARNINGS: exec gives up where it has all that it takes from the
# pool, or its guardian does, and all of it is back; it has warned so often that the kernel would be copied.
must_give_back() {
	exec_held_at "$1" 2>/run/why
	must_equal "limit of surplus pages at $1" "$(cat $pages/nr_overcommit_hugepages)" 0
	kill "-$2" "$exec"
	kill -CONT "$exec"
	wait "$exec"
	wait_for 20 exec_gone || fail "exec or its guardian is still there"
	must_count "$3" "$4"
	must_equal "warnings" "$(grep -c 'kexec copies the image' /run/why)" "$5"
	must_equal "loaded" "$(cat /sys/kernel/kexec_loaded)" 0
}

case $FR_STAGE in
1)
	must_equal "HVO" "$(cat /proc/sys/vm/hugetlb_optimize_vmemmap)" 1
	echo $overcommit >$pages/nr_overcommit_hugepages
	memory_mounts 32
	must pattern fill /mnt/huge/data "$FR_NONCE" $((64 << 20))
	must load_next 2 --digest --preserve /mnt/huge/data,name=huge
	# to end where it would give back what it has, if it does not refuse
	must_fail 3 env KEXEC_FASTRESTART_STOP_AT=armed:TERM kexec-fastrestart exec 2>/run/why
	say "$(cat /run/why)"
	grep -q 'vm.nr_hugepages' /run/why || fail "it was refused for another reason"
	must_count 32 0
	# enough for what exec writes last: the kernel is copied, and most pages are not used
	echo 42 >$pool
	must_give_back armed TERM 42 10 1
	# enough for all
	echo 240 >$pool
	must_give_back guardian TERM 240 208 0
	must_give_back sealed KILL 240 208 0
	jump
	;;
2)
	mkdir -p /mnt/huge
	mount -t hugetlbfs -o pagesize=2M none /mnt/huge || fail "hugetlbfs"
	must kexec-fastrestart restore huge
	must pattern check /mnt/huge/data "$FR_NONCE"
	done_ok
	;;
esac
