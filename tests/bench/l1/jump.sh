# SPDX-License-Identifier: GPL-2.0-or-later
# One kernel, jumped into in three ways in turn: by this project, by kexec-tools as it is, and by
# kexec-tools without the check of what it has loaded. TSC readings, before and after, are values;
# the first jump warms up. fr.stages is the last stage.

jump_ours() {
	must load_next $((FR_STAGE + 1))
	jump
}

# jump_peer NAME [OPTION]...: options of kexec -l
jump_peer() {
	name=$1
	shift
	must kexec "$@" -l /payload/kernel/next.vmlinuz --initrd=/payload/kernel/next.initrd \
		--command-line="$(cmdline_for $((FR_STAGE + 1)))"
	reboot-at "$name"
	fail "reboot-at came back"
}

way_of() {
	case $(($1 % 3)) in
	0) echo checked ;;
	1) echo unchecked ;;
	2) echo ours ;;
	esac
}

if [ "$FR_STAGE" -gt 2 ]; then
	way=$(way_of $((FR_STAGE - 1)))
	say "VALUE ${way}_entry_tsc=$(dmesg | sed -n 's/.*bench: entry_tsc=//p')"
	# 792: the stamp of the jump, in the descriptor's header
	[ "$way" != ours ] || say "VALUE ours_reboot_tsc=$(kexec-fastrestart inspect --raw | od -An -t u8 -j 792 -N 8 | tr -d ' ')"
fi
[ "$FR_STAGE" != "$(arg stages)" ] || done_ok
[ "$FR_STAGE" != 1 ] || jump_peer warm --kexec-syscall --no-checks
case $(way_of "$FR_STAGE") in
ours) jump_ours ;;
checked) jump_peer checked ;;
unchecked) jump_peer unchecked --kexec-syscall --no-checks ;;
esac
