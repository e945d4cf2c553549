# SPDX-License-Identifier: GPL-2.0-or-later
# Files without a name, of 4 KiB and of huge pages, with holes, seals, an owner and a mode, and one that
# is swapped out for the most part: they go through two hops.

meminfo() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }

# must_refuse STATUS REGEX SOURCE
must_refuse() {
	load_next 2 --dry-run --preserve "$3" >/tmp/said 2>&1
	must_equal "status of load of $3" $? "$1"
	grep -Eq "$2" /tmp/said || fail "load of $3 says nothing like $2: $(cat /tmp/said)"
}

unnamed=/run/kexec-fastrestart/unnamed
# $1: MiB of the files that had holes, which the check of their contents fills
check_all() {
	for f in "$unnamed/4K/small" "$unnamed/2M/huge"; do
		must_equal "MiB of $f" "$(du -m "$f" | cut -f1)" "$1"
		must pattern check-holes "$f" "$FR_NONCE"
		must_equal "mode and owner of $f" "$(stat -c %a:%u:%g "$f")" 641:1000:1001
	done
	must pattern check "$unnamed/4K/gone" "$FR_NONCE"
	must pattern check-holes "$unnamed/4K/sealed" "$FR_NONCE"
	must_equal "seals of small" "$(memfd -seals $unnamed/4K/small)" 6
	must_equal "seals of sealed" "$(memfd -seals $unnamed/4K/sealed)" 63
	must_equal "mode of sealed" "$(stat -c %a $unnamed/4K/sealed)" 777
	must_equal "seals of huge" "$(memfd -seals $unnamed/2M/huge)" 13
	must pattern check-holes "$unnamed/2M/future" "$FR_NONCE"
	must_equal "seals of future" "$(memfd -seals $unnamed/2M/future)" 16
	must_equal "seals of gone" "$(memfd -seals $unnamed/4K/gone)" 1
	must pattern check /mnt/tmpfs/swapped "$FR_NONCE"
	[ "$(meminfo ShmemHugePages)" -ge 16384 ] || fail "tmpfs got no huge pages back"
}

# Have another page take the place of the file's first one.
move_away() {
	from=$(memfd -address "$(file_of "$1")")
	echo "$from" >/sys/devices/system/memory/soft_offline_page && [ "$(memfd -address "$(file_of "$1")")" != "$from" ]
}

# A process $! that has file $1 open as its standard input
hold() {
	sleep 1000000 <>"$1" &
	until [ "$(readlink "/proc/$!/fd/0")" = "$1" ]; do
		:
	done
}

case $FR_STAGE in
1)
	memory_mounts 30
	echo always >/sys/kernel/mm/transparent_hugepage/shmem_enabled
	small=$(memfd $((32 << 20)))
	huge=$(memfd $((32 << 20)) 21)
	for s in "$small" "$huge"; do
		must pattern fill-holes "$(file_of "$s")" "$FR_NONCE" $((32 << 20))
		must chmod 641 "$(file_of "$s")"
		must chown 1000:1001 "$(file_of "$s")"
	done
	[ "$(meminfo ShmemHugePages)" -ge 16384 ] || fail "tmpfs has no huge pages"
	must memfd -seal "$(file_of "$small")" 6 # against growing and shrinking
	must memfd -seal "$(file_of "$huge")" 13 # against shrinking, writing, and more seals
	future=$(memfd $((4 << 20)) 21)
	must pattern fill-holes "$(file_of "$future")" "$FR_NONCE" $((4 << 20))
	must memfd -seal "$(file_of "$future")" 16 # against more ways to write
	sealed=$(memfd $((6 << 20)))
	must pattern fill-holes "$(file_of "$sealed")" "$FR_NONCE" $((6 << 20))
	must memfd -seal "$(file_of "$sealed")" 63 # against all, another mode for execution too
	must pattern fill /mnt/tmpfs/gone "$FR_NONCE" $((5 << 20))
	hold /mnt/tmpfs/gone
	gone=pid:$!/fd:0
	rm /mnt/tmpfs/gone

	must_refuse 7 'no such process' pid:99999/fd:3
	must_refuse 7 'no such file open' "${small%:*}:77"
	must_refuse 2 'not a regular file' "${small%/*}/fd:0"

	# what another file's descriptor was at load
	other=$(memfd 4096)
	must load_next 2 --preserve "$other"
	pid=${other#pid:}
	kill -KILL "${pid%/*}"
	must_fail 7 kexec-fastrestart exec

	# swap for the most of 200 MiB and nothing else, and a host that has less than that
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir /sys/fs/cgroup/swapped
	sh -c 'echo 0 >/sys/fs/cgroup/swapped/cgroup.procs; exec pattern fill /mnt/tmpfs/swapped $0 209715200' "$FR_NONCE"
	must mkswap /dev/vdc
	must swapon /dev/vdc
	echo 180M >/sys/fs/cgroup/swapped/memory.reclaim
	[ "$(($(meminfo SwapTotal) - $(meminfo SwapFree)))" -gt 150000 ] || fail "nothing was swapped out"
	must mount -o remount,size=100% /mnt/tmpfs
	must fallocate -l $((($(meminfo MemAvailable) - 120000) << 10)) /mnt/tmpfs/filler
	must_refuse 3 '/mnt/tmpfs/swapped: .* swapped out' /mnt/tmpfs/swapped
	rm /mnt/tmpfs/filler

	must load_next 2 --force --digest --preserve "$small,name=small" --preserve "$huge,name=huge" \
		--preserve "$future,name=future" --preserve "$sealed,name=sealed" --preserve "$gone,name=gone" --preserve /mnt/tmpfs/swapped
	# pages of what exec may not write to stay where they are, too, but only for exec
	KEXEC_FASTRESTART_STOP_AT=pinned:STOP kexec-fastrestart exec &
	exec=$!
	wait_for 30 grep -q '^State:.*stopped' /proc/$exec/status || fail "exec did not stop"
	for s in "$sealed" "$huge" "$future"; do
		! move_away "$s" || fail "a page of $s, which is pinned, can be moved"
	done
	kill -TERM $exec
	kill -CONT $exec
	wait $exec
	must_equal "status of exec" $? 130
	for s in "$sealed" "$huge" "$future"; do
		must move_away "$s"
	done
	jump
	;;
2)
	memory_mounts 9 # for the holes
	must kexec-fastrestart restore --all
	check_all 16
	# as if killed between the seals and the mode
	chmod 1000 $unnamed/4K/small
	must kexec-fastrestart restore --all
	check_all 32
	# by their names for the time being, and by a descriptor
	hold "$unnamed/4K/gone"
	must load_next 3 --preserve $unnamed/4K/small --preserve $unnamed/2M/huge \
		--preserve $unnamed/2M/future --preserve $unnamed/4K/sealed --preserve pid:$!/fd:0,name=gone --preserve /mnt/tmpfs/swapped
	jump
	;;
3)
	memory_mounts 0
	# on one file system, whoever mounts it
	kexec-fastrestart restore small &
	must kexec-fastrestart restore sealed
	wait $! || fail "a restore at the same time: exit status $?"
	must_equal "file systems for small pages" "$(grep -c " $unnamed/4K " /proc/mounts)" 1
	must kexec-fastrestart restore --all
	check_all 32
	# elsewhere, if somebody wants that
	must load_next 4 --preserve $unnamed/4K/small
	jump
	;;
4)
	memory_mounts 0
	must kexec-fastrestart restore small --directory /mnt/tmpfs
	must pattern check-holes /mnt/tmpfs/small "$FR_NONCE"
	done_ok
	;;
esac
