# SPDX-License-Identifier: GPL-2.0-or-later
# A host with systemd: its units stop the services, jump, restore and resume. This
# script is such a service, a guest is not.

# $1: stage to jump to
isolate() {
	must load_next "$1" --vm g0=/run/g0.qmp
	say "isolate in stage $FR_STAGE"
	trap 'say "stopped in stage $FR_STAGE"; exit 0' TERM
	must systemctl --no-block isolate kexec-fastrestart.target
	while :; do
		usleep 100000
	done
}

if [ "$FR_STAGE" = 1 ]; then
	guest_run="systemd-run --quiet --scope --unit=g0 --slice=machine.slice" guest_boots g0 /dev/hugepages/g0 96
	isolate 2
fi

# multi-user.target was reached without a hand of ours
journalctl --no-pager --unit 'kexec-fastrestart-*' --output cat
must systemctl is-active kexec-fastrestart-restore kexec-fastrestart-resume
must_equal "failed units" "$(systemctl --failed --no-legend --plain)" ""
must_equal "regions kept" "$(status kept_regions)" 0
must_equal "huge pages" "$(cat /proc/sys/vm/nr_hugepages)" 60
guest_counts g0
guest_verified g0
[ "$FR_STAGE" = 3 ] || isolate 3
done_ok
