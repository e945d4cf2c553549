# SPDX-License-Identifier: GPL-2.0-or-later
# status, list, inspect, report: what was handed over, from any kind of kernel.

bats_require_minimum_version 1.5.0
load helper

setup() {
	setup_command
	FULL=$BATS_TEST_TMPDIR/full
	EMPTY=$BATS_TEST_TMPDIR/empty
	"$MKDESCRIPTOR" > "$FULL"
	"$MKDESCRIPTOR" empty > "$EMPTY"
}

# json FILTER: of the last output
json() {
	jq -er "$1" <<< "$output"
}

@test "inspect FILE shows everything" {
	fastrestart inspect "$FULL"
	check_status 0
	[[ -z $stderr ]]
	grep -Eq '^web +hugetlbfs +1 GiB +1 GiB +2 MiB +2 +0600 +64055 +108 .*/dev/hugepages/web' <<< "$output"
	grep -Eq '^cache +tmpfs +16.1 KiB +12 KiB +4 KiB +2 .*deadbeef0{24} ' <<< "$output"
	grep -Eq '^carved +raw +64 MiB' <<< "$output"
	grep -Eq '^0x180000000 +0x240000000 +3 GiB +RAM +1' <<< "$output"
	grep -Eq '^vm/web/state +300 B' <<< "$output"
	[[ $(LC_ALL=C grep -c $'\x9b' <<< "$output") == 0 ]]
}

@test "inspect --json has types" {
	fastrestart inspect --json --extents "$FULL"
	check_status 0
	[[ $(json .descriptor.hop) == 3 ]]
	[[ $(json .descriptor.boot_id) == 01234567-89ab-cdef-0000-000000000000 ]]
	[[ $(json '.regions | length') == 3 ]]
	[[ $(json '.regions[0].size_bytes') == 1073741824 ]]
	[[ $(json '.regions[1].path') == '/dev/shm/a\x9bcache' ]]
	[[ $(json '.regions[1].unlinked == false and .regions[2].digest == null') == true ]]
	[[ $(json '[.extents[] | select(.region == "web").bytes] | add') == 1073741824 ]]
	[[ $(json '.extents[3].file_offset') == 12288 ]]
	[[ $(json '.ram[4].node') == 1 ]]
	[[ $(json '.blobs[1].bytes') == 300 ]]
}

@test "inspect without --extents does not list them" {
	fastrestart inspect --json "$FULL"
	check_status 0
	[[ $(json 'has("extents")|not') == true ]]
	[[ $(json '.regions[0].extents') == 2 ]]
}

@test "inspect of a descriptor without regions" {
	fastrestart inspect --json "$EMPTY"
	check_status 0
	[[ $(json '.regions == [] and .blobs == []') == true ]]
}

@test "inspect reads standard input" {
	run --separate-stderr bash -c '"$1" inspect - --json < "$2"' - "$COMMAND" "$FULL"
	check_status 0
	[[ $(json .descriptor.hop) == 3 ]]
}

@test "inspect --raw gives the same bytes back, but not to a terminal" {
	"$COMMAND" inspect --raw "$FULL" > "$BATS_TEST_TMPDIR/copy"
	cmp "$FULL" "$BATS_TEST_TMPDIR/copy"
	run script -qec "'$COMMAND' inspect --raw '$FULL'" /dev/null
	check_status 2
	[[ $output == *'terminal'* ]]
}

@test "inspect of damaged, truncated, empty, missing and other files" {
	local size
	size=$(stat -c %s "$FULL")
	for offset in 0 8 20 200 600 1030 $((size - 1)); do
		cp "$FULL" "$BATS_TEST_TMPDIR/bad"
		printf '\x5a' | dd of="$BATS_TEST_TMPDIR/bad" bs=1 seek="$offset" conv=notrunc status=none
		fastrestart inspect "$BATS_TEST_TMPDIR/bad"
		check_status 5
		check_message "$BATS_TEST_TMPDIR/bad"
	done
	for bytes in 0 1 1023 1024 $((size - 8)); do
		head -c "$bytes" "$FULL" > "$BATS_TEST_TMPDIR/short"
		fastrestart inspect "$BATS_TEST_TMPDIR/short"
		check_status 5
	done
	fastrestart inspect "$BATS_TEST_TMPDIR/nowhere"
	check_status 7
	check_message nowhere
	fastrestart inspect "$BATS_TEST_TMPDIR"
	check_status 1
	check_message
}

@test "the stamps are not part of the checksums" {
	printf '\x01' | dd of="$FULL" bs=1 seek=$((1024 - 8)) conv=notrunc status=none
	fastrestart inspect "$FULL"
	check_status 0
}

@test "on a stock kernel nothing is kept" {
	fake_host
	fastrestart status --json
	check_status 0
	[[ $(json '.status | .kernel_patched == false and .kernel_status == "none" and
		.kept_regions == 0 and .staged == false and .min_version == null') == true ]]
	fastrestart status
	check_status 0
	grep -Eq '^Regions kept: +0' <<< "$output"
	fastrestart list --json
	check_status 0
	[[ $(json '.regions == [] and .vms == []') == true ]]
	fastrestart inspect
	check_status 7
	check_message
	fastrestart report
	check_status 7
	fastrestart unload
	check_status 7
	check_message 'nothing is staged'
}

@test "what a killed exec has left: status tells, unload undoes it" {
	fake_host
	local huge=$ROOT/sys/kernel/mm/hugepages/hugepages-2048kB
	mkdir -p "$ROOT/run/kexec-fastrestart" "$huge"
	printf 'l7 9\0' >"$ROOT/run/kexec-fastrestart/journal"
	echo 9 >"$huge/nr_overcommit_hugepages"
	fastrestart status --json
	[[ $(json .status.left_behind) == true ]]
	fastrestart unload
	check_status 0
	[[ $stderr = *"an exec was killed"* ]]
	[[ $(<"$huge/nr_overcommit_hugepages") = 7 ]]
	fastrestart status --json
	[[ $(json .status.left_behind) == false ]]
}

@test "after a hop into an unpatched kernel the descriptor is in setup_data" {
	cat "$FULL" /dev/zero | head -c 100000 > "$BATS_TEST_TMPDIR/area"
	fake_unpatched "$BATS_TEST_TMPDIR/area"
	fastrestart status --json
	check_status 0
	[[ $(json '.status | .kernel_patched == false and .kernel_status == "not known to this kernel"
		and .kept_regions == 3 and .restorable == false and .hop == 3') == true ]]
	fastrestart list --json
	check_status 0
	[[ $(json '[.regions[].state] | unique == ["kept"]') == true ]]
	[[ $(json '.vms == [{"name": "web", "state_bytes": 300}]') == true ]]
	"$COMMAND" inspect --raw > "$BATS_TEST_TMPDIR/copy"
	cmp "$FULL" "$BATS_TEST_TMPDIR/copy"
}

@test "a patched kernel tells each region's state" {
	fake_patched "$FULL" web=restored cache=restoring carved=released
	fastrestart list --json
	check_status 0
	[[ $(json '[.regions[].state] | join(" ")') == 'restored busy released' ]]
	fastrestart status --json
	check_status 0
	[[ $(json '.status | .kernel_patched and .min_version == 1 and .max_version == 1 and
		.kept_regions == 1 and .kept_bytes == 12288 and .restorable') == true ]]
	fastrestart list
	check_status 0
	grep -Eq '^cache +busy +tmpfs' <<< "$output"
	[[ $(LC_ALL=C grep -c $'\x9b' <<< "$output") == 0 ]]
}

@test "inspect --raw leaves out what was given back" {
	fake_patched "$FULL" web=restored cache=kept carved=released
	"$COMMAND" inspect --raw > "$BATS_TEST_TMPDIR/kept"
	fastrestart inspect --json "$BATS_TEST_TMPDIR/kept"
	check_status 0
	[[ $(json '[.regions[].name] | join(" ")') == cache ]]
	[[ $(json '[.blobs[].name | select(startswith("vm/web/"))] | length') == 0 ]]
}

@test "a region that the kernel does not list is taken for kept" {
	fake_patched "$FULL" web=restored
	fastrestart list --json
	[[ $(json '[.regions[].state] | join(" ")') == 'restored kept kept' ]]
}

@test "a descriptor that the kernel refused and that is damaged" {
	printf '\x5a' | dd of="$FULL" bs=1 seek=600 conv=notrunc status=none
	fake_patched "$FULL"
	echo 'refused: header checksum' > "$ROOT/sys/kernel/fastrestart/status"
	fastrestart status --json
	check_status 0
	[[ $(json .status.kernel_status) == 'refused: header checksum' ]]
	check_message warning
	fastrestart inspect
	check_status 5
	check_message
	"$COMMAND" inspect --raw > "$BATS_TEST_TMPDIR/copy"
	cmp "$FULL" "$BATS_TEST_TMPDIR/copy"
}

@test "a patched kernel that brought nothing" {
	fake_patched "$FULL"
	rm "$ROOT/sys/kernel/fastrestart/descriptor"
	echo none > "$ROOT/sys/kernel/fastrestart/status"
	fastrestart status --json
	check_status 0
	[[ $(json '.status | .kernel_patched and .kernel_status == "none"') == true ]]
}

@test "report: phases, total, blackout" {
	fake_patched "$FULL" web=restored cache=restored carved=kept
	fastrestart report --json
	check_status 0
	[[ $(json '.phases | length') == 14 ]]
	[[ $(json '[.phases[].us] | unique == [100000]') == true ]]
	[[ $(json '.report == {"hop": 3, "total_us": 1400000, "blackout_us": 1400000}') == true ]]
	[[ $(json '.vms == [{"name": "web", "begin_us": null, "us": null}]') == true ]]
	fastrestart report
	check_status 0
	grep -Eq '^Blackout: +1400.000 ms' <<< "$output"
}

@test "report: each guest's own time" {
	fake_patched "$FULL" web=restored
	# the freeze is at 1000000000, and a millisecond has 2500000 ticks
	fake_started web 4250000000
	fastrestart report --json
	check_status 0
	[[ $(json '.vms == [{"name": "web", "begin_us": 0, "us": 1300000}]') == true ]]
	[[ $(json .report.total_us) == 1400000 ]]
	fastrestart report
	grep -Eq '^web +0.000 ms +1300.000 ms' <<< "$output"
	# restore was killed before it had told the kernel
	fake_started web 5000000000
	fastrestart report --json
	[[ $(json .report.total_us) == 1600000 ]]
	# of another clock
	fake_started web 999999999
	fastrestart report --json
	[[ $(json '.vms[0].us') == null ]]
}

# Does PYTHON hold for the picture?
drawing() {
	python3 -c '
import sys, xml.dom.minidom as m
d = m.parse(sys.argv[1])
texts = [t.firstChild.data for t in d.getElementsByTagName("text")]
rects = [{k: v if "%" in v else float(v) for k, v in r.attributes.items() if k in ("x", "y", "width")}
	 for r in d.getElementsByTagName("rect")]
assert eval(sys.argv[2]), (rects, texts)' "$BATS_TEST_TMPDIR/out.svg" "$1"
}

@test "report --svg draws well-formed XML" {
	fake_patched "$FULL"
	fastrestart report --svg "$BATS_TEST_TMPDIR/out.svg"
	check_status 0
	# a background and the phases
	drawing 'len(rects) == 1 + 14 and texts[-1] == "not resumed"'
	# the guest is below, from the freeze on, as long as 13 of 14 phases
	fake_started web 4250000000
	fastrestart report --svg "$BATS_TEST_TMPDIR/out.svg"
	drawing 'len(rects) == 1 + 14 + 1 and texts[-2:] == ["VM web", "1300.0 ms"]'
	drawing 'rects[15]["x"] == rects[1]["x"] and rects[15]["y"] > rects[14]["y"]'
	drawing 'abs(rects[15]["width"] - 13 * rects[1]["width"]) < 0.1'
	fastrestart report --svg "$BATS_TEST_TMPDIR/no/out.svg"
	check_status 1
	check_message no/out.svg
}

@test "report of a descriptor without stamps" {
	fake_patched "$EMPTY"
	fastrestart report
	check_status 7
	check_message stamps
}
