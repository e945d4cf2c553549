# SPDX-License-Identifier: GPL-2.0-or-later
# Four nodes, of which the last has nothing but a DIMM that kernels find through ACPI.  It is
# kept whole, through a kernel without the patches that puts what it finds online; then all
# of its sections are kept in part.  Page tables have four levels, because of no5lvl.
nodes=/sys/devices/system/node
pool=$nodes/node3/hugepages/hugepages-2048kB/nr_hugepages
dimm=512 # MiB
late=256 # of another one, which is plugged in while a kernel runs

# Fill file $1 with $2 pages of 2 MiB on that node, or a few less if so many are not to be had:
# a debugging kernel has up to 100 bytes more for each of 4 KiB there.
fill() {
	# a watermark would keep some from being used
	echo 128 >/proc/sys/vm/min_free_kbytes
	echo "$2" >$pool
	[ "$(cat $pool)" -ge $(($2 - 12)) ] || fail "$(cat $pool) of $2 huge pages on node 3"
	must pattern fill "$1" "$FR_NONCE" $(($(cat $pool) << 21))
}

# Free MiB on that node
node_free() { awk '/MemFree/ { print int($4 / 1024) }' $nodes/node3/meminfo; }

must_be_whole() {
	! grep -qw la57 /proc/cpuinfo || fail "five levels of page tables"
	must_equal zones "$(zones)" "$(cat /mnt/tmpfs/zones)"
	must_equal blocks "$(blocks)" "$(cat /mnt/tmpfs/blocks)"
	must_be_near watermarks "$(watermarks)" "$(cat /mnt/tmpfs/watermarks)" 10
	must_equal nodes "$(cat $nodes/has_memory) $(cat $nodes/has_normal_memory)" "0-3 0-3"
	grep -qx kswapd3 /proc/[0-9]*/comm || fail "node 3 has no kswapd"
}

figures='zones blocks watermarks'
keep_figures() {
	for f in $figures; do
		$f >"/mnt/tmpfs/$f"
	done
}
preserve_figures() {
	for f in $figures; do
		echo "--preserve /mnt/tmpfs/$f"
	done
}

late_is_there() {
	[ "$(awk '/MemTotal/ { print int($4 / 1024) }' $nodes/node3/meminfo)" -gt $((dimm + late - 30)) ]
}

case $FR_STAGE in
1)
	must_equal "how DIMMs come" "$(cat /sys/devices/system/memory/auto_online_blocks)" online
	memory_mounts
	mount -o remount,mpol=bind:0 /mnt/tmpfs
	keep_figures
	fill /mnt/huge/data $((dimm / 2))
	# the last range of all
	start=0x$(sed -n 's/\([0-9a-f]*\)-.* : System RAM$/\1/p' /proc/iomem | tail -n 1)
	stock=/payload/kernel/stock-6.12
	# shellcheck disable=SC2046 # words
	must kexec-fastrestart load --kernel $stock.vmlinuz --initrd $stock.initrd \
		--append "$(cmdline_for 2) fr.dimm=$start" --allow-unpatched --digest --preserve /mnt/huge/data,name=huge \
		$(preserve_figures)
	jump
	;;
2)
	must_equal "how DIMMs come" "$(cat /sys/devices/system/memory/auto_online_blocks)" online
	must_equal "ACPI's DIMMs" "$(cat /sys/bus/acpi/devices/PNP0C80:00/status)" 15
	must_equal nodes "$(cat $nodes/online)" 0-2
	end=$(system_ram | sed -n '$s/.*-//p')
	[ $((0x$end)) -lt $(($(arg dimm))) ] || fail "some of the DIMM is RAM"
	# where the last kernel had the stacks of the node's threads
	# shellcheck disable=SC2046 # words
	must load_next 3 $(rest_of huge $(($(arg dimm))) $((dimm / 2)))
	jump
	;;
3)
	must_equal nodes "$(cat $nodes/online)" 0-2
	memory_mounts
	# shellcheck disable=SC2086 # words
	must kexec-fastrestart restore huge $figures
	release_rest
	must pattern check /mnt/huge/data "$FR_NONCE"
	must_be_whole
	rm /mnt/huge/data
	say "plug a DIMM of $late MiB in"
	wait_for 30 late_is_there || fail "no other DIMM came"
	keep_figures
	# some of each section, of both DIMMs: less than one is left
	fill /mnt/huge/more $(((dimm + late) / 2 - 50))
	# shellcheck disable=SC2046
	must load_next 4 --digest --preserve /mnt/huge/more,name=huge $(preserve_figures)
	# a block goes offline for good, and pages of the file move elsewhere: exec follows
	blocks=$(cd $nodes/node3 && echo memory[0-9]*)
	offline=$nodes/node3/${blocks%% *}/state
	echo offline >"$offline" || fail "a memory block cannot be taken offline"
	KEXEC_FASTRESTART_STOP_AT=pinned:STOP kexec-fastrestart exec &
	exec=$!
	wait_for 30 grep -q '^State:.*stopped' /proc/$exec/status || fail "exec did not stop"
	# from now on, no page of it can
	block=$nodes/node3/${blocks##* }/state
	timeout -s INT 5 sh -c "echo offline >$block"
	must_equal "block with pinned pages" "$(cat "$block")" online
	must_equal "block without pages" "$(cat "$offline")" offline
	say "jump from stage 3"
	kill -CONT $exec
	wait $exec
	fail "exec came back with status $?"
	;;
4)
	must_equal nodes "$(cat $nodes/has_memory)" 0-3
	[ "$(node_free)" -gt 80 ] || fail "node 3 has $(node_free) MiB free"
	memory_mounts
	must kexec-fastrestart restore --all
	must pattern check /mnt/huge/more "$FR_NONCE"
	must_be_whole
	# its memory is for everyone: more than the other nodes have
	rm /mnt/huge/more
	[ "$(node_free)" -gt $((dimm + late - 60)) ] || fail "node 3 has $(node_free) MiB free"
	mkdir -p /mnt/hog
	mount -t tmpfs -o size=100% none /mnt/hog
	free=$(awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo)
	must dd if=/dev/zero of=/mnt/hog/f bs=1M count=$((free - 300)) 2>/dev/null
	[ "$(node_free)" -lt $((dimm + late - 80)) ] || fail "node 3 has $(node_free) MiB free"
	done_ok
	;;
esac
