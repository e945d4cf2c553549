# SPDX-License-Identifier: GPL-2.0-or-later
# Two guests, restored in the other order, one of them only after a second hop.  Their memory is memfds,
# one of huge pages and one of small ones, and files that they have inherited in the next kernel.
case $FR_STAGE in
1)
	memory_mounts 300
	guest_boots g0 memfd-2M 96
	guest_pause g0
	guest_boots g1 memfd 96
	guest_go_on g0
	must load_next 2 --vm g0=/run/g0.qmp --vm g1=/run/g1.qmp
	jump
	;;
2)
	memory_mounts 32
	must kexec-fastrestart restore g1
	guest_counts g1
	guest_verified g1
	must_equal "g0's state" "$(region g0 state)" kept
	must_equal "g1's state" "$(region g1 state)" restored
	must_equal "names left" "$(ls -A /run/kexec-fastrestart/unnamed/4K)" ""
	must load_next 3 --vm g1=/run/g1.qmp
	jump
	;;
3)
	memory_mounts 32
	must kexec-fastrestart restore g0
	guest_counts g0
	must kexec-fastrestart restore g1
	guest_counts g1
	guest_verified g0
	guest_verified g1
	must_equal "regions kept" "$(status kept_regions)" 0
	must_equal "names left" "$(ls -A /run/kexec-fastrestart/unnamed/*)" "/run/kexec-fastrestart/unnamed/2M:

/run/kexec-fastrestart/unnamed/4K:"
	done_ok
	;;
esac
