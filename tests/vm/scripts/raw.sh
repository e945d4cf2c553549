# SPDX-License-Identifier: GPL-2.0-or-later
# A raw range that memmap= set aside, 256 MiB from 5 GiB on.
start=0x140000000
bytes=0x10000000
case $FR_STAGE in
1)
	must pattern fill /dev/mem "$FR_NONCE" $bytes $start
	must load_next 2 --preserve phys:$start+$bytes,name=carveout
	jump
	;;
2)
	must_equal "carveout's state" "$(region carveout state)" kept
	must pattern check /dev/mem "$FR_NONCE" $bytes $start
	must load_next 3
	jump
	;;
3)
	must_equal "carveout's state" "$(region carveout state)" kept
	must pattern check /dev/mem "$FR_NONCE" $bytes $start
	must kexec-fastrestart restore carveout
	must pattern check /dev/mem "$FR_NONCE" $bytes $start
	must load_next 4 --preserve phys:$start+$bytes,name=carveout
	# in the midst of what is RAM to the next kernel
	jump_damaged "--reseal extent0.start_pfn=0x8000"
	;;
4)
	must_equal status "$(cat /sys/kernel/fastrestart/status)" \
		"refused: a raw range is ordinary memory of this kernel"
	must pattern check /dev/mem "$FR_NONCE" $bytes $start
	done_ok
	;;
esac
