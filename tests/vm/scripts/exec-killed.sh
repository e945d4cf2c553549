# SPDX-License-Identifier: GPL-2.0-or-later
# exec is killed (SIGKILL) at 100 random moments, one in each hundredth of the time from its start until the next thing
# that it does is reboot(): there it stops itself (stage "jump"), so that it never jumps.  What reboot() does is not
# covered: from there on nothing can be undone.  Then a hop, with the same staged image.
#
# FR_APPEND=fr.seed=N repeats the moments of a run that said this seed, as far as the machine does.
kills=100
seed=$(arg seed)
seed=${seed:-$((0x${FR_NONCE%????????????}))}

exec_starts() {
	KEXEC_FASTRESTART_STOP_AT=jump:STOP kexec-fastrestart -vv exec >/run/exec.log 2>&1 &
	exec=$!
}

# Looks seldom, and without starting much: there is one CPU.
exec_stops() {
	while :; do
		while read -r key value _; do
			[ "$key" != State: ] || break
		done </proc/$exec/status
		[ "$value" != T ] || return
		usleep 40000
	done
}

now_ms() {
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}${uptime#*.}0"
}

kill_exec() {
	kill -KILL "$exec"
	wait "$exec"
	must_equal "exit status" $? 137
	wait_for 20 exec_gone
	# how far it had come
	at=$(sed -n 's/.*exec: \([a-z]*\)$/\1/p' /run/exec.log | tail -n 1)
}

case $FR_STAGE in
1)
	memory_mounts 60
	guest_args=guest.busy=20 guest_boots g0 /mnt/huge/g0 64
	owner_starts
	must load_next 2 --digest --preserve /mnt/tmpfs/kept --vm g0=/run/g0.qmp
	remember_host
	# the shortest of three: the first one's caches are cold
	ms=100000
	for _ in 1 2 3; do
		began=$(now_ms)
		exec_starts
		exec_stops
		took=$(($(now_ms) - began))
		[ $took -ge $ms ] || ms=$took
		kill_exec
		unharmed "killed after $took ms, which is all of it"
	done

	awk -v seed="$seed" -v n=$kills -v ms="$ms" 'BEGIN {
		srand(seed)
		for (i = 0; i < n; i++)
			printf "%d\n", (i * 37 % n + rand()) / n * ms * 1000
	}' >/run/moments
	say "seed $seed"
	while read -r us; do
		exec_starts
		usleep "$us"
		kill_exec
		echo "${at:=nothing}" >>/run/reached
		unharmed "killed after $us us, at $at"
	done </run/moments
	say "stages that were reached: $(sort /run/reached | uniq -c | tr -s ' \n' ' ')"
	must_equal "kills" "$(wc -l </run/reached)" $kills
	grep -Eq '^(stopped|saved|sealed|jump)' /run/reached || fail "it was never killed while the guest stood still"

	guest_verified g0
	jump
	;;
2)
	memory_mounts 32
	guest_lives_on g0
	;;
esac
