# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# How L1 runs here, and how long it may take.

# Set FR_L1_ACCEL and FR_TIMEOUT_SCALE, unless the caller did, by booting L1.  A
# /dev/kvm proves nothing (it may be there and hang), only a guest that comes up does.
probe_speed() {
	local probe=$FR_TESTS/vm/scripts/probe.sh start
	if [ -z "${FR_L1_ACCEL:-}" ]; then
		FR_L1_ACCEL=tcg
		if [ -w /dev/kvm ] && FR_L1_ACCEL=kvm l1_run --mem 1G --limit 15 "$probe" 2>/dev/null; then
			FR_L1_ACCEL=kvm
		fi
	fi
	export FR_L1_ACCEL
	if [ -z "${FR_TIMEOUT_SCALE:-}" ]; then
		start=$SECONDS
		FR_TIMEOUT_SCALE=10 l1_run --mem 1G "$probe" || die "L1 does not come up"
		# limits are meant for machines that take up to 12 s for this, and for one VM
		# at a time
		FR_TIMEOUT_SCALE=$(awk -v t=$((SECONDS - start)) \
			'BEGIN { printf "%.1f\n", 2 * ((t > 12) ? t / 12 : 1) }')
	fi
	export FR_TIMEOUT_SCALE
	note "L1 runs on $FR_L1_ACCEL, time limits are multiplied by $FR_TIMEOUT_SCALE"
}
