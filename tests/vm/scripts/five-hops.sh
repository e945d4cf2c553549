# SPDX-License-Identifier: GPL-2.0-or-later
# Five hops in a row, or as many as fr.hops= says.  After each one the digests are right, and
# once all is restored the RAM, what nodes and zones have of it, and the limits that derive from it
# are those of the cold boot.
#
# With fr.load, memory is written, compacted and reclaimed all the time: before load, while exec
# prepares, and while the next kernel restores.  With a guest (--guest) that goes on, too.
hops=$(arg hops)
hops=${hops:-5}
hugepages=200 vms=''
[ ! -e /payload/guest ] || hugepages=260 vms='--vm g0=/run/g0.qmp'

# With pauses: the one emulated CPU is the guest's as well.
memory_load() {
	mkdir -p /mnt/load
	must mount -t tmpfs -o size=10% none /mnt/load
	while pattern fill /mnt/load/junk "$FR_STAGE" $((24 << 20)); do
		rm /mnt/load/junk
		usleep 300000
	done &
	while echo 1 >/proc/sys/vm/compact_memory; do
		cat /usr/lib/x86_64-linux-gnu/libc.so* >/dev/null
		echo 3 >/proc/sys/vm/drop_caches
		usleep 500000
	done &
}

if [ "$FR_STAGE" = 1 ]; then
	memory_mounts "$hugepages"
	must pattern fill /mnt/huge/data "$FR_NONCE" $((300 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((150 << 20))
	system_ram >/mnt/tmpfs/ram
	zones >/mnt/tmpfs/zones
	blocks >/mnt/tmpfs/blocks
	limits >/mnt/tmpfs/limits
	tables >/mnt/tmpfs/tables
	mem_total >/mnt/tmpfs/total
	[ -z "$vms" ] || guest_boots g0 /mnt/huge/g0 96
	echo 0 >/proc/sys/vm/nr_hugepages
	! grep -q fr.load /proc/cmdline || memory_load
else
	must_equal hop "$(status hop)" $((FR_STAGE - 1))
	# the initramfs has the initrd's own pages
	(cd /tmp && cpio -id bin/busybox </payload/kernel/next.initrd 2>/dev/null)
	must cmp /tmp/bin/busybox /bin/busybox
	freed=$(dmesg | sed -n 's/.*Freeing initrd memory: \([0-9]*\)K.*/\1/p')
	say "freed of the initrd: $freed kB"
	[ "$freed" -lt 500 ] || fail "the initramfs was copied"
	# the guest's holes need pages
	memory_mounts $((${#vms} ? 32 : 0))
	! grep -q fr.load /proc/cmdline || memory_load
	# of a section that has kept memory, only that is missing
	before=$(mem_total) kept=$(status kept_bytes)
	must kexec-fastrestart restore --all
	must pattern check /mnt/huge/data "$FR_NONCE"
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	must_equal RAM "$(system_ram)" "$(cat /mnt/tmpfs/ram)"
	must_equal zones "$(zones)" "$(cat /mnt/tmpfs/zones)"
	must_equal blocks "$(blocks)" "$(cat /mnt/tmpfs/blocks)"
	# KASAN takes an eighth of RAM for its shadow, and only what is taken at boot is missing in the numbers
	case $(uname -r) in
	*kasan*) percent=5 ;;
	*) percent=1 ;;
	esac
	must_be_near limits "$(limits)" "$(cat /mnt/tmpfs/limits)" "$percent"
	must_equal "hash tables" "$(tables)" "$(cat /mnt/tmpfs/tables)"
	say "MemTotal $(mem_total) kB, after the cold boot $(cat /mnt/tmpfs/total) kB"
	must_be_near MemTotal "$(mem_total)" "$(cat /mnt/tmpfs/total)" "$percent"
	must_be_near "MemTotal before the restore, with what was kept" \
		"$((before + (kept >> 10)))" "$(cat /mnt/tmpfs/total)" "$percent"
	[ -z "$vms" ] || guest_counts g0
fi
if [ "$FR_STAGE" -gt "$hops" ]; then
	[ -z "$vms" ] || guest_verified g0
	done_ok
fi
# shellcheck disable=SC2086 # words
must load_next $((FR_STAGE + 1)) --digest --preserve /mnt/huge/data,name=huge \
	--preserve /mnt/tmpfs/data,name=shmem --preserve /mnt/tmpfs/ram \
	--preserve /mnt/tmpfs/zones --preserve /mnt/tmpfs/blocks \
	--preserve /mnt/tmpfs/limits --preserve /mnt/tmpfs/tables --preserve /mnt/tmpfs/total $vms
# every second time kexec copies the image, as where no huge pages can be had
[ $((FR_STAGE % 2)) = 1 ] || jump --no-in-place
jump
