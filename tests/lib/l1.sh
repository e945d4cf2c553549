# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Running L1, the host VM.
#
# l1_run [OPTION]... SCRIPT boots a kernel in QEMU, runs SCRIPT in it (busybox sh,
# with vm/l1/lib.sh) and returns 0 when the script said DONE with this run's nonce
# and the logs are clean.
#
#   --kernel NAME|FILE   kernel to boot: a kernel of lib/kernel.sh, or a bzImage
#                        (default: stock-6.12)
#   --initrd FILE        default: the initramfs of vm/l1/init, with that kernel's modules
#   --next NAME|FILE     kernel for the jump, in L1: /payload/kernel/next.{vmlinuz,initrd}
#   --also NAME          another kernel: /payload/kernel/NAME.{vmlinuz,initrd}
#   --systemd            systemd is L1's init, with the units in /payload/local, and runs SCRIPT as a service
#   --guest              add L2's kernel and initramfs: /payload/guest/{vmlinux,initrd}
#   --add FILE[=PATH]    add a file or folder as /payload/PATH (default bin/FILE);
#                        libraries of programs come along
#   --mem SIZE --smp N   default 4G, 2 (with --guest on TCG: 1, and QEMU on one CPU)
#   --nodes N|SIZE,...   NUMA nodes: so many that share memory and vCPUs evenly, or of these
#                        sizes (0: neither memory nor vCPUs at boot); default 1
#   --dimm SIZE[@NODE]   a DIMM that kernels find through ACPI, not in the memory map (repeatable);
#                        one slot more is left for another
#   --uefi               UEFI firmware, whose variables last for the run
#   --touched            its memory is there from the start: no page is touched for the first time later
#   --append ARGS        to the kernel command line, with those in FR_APPEND
#   --qemu ARG           one more argument for QEMU (repeatable)
#   --limit SECONDS      default 120; multiplied by FR_TIMEOUT_SCALE
#   --out DIR            logs: console, out, g0, g1; hang, if the time limit hit: what the CPUs
#                        did then; default: a new folder in FR_OUT or the cache
#   --follow             print the logs as they come
#   --narrate            print the lines of the script that start with "| " as they come
#   --allow REGEX        kernel messages that are no failure
#
# A log line starts with the seconds since QEMU's start.

# What the kernel may say that looks like trouble and is none (see vm/README.md).
FR_LOG_BAD='BUG|pagealloc: |non-static key|WARNING:|Oops|Kernel panic|Bad page|possible .*(deadlock|recursive|circular)|INFO: task .* blocked|soft lockup|rcu.*stall|general protection|Call Trace|UBSAN|KASAN|inconsistent lock state|suspicious RCU'

l1_stamp() {
	local line t
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%$'\r'}
		t=$((${EPOCHREALTIME/./} - $1))
		printf '%4d.%03d %s\n' $((t / 1000000)) $((t / 1000 % 1000)) "$line"
	done
}

l1_tsc_khz() {
	awk -F: '/^cpu MHz/ { printf "%d\n", $2 * 1000; exit }' /proc/cpuinfo
}

l1_scaled() {
	awk -v s="$1" -v f="${FR_TIMEOUT_SCALE:-1}" 'BEGIN { printf "%d\n", s * f + 0.5 }'
}

# Kernel $1 (name or file) to the payload folder $2 as $3.{vmlinuz,initrd}.
l1_add_kernel() {
	local dir modules=''
	case $1 in
	patched) set -- "${FR_PATCHED:-patched}" "$2" "$3" ;;
	patched-bench) set -- "${FR_PATCHED_BENCH:-patched-bench}" "$2" "$3" ;;
	stock-bench) set -- "${FR_STOCK_BENCH:-stock-bench}" "$2" "$3" ;;
	esac
	mkdir -p "$2/kernel"
	if [ -f "$1" ]; then
		ln -s "$(realpath "$1")" "$2/kernel/$3.vmlinuz"
	else
		dir=$(kernel_get "$1") || return 1
		ln -s "$dir/vmlinuz" "$2/kernel/$3.vmlinuz"
		[ ! -e "$dir/vmlinux" ] || ln -s "$dir/vmlinux" "$2/kernel/$3.vmlinux"
		[ ! -d "$dir/modules" ] || modules=$dir/modules
	fi
	ln -s "$(locked images l1_initrd "$modules")" "$2/kernel/$3.initrd"
}

l1_add_file() {
	local file=${1%%=*} to lib
	to=bin/$(basename "$file")
	[[ $1 != *=* ]] || to=${1#*=}
	[ -e "$file" ] || die "no such file: $file"
	mkdir -p "$2/$(dirname "$to")" "$2/lib"
	ln -sf "$(realpath "$file")" "$2/$to"
	[ -f "$file" ] && [ -x "$file" ] || return 0
	for lib in $(libraries "$file" 2>/dev/null); do
		[ -e "$2/lib/$(basename "$lib")" ] || ln -s "$lib" "$2/lib/"
	done
}

# A CPU for a QEMU that keeps to one: one that no other has if there is such a CPU. It is
# ours until L1_CPU_LOCK is closed.
l1_take_cpu() {
	mkdir -p "$FR_CACHE/lock"
	for L1_CPU in $(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status | tr , '\n' |
		while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done); do
		exec {L1_CPU_LOCK}>"$FR_CACHE/lock/cpu-$L1_CPU"
		! flock -n "$L1_CPU_LOCK" || break
	done
}

# QEMU's arguments for l1_run's $nodes, $mem, $smp and $dimms, in $memory.
l1_memory() {
	local n size backing sizes=() total=0 with_cpus=0 cpus=0
	if [[ $nodes = *,* ]]; then
		IFS=, read -ra sizes < <(tr , '\n' <<<"$nodes" | numfmt --from=iec | paste -sd ,)
	else
		for ((n = 0; n < nodes; n++)); do
			sizes+=($(($(numfmt --from=iec "$mem") / nodes)))
		done
	fi
	for size in "${sizes[@]}"; do
		total=$((total + size)) with_cpus=$((with_cpus + (size > 0)))
	done
	memory=(-M "q35$([ ${#sizes[@]} != 1 ] || echo ,memory-backend=m0)")
	for n in "${!sizes[@]}"; do
		backing=''
		if [ "${sizes[n]}" != 0 ]; then
			memory+=(-object "memory-backend-ram,id=m$n,size=${sizes[n]},$touch")
			backing=",memdev=m$n,cpus=$((cpus * smp / with_cpus))-$(((cpus + 1) * smp / with_cpus - 1))"
			cpus=$((cpus + 1))
		fi
		[ ${#sizes[@]} = 1 ] || memory+=(-numa "node,nodeid=$n$backing")
	done
	memory+=(-m "${total}b$([ ${#dimms[@]} = 0 ] || echo ",slots=$((${#dimms[@]} + 1)),maxmem=256G")"
		-smp "$smp,sockets=$with_cpus")
	for n in "${!dimms[@]}"; do
		size=${dimms[n]}
		memory+=(-object "memory-backend-ram,id=dimm$n,size=${size%@*},reserve=off"
			-device "pc-dimm,id=slot$n,memdev=dimm$n$([[ $size != *@* ]] || echo ",node=${size#*@}")")
	done
}

l1_run() {
	local kernel=stock-6.12 mem=4G limit=120
	local systemd='' narrate='' touch=reserve=off initrd='' smp='' nodes=1 append='' out='' follow='' script='' allow='' next='' guest=''
	local also=() add=() extra=() dimms=() uefi='' tmp
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) kernel=$2 ;;
		--initrd) initrd=$2 ;;
		--next) next=$2 ;;
		--also) also+=("$2") ;;
		--systemd) systemd=1; shift; continue ;;
		--guest) guest=1; shift; continue ;;
		--uefi) uefi=1; shift; continue ;;
		--touched) touch=prealloc=on; shift; continue ;;
		--follow) follow=1; shift; continue ;;
		--narrate) narrate=1; shift; continue ;;
		--add) add+=("$2") ;;
		--mem) mem=$2 ;;
		--smp) smp=$2 ;;
		--nodes) nodes=$2 ;;
		--dimm) dimms+=("$2") ;;
		--append) append=$2 ;;
		--qemu) extra+=("$2") ;;
		--limit) limit=$2 ;;
		--out) out=$2 ;;
		--allow) allow=$2 ;;
		-*) die "l1_run: unknown option $1" ;;
		*) script=$1; shift; continue ;;
		esac
		shift 2
	done
	[ -f "$script" ] || die "l1_run: no such script: ${script:-none given}"
	local accel=(-accel "${FR_L1_ACCEL:=tcg}" -cpu host) pin=()
	if [ "$FR_L1_ACCEL" = tcg ]; then
		accel=(-accel 'tcg,thread=multi' -cpu max)
		if [ -n "$guest" ]; then
			# Emulated SVM corrupts L1's memory on more than one vCPU, and loses
			# interrupts when QEMU's threads run at the same time (see vm/README.md).
			smp=${smp:-1}
			l1_take_cpu
			pin=(taskset -c "$L1_CPU")
		fi
	fi
	smp=${smp:-2}
	local test nonce
	test=$(basename "$script" .sh)
	nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
	if [ -z "$out" ]; then
		mkdir -p "${FR_OUT:=$FR_CACHE/runs}"
		out=$(mktemp -d "$FR_OUT/$test-XXXXXX")
	fi
	mkdir -p "$out"
	rm -f "$out"/{console,out,g0,g1}{,.fifo} "$out/hang"

	# the payload: links, which mkfs.erofs gets as files
	tmp=$(mktemp -d)
	mkdir -p "$tmp/payload/l1"
	ln -s "$FR_TESTS"/vm/l1/{main,lib.sh,guest.sh} "$tmp/payload/l1/"
	ln -s "$(realpath "$script")" "$tmp/payload/script"
	l1_add_kernel "$kernel" "$tmp" boot || return 1
	[ -z "$next" ] || l1_add_kernel "$next" "$tmp/payload" next || return 1
	local k
	for k in "${also[@]}"; do
		l1_add_kernel "$k" "$tmp/payload" "$k" || return 1
	done
	if [ -n "$guest" ]; then
		mkdir -p "$tmp/payload/guest"
		ln -s "$(kernel_get guest)/vmlinux" "$tmp/payload/guest/vmlinux"
		ln -s "$(locked images guest_initrd)" "$tmp/payload/guest/initrd"
	fi
	local usr
	if [ -n "$systemd" ]; then
		usr=$(locked images systemd_image)
		ln -s "$FR_TESTS/vm/l1/l1.service" "$tmp/payload/l1/"
		append+=" fr.systemd systemd.setenv=LD_LIBRARY_PATH=/payload/lib systemd.getty_auto=no"
	else
		usr=$(locked images usr_image)
	fi
	for k in "${add[@]}"; do
		l1_add_file "$k" "$tmp/payload"
	done
	cp -rL "$tmp/payload" "$tmp/files"
	mkfs.erofs --quiet "$out/payload.erofs" "$tmp/files" >/dev/null || die "mkfs.erofs failed"

	local memory=() board=()
	l1_memory
	if [ -n "$uefi" ]; then
		cp /usr/share/OVMF/OVMF_VARS_4M.fd "$out/vars"
		board+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"
			-drive "if=pflash,unit=1,format=raw,file=$out/vars")
	fi

	local port args cmdline
	# on a busy machine an emulated timer may well miss the ticks that the kernel tests it by
	cmdline="console=ttyS0 panic=-1 no_timer_check tsc_early_khz=$(l1_tsc_khz) fr.stage=1 fr.nonce=$nonce fr.test=$test"
	cmdline+=" fr.scale=$(l1_scaled 1)${FR_APPEND:+ $FR_APPEND}${append:+ $append}"
	# shellcheck disable=SC2054 # commas are QEMU's
	args=("${pin[@]}" qemu-system-x86_64 "${accel[@]}" "${memory[@]}" "${board[@]}"
		-nodefaults -no-user-config -display none -no-reboot
		-kernel "$(realpath "$tmp/kernel/boot.vmlinuz")"
		-initrd "${initrd:-$(realpath "$tmp/kernel/boot.initrd")}" -append "$cmdline"
		-serial chardev:console -serial chardev:out
		-drive "file=$usr,if=none,format=raw,readonly=on,id=d0"
		-device virtio-blk-pci,drive=d0
		-drive "file=$out/payload.erofs,if=none,format=raw,readonly=on,id=d1"
		-device virtio-blk-pci,drive=d1
		-device virtio-serial-pci
		-device virtserialport,chardev=g0,name=g0 -device virtserialport,chardev=g1,name=g1
		-qmp "unix:$out/qmp,server=on,wait=off"
		# a triple fault ends QEMU like an orderly reset would, but for what it says here
		-d cpu_reset -D "$out/resets")
	for port in console out g0 g1; do
		args+=(-chardev "file,id=$port,path=$out/$port.fifo")
	done
	args+=("${extra[@]}")
	printf '%q ' "${args[@]}" >"$out/qemu"

	local start=${EPOCHREALTIME/./} pids=()
	for port in console out g0 g1; do
		mkfifo "$out/$port.fifo"
		if [ -n "$follow" ]; then
			l1_stamp "$start" <"$out/$port.fifo" | tee "$out/$port" | sed -u "s/^/$port: /" &
		elif [ -n "$narrate" ] && [ $port = out ]; then
			l1_stamp "$start" <"$out/$port.fifo" | tee "$out/$port" |
				sed -un 's/^\( *[0-9.]*\) | /[\1] /p' &
		else
			l1_stamp "$start" <"$out/$port.fifo" >"$out/$port" &
		fi
		pids+=($!)
	done
	local status=0 seconds qemu
	seconds=$(l1_scaled "$limit")
	# its own limit is for the case that nobody waits for it any more
	timeout --foreground -k 5 $((seconds + 60)) "${args[@]}" </dev/null >"$out/qemu.log" 2>&1 3>&- &
	qemu=$!
	if timeout --foreground "$seconds" tail -f -s 0.1 --pid="$qemu" /dev/null 3>&-; then
		wait "$qemu" || status=$?
	else
		status=124
		l1_samples "$out" >"$out/hang"
		kill "$qemu"
		wait "$qemu"
	fi
	# a QEMU that failed to start leaves readers without a writer
	for port in console out g0 g1; do
		: <>"$out/$port.fifo"
	done
	wait "${pids[@]}"
	rm -f "$out"/*.fifo "$out/payload.erofs" "$out/qmp" "$out/vars"
	rm -rf "$tmp"
	[ ${#pin[@]} = 0 ] || exec {L1_CPU_LOCK}>&-
	L1_OUT=$out L1_NONCE=$nonce L1_START=$start
	export L1_OUT L1_NONCE L1_START L1_HUNG=
	l1_verdict "$status" "$limit" "$allow" "$nonce" "$out"
}

# What L1 (with its logs in $1) is at: five looks, 200 ms apart, while it stands still.  A CPU that runs a
# guest shows the guest's registers.  With --append nokaslr the kernel's System.map tells what is at RIP.
l1_samples() {
	local look
	for look in 1 2 3 4 5; do
		echo "--- look $look"
		l1_monitor "$1" stop 'info registers -a' "x /8i \$pc" 'info lapic' cont |
			sed '/^$/d; /^FP/d; /^[XYZ]MM/d'
	done
}

# What L1 (with its logs in $1) answers to commands of QEMU's monitor.
l1_monitor() {
	local qmp=$1/qmp command
	shift
	{
		echo '{"execute":"qmp_capabilities"}'
		for command; do
			echo '{"execute":"human-monitor-command","arguments":{"command-line":"'"$command"'"}}'
		done
		sleep 0.2
	} | timeout 5 socat -t 0.2 - "UNIX-CONNECT:$qmp" | jq -r '.return | strings | gsub("\r"; "")'
}

l1_verdict() {
	local status=$1 limit=$2 allow=$3 nonce=$4 out=$5 why=
	if [ "$status" = 124 ]; then
		why="time limit of $(l1_scaled "$limit") s; what L1 did then: $out/hang"
		L1_HUNG=1
	elif [ "$status" != 0 ]; then
		why="QEMU exited with status $status: $(tail -n 3 "$out/qemu.log")"
	elif grep -q 'FR: FAIL' "$out/out"; then
		why=$(grep -o 'FR: FAIL.*' "$out/out" | tail -n 1)
	elif ! grep -q "FR: DONE nonce=$nonce " "$out/out"; then
		why="the script did not get to its end"
		! grep -q 'Triple fault' "$out/resets" || why="triple fault in L1 (see resets)"
	elif l1_bad_lines "$allow" "$out/console" | grep -q .; then
		why="bad lines in the kernel's log:"$'\n'$(l1_bad_lines "$allow" "$out/console" | head)
	fi
	[ -n "$why" ] || return 0
	{
		echo "--- end of console"
		tail -n 25 "$out/console"
		echo "--- end of out"
		tail -n 25 "$out/out"
		echo "--- failed: $why"
		echo "logs:  $out"
		echo "QEMU:  $(cat "$out/qemu")"
		[ -z "${FR_RERUN:-}" ] || echo "again: $FR_RERUN"
	} >&2
	return 1
}

l1_bad_lines() {
	grep -E "$FR_LOG_BAD" "$2" | grep -Ev "DEBUG|${1:-^\$}" || true
}

# The output of guest $1 tells of one life: one "ready", counts without a gap, nothing bad.
guest_lived() {
	awk -v nonce="$L1_NONCE" -v name="$1" '
		/GUEST .* BAD / { print; bad = 1 }
		/GUEST .* ready / { ready++ }
		match($0, /count=[0-9]+/) {
			count = substr($0, RSTART + 6, RLENGTH - 6) + 0
			if (index($0, "nonce=" nonce " ") == 0 || $0 !~ / bad=0$/ || count != last + 1) {
				print "after count " last ": " $0
				bad = 1
			}
			last = count
		}
		END {
			if (ready != 1) print name " became ready " ready + 0 " times"
			if (last < 10) print name " counted to " last + 0
			exit bad || ready != 1 || last < 10
		}' "$L1_OUT/$1"
}

# The last number that guest $1 counted to.
guest_last() {
	sed -n 's/.* count=\([0-9]*\) .*/\1/p' "$L1_OUT/$1" | tail -n 1
}
