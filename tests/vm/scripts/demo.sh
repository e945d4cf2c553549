# SPDX-License-Identifier: GPL-2.0-or-later
# The demo: a guest with 1 GiB of RAM, three hops.
tell() { echo "| $*"; }
show() { "$@" | sed 's/^/|     /'; }

count_on() {
	before=$(guest_get g0 count)
	guest_verified g0
	tell "The guest counts: $before ... $(guest_get g0 count), nonce $FR_NONCE." \
		"It read all of its memory: $(guest_get g0 bad) bad words."
}

go_on() {
	tell "kexec-fastrestart load --kernel ... --vm g0=/run/g0.qmp"
	load_next $((FR_STAGE + 1)) --vm g0=/run/g0.qmp >/tmp/plan || fail "load"
	[ "$FR_STAGE" != 1 ] || show cat /tmp/plan
	count_on
	tell "kexec-fastrestart exec"
	jump
}

tell "The host runs $(uname -r), $(sed -n 's/MemTotal: *//p' /proc/meminfo) of RAM."
if [ "$FR_STAGE" = 1 ]; then
	tell "This is a distribution's kernel, as it is. It starts a Linux guest with 1 GiB of RAM."
	memory_mounts 600
	guest_args=guest.busy=80 guest_boots g0 /mnt/huge/g0 1024
	go_on
fi
must_equal status "$(status kernel_status)" accepted
tell "A patched kernel, hop $(status hop): kept are $(region g0 kept_bytes) bytes of the guest."
memory_mounts 32
tell "kexec-fastrestart restore --all"
must kexec-fastrestart restore --all
guest_counts g0
count_on
echo "REPORT $(kexec-fastrestart report --json | jq -c .)"
[ "$FR_STAGE" = 4 ] || go_on
done_ok
