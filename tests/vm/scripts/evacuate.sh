# SPDX-License-Identifier: GPL-2.0-or-later
# A file with a page in nearly all of the 2 MiB that there are leaves the next kernel too little memory.
# Blocks are taken offline for it, and come back as they were: after unload, signals, kill -9 and exec.
meminfo() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }

# All that load --evacuate may change of the host, and must put back.
memory() {
	for block in /sys/devices/system/memory/memory[0-9]*; do
		echo "${block##*/} $(cat "$block/state") $(cat "$block/valid_zones")"
	done
	zones
	mem_total
	cat /proc/sys/vm/nr_hugepages
}
offline_blocks() { memory | grep -c ' offline '; }
must_be_as_before() {
	must_equal "memory after $1" "$(memory)" "$before"
	must_equal "blocks offline after $1" "$(status offline_blocks)" 0
	[ ! -e /run/kexec-fastrestart/offline ] || fail "$1 leaves a journal"
}

# The next kernel is to have $huge huge pages.
load_thin() {
	load_next 2 --append "$(cmdline_for 2) hugepages=$huge" --preserve /mnt/tmpfs/thin \
		--preserve /mnt/tmpfs/total --preserve /mnt/tmpfs/ram "$@"
}
# So many that 256 MiB lack: pages that have left a block stay where they are.
want_more() {
	huge=0
	huge=$(load_thin --evacuate --dry-run --json | jq '.plan | (.clean_bytes - .needed_bytes) / 2097152 + 128 | floor')
	say "$huge huge pages"
	[ "$huge" -gt 0 ] || fail "no plan"
}
must_evacuate() {
	must load_thin -v --evacuate
	nr=$(status offline_blocks)
	must_equal "blocks offline" "$(offline_blocks)" "$nr"
	[ "$nr" -gt 1 ] || fail "$nr blocks offline"
	must_equal "memory offline" "$(status offline_bytes)" $((nr << 27))
	must_equal "huge pages" "$(cat /proc/sys/vm/nr_hugepages)" 8
}

# evacuate_until SIGNAL: send it when the first block is about to go.
evacuate_until() {
	load_thin -v --evacuate >/tmp/said 2>&1 &
	load=$!
	wait_for 60 test -e /run/kexec-fastrestart/offline || fail "load takes nothing offline: $(cat /tmp/said)"
	pid=$(pidof kexec-fastrestart | tr ' ' '\n' | sort -n | head -n 1) # not its child
	kill "-$1" "$pid"
	wait $load
	status=$?
}

case $FR_STAGE in
1)
	memory_mounts 8
	must mount -o remount,size=100% /mnt/tmpfs
	mem_total >/mnt/tmpfs/total
	system_ram >/mnt/tmpfs/ram
	# or the kernel tidies up before load does
	echo 0 >/proc/sys/vm/compaction_proactiveness
	must pattern fill-thin /mnt/tmpfs/thin "$FR_NONCE" $((($(meminfo MemAvailable) - 60000) / 64 << 16))
	before=$(memory)
	say "$before"

	want_more
	load_thin >/tmp/said 2>&1
	must_equal "status of load" $? 3
	grep -q 'too little clean memory: .* load with --evacuate' /tmp/said || fail "$(cat /tmp/said)"
	load_thin --evacuate --dry-run >/tmp/said 2>&1
	must_equal "status of a dry run" $? 0
	grep -q 'would first take [0-9]* memory blocks offline' /tmp/said || fail "$(cat /tmp/said)"
	must_be_as_before "a dry run"

	evacuate_until TERM
	must_equal "status after SIGTERM" $status 130
	must_be_as_before SIGTERM

	want_more
	evacuate_until KILL
	[ "$(status offline_blocks)" -gt 0 ] || fail "nothing is written down"
	must kexec-fastrestart unload
	must_be_as_before "kill -9 and unload"

	# no room for a block's pages
	want_more
	must fallocate -l $(($(meminfo MemFree) - 130000 << 10)) /mnt/tmpfs/filler
	load_thin --evacuate >/tmp/said 2>&1
	must_equal "status of load without room" $? 3
	grep -q 'for [1-9][0-9]* there is no room elsewhere' /tmp/said || fail "$(cat /tmp/said)"
	must_be_as_before "a load without room"
	rm /mnt/tmpfs/filler

	must_evacuate
	must kexec-fastrestart unload
	must_be_as_before unload

	# exec takes the blocks back into use
	want_more
	must_evacuate
	must_fail 130 env KEXEC_FASTRESTART_STOP_AT=guardian:TERM kexec-fastrestart exec
	must_be_as_before exec
	must kexec-fastrestart unload

	want_more
	must_evacuate
	jump
	;;
2)
	[ "$(cat /proc/sys/vm/nr_hugepages)" -gt 128 ] || fail "$(cat /proc/sys/vm/nr_hugepages) huge pages"
	memory_mounts
	must kexec-fastrestart restore --all
	must pattern check-thin /mnt/tmpfs/thin "$FR_NONCE"
	must_equal "System RAM" "$(system_ram)" "$(cat /mnt/tmpfs/ram)"
	# of another kernel
	must_be_near MemTotal "$(mem_total)" "$(cat /mnt/tmpfs/total)" 3
	must_equal "blocks offline" "$(offline_blocks)" 0
	done_ok
	;;
esac
