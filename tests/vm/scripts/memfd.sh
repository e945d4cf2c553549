# SPDX-License-Identifier: GPL-2.0-or-later
# Files without a name, of 4 KiB and of huge pages, with holes, seals, an owner and a mode, and one that
# is swapped out for the most part: they go through two hops.

# What is open where a source says.
file_of() { echo "$1" | sed 's|pid:\(.*\)/fd:|/proc/\1/fd/|'; }
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
	must_equal "seals of small" "$(memfd -seals $unnamed/4K/small)" 6
	must_equal "seals of huge" "$(memfd -seals $unnamed/2M/huge)" 5
	must_equal "seals of gone" "$(memfd -seals $unnamed/4K/gone)" 1
	must pattern check /mnt/tmpfs/swapped "$FR_NONCE"
	[ "$(meminfo ShmemHugePages)" -ge 16384 ] || fail "tmpfs got no huge pages back"
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
	must memfd -seal "$(file_of "$huge")" 5  # against shrinking, and more seals
	must pattern fill /mnt/tmpfs/gone "$FR_NONCE" $((5 << 20))
	hold /mnt/tmpfs/gone
	gone=pid:$!/fd:0
	rm /mnt/tmpfs/gone

	must_refuse 7 'no such process' pid:99999/fd:3
	must_refuse 7 'no such file open' "${small%:*}:77"
	must_refuse 2 'not a regular file' "${small%/*}/fd:0"
	frozen=$(memfd 4096)
	must memfd -seal "$(file_of "$frozen")" 8
	must_refuse 3 'sealed against writing' "$frozen"

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
		--preserve "$gone,name=gone" --preserve /mnt/tmpfs/swapped
	jump
	;;
2)
	memory_mounts 8 # for the holes
	must kexec-fastrestart restore --all
	check_all 16
	# by their names for the time being, and by a descriptor
	hold "$unnamed/4K/gone"
	must load_next 3 --preserve $unnamed/4K/small --preserve $unnamed/2M/huge \
		--preserve pid:$!/fd:0,name=gone --preserve /mnt/tmpfs/swapped
	jump
	;;
3)
	memory_mounts 0
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
