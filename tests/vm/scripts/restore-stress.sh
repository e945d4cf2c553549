# SPDX-License-Identifier: GPL-2.0-or-later
# Restores while the kernel runs out of memory at one allocation after the other, while four ask for
# the same region, while they are killed, and while memory is short, compacted, plugged in and taken
# offline, and CPUs as well: each gives all of a region, or leaves it kept.

cgroup=/sys/fs/cgroup/restorer
blocks=/sys/devices/system/memory
stress=/tmp/stress # how often what was done
strains='compact cpu block hog'

meminfo() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo; }

# Pages of 4 KiB that lie beside other files': files of $1 MiB grow at the same time.
fill_scattered() {
	mib=$1
	shift
	pids=''
	for f; do
		pattern fill "/mnt/tmpfs/$f" "$FR_NONCE" $((mib << 20)) &
		pids="$pids $!"
	done
	for pid in $pids; do
		must wait "$pid"
	done
}

# Regions of 16 MiB in huge pages, each with the sections (and memory blocks) that it lies in
huge_regions() {
	kexec-fastrestart inspect --extents --json | jq -r '134217728 as $section |
		[.extents[] | select(.region | test("^h[0-9]")) | {region,
			section: range(.start_phys / $section | floor; (.start_phys + .bytes) / $section | ceil)}] |
		group_by(.region)[] | "\(.[0].region) \(map(.section) | unique | map(tostring) | join(" "))"'
}

# Those of them that are kept, and of which some section is absent ($1) or all are there: a section
# of which all is kept is not there until some of it is restored (and has no device if there was no
# memory for that).
huge_kept() {
	while read -r name sections; do
		[ "$(cat "/sys/kernel/fastrestart/regions/$name/state")" = kept ] || continue
		where=there
		for section in $sections; do
			[ -e "$blocks/memory$section" ] || grep -qx "$section" /tmp/added || where=absent
		done
		[ $where != "$1" ] || echo "$name"
	done </tmp/huge-regions
}

kept() {
	kexec-fastrestart list --json | jq -r --arg re "$1" '.regions[] |
		select(.state == "kept" and (.name | test($re))) | .name'
}

# $1 as adversity says, in directory $2, to the regions that follow
suffer() {
	adversity "$@" >/tmp/said 2>&1 || fail "adversity $*: $(cat /tmp/said)"
	say "$2: $(cat /tmp/said)"
}

# The same, but all of the regions' memory needs pages for the nodes of a page cache: none of those that there
# are is free.
suffer_without_nodes() {
	echo 1 >/sys/kernel/slab/radix_tree_node/shrink
	must pattern fill-thin /tmp/thin "$FR_NONCE" $((64 << 20))
	suffer "$@"
	# KASAN's quarantine gives back nodes whenever it likes
	! grep -q ' 0 tries failed' /tmp/said || grep -q kasan /proc/version ||
		fail "$*: no page was asked for"
	rm /tmp/thin
}

# Four at once ask for region $1; directory and number of names that they give it: $2 $3
four_at_once() {
	pids='' won=0
	for i in 1 2 3 4; do
		mkdir -p "$2/$((i % $3))"
		kexec-fastrestart restore "$1" --directory "$2/$((i % $3))" 2>/tmp/said.$i &
		pids="$pids $!"
	done
	i=0
	for pid in $pids; do
		i=$((i + 1))
		wait "$pid"
		case $? in
		0) won=$((won + 1)) ;;
		3) grep -Eq 'another restore( or release)? of it is running|restored or released already|exists' /tmp/said.$i ||
			fail "four at once: $(cat /tmp/said.$i)" ;;
		*) fail "four at once: exit status $?: $(cat /tmp/said.$i)" ;;
		esac
	done
	say "four at once: $1 $(sort /tmp/said.? | uniq -c | sed 's/ *\([0-9]*\).*region [^:]*:\([^:]*\).*/\1\2;/' | tr '\n' ' ')"
	must_equal "who got $1" $won 1
	must_equal "files of $1" "$(find "$2" -name "$1" | wc -l)" 1
	must pattern check "$(find "$2" -name "$1")" "$FR_NONCE"
}

check_and_remove() {
	# what was a hole takes a page of the pool when it is looked at; the files' own are taken over into it
	total=$(sed -n 's/HugePages_Total: *//p' /proc/meminfo)
	echo $((total + 32)) >/proc/sys/vm/nr_hugepages
	find /mnt/huge /mnt/tmpfs /mnt/thp -type f | while read -r f; do
		case $f in
		*/x*) must pattern check-holes "$f" "$FR_NONCE" ;;
		*) must pattern check "$f" "$FR_NONCE" ;;
		esac
		rm "$f"
	done
	echo 0 >/proc/sys/vm/nr_hugepages
}

# ---------------------------------------------------------------------------- what goes on

compact() { echo 1 >/proc/sys/vm/compact_memory; }

cpu() {
	set -- /sys/devices/system/cpu/cpu$((round % 3 + 1))/online
	echo 0 >"$1" || return
	echo 1 >"$1" || fail "$1: not online again"
	echo >>$stress/unplugged
}

# With KASAN that takes 16 MiB, which may not be there at the moment.
come_online() { echo online >"$1"; } 2>/dev/null

# A block that has kept memory, or the kernel's own, does not go: then another is as good.
block() {
	set -- "$blocks"/memory[0-9]*/state
	shift $((round % $#))
	timeout -s INT 2 sh -c "echo offline >$1" 2>/dev/null || return
	wait_for 60 come_online "$1" || fail "$1: not online again"
	echo >>$stress/offlined
}

# More than there is free: to swap with some of what there is. What is swapped out stays there until
# it is looked at, so that each round would find more free and swap out more, until the swap is full:
# the ballast comes back, and the rest of the swap is for a block that goes offline meanwhile.
hog() {
	size=$(($(meminfo MemFree) + 32 * 1024))
	most=$(($(meminfo MemFree) + $(meminfo SwapFree) - 256 * 1024))
	must dd if=/dev/zero of=/mnt/hog/junk bs=1M count=$(((size < most ? size : most) / 1024)) 2>/dev/null
	rm /mnt/hog/junk
	cat /mnt/hog/ballast >/dev/null
}

ram_end() { printf '%d\n' "0x$(system_ram | sed -n '$s/.*-//p')"; }
has_grown() { [ "$(ram_end)" -gt "$end" ]; }

# Do that over and over; $stress/$1 has a line for each time that it begins.
go_on_with() {
	round=0
	while [ ! -e /tmp/calm ]; do
		echo >>"$stress/$1"
		$1
		round=$((round + 1))
		usleep 100000
	done &
	echo $! >>$stress/pids
}
count() { wc -l 2>/dev/null <"$stress/$1" || echo 0; }
more_than() { [ "$(count "$1")" -gt "$2" ]; }

# Restore regions $2 ... in directory $1, one after the other, each when one of the strains has just
# begun anew.
restore_under_stress() {
	dir=$1
	shift
	for name; do
		strain=$(echo "$strains" | cut -d ' ' -f1)
		strains="${strains#* } $strain"
		wait_for 60 more_than "$strain" "$(count "$strain")" || fail "no more of $strain"
		while ! kexec-fastrestart restore "$name" --directory "$dir" 2>"/tmp/said.$name"; do
			must_equal "$name: $(cat "/tmp/said.$name")" "$(region "$name" state)" kept
			[ ! -e "$dir/$name" ] || fail "$dir/$name is left"
			echo "$name" >>$stress/refused
		done
		must pattern check "$dir/$name" "$FR_NONCE"
	done
}

case $FR_STAGE in
1)
	memory_mounts 760
	mkdir -p /mnt/thp
	mount -t tmpfs -o huge=always,size=50% none /mnt/thp
	for i in $(seq -w 0 71); do
		must pattern fill "/mnt/huge/h$i" "$FR_NONCE" $((16 << 20))
	done
	for i in $(seq -w 0 14); do
		must pattern fill-holes "/mnt/huge/x$i" "$FR_NONCE" $((16 << 20))
	done
	must pattern fill /mnt/huge/large "$FR_NONCE" $((128 << 20))
	fill_scattered 1 s0 s1 s2 s3
	fill_scattered 1 s4 s5 s6 s7
	fill_scattered 1 s8 s9 s10 s11
	fill_scattered 8 m0 m2 m3
	fill_scattered 30 m1 m4
	fill_scattered 64 b0 b1 b2 b3 b4
	for i in 0 1 2 3 4 5 6 7; do
		must pattern fill "/mnt/thp/t$i" "$FR_NONCE" $((16 << 20))
	done
	system_ram >/mnt/tmpfs/ram
	set --
	for f in /mnt/huge/* /mnt/tmpfs/* /mnt/thp/*; do
		set -- "$@" --preserve "$f"
	done
	must load_next 2 "$@"
	jump
	;;
2)
	memory_mounts
	mkdir -p /mnt/thp
	mount -t tmpfs none /mnt/thp
	echo "+memory +hugetlb" >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p $cgroup
	echo $$ >$cgroup/cgroup.procs
	echo 3 >/proc/sys/vm/drop_caches
	used=$(($(meminfo MemTotal) - $(meminfo MemFree)))

	huge_regions >/tmp/huge-regions
	: >/tmp/added
	must_equal "size of memory blocks" "$(cat $blocks/block_size_bytes)" 8000000
	say "regions with absent sections: $(huge_kept absent | wc -l), without: $(huge_kept there | wc -l)"

	# the section and the regions' pages, then pages alone
	for way in nth objects pages; do
		# shellcheck disable=SC2046 # words
		set -- $(huge_kept absent | head -n 1) $(huge_kept there | head -n 1)
		[ $# = 2 ] || fail "no section of which all is kept is left: $*"
		suffer $way /mnt/huge "$@"
		grep "^$1 " /tmp/huge-regions | cut -d ' ' -f 2- | tr ' ' '\n' >>/tmp/added
		# shellcheck disable=SC2046
		suffer $way /mnt/huge $(huge_kept there | head -n 5)
	done
	# shellcheck disable=SC2046
	suffer nth /mnt/huge $(kept '^x' | head -n 12)
	suffer objects /mnt/huge "$(kept '^x' | head -n 1)"
	suffer nth /mnt/tmpfs s0 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11
	suffer objects /mnt/tmpfs m0
	suffer_without_nodes pages /mnt/tmpfs m1
	suffer nth /mnt/tmpfs t0 t1 t2
	suffer objects /mnt/tmpfs t3
	suffer objects-of-all /mnt/tmpfs b0
	suffer_without_nodes pages-of-all /mnt/tmpfs b4
	suffer kill /mnt/tmpfs b1
	suffer kill /mnt/huge large
	! dmesg | grep 'cannot show' || fail "restored, but not shown as RAM"
	check_and_remove

	four_at_once b2 /mnt/tmpfs 4
	four_at_once "$(huge_kept absent | head -n 1)" /mnt/huge 1
	four_at_once "$(huge_kept there | head -n 1)" /mnt/huge 4
	four_at_once t4 /mnt/tmpfs 1

	mkdir -p /mnt/hog $stress
	mount -t tmpfs -o size=100% none /mnt/hog
	must mkswap /dev/vdc
	must swapon /dev/vdc
	# 6.12.y counts a CPU's fair server as a task, and warns when one goes offline with it
	for server in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do
		echo 0 >"$server" || fail "$server cannot be stopped"
	done
	# leave little free
	must fallocate -l $(($(meminfo MemFree) / 1024 - 96 << 20)) /mnt/hog/ballast
	end=$(ram_end)
	say "plug a DIMM in"
	for strain in $strains; do
		go_on_with "$strain"
	done
	# shellcheck disable=SC2046
	restore_under_stress /mnt/huge $(huge_kept absent | head -n 4) $(huge_kept there | head -n 4) &
	pids=$!
	# shellcheck disable=SC2046
	restore_under_stress /mnt/tmpfs $(kept '^[bmt]' | head -n 8) &
	must wait $pids
	must wait $!
	must kexec-fastrestart restore --all
	wait_for 60 has_grown || fail "no DIMM was plugged in"
	: >/tmp/calm
	# shellcheck disable=SC2046
	wait $(cat $stress/pids)
	say "under stress: kept for now $(count refused), $(for strain in $strains offlined unplugged; do
		echo "$strain $(count "$strain"), "
	done | tr -d '\n')$(grep pswp /proc/vmstat | tr '\n' ' ')"
	[ "$(count offlined)" -gt 0 ] || fail "no memory block went offline"
	[ "$(count unplugged)" -gt 0 ] || fail "no CPU went offline"
	[ "$(sed -n 's/^pswpout //p' /proc/vmstat)" -gt 0 ] || fail "nothing was swapped out"
	must_equal "regions that are still kept" "$(kept .)" ''
	umount /mnt/hog
	swapoff /dev/vdc
	must_equal "CPUs" "$(cat /sys/devices/system/cpu/online)" 0-3
	ram=$(sed '$d' /mnt/tmpfs/ram)
	rm /mnt/tmpfs/ram
	check_and_remove

	# nothing is lost, nothing is still charged; of the RAM, the last is the DIMMs'
	must_equal RAM "$(system_ram | sed '$d')" "$ram"
	must_equal "huge pages" "$(cat /proc/sys/vm/nr_hugepages)" 0
	must_equal "huge pages that are charged" "$(cat $cgroup/hugetlb.2MB.current)" 0
	charged=$(sed -n 's/^shmem //p' $cgroup/memory.stat)
	[ "$charged" -lt 1000000 ] || fail "still charged: $charged bytes of shared memory"
	echo 3 >/proc/sys/vm/drop_caches
	say "$used kB were in use, $(($(meminfo MemTotal) - $(meminfo MemFree))) kB are"
	done_ok
	;;
esac
