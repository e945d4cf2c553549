# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# A guest goes through fr.hops hops: with our command (fr.how=ours), or on a carve-out with
# kexec-tools and QEMU by hand, every second time with -i (fr.how=peer).
mib=$(arg mib)
dax=/dev/dax0.0,align=2M # QEMU has no libdaxctl here
next_cmdline=$(sed "s/\(fr\.stage=\)[^ ]*/\1$((FR_STAGE + 1))/" /proc/cmdline)

# The carve-out as a devdax device, as ndctl would make it.
dax_create() {
	nd=/sys/bus/nd
	echo namespace0.0 >$nd/drivers/nd_pmem/unbind
	cd $nd/devices/dax0.0 || fail "no seed for a devdax device"
	echo ram >mode
	echo $((2 << 20)) >align
	cat /proc/sys/kernel/random/uuid >uuid
	echo namespace0.0 >namespace
	echo dax0.0 >$nd/drivers/dax_pmem/bind || fail "no devdax device"
	cd /tmp || fail "no /tmp"
	wait_for 10 test -e /dev/dax0.0 || fail "no /dev/dax0.0"
}

# Jump as soon as the state is saved (kexec -e syncs).
peer_jump() {
	check=''
	[ $((FR_STAGE % 2)) = 1 ] || check=-i
	must kexec -l $check /payload/kernel/next.vmlinuz --initrd=/payload/kernel/all.initrd \
		--command-line="$next_cmdline"
	mkfifo /run/to /run/from /run/saved
	socat UNIX-CONNECT:/run/g0.qmp - </run/to >/run/from &
	exec 3>/run/to 4</run/from
	cat >&3 <<-EOF
		{"execute":"qmp_capabilities"}
		{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"x-ignore-shared","state":true},{"capability":"events","state":true}]}}
		{"execute":"query-status"}
	EOF
	while read -r line <&4; do
		case $line in *'"singlestep"'*) break ;; esac
	done
	how=${check:-default}
	say "HOP how=${how#-}"
	say "jump from stage $FR_STAGE"
	echo '{"execute":"migrate","arguments":{"uri":"exec:cat >/dev/pmem1; echo >/run/saved"}}' >&3
	while read -r line <&4; do
		case $line in
		*'"status": "completed"'*)
			read -r _ </run/saved
			kexec -e
			;;
		*'"status": "failed"'* | *'"error"'*) break ;;
		esac
	done
	fail "the peer did not jump: $line"
}

# shellcheck disable=SC2034 # guest_exec reads it
guest_args="guest.busy=20 guest.interval=20 guest.leave=$((mib - 1000))"
if [ "$FR_STAGE" = 1 ]; then
	if [ "$(arg how)" = ours ]; then
		echo $((mib / 2 + 20)) >/proc/sys/vm/nr_hugepages
		# all of its RAM is there, of which it fills 1000 MiB: more takes minutes here
		guest_boots g0 /mnt/huge/g0,prealloc=on "$mib"
	else
		dax_create
		guest_boots g0 "$dax" "$mib"
	fi
else
	cat /run/restore.log
	guest_counts g0
	[ "$(arg how)" != ours ] || echo "REPORT $(kexec-fastrestart report --json | jq -c .)"
fi
if [ "$FR_STAGE" -gt "$(arg hops)" ]; then
	guest_verified g0
	done_ok
fi
if [ "$(arg how)" = ours ]; then
	must kexec-fastrestart load --kernel /payload/kernel/next.vmlinuz \
		--initrd /payload/kernel/all.initrd --append "$next_cmdline" --vm g0=/run/g0.qmp
	say "HOP how=ours"
	jump
fi
peer_jump
