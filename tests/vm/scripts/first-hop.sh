# SPDX-License-Identifier: GPL-2.0-or-later
# A distribution's kernel, two guests and two files; the patched kernel takes over.
case $FR_STAGE in
1)
	memory_mounts 400
	must pattern fill /mnt/huge/data "$FR_NONCE" $((32 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((9 << 20))
	echo "$FR_NONCE" >/mnt/tmpfs/nonce
	chmod 640 /mnt/tmpfs/data
	chown 1000:1001 /mnt/tmpfs/data
	# how memory is pinned that nobody may write to any more is this kernel's matter
	small=$(memfd $((4 << 20)))
	huge=$(memfd $((4 << 20)) 21)
	for s in "$small" "$huge"; do
		must pattern fill-holes "$(file_of "$s")" "$FR_NONCE" $((4 << 20))
	done
	for s in "$small" "$huge"; do
		must memfd -seal "$(file_of "$s")" 31
	done
	guest_boots g0 /mnt/huge/g0 128
	guest_pause g0
	guest_boots g1 /mnt/tmpfs/g1 128
	guest_go_on g0
	must load_next 2 --digest --vm g0=/run/g0.qmp --vm g1=/run/g1.qmp \
		--preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/data,name=shmem \
		--preserve /mnt/tmpfs/nonce --preserve "$small,name=small" --preserve "$huge,name=sealed"
	must_equal staged "$(status staged)" true
	guest_verified g0
	jump
	;;
2)
	must_equal status "$(status kernel_status)" accepted
	kexec-fastrestart list
	must_equal "regions kept" "$(status kept_regions)" 7
	memory_mounts 32
	must kexec-fastrestart restore --all
	must pattern check /mnt/huge/data "$FR_NONCE"
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	for f in /run/kexec-fastrestart/unnamed/4K/small /run/kexec-fastrestart/unnamed/2M/sealed; do
		must pattern check-holes $f "$FR_NONCE"
		must_equal "seals of $f" "$(memfd -seals $f)" 31
	done
	must_equal nonce "$(cat /mnt/tmpfs/nonce)" "$FR_NONCE"
	must_equal "mode and owner" "$(stat -c %a:%u:%g /mnt/tmpfs/data)" 640:1000:1001
	guest_counts g0
	guest_counts g1
	guest_verified g0
	guest_verified g1
	kexec-fastrestart report
	# shellcheck disable=SC2016 # jq's
	kexec-fastrestart report --json | jq -e '.report.blackout_us as $last |
		[.vms[].us] | length == 2 and all(. > 0 and . <= $last)' ||
		fail "each guest's own time"
	must_equal "regions kept" "$(status kept_regions)" 0
	done_ok
	;;
esac
