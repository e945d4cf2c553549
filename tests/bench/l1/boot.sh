# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# Goes from kernel to kernel as the lines of /payload/steps say, and tells for each how long
# its boot took:
#
#   LABEL ours START BYTES STRIDE COUNT ARGS    a hop into /payload/kernel/next, with COUNT
#                                               pieces of memory kept (see ../kept.c)
#   LABEL stock ARGS                            a plain kexec into /payload/kernel/stock-bench
#
# ARGS are added to the command line; LABEL fill has the kernel touch most of its memory. A hop
# needs what it keeps to be no RAM of the kernel before it, which that kernel's memmap= is for.
# What an earlier hop has hidden is RAM to the peer again.
step() { sed -n "$1p" /payload/steps; }

# The stamps of the benchmark's kernels and, for ours, the descriptor's.
figures() {
	dmesg | sed -n 's/.*bench: \([a-z]*_us=[0-9]*\)$/\1/p'
	kexec-fastrestart report --json 2>/dev/null |
		jq -r '.phases[] | (.until + "_at=" + (.begin_us + .us | tostring)),
			(.until + "_us=" + (.us | tostring))' | sed 's/^deferred_end_us/stamped_us/'
}

# What the machine below gives out only when it is touched would count as the next kernel's time.
fill() {
	mkdir -p /mnt/fill
	must mount -t tmpfs -o size=90% none /mnt/fill
	must dd if=/dev/zero of=/mnt/fill/zero bs=1M count=2500
	umount /mnt/fill
}

if [ "$FR_STAGE" -gt 1 ]; then
	before=$(step $((FR_STAGE - 1)))
	# shellcheck disable=SC2046 # one word for each figure
	say "VALUE label=${before%% *}" $(figures) "mem=$(mem_total)"
	[ "${before%% *}" != fill ] || fill
fi

next=$((FR_STAGE + 1))
# shellcheck disable=SC2046 # a line's words
set -- $(step "$FR_STAGE")
case $2 in
ours)
	must kept "$3" "$4" "$5" "$6" >/tmp/kept
	shift 6
	append="$(cmdline_for $next | sed 's/ fr\.end.*//') fr.end $*"
	must kexec-fastrestart load --descriptor /tmp/kept --append "$append" \
		--kernel /payload/kernel/next.vmlinuz --initrd /payload/kernel/next.initrd
	jump
	;;
stock)
	shift 2
	# what is hidden is unusable, which kexec-tools takes for reserved
	append="$(cmdline_for $next | sed 's/ fr\.end.*//') fr.end memmap=1000G%4G-5+1 memmap=1000G%4G-2+1 $*"
	must kexec -i -l /payload/kernel/stock-bench.vmlinuz --initrd=/payload/kernel/stock-bench.initrd \
		--append="$append"
	kexec -e
	fail "kexec came back"
	;;
*)
	done_ok
	;;
esac
