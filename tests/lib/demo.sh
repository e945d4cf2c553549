# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# tests/run demo

# The hops' phases side by side, in ms, from the lines "REPORT {...}" of the run, with
# what the guest's output showed outside ($@: one figure for each hop) below.
demo_table() {
	sed -n 's/.* REPORT //p' "$L1_OUT/out" | jq -rs --args '
		def cell: tostring | (" " * ([0, 10 - length] | max)) + .;
		def row(name): (name + " " * ([0, 38 - (name | length)] | max))
			+ (map(cell) | join(""));
		. as $r
		| ([range(1; length + 1) | "hop \(.)"] | row("phase, ms")),
		  ($r[0].phases[] as $p
		   | [$r[] | .phases | map(select(.until == $p.until).us)
		      | if . == [] then "" else (add / 100 | round / 10) end]
		   | row($p.phase)),
		  ([$r[] | .report.blackout_us / 100 | round / 10] | row("blackout, first to last stamp")),
		  ($ARGS.positional | row("silence of the guest, seen outside"))' "$@"
}

# For each hop: the longest silence of the guest from "exec" on, in ms.
demo_silences() {
	awk '
		FNR == NR { if (/jump from stage/) at[++n] = $1; next }
		/count=/ {
			while (i < n && $1 > at[i + 1]) i++
			if (i && $1 - last > most[i]) most[i] = $1 - last
			last = $1
		}
		END { for (i = 1; i <= n; i++) printf "%d\n", most[i] * 1000 }' "$L1_OUT/out" "$L1_OUT/g0"
}

cmd_demo() {
	local silences start
	vm_prepare
	start=$SECONDS
	l1_run --narrate --kernel stock-6.12 --next patched --guest --limit 340 --mem 6G \
		--add "$FR_TOOL" \
		--add "$(locked images static_program "$FR_TESTS/vm/tools/pattern.c")=bin/pattern" \
		"$FR_TESTS/vm/scripts/demo.sh" && guest_lived g0
	local status=$?
	if [ $status = 0 ]; then
		mapfile -t silences < <(demo_silences)
		echo
		demo_table "${silences[@]}"
		echo
		echo "The guest counted from 1 to $(guest_last g0) without a gap, over" \
			"${#silences[@]} kernels of its host, in $((SECONDS - start)) s."
	fi
	if [ $status = 0 ] && [ ${#silences[@]} = 3 ]; then
		echo "demo: every check held"
	else
		echo "demo: FAILED"
		return 1
	fi
}
