# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# For the scripts that run in L1 (busybox sh).  A script is run anew in every
# kernel; $FR_STAGE, from the command line, says how far it is.  It ends with
# done_ok, or with a jump into the next stage; anything else is a failure.

arg() { sed -n "s/.*\bfr\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; }

FR_STAGE=$(arg stage)
FR_NONCE=$(arg nonce)
FR_TEST=$(arg test)
FR_SCALE=$(arg scale)
export FR_STAGE FR_NONCE FR_TEST FR_SCALE

# shellcheck source=guest.sh
. /payload/l1/guest.sh

# To the log of the run, and to the kernel's, so that both can be read together.
say() {
	echo "FR: $*"
	echo "FR: $*" >/dev/kmsg
}

fail() {
	say "FAIL stage=$FR_STAGE $*"
	poweroff -f
	sleep 60
}

# Only a run that carried its nonce through all stages can say this.
done_ok() {
	say "DONE nonce=$FR_NONCE stage=$FR_STAGE"
	poweroff -f
	sleep 60
}

# Run a command; it must succeed.
must() {
	"$@" || fail "exit status $?: $*"
}

# Run a command; it must fail with exit status $1.
must_fail() {
	want=$1
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || fail "exit status $got, not $want: $*"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	limit=$(($1 * ${FR_SCALE:-1} * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		limit=$((limit - 1))
		[ $limit -gt 0 ] || return 1
		usleep 100000
	done
}

# The running kernel's command line, for stage $1.
cmdline_for() {
	sed -e 's/\(BOOT_IMAGE\|memmap\)=[^ ]* *//g' -e 's/\(fr\.stage=\)[^ ]*/\1'"$1"'/' /proc/cmdline
}

# This kernel has overwritten all memory that it took for free (init_on_free=1, or page_poison=1 of debug
# kernels): what it should keep off would not survive that by luck.
must_overwrite_free() {
	dmesg | grep -Eq 'mem auto-init: (.*heap free:on|CONFIG_PAGE_POISONING is on)' || fail "free memory is as it was"
}

# Mount a hugetlbfs with $1 pages of 2 MiB at /mnt/huge, and a tmpfs at /mnt/tmpfs.
memory_mounts() {
	mkdir -p /mnt/huge /mnt/tmpfs
	mount -t hugetlbfs -o pagesize=2M none /mnt/huge || fail "hugetlbfs"
	mount -t tmpfs -o size=80%,mode=755 none /mnt/tmpfs || fail "tmpfs"
	echo "${1:-0}" >/proc/sys/vm/nr_hugepages
	[ "$(cat /proc/sys/vm/nr_hugepages)" -ge "${1:-0}" ] || fail "no $1 huge pages"
}

# guest_start NAME FILE MIB [QEMU ARGUMENT]...: run L2, see guest_exec.
guest_start() {
	say "guest $1 starts"
	guest_exec "$@" </dev/null >"/run/$1.err" 2>&1 &
	echo $! >"/run/$1.pid"
}

# While one guest boots the others should stand still: it may starve on an emulated CPU.
guest_pause() { qmp "$1" '{"execute":"stop"}' >/dev/null; }
guest_go_on() { qmp "$1" '{"execute":"cont"}' >/dev/null; }

# The last complete line that guest $1 has written, and a field of it.
guest_line() {
	# shellcheck disable=SC2016 # $ is sed's
	tail -n 3 "/run/$1.log" 2>/dev/null | sed -n '/GUEST.* bad=[0-9]/h;${g;/./p}' | grep .
}

guest_get() {
	guest_line "$1" | sed -n "s/.* $2=\([0-9a-f]*\).*/\1/p"
}

guest_counts_or_died() {
	guest_line "$1" || { [ -e "/run/$1.pid" ] && ! kill -0 "$(cat "/run/$1.pid")"; }
}

guest_has_checked() {
	[ "$(guest_get "$1" checked || echo 0)" -ge "$2" ] 2>/dev/null
}

# Wait until guest $1 counts; show its line.
guest_counts() {
	if ! wait_for "${2:-90}" guest_counts_or_died "$1" || ! guest_line "$1" >/dev/null; then
		tail -n 20 "/run/$1.log" "/run/$1.err"
		fail "guest $1 does not count"
	fi
	say "guest $1: $(guest_line "$1")"
}

# guest_start and guest_counts.  On emulated SVM a guest hangs now and then while it boots, on
# stock kernels and before anything that is tested here has run: it is then started again.
guest_boots() {
	for try in 1 2 3; do
		guest_start "$@"
		if wait_for "${guest_limit:-$((20 + $3 / 32))}" guest_counts_or_died "$1" && guest_line "$1" >/dev/null; then
			say "guest $1: $(guest_line "$1")"
			return
		fi
		say "guest $1 did not boot, try $try"
		kill -KILL "$(cat "/run/$1.pid")"
		wait_for 20 guest_is_gone "$1"
		rm -f "$2" "/run/$1.log" "/run/$1.qmp"
	done
	cat "/run/$1.err"
	fail "guest $1 does not count"
}
guest_is_gone() { ! kill -0 "$(cat "/run/$1.pid")"; }

# Wait until guest $1 has found every page of its memory right, from now on.
guest_verified() {
	of=$(guest_get "$1" of) checked=$(guest_get "$1" checked)
	if [ -z "$of" ] || [ -z "$checked" ]; then
		fail "guest $1 has not counted"
	fi
	wait_for "${2:-120}" guest_has_checked "$1" $((checked + of)) ||
		fail "guest $1 is stuck: $(guest_line "$1")"
	[ "$(guest_get "$1" bad)" = 0 ] || fail "guest $1: $(guest_line "$1")"
	[ "$(guest_get "$1" nonce)" = "$FR_NONCE" ] || fail "not our guest: $(guest_line "$1")"
	say "guest $1 verified: $(guest_line "$1")"
}

# The last stage: guest $1 comes back, counts on and finds its memory right.
guest_lives_on() {
	must kexec-fastrestart restore --all
	guest_counts "$1"
	guest_verified "$1"
	done_ok
}

# qmp NAME COMMAND...: send QMP commands (JSON) to guest NAME, print the answers.
qmp() {
	qmp_socket=/run/$1.qmp
	shift
	{
		printf '%s\n' '{"execute":"qmp_capabilities"}' "$@"
		sleep 0.3
	} | socat -t 5 - "UNIX-CONNECT:$qmp_socket"
}

# load for stage $1 with the next kernel; the rest are arguments of load.
load_next() {
	to=$1
	shift
	kexec-fastrestart load --kernel /payload/kernel/next.vmlinuz \
		--initrd /payload/kernel/next.initrd --append "$(cmdline_for "$to")" "$@"
}

# Jump into what is loaded; whoever comes back has failed.
jump() {
	say "jump from stage $FR_STAGE"
	kexec-fastrestart exec "$@"
	fail "exec came back with status $?"
}

# Start exec, which stops itself when it reaches stage $1, and wait until it has: $exec, and $guardian
# if there is one yet.  The rest are exec's arguments.
exec_held_at() {
	held_at=$1
	shift
	KEXEC_FASTRESTART_STOP_AT="$held_at:STOP" kexec-fastrestart exec "$@" &
	exec=$!
	wait_for 30 grep -q '^State:.*stopped' /proc/$exec/status || fail "exec did not stop at $held_at"
	# shellcheck disable=SC2034 # the script's
	guardian=$(grep -l fr-guardian /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3)
}

# Neither exec nor its guardian is there any more.
exec_gone() { ! cat /proc/[0-9]*/comm 2>/dev/null | grep -Eq '^(kexec-fastr|fr-guardian)'; }

# What exec has to leave as it was, but for guests.
host_facts() {
	cat /sys/kernel/kexec_loaded
	(cd /sys/kernel/mm/hugepages/hugepages-2048kB && grep . nr_hugepages surplus_hugepages nr_overcommit_hugepages)
	find /sys/fs/cgroup -name 'kexec-fastrestart*' -print -o -name cgroup.freeze -exec grep -H 1 {} +
	ls /run/kexec-fastrestart/journal 2>/dev/null
}
remember_host() { facts=$(host_facts); }

# A process that is no guest, in a cgroup of its own: it has /mnt/tmpfs/kept open, and counts in /run/owner.
owner_starts() {
	mkdir /sys/fs/cgroup/owner
	must dd if=/dev/urandom of=/mnt/tmpfs/kept bs=64k count=16 2>/dev/null
	# shellcheck disable=SC2016 # that shell's
	sh -c 'echo 0 >/sys/fs/cgroup/owner/cgroup.procs
		while :; do n=$((n + 1)); echo $n >/run/owner; usleep 200000; done' 3<>/mnt/tmpfs/kept &
	wait_for 20 test -s /run/owner || fail "the owner does not count"
}

host_is_as_before() { [ "$(host_facts)" = "$facts" ]; }
guest_has_counted() { [ "$(guest_get "$1" count)" -gt "$2" ]; }
owner_has_counted() { [ "$(cat /run/owner)" -gt "$1" ]; }

# Exec and its guardian are gone, the host is as remember_host saw it, guest g0 and the owner run on: $1 says what
# has happened.
unharmed() {
	exec_gone || fail "$1: exec or its guardian is left behind"
	count=$(guest_get g0 count) owner=$(cat /run/owner)
	wait_for 20 host_is_as_before || fail "$1: the host was: $facts; now: $(host_facts)"
	wait_for 20 guest_has_counted g0 "${count:-0}" || fail "$1: the guest has stopped"
	wait_for 20 owner_has_counted "${owner:-0}" || fail "$1: the owner has stopped"
	say "ok: $1"
}

# The same with a descriptor that was damaged at the last moment: [--reseal ]NAME=VALUE.
jump_damaged() {
	exec_held_at sealed
	say "damage: $1"
	# shellcheck disable=SC2086 # one or two words
	must edit-descriptor ${1%"${1#--reseal }"} $exec "${1#--reseal }"
	kill -CONT $exec
	wait $exec
	fail "exec came back with status $?"
}

# region NAME FIELD: a field of list --json.
region() {
	kexec-fastrestart list --json |
		jq -r --arg n "$1" --arg f "$2" '.regions[] | select(.name == $n) | .[$f]'
}

# The kernel's word on what was handed to it.
status() {
	kexec-fastrestart status --json | jq -r ".status.$1"
}

# rest_of NAME ADDRESS PAGES: options that keep what region NAME leaves of so many pages of 2 MiB
# from ADDRESS on, as regions rest0, rest1, ...  They must be no RAM here.
rest_of() {
	kexec-fastrestart inspect --extents --json | jq -r --arg name "$1" --argjson start "$2" --argjson pages "$3" '
		[.extents[] | select(.region == $name) | .start_phys + range(0; .bytes; 2097152)] as $kept |
		[range(0; $pages) * 2097152 + $start] - $kept |
		to_entries[] | "--preserve phys:\(.value)+2097152,name=rest\(.key)"'
}

release_rest() {
	for rest in /sys/kernel/fastrestart/regions/rest*; do
		must kexec-fastrestart release "${rest##*/}"
	done
}

# What is open where a source says: of pid:1/fd:2
file_of() { echo "$1" | sed 's|pid:\(.*\)/fd:|/proc/\1/fd/|'; }

must_equal() {
	[ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}

# Each range of System RAM as the kernel sees it; ranges that touch are one.
system_ram() {
	sed -n 's/^ *\([0-9a-f]*-[0-9a-f]*\) : System RAM.*/\1/p' /proc/iomem | {
		first=''
		while IFS=- read -r start end; do
			if [ -n "$first" ] && [ $((0x$start)) != $((0x$last + 1)) ]; then
				echo "$first-$last"
				first=''
			fi
			first=${first:-$start} last=$end
		done
		echo "$first-$last"
	}
}

# Each zone that has memory: its node and name, where it begins, what it spans and has.
zones() {
	awk '/^Node/ { zone = $2 $4 }
		$1 == "spanned" { spanned = $2 }
		$1 == "present" { present = $2 }
		# what was added ends at 2 MiB, also where RAM ends before that
		$1 == "start_pfn:" && present { print zone, $2, int((spanned + 511) / 512) * 512, present }' /proc/zoneinfo
}

# Of each zone, the larger watermark.
watermarks() {
	awk '/^Node/ { zone = $4 } $1 == "high" && zone ~ /DMA32|Normal/ { print $2 }' /proc/zoneinfo |
		tr '\n' ' '
}

# Memory blocks: those that are there, and whose they are.
blocks() {
	cat /sys/devices/system/memory/block_size_bytes
	for block in /sys/devices/system/node/node*/memory[0-9]*; do
		echo "${block#/sys/devices/system/node/}"
	done
}

# What derives from the amount of RAM: limits, and sizes of hash tables.
limits() {
	cat /proc/sys/kernel/threads-max /proc/sys/fs/file-max /proc/sys/net/ipv4/tcp_mem \
		/proc/sys/vm/min_free_kbytes | tr '\n\t' '  '
	stat -f -c %b /mnt/tmpfs
}
tables() {
	dmesg | sed -n 's/.*\(Dentry cache\|Inode-cache\|Mount-cache\|TCP established\|UDP\).* hash table entries: \([0-9]*\).*/\1 \2/p' |
		sort -u
}

# must_be_near WHAT "NUMBERS" "WANTED" [PERCENT]: within 1 %, for what the kernel's own
# size and where it lies change a little from boot to boot.
must_be_near() {
	awk -v now="$2" -v cold="$3" -v percent="${4:-1}" 'BEGIN {
		n = split(now, a, " ")
		if (n != split(cold, b, " ")) exit 1
		for (i = 1; i <= n; i++)
			if ((a[i] - b[i]) * (a[i] - b[i]) * 10000 > b[i] * b[i] * percent * percent)
				exit 1
	}' || fail "$1: $2, not near $3"
}

mem_total() { sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
