# SPDX-License-Identifier: GPL-2.0-or-later
# A UEFI host with a crash kernel and with memory that breaks: firmware's runtime services work
# after hops, crash kernels are loaded all the time and find what is not kept, and broken pages
# stay out of use.

paging() { grep -ow la57 /proc/cpuinfo | sort -u; }

# The physical address of a page, in a region that was handed over
address_in() {
	kexec-fastrestart inspect --extents --json |
		jq -r --arg r "$1" '[.extents[] | select(.region == $r)][0].start_phys'
}

# The address of a page in the midst of the largest piece of one
address_amid() {
	kexec-fastrestart inspect --extents --json | jq -r --arg r "$1" '[.extents[] | select(.region == $r)] |
		max_by(.bytes) | .start_phys + (.bytes / 8192 | floor) * 4096'
}

break_page() { echo "$1" >/sys/devices/system/memory/hard_offline_page; }

# Each is marked (KPF_HWPOISON), and not free (KPF_BUDDY); and there are no others.
must_be_broken() {
	for address; do
		flags=$(dd if=/proc/kpageflags bs=8 skip=$((address >> 12)) count=1 2>/dev/null | od -An -tu8)
		must_equal "flags 19 and 10 of the page at $address" "$((flags >> 19 & 1)) $((flags >> 10 & 1))" "1 0"
	done
	must_equal "broken memory" "$(sed -n 's/HardwareCorrupted: *//p' /proc/meminfo)" "$(($# * 4)) kB"
}

# A crash kernel, with $1 for its command line
load_crash_kernel() {
	must kexec -s -p /payload/kernel/next.vmlinuz --initrd=/payload/kernel/next.initrd \
		--command-line="$(cmdline_for 9) $1"
	must_equal "crash kernels" "$(cat /sys/kernel/kexec_crash_loaded)" 1
}

# What the crash kernel was told of the crashed one's memory: start and size, hexadecimal
vmcore_ranges() {
	# 64 bytes of header, which say how many program headers of 56 bytes follow
	headers=$(od -An -v -tu2 -j56 -N2 /proc/vmcore)
	od -An -v -tx8 -w56 -j64 -N$((headers * 56)) /proc/vmcore |
		while read -r type _ _ start _ size _; do
			[ "${type#????????}" != 00000001 ] || echo "$start $size"
		done
}

# vmcore_has ADDRESS: is that byte of physical memory in the dump?
vmcore_has() {
	vmcore_ranges | {
		found=1
		while read -r start size; do
			if [ $(($1)) -ge $((0x$start)) ] && [ $(($1)) -lt $((0x$start + 0x$size)) ]; then
				found=0
			fi
		done
		return $found
	}
}

efi_variables() {
	mkdir -p /run/efivars
	mount -t efivarfs none /run/efivars || fail "no EFI variables"
}

variable=/run/efivars/FastRestart-5a5bd70f-9fc4-4ac3-a1a4-0e7bbb8d6b33
keep="--preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/notes,name=notes"
case $FR_STAGE in
1)
	[ -e /sys/firmware/efi/runtime-map/0 ] || fail "no UEFI"
	# else there is only one number of levels to come back with
	! grep -q 'QEMU TCG' /proc/cpuinfo || grep -qw no5lvl /proc/cmdline ||
		must_equal "paging levels" "$(paging)" la57
	memory_mounts 100
	must pattern fill /mnt/huge/data "$FR_NONCE" $((100 << 20))
	must pattern fill /mnt/tmpfs/shmem "$FR_NONCE" $((40 << 20))
	must pattern fill /mnt/tmpfs/junk "$FR_NONCE" $((20 << 20))
	must pattern fill /mnt/tmpfs/doomed "$FR_NONCE" $((20 << 20))
	# some page that is free
	for page in 0x171234000 0x151234000 0x131234000 0x111234000 none; do
		! break_page "$page" || break
	done
	must_be_broken "$page"
	echo "first=$page" >/mnt/tmpfs/notes
	echo "paging=$(paging)" >>/mnt/tmpfs/notes
	load_crash_kernel
	# shellcheck disable=SC2086 # words
	must load_next 2 --digest $keep --preserve /mnt/tmpfs/shmem,name=shmem \
		--preserve /mnt/tmpfs/junk,name=junk --preserve /mnt/tmpfs/doomed,name=doomed
	jump
	;;
2)
	memory_mounts
	must kexec-fastrestart restore huge notes junk
	must pattern check /mnt/huge/data "$FR_NONCE"
	# shellcheck source=/dev/null
	. /mnt/tmpfs/notes
	must_equal "paging levels" "$(paging)" "$paging"
	must_be_broken "$first"
	# one more, of memory that is not ordinary System RAM here
	second=$(address_in junk)
	rm /mnt/tmpfs/junk
	must break_page "$second"
	must_be_broken "$first" "$second"
	echo "second=$second" >>/mnt/tmpfs/notes
	efi_variables
	printf '\7\0\0\0%s' "$FR_NONCE" >$variable || fail "the EFI variable cannot be set"
	load_crash_kernel
	# shellcheck disable=SC2086
	must load_next 3 --digest $keep
	jump
	;;
3)
	memory_mounts
	must_equal "shmem's state" "$(region shmem state)" kept
	load_crash_kernel
	must kexec-fastrestart restore huge notes
	must pattern check /mnt/huge/data "$FR_NONCE"
	# shellcheck source=/dev/null
	. /mnt/tmpfs/notes
	must_be_broken "$first" "$second"
	# what is kept breaks, too: it cannot come back as if nothing were
	third=$(address_in shmem)
	break_page "$third"
	must_fail 3 kexec-fastrestart restore shmem
	must_equal "shmem's state" "$(region shmem state)" kept
	must_be_broken "$first" "$second" "$third"
	# what is released is RAM again, but for a page that is broken
	fourth=$(address_amid doomed)
	break_page "$fourth"
	must_fail 3 kexec-fastrestart restore doomed
	before=$(mem_total)
	must kexec-fastrestart release doomed
	must_equal "kB of doomed that are RAM again" $(($(mem_total) - before)) $(((20 << 10) - 4))
	must_be_broken "$first" "$second" "$third" "$fourth"
	efi_variables
	must_equal "EFI variable" "$(tail -c +5 $variable)" "$FR_NONCE"
	# again, because it is told at that time what there is to dump
	load_crash_kernel "fr.in=$(address_in huge) fr.out=$(address_in shmem)"
	echo c >/proc/sysrq-trigger
	fail "no crash"
	;;
9)
	vmcore_ranges
	vmcore_has "$(arg in)" || fail "$(arg in), which was restored, is not in the dump"
	! vmcore_has "$(arg out)" || fail "$(arg out), which was kept, is in the dump"
	done_ok
	;;
esac
