# SPDX-License-Identifier: GPL-2.0-or-later
# Keep one file through several hops, restore it after each, and report what that took, by the
# kernel's clock.  fr.shape is one of frames.c, a size of huge pages, or "spread": one page of
# 2 MiB in each 128 MiB.
#
# On the outer machine, memory that nobody has touched yet costs a page fault. A real one's is
# just there: the first restore, and with it the first life of these kernels, does not count, and
# each restore comes after a touch of what the page allocator hands out next.
shape=$(arg shape)
bytes=$(arg bytes)
hops=$(arg hops)
file=/mnt/kept/data

mkdir -p /mnt/kept
case $shape in
2M | spread) page=2097152 ;;
1G) page=1073741824 ;;
*) page=4096 ;;
esac
if [ $page = 4096 ]; then
	mount -t tmpfs -o size=90% none /mnt/kept || fail tmpfs
else
	mount -t hugetlbfs -o pagesize=$page none /mnt/kept || fail hugetlbfs
fi

hugepages=/sys/kernel/mm/hugepages/hugepages-$((page / 1024))kB/nr_hugepages
pool() {
	echo "$1" >$hugepages
	must_equal "huge pages" "$(cat $hugepages)" "$1"
}

# The pool is allocated in the order of addresses, untouched; pages are taken from it and freed at
# the same end. What it leaves is what the next kernels will boot in, and have struct pages in.
spread() {
	of=$((bytes / page))
	got=0
	pool $of
	left=$(sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	echo $((of + left * 1024 / page - 512)) >$hugepages
	must fallocate -l $((($(cat $hugepages) - of) * page)) $file
	rm $file
	pool $of
	while [ $of -gt 0 ]; do
		must fallocate -o $((got * page)) -l $page $file
		got=$((got + 1))
		of=$((of - 64))
		pool $((of + got))
	done
}

# warm_up BYTES: touch what the page allocator hands out next.
warm_up() {
	mkdir -p /mnt/warm
	mount -t hugetlbfs -o pagesize=2M none /mnt/warm || fail hugetlbfs
	echo $(($1 / 2097152)) >/proc/sys/vm/nr_hugepages
	must fallocate -l "$1" /mnt/warm/data
	umount /mnt/warm
	echo 0 >/proc/sys/vm/nr_hugepages
}

# phase STAMP: what ended with it, in microseconds.
phase() {
	kexec-fastrestart report --json |
		jq --arg s "$1" '[.phases[] | select(.until == $s) | .us] | add // 0'
}

if [ "$FR_STAGE" = 1 ]; then
	case $shape in
	spread) spread ;;
	2M | 1G)
		pool $((bytes / page))
		must fallocate -l "$bytes" $file
		;;
	*) must frames "$shape" $file "$bytes" ;;
	esac
else
	warm_up 1073741824
	must kexec-fastrestart restore data
	region=/sys/kernel/fastrestart/regions/data
	[ "$FR_STAGE" = 2 ] || say "VALUE add_us=$(cat $region/add_us) insert_us=$(cat $region/insert_us)" \
		"mixed_us=$(phase sections_end) copy_us=$(phase sections_begin)" \
		"restore_us=$(phase restored)" \
		"extents=$(kexec-fastrestart inspect --json | jq '.regions[0].extents')"
	[ $page != 4096 ] || must frames check $file "$bytes"
fi
[ "$FR_STAGE" -le $((hops + 1)) ] || done_ok
must load_next $((FR_STAGE + 1)) --preserve $file,name=data
jump
