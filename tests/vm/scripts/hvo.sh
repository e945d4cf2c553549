# SPDX-License-Identifier: GPL-2.0-or-later
# Huge pages whose vmemmap is optimised (HVO) are kept; undoing HVO leaves no page that is not as
# good as any, before and after the hop.
hvo=/proc/sys/vm/hugetlb_optimize_vmemmap
pool=/proc/sys/vm/nr_hugepages

# most of memory as huge pages of tmpfs, and then in parts
use_memory() {
	mkdir -p /mnt/use
	mount -t tmpfs -o size=80%,huge=always none /mnt/use || fail "tmpfs"
	must pattern fill /mnt/use/data "$FR_NONCE" $((512 << 20))
	must pattern check /mnt/use/data "$FR_NONCE"
	must truncate -s 1M /mnt/use/data
	umount /mnt/use
}

# Pages that the kernel's struct pages take
struct_pages() { awk '/^nr_memmap_/ { n += $2 } END { print n }' /proc/vmstat; }

# must_save PAGES COMMAND...: that many of them become free, seven of eight for each huge page that is optimised.
must_save() {
	saved=$1 before=$(struct_pages)
	shift
	"$@"
	must_equal "pages of struct pages that $* frees" $((before - $(struct_pages))) "$saved"
}
set_pool() { echo "$1" >$pool; }

echo 1 >$hvo
must_equal "HVO" "$(cat $hvo)" 1
case $FR_STAGE in
1)
	must_save $((200 * 7)) memory_mounts 200
	must_save $((-100 * 7)) set_pool 100
	must pattern fill /mnt/huge/data "$FR_NONCE" $((64 << 20))
	use_memory
	must load_next 2 --digest --preserve /mnt/huge/data,name=huge
	jump
	;;
2)
	mkdir -p /mnt/huge
	mount -t hugetlbfs -o pagesize=2M none /mnt/huge || fail "hugetlbfs"
	must kexec-fastrestart restore huge
	must pattern check /mnt/huge/data "$FR_NONCE"
	# pages that came back and optimised ones, in one pool
	must_save $((32 * 7)) set_pool 64
	must rm /mnt/huge/data
	must_equal "pool" "$(cat $pool)" 64
	must_save $((-32 * 7)) set_pool 0
	use_memory
	done_ok
	;;
esac
