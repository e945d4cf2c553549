# SPDX-License-Identifier: GPL-2.0-or-later
# Keep one file through a hop by KHO and LUO, and tell what the next kernel spent on it.
# fr.shape is one of frames.c, or 2M for huge pages, or none for no file at all.
shape=$(arg shape)
bytes=$(arg bytes)
file=/mnt/kept/data

shmem_huge() { sed -n 's/ShmemHugePages: *\([0-9]*\) kB/\1/p' /proc/meminfo; }

keep() {
	mkdir -p /mnt/kept
	case $shape in
	2M)
		mount -t tmpfs -o size=90%,huge=always none /mnt/kept || fail tmpfs
		must frames contiguous $file "$bytes"
		must_equal "kB in huge pages" "$(shmem_huge)" $((bytes / 1024))
		;;
	*)
		mount -t tmpfs -o size=90% none /mnt/kept || fail tmpfs
		must frames "$shape" $file "$bytes"
		;;
	esac
	exec 9<>$file
	rm $file
	must luo keep <&9
	must frames extents /proc/$$/fd/9 "$bytes" >/tmp/extents
	say "VALUE extents=$(cat /tmp/extents)"
}

if [ "$FR_STAGE" = 1 ]; then
	[ "$shape" = none ] || keep
	must kexec -s -l /payload/kernel/kho.vmlinuz --initrd=/payload/kernel/kho.initrd \
		--command-line="$(cmdline_for 2)"
	kexec -e
	fail "kexec came back"
fi
[ "$shape" = none ] || must luo take frames check /proc/self/fd/0 "$bytes" >/tmp/took
# shellcheck disable=SC2046 # one word for each figure
say "VALUE $(cat /tmp/took)" $(dmesg | sed -n 's/.*bench: \([a-z]*_us=[0-9]*\)$/\1/p')
done_ok
