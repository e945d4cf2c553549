# SPDX-License-Identifier: GPL-2.0-or-later
# A restore that fails leaves the region kept, and the next try gets it.
still_kept() {
	must_equal "$1: state" "$(region "$2" state)" kept
	say "ok: $1"
}

state() { cat "/sys/kernel/fastrestart/regions/$1/state"; }
is_settled() {
	case $(state "$1") in
	kept | restored) ;;
	*) false ;;
	esac
}
not_restored() {
	for name; do
		[ "$(state "$name")" = restored ] || printf ' %s' "$name"
	done
}

# What a region has and nobody else: the nonce itself is on the command line
secret=$(echo "$FR_NONCE" | md5sum | cut -d ' ' -f 1)

case $FR_STAGE in
1)
	memory_mounts 100
	must pattern fill /mnt/huge/data "$FR_NONCE" $((64 << 20))
	must pattern fill /mnt/tmpfs/data "$FR_NONCE" $((256 << 20))
	must pattern fill-holes /mnt/tmpfs/sparse "$FR_NONCE" $((32 << 20))
	yes "$secret" | head -n 2000 >/mnt/tmpfs/secret
	must load_next 2 --digest --preserve /mnt/huge/data,name=huge --preserve /mnt/tmpfs/secret \
		--preserve /mnt/tmpfs/data,name=shmem --preserve /mnt/tmpfs/sparse
	jump
	;;
2)
	# only who has CAP_SYS_ADMIN sees or gets anything, even where files are open to all
	echo 'user:x:1000:1000::/:/bin/sh' >>/etc/passwd
	as_user() { su user -c "$1" 2>/dev/null; }
	must as_user true
	chmod 666 /dev/fastrestart
	chmod 444 /sys/kernel/fastrestart/descriptor
	! as_user 'cat /sys/kernel/fastrestart/regions/huge/state' || fail "others see a region"
	! as_user 'head -c 8 /sys/kernel/fastrestart/descriptor' || fail "others read the descriptor"
	! as_user ': <>/dev/fastrestart' || fail "others open /dev/fastrestart"
	# nor where exec left the descriptor, which other kernels show to everybody; and the contents nobody sees
	must grep -q /mnt/tmpfs/secret /sys/kernel/fastrestart/descriptor
	node=$(grep -lx 0xc6525354 /sys/kernel/boot_params/setup_data/*/type) || fail "no node of a descriptor"
	must as_user "cat ${node%type}data"
	for word in KXFRDESC /mnt/tmpfs/secret "$secret"; do
		! as_user "grep -r $word /sys/kernel/boot_params /sys/kernel/fastrestart" || fail "others read of $word"
		! dmesg | grep "$word" || fail "the kernel's log has $word"
	done
	must_fail 8 as_user "LD_LIBRARY_PATH=$LD_LIBRARY_PATH $(command -v kexec-fastrestart) restore --all"
	must : <>/dev/fastrestart
	still_kept "not by others" huge
	must_fail 7 kexec-fastrestart restore nosuch
	# the mounts are missing: the paths lie in the initramfs
	must_fail 3 kexec-fastrestart restore huge
	still_kept "not mounted" huge

	mkdir -p /mnt/huge /mnt/tmpfs
	mount -t tmpfs none /mnt/huge
	must_fail 3 kexec-fastrestart restore huge
	still_kept "hugetlb onto tmpfs" huge
	umount /mnt/huge
	mount -t hugetlbfs -o pagesize=2M,size=32M none /mnt/huge
	must_fail 1 kexec-fastrestart restore huge
	still_kept "hugetlbfs is too small" huge
	umount /mnt/huge
	mount -t hugetlbfs -o pagesize=2M none /mnt/huge

	mount -t tmpfs -o size=8M none /mnt/tmpfs
	must_fail 1 kexec-fastrestart restore shmem
	still_kept "tmpfs is too small" shmem
	mount -o remount,size=1G /mnt/tmpfs
	echo other >/mnt/tmpfs/data
	must_fail 3 kexec-fastrestart restore shmem
	still_kept "path exists" shmem
	must_equal "what was there" "$(cat /mnt/tmpfs/data)" other
	rm /mnt/tmpfs/data
	# whose file has the mode of a leftover, and who has it open
	must as_user 'umask 0; : >/mnt/tmpfs/data && chmod 1000 /mnt/tmpfs/data'
	must_fail 3 kexec-fastrestart restore shmem
	still_kept "another user's file" shmem
	rm /mnt/tmpfs/data

	# killed sooner, then later: all of a region or nothing, and the next try takes over
	ms=2
	while [ -n "$(not_restored huge shmem)" ]; do
		kexec-fastrestart restore --all &
		pid=$!
		usleep ${ms}000
		kill -KILL $pid 2>/dev/null
		wait $pid
		for name in huge shmem; do
			wait_for 10 is_settled $name || fail "killed after $ms ms: $name is $(state $name)"
		done
		say "killed after $ms ms, not restored: $(not_restored huge shmem)"
		ms=$((ms + ms / 4 + 1))
	done
	must kexec-fastrestart restore --all
	must pattern check /mnt/tmpfs/data "$FR_NONCE"
	must pattern check /mnt/huge/data "$FR_NONCE"
	must grep -q "$secret" /mnt/tmpfs/secret

	# killed before the contents were compared, which are not what the digest says: of all only by name,
	# and only after that was said
	mode=$(stat -c %a /mnt/huge/data)
	cat /sys/kernel/fastrestart/descriptor >/tmp/descriptor
	must edit-descriptor --reseal /tmp/descriptor region0.digest=0
	must mount -o bind /tmp/descriptor /sys/kernel/fastrestart/descriptor
	chmod 1000 /mnt/huge/data
	for names in --all huge; do
		must_fail 9 kexec-fastrestart restore $names
		must_equal "mode of what differs" "$(stat -c %a /mnt/huge/data)" 1400
		must_fail 9 kexec-fastrestart restore --all
		must_fail 9 kexec-fastrestart restore --all --no-verify
		must_fail 3 load_next 3 --preserve /mnt/huge/data,name=huge
		[ $names = huge ] || chmod 1000 /mnt/huge/data
	done
	must kexec-fastrestart restore huge
	must_equal "mode of what differs, by name" "$(stat -c %a /mnt/huge/data)" "$mode"
	must kexec-fastrestart restore --all
	umount /sys/kernel/fastrestart/descriptor
	must pattern check /mnt/huge/data "$FR_NONCE"

	# before the check, which fills them
	[ "$(du -m /mnt/tmpfs/sparse | cut -f1)" -le 17 ] || fail "holes were filled"
	must pattern check-holes /mnt/tmpfs/sparse "$FR_NONCE"
	must_fail 7 kexec-fastrestart restore nosuch
	must load_next 3 --preserve /mnt/huge/data,name=huge
	jump
	;;
3)
	# released memory is free again, and clear
	# the file's first huge page
	first=$(kexec-fastrestart inspect --extents --json | jq '.extents[] |
		select(.region == "huge" and .file_offset == 0) | .start_phys')
	must pattern check /dev/mem "$FR_NONCE" 2097152 "$first"
	before=$(sed -n 's/MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	must kexec-fastrestart release huge
	after=$(sed -n 's/MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	say "MemFree $before kB, $after kB after the release"
	[ $((after - before)) -gt 55000 ] || fail "64 MiB were released, but MemFree does not say so"
	case $(uname -r) in
	*debug*) ;; # CONFIG_STRICT_DEVMEM, which its page table check needs, lets nobody read RAM
	*)
		must dd if=/dev/mem of=/tmp/released bs=2M skip=$((first / 2097152)) count=1
		must pattern check-gone /tmp/released "$FR_NONCE"
		;;
	esac
	must_equal "huge's state" "$(region huge state)" released
	must_fail 3 kexec-fastrestart restore huge
	done_ok
	;;
esac
