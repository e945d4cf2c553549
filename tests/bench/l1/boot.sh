# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=dash
# Goes from kernel to kernel as the lines of /payload/steps say, and tells for each how long
# its boot took:
#
#   LABEL ours START BYTES STRIDE COUNT ARGS    a hop into /payload/kernel/next, with COUNT
#                                               pieces of memory kept (see ../kept.c)
#   LABEL again ARGS                            the same once more, with what is kept already
#   LABEL stock ARGS                            a plain kexec into /payload/kernel/stock-bench
#
# ARGS are added to the command line. A hop needs what it keeps to be no RAM of the kernel
# before it, which that kernel's memmap= is for.
# What an earlier hop has hidden is RAM to the peer again.
step() { sed -n "$1p" /payload/steps; }

# The stamps of the benchmark's kernels and, for ours, the descriptor's.
figures() {
	dmesg | sed -n 's/.*bench: \([a-z]*_us=[0-9]*\)$/\1/p'
	kexec-fastrestart report --json 2>/dev/null |
		jq -r '.phases[] | (.until + "_at=" + (.begin_us + .us | tostring)),
			(.until + "_us=" + (.us | tostring))' | sed 's/^deferred_end_us/stamped_us/'
}

if [ "$FR_STAGE" -gt 1 ]; then
	before=$(step $((FR_STAGE - 1)))
	# shellcheck disable=SC2046 # one word for each figure
	say "VALUE label=${before%% *}" $(figures) "mem=$(mem_total)"
fi

next=$((FR_STAGE + 1))
# shellcheck disable=SC2046 # a line's words
set -- $(step "$FR_STAGE")
case $2 in
ours | again)
	descriptor=
	if [ "$2" = ours ]; then
		must kept "$3" "$4" "$5" "$6" >/tmp/kept
		descriptor='--descriptor /tmp/kept'
		shift 4
	fi
	shift 2
	append="$(cmdline_for $next | sed 's/ fr\.end.*//') fr.end $*"
	# shellcheck disable=SC2086 # two words or none
	must kexec-fastrestart load $descriptor --append "$append" \
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
