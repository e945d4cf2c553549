# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# guest_exec NAME FILE MIB [QEMU ARGUMENT]...: become the QEMU of L2, with its RAM in FILE; memfd is one
# without a name, memfd-2M the same with huge pages.  The guest's output goes to /run/NAME.log and, through L1's serial device, to the outer log.
# guest_run: how to start it; guest_args: of the guest's kernel.
guest_exec() {
	g=$1 file=$2 mib=$3
	shift 3
	if [ -z "${guest_accel:-}" ]; then
		guest_accel=tcg guest_cpu=max
		[ ! -e /dev/kvm ] || guest_accel=kvm guest_cpu=host
	fi
	ram=memory-backend-file,mem-path=$file
	[ "${file#memfd}" = "$file" ] || ram=memory-backend-memfd
	[ "$file" != memfd-2M ] || ram=$ram,hugetlb=on,hugetlbsize=2M
	# shellcheck disable=SC2086 # words
	exec ${guest_run:-setsid} qemu-system-x86_64 -name "$g" -accel "$guest_accel" -cpu "$guest_cpu" \
		-M q35,memory-backend=ram -m "${mib}M" -smp 1 \
		-object "$ram,id=ram,size=${mib}M,share=on" \
		-nodefaults -no-user-config -display none \
		-kernel /payload/guest/vmlinux -initrd /payload/guest/initrd \
		-append "console=hvc0 quiet guest.name=$g guest.nonce=$FR_NONCE ${guest_args:-guest.busy=40}" \
		-device virtio-serial-pci -device virtconsole,chardev=log \
		-chardev "file,id=log,path=/dev/virtio-ports/$g,logfile=/run/$g.log" \
		-qmp "unix:/run/$g.qmp,server=on,wait=off" "$@"
}
