# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever happens to exec before the jump, the guest runs on and the host is as it was.
loaded() {
	[ "$(status staged)" = true ] ||
		must load_next 2 --force --vm g0=/run/g0.qmp --vm g1=/run/g1.qmp
}

# Neither exec nor its guardian is there any more.
gone() { ! cat /proc/[0-9]*/comm 2>/dev/null | grep -Eq '^(kexec-fastr|fr-guardian)'; }

# The host as it was, and the guest counts: $1 says what has happened.
unharmed() {
	count=$(guest_get g0 count)
	wait_for 20 guest_has_counted "${count:-0}" || fail "$1: the guest has stopped"
	must_equal "$1: kexec_loaded" "$(cat /sys/kernel/kexec_loaded)" 0
	must_equal "$1: nr_hugepages" "$(cat /proc/sys/vm/nr_hugepages)" "$hugepages"
	gone || fail "$1: exec or its guardian is left behind"
	say "ok: $1"
}
guest_has_counted() { [ "$(guest_get g0 count)" -gt "$1" ]; }

case $FR_STAGE in
1)
	memory_mounts 200
	guest_boots g0 /mnt/huge/g0 96
	guest_pause g0
	guest_boots g1 /mnt/huge/g1 64
	guest_go_on g0
	hugepages=$(cat /proc/sys/vm/nr_hugepages)
	while read -r at; do
		for signal in INT:130 TERM:130 KILL:137; do
			loaded
			must_fail "${signal#*:}" env KEXEC_FASTRESTART_STOP_AT="$at:${signal%:*}" \
				kexec-fastrestart exec
			# killed: the guardian is at work
			wait_for 20 gone
			unharmed "$signal at $at"
		done
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
	must kexec-fastrestart restore --all
	guest_counts g0
	guest_verified g0
	done_ok
	;;
esac
