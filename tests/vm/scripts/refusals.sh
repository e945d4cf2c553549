# SPDX-License-Identifier: GPL-2.0-or-later
# What load and restore refuse: each with its exit status, and nothing is changed.
# must_say REGEX STATUS COMMAND...
must_say() {
	regex=$1 want=$2
	shift 2
	"$@" >/tmp/said 2>&1
	got=$?
	sed 's/^/    /' /tmp/said
	[ "$got" = "$want" ] || fail "exit status $got, not $want: $*"
	grep -Eq "$regex" /tmp/said || fail "says nothing like '$regex': $*"
	must_equal staged "$(status staged)" false
}

memory_mounts 100
echo a >/mnt/tmpfs/a
echo b >/mnt/tmpfs/b
next=/payload/kernel/next.vmlinuz
load() { kexec-fastrestart load --append console=ttyS0 "$@"; }

# the image
must_say 'stock-6.12.*allow-unpatched' 4 load --kernel /payload/kernel/stock-6.12.vmlinuz --preserve /mnt/tmpfs/a
must_say 'version' 5 load --kernel /payload/version-9.vmlinux --preserve /mnt/tmpfs/a
head -c 3000000 "$next" >/tmp/short
must_say '/tmp/short' 4 load --kernel /tmp/short --preserve /mnt/tmpfs/a
cp "$next" /tmp/damaged
dd if=/dev/urandom of=/tmp/damaged bs=4k seek=900 count=1 conv=notrunc 2>/dev/null
must_say '/tmp/damaged' 4 load --kernel /tmp/damaged --preserve /mnt/tmpfs/a
must_say '/payload/script' 4 load --kernel /payload/script --preserve /mnt/tmpfs/a
must_say '/nosuch' 7 load --kernel /nosuch

# the sources
must_say '/nosuch' 7 load --kernel "$next" --preserve /nosuch
must_say '/payload/script' 3 load --kernel "$next" --preserve /payload/script
must_say '\ba\b' 2 load --kernel "$next" --preserve /mnt/tmpfs/a --preserve /mnt/tmpfs/b,name=a
must_say 'name' 2 load --kernel "$next" --preserve /mnt/tmpfs/a,name=../x
must_say 'RAM' 3 load --kernel "$next" --preserve phys:0x40000000+2M
must_say 'MiB|GiB' 3 load --kernel "$next" --preserve phys:0x0+1M
# 1.2 GiB of 3 GiB stay clean, and the next kernel's command line wants 1.4 GiB of them
must pattern fill /mnt/tmpfs/large 1 $((1800 << 20))
must_say 'clean.*[MG]iB' 3 kexec-fastrestart load --kernel "$next" --preserve /mnt/tmpfs/large \
	--append "console=ttyS0 hugepages=700"
rm /mnt/tmpfs/large

# guests
say "guests"
guest_boots g0 /mnt/huge/g0 96
setsid qemu-system-x86_64 -name private -accel tcg -m 32M -nodefaults -display none -S \
	-qmp unix:/run/private.qmp,server=on,wait=off &
setsid qemu-system-x86_64 -name unshared -accel tcg -M q35,memory-backend=ram -m 32M \
	-object memory-backend-file,id=ram,size=32M,mem-path=/mnt/huge/u,share=off \
	-nodefaults -display none -S -qmp unix:/run/unshared.qmp,server=on,wait=off &
wait_for 30 test -S /run/private.qmp -a -S /run/unshared.qmp
must_say 'private|anonymous' 3 load --kernel "$next" --vm p=/run/private.qmp
must_say 'share' 3 load --kernel "$next" --vm u=/run/unshared.qmp
must_say '/run/nosuch.qmp' 7 load --kernel "$next" --vm u=/run/nosuch.qmp

# what the monitor changed is not on the command line that restore would use
dd if=/dev/zero of=/tmp/disk.img bs=1M count=1 2>/dev/null
setsid qemu-system-x86_64 -name changed -accel tcg -M pc,memory-backend=ram -m 32M \
	-object memory-backend-file,id=ram,size=32M,mem-path=/mnt/tmpfs/changed,share=on \
	-drive file=/tmp/disk.img,format=raw,if=none,id=d0 -device virtio-blk-pci,drive=d0,id=vd0 \
	-nodefaults -display none -S -qmp unix:/run/changed.qmp,server=on,wait=off &
wait_for 30 test -S /run/changed.qmp
must load --kernel "$next" --vm c=/run/changed.qmp --dry-run
qmp changed '{"execute":"blockdev-snapshot-sync","arguments":{"device":"d0","snapshot-file":"/tmp/overlay.img"}}'
must_say '/tmp/overlay.img' 3 load --kernel "$next" --vm c=/run/changed.qmp
qmp changed '{"execute":"device_add","arguments":{"driver":"virtio-rng-pci","id":"late"}}'
must_say '"late" was plugged in' 3 load --kernel "$next" --vm c=/run/changed.qmp

# nothing staged, nothing handed over
must_fail 7 kexec-fastrestart exec
must_fail 7 kexec-fastrestart unload
# this kernel has nothing to give back
must_fail 3 kexec-fastrestart restore nosuch
must_fail 3 kexec-fastrestart release nosuch
must_fail 2 kexec-fastrestart load
guest_verified g0
done_ok
