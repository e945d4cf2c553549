# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever happens to exec and its guardian before the jump, the guest runs on and the host is as it was; when nobody
# is left to see to that, once somebody has said unload, load or exec.
loaded() {
	[ "$(status staged)" = true ] || loads
}
loads() { must load_next 2 --force --preserve /mnt/tmpfs/kept --vm g0=/run/g0.qmp --vm g1=/run/g1.qmp; }

is_paused() { qmp "$1" '{"execute":"query-status"}' | grep -q '"running": false'; }

# Who comes next finds what is left, and undoes it: each of them in turn.
next_comes() {
	case $1 in
	unload) must kexec-fastrestart unload ;;
	load) loads ;;
	exec) must_fail 130 env KEXEC_FASTRESTART_STOP_AT=opened:INT kexec-fastrestart exec ;;
	esac
}

# exec and its guardian are killed at stage $1, and $2 comes next.
both_killed() {
	exec_held_at "$1"
	[ -z "$guardian" ] || kill -KILL "$guardian"
	kill -KILL "$exec"
	wait "$exec"
	wait_for 20 exec_gone
	left=true stopped=false frozen=0
	case $1 in
	start | opened | pinned) left=false ;;
	stopped | saved) stopped=true ;;
	sealed | jump) stopped=true frozen=1 ;;
	esac
	must_equal "left behind at $1" "$(status left_behind)" $left
	must_equal "owner at $1" "$(cat /sys/fs/cgroup/owner/cgroup.freeze)" $frozen
	! $stopped || is_paused g0 || fail "guest g0 runs after $1"
	next_comes "$2"
	must_equal "left behind at $1, after $2" "$(status left_behind)" false
	unharmed "exec and guardian killed at $1, then $2"
}

case $FR_STAGE in
1)
	memory_mounts 200
	guest_boots g0 /mnt/huge/g0 96
	guest_pause g0
	guest_boots g1 /mnt/huge/g1 64
	guest_go_on g0
	owner_starts
	remember_host
	while read -r at; do
		for signal in INT:130 TERM:130 KILL:137; do
			loaded
			must_fail "${signal#*:}" env KEXEC_FASTRESTART_STOP_AT="$at:${signal%:*}" \
				kexec-fastrestart exec
			# killed: the guardian is at work
			wait_for 20 exec_gone
			unharmed "$signal at $at"
		done
	done </payload/stages

	undo='unload load exec'
	while read -r at; do
		loaded
		if [ "$at" != start ]; then
			exec_held_at "$at"
			kill -KILL "$guardian"
			kill -CONT "$exec"
			wait "$exec"
			must_equal "exit status without a guardian" $? 1
			unharmed "guardian killed at $at"
		fi
		both_killed "$at" "${undo%% *}"
		undo="${undo#* } ${undo%% *}"
	done </payload/stages

	loaded
	kill -STOP "$(cat /run/g1.pid)"
	must_fail 6 kexec-fastrestart exec --vm-timeout 2
	kill -CONT "$(cat /run/g1.pid)"
	unharmed "QEMU hangs"

	loaded
	# a migration that does not end
	qmp g1 '{"execute":"migrate","arguments":{"uri":"exec:sleep 1000"}}' >/dev/null
	must_fail 3 kexec-fastrestart exec
	qmp g1 '{"execute":"migrate_cancel"}' >/dev/null
	unharmed "QEMU is migrating"

	loaded
	kill -KILL "$(cat /run/g1.pid)"
	must_fail 6 kexec-fastrestart exec
	unharmed "QEMU is gone"

	guest_verified g0
	must load_next 2 --force --vm g0=/run/g0.qmp
	jump
	;;
2)
	memory_mounts 32
	guest_lives_on g0
	;;
esac
