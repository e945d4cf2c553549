# SPDX-License-Identifier: GPL-2.0-or-later
# Processes that are no guests and use kept files: they are frozen before the jump, run on whatever
# happens to exec, and a server (memcached) that is started anew finds what it had.

cgroups=/sys/fs/cgroup
memcached_starts() {
	echo root:x:0:0::/:/bin/sh >/etc/passwd
	setsid memcached -u root -s /run/memcached -m 64 -e /mnt/tmpfs/cache 2>/run/memcached.err &
	memcached=$!
	wait_for 20 test -S /run/memcached || fail "memcached: $(cat /run/memcached.err)"
}
# How many of the values it has.
holds_all() {
	for i in $(seq 50); do
		printf 'get key%s\r\n' "$i"
	done | socat -t 5 - UNIX-CONNECT:/run/memcached | tr -d '\r' |
		grep -c "^$FR_NONCE value"
}

counted() { count -show /mnt/huge/counted | cut -d' ' -f1; }
counts_on() { [ "$(counted)" -gt "$before" ]; }

# All run on, nothing is left: $1 says what has happened.
all_unharmed() {
	before=$(counted)
	wait_for 20 counts_on || fail "$1: the process does not count"
	must_equal "$1: values" "$(holds_all)" 50
	wait_for 20 test ! -e /run/kexec-fastrestart/journal || fail "$1: the journal is left"
	[ ! -e $cgroups/kexec-fastrestart-frozen ] || fail "$1: the cgroup is left"
	must_equal "$1: freeze" "$(cat $cgroups/counter/cgroup.freeze)" 0
	must_equal "$1: cgroup of memcached" "$(cat /proc/$memcached/cgroup)" 0::/
	must_equal "$1: kexec_loaded" "$(cat /sys/kernel/kexec_loaded)" 0
	say "ok: $1"
}
loaded() {
	must load_next 2 --force --digest --preserve /mnt/tmpfs/cache --preserve /mnt/huge/counted "$@"
}
is_reading() { grep -q '^ *[1-9]' /sys/block/vdc/inflight; }
has_buffer() { grep -qs '^UserBufs:.1' "/proc/$1"/fdinfo/*; }

case $FR_STAGE in
1)
	memory_mounts 10
	memcached_starts
	for i in $(seq 50); do
		printf 'set key%s 0 0 %s\r\n%s value\r\n' "$i" $((${#FR_NONCE} + 6)) "$FR_NONCE"
	done | socat -t 5 - UNIX-CONNECT:/run/memcached >/run/stored
	must_equal "values" "$(holds_all)" 50
	# one has a cgroup of its own, memcached shares it with exec
	must fallocate -l 4194304 /mnt/huge/counted
	mkdir $cgroups/counter
	sh -c 'echo 0 >/sys/fs/cgroup/counter/cgroup.procs; exec count /mnt/huge/counted' &
	# and what opens the file again and again, for a moment
	while :; do
		dd if=/dev/zero of=/mnt/huge/counted bs=8 seek=1000 count=0 conv=notrunc 2>/dev/null
	done &
	opener=$!
	loaded >/tmp/plan 2>&1
	for name in memcached count; do
		grep -q "process [0-9]* ($name) has a kept file open" /tmp/plan || fail "load does not name $name: $(cat /tmp/plan)"
	done

	for signal in TERM:130 KILL:137; do
		must_fail "${signal#*:}" env KEXEC_FASTRESTART_STOP_AT="sealed:${signal%:*}" kexec-fastrestart exec
		all_unharmed "$signal"
	done
	kill -KILL $opener

	# what an io_uring reads gets into the memory of a process that stands still: that is refused
	mkfifo /run/fifo
	exec 5<>/run/fifo
	must fallocate -l 4096 /mnt/tmpfs/read
	mkdir $cgroups/reader
	sh -c 'echo 0 >/sys/fs/cgroup/reader/cgroup.procs; exec uring /mnt/tmpfs/read' <&5 &
	reader=$!
	wait_for 20 has_buffer $reader || fail "uring has no fixed buffer"
	echo 1 >$cgroups/reader/cgroup.freeze
	wait_for 20 grep -q 'frozen 1' $cgroups/reader/cgroup.events || fail "uring does not stand still"
	echo "$FR_NONCE" >&5
	wait_for 20 grep -q "$FR_NONCE" /mnt/tmpfs/read || fail "nothing was read for a frozen process"
	must grep -q 'frozen 1' $cgroups/reader/cgroup.events
	echo 0 >$cgroups/reader/cgroup.freeze
	loaded --preserve /mnt/tmpfs/read
	kexec-fastrestart exec >/tmp/said 2>&1
	must_equal "status of exec with an io_uring" $? 3
	grep -q "process $reader (uring) has an io_uring with fixed buffers" /tmp/said || fail "exec says: $(cat /tmp/said)"
	kill -KILL $reader
	all_unharmed "io_uring"
	loaded

	# what stands still while exec is about to jump, and still does when nobody is left to thaw it
	exec_held_at sealed
	before=$(counted)
	kill -KILL "$guardian" "$exec"
	must_equal "cgroup of memcached" "$(cat /proc/$memcached/cgroup)" 0::/kexec-fastrestart-frozen
	sleep 1
	! counts_on || fail "it counts, though frozen"
	must kexec-fastrestart unload
	all_unharmed "exec and guardian killed, unload"

	# a server that ends in order keeps what it has
	kill -USR1 $memcached
	wait $memcached
	# what a process that stands still is reading from a disk gets to its memory before that is sealed
	must fallocate -l 4194304 /mnt/tmpfs/slow
	aio /mnt/tmpfs/slow /dev/vdc <&5 &
	loaded --preserve /mnt/tmpfs/cache.meta --preserve /mnt/tmpfs/slow
	exec_held_at saved -v
	echo >&5
	wait_for 20 is_reading || fail "nothing is read"
	say "jump from stage 1, with reads in flight: $(cat /sys/block/vdc/inflight)"
	kill -CONT "$exec"
	wait "$exec"
	fail "exec came back with status $?"
	;;
2)
	memory_mounts
	must kexec-fastrestart restore --all
	# shellcheck disable=SC2046 # two words
	set -- $(count -show /mnt/huge/counted)
	[ "$1" -gt 0 ] || fail "nothing was counted"
	[ $(($1 - $2)) -le 1 ] || fail "counted $1 and $2"
	must cmp /mnt/tmpfs/slow /dev/vdc
	memcached_starts
	must_equal "values" "$(holds_all)" 50
	kexec-fastrestart report
	done_ok
	;;
esac
