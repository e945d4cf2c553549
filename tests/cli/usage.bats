# SPDX-License-Identifier: GPL-2.0-or-later
# Help, version, and every way to call the command wrongly.

bats_require_minimum_version 1.5.0
load helper

COMMANDS='load exec restore release status list inspect unload report'

setup() {
	setup_command
	fake_host
}

@test "--help lists every command" {
	fastrestart --help
	check_status 0
	for command in $COMMANDS; do
		grep -Eq "^  $command +[a-z]" <<< "$output"
	done
	[[ -z $stderr ]]
}

@test "--version names the descriptor version" {
	fastrestart --version
	check_status 0
	[[ $output =~ ^kexec-fastrestart\ [0-9.]+\ \(descriptor\ version\ 1\)$ ]]
}

@test "every command has --help" {
	for command in $COMMANDS; do
		fastrestart "$command" --help
		check_status 0
		[[ ${lines[0]} == "Usage: kexec-fastrestart $command"* ]]
		[[ -z $stderr ]]
	done
}

@test "every option of --help is in the man page and the completion, and the other way round" {
	local source=$BATS_TEST_DIRNAME/../.. command option
	for command in $COMMANDS; do
		fastrestart "$command" --help
		while read -r option; do
			grep -qF -- "${option//-/\\-}" "$source/man/kexec-fastrestart.8"
			grep -qF -- "$option" "$source/kexec-fastrestart/completion/kexec-fastrestart"
		done < <(grep -Eo '^ .*--[a-z-]+' <<< "$output" | grep -Eo -- '--[a-z-]+')
	done
	for command in $COMMANDS; do
		fastrestart "$command" --help
		echo "$output"
	done > "$BATS_TEST_TMPDIR/help"
	for option in $(grep -Eo -- '--[a-z-]{3,}' \
		"$source/kexec-fastrestart/completion/kexec-fastrestart" | sort -u); do
		[[ $option == --version || $option == --help ]] || grep -qF -- "$option" "$BATS_TEST_TMPDIR/help"
	done
}

@test "no command, an unknown one, an unknown option" {
	fastrestart
	check_status 2
	check_message 'which command'
	fastrestart frobnicate
	check_status 2
	check_message "'frobnicate'"
	fastrestart --frobnicate
	check_status 2
	check_message '--frobnicate'
	for command in $COMMANDS; do
		fastrestart "$command" --frobnicate
		check_status 2
		check_message '--frobnicate'
		fastrestart "$command" -x
		check_status 2
		check_message '-x'
	done
}

@test "arguments where there are none" {
	for command in load exec status list unload report; do
		fastrestart "$command" surplus
		check_status 2
		check_message "'surplus'"
	done
	fastrestart inspect one two
	check_status 2
	check_message "'two'"
}

@test "options without their argument, and arguments without their option" {
	for option in --kernel --initrd --append --preserve --vm --descriptor; do
		fastrestart load "$option"
		check_status 2
		check_message "$option"
	done
	fastrestart exec --vm-timeout
	check_status 2
	fastrestart exec --no-sync=yes
	check_status 2
	check_message '--no-sync'
}

@test "options that exclude each other, and arguments that are missing" {
	fastrestart load
	check_status 2
	check_message --kernel
	fastrestart load --kernel x --append a --reuse-cmdline
	check_status 2
	check_message 'exclude'
	fastrestart restore
	check_status 2
	check_message --all
	fastrestart restore --all name
	check_status 2
	fastrestart release
	check_status 2
	fastrestart inspect --raw --json
	check_status 2
	fastrestart report --json --svg x
	check_status 2
}

@test "seconds are numbers" {
	for seconds in '' x 1x -1 0 nan inf 1e9; do
		fastrestart exec --vm-timeout "$seconds"
		check_status 2
		check_message --vm-timeout
		fastrestart restore --all --vm-timeout "$seconds"
		check_status 2
	done
}

@test "malformed sources and VMs" {
	for source in '' ,name=x relative/path phys: phys:1 phys:1+ phys:x+1 phys:0x1000+0 \
		pid: pid:x/fd:1 pid:1/fd:-1 pid:1 pid:1/fd:1x phys:0x1001+4K phys:0xffffffffffffffff+4K /x,name= /x,name=.x /x,name=a/b \
		/x,name=-x /x,name=.. /x,name=../x $'/x,name=a\nb' $'/x,name=\e[2J' "/x,name=$(printf '%064d' 0)"; do
		fastrestart load --kernel x --preserve "$source"
		check_status 2
		check_message
	done
	for vm in '' name name= =/socket 'a b=/socket' -x=/socket ..=/s ../x=/s a/b=/s $'a\nb=/s'; do
		fastrestart load --kernel x --vm "$vm"
		check_status 2
		check_message
	done
}

@test "what is not printable does not reach the terminal" {
	fastrestart $'\e[31m\nx\u009b\u202e\xff'
	check_status 2
	check_message '\x1b[31m\x0ax\xc2\x9b\xe2\x80\xae\xff'
}

@test "KEXEC_FASTRESTART_STOP_AT is checked" {
	for spec in : :KILL jump: jump:FROB jump:0 jump:999; do
		KEXEC_FASTRESTART_STOP_AT=$spec fastrestart status
		check_status 2
		check_message KEXEC_FASTRESTART_STOP_AT
	done
	for spec in jump jump:TERM jump:sigint jump:9; do
		KEXEC_FASTRESTART_STOP_AT=$spec fastrestart status
		check_status 0
	done
}

@test "output that cannot be written is a failure" {
	run --separate-stderr bash -c '"$1" --help > /dev/full' - "$COMMAND"
	check_status 1
	check_message 'standard output'
	run --separate-stderr bash -c '"$1" status --json > /dev/full' - "$COMMAND"
	check_status 1
}
