# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# What people look at, made of a benchmark run's JSON lines: a table, plots, RESULTS.md.

# Common to the tables: three significant digits, the runs' spread, and the columns.
# shellcheck disable=SC2016 # jq's
FR_BENCH_ROWS='
	def short: if . == null then "" elif . >= 100 then round
		else (3 - (log10 | floor)) as $d | (. * pow(10; $d - 1) | round) / pow(10; $d - 1) end;
	def spread: if length > 1 then "\(min | short)–\(max | short)" else "" end;
	def rows: ["benchmark", "at", "ours", "spread", "peer", "spread", "unit", "the peer is", "ratio", "bar", "reached"],
		(.[] | [.name, (if .axis then "\(.at) \(.axis)" else "" end),
			(.ours | short), (.runs | spread), (.peer_value | short), (.peer_runs | spread),
			.unit, .peer, (.ratio | short), (.bar // ""),
			(if .reached == null then "" elif .reached then "yes" else "NO" end)]);'

bench_table() {
	jq -rs "$FR_BENCH_ROWS"' rows | map(if . == "" then "-" else . end) | @tsv' | column -t -s $'\t'
}

# bench_plots JSON DIR: DIR/ratios.svg shows how far each bar is passed, DIR/NAME.svg each
# benchmark that has points along an axis.
bench_plots() {
	local from=$1 dir=$2 name
	command -v gnuplot >/dev/null || die "bench: plots need gnuplot-nox"
	mkdir -p "$dir"
	plot_ratios "$from" "$dir" || die "bench: gnuplot failed"
	jq -r 'select(.axis) | .name' "$from" | sort -u | while read -r name; do
		plot_points "$from" "$name" "$dir" || die "bench: gnuplot failed"
	done
}

# Gnuplot's settings for a picture $1 pixels high in file $2.
plot_begin() {
	cat <<-GNUPLOT
		set terminal svg size 800,$1 dynamic font "sans,12" background "white"
		set output "$2"
		set datafile separator "\t"
		set border 3 lc rgb "#606060"
		set tics nomirror
		set grid lc rgb "#e0e0e0"
	GNUPLOT
}

# One bar a result, from 1 to the ratio, and a mark where its bar is.
plot_ratios() {
	local data=$2/ratios.dat nr
	jq -rs 'map(select(.axis | not)) | reverse | to_entries[]
		| [.key, (.value.name | gsub("_"; " ")) + ", against " + .value.peer, .value.ratio, .value.bar // "nan",
		   (if .value.reached == false then 1 else 0 end)] | @tsv' "$1" >"$data"
	nr=$(wc -l <"$data")
	if [ "$nr" != 0 ]; then
		gnuplot <<-GNUPLOT
			$(plot_begin $((80 + 26 * nr)) "$2/ratios.svg")
			set title "times better than the peer; red: the bar"
			set logscale x
			set yrange [-0.7:$nr - 0.3]
			set style fill solid
			set key off
			plot "$data" using (\$3 > 1 ? 1 : \$3):1:(\$3 > 1 ? 1 : \$3):(\$3 > 1 ? \$3 : 1):(\$1 - 0.35):(\$1 + 0.35):ytic(2) \
				with boxxyerror lc rgb "#4477aa", \
			     "" using 4:1:(0):(0.42) with xyerrorbars pt 0 lw 3 lc rgb "#cc3311"
		GNUPLOT
	fi || return 1
	rm -f "$data"
}

# Ours and the peers' along the axis, with the runs' spread.
plot_points() {
	local from=$1 name=$2 dir=$3 points=$3/$2.dat
	jq -rs --arg name "$name" 'map(select(.name == $name and .axis)) | sort_by(.at)
		| (.[] | ["ours", .at, .ours, (.runs | min), (.runs | max)]),
		  (group_by(.peer)[] | .[] | [.peer, .at, .peer_value, (.peer_runs | min), (.peer_runs | max)])
		| @tsv' "$from" >"$points"
	gnuplot <<-GNUPLOT || return 1
		$(plot_begin 400 "$dir/$name.svg")
		set title "${name//_/ }"
		set xlabel "$(jq -rs --arg name "$name" 'map(select(.name == $name and .axis))[0].axis' "$from")"
		set ylabel "$(jq -rs --arg name "$name" 'map(select(.name == $name and .axis))[0].unit' "$from")"
		set yrange [0:*]
		set offsets graph 0.05, 0.05, 0, 0
		set key outside bottom center horizontal
		plot $(cut -f1 "$points" | awk '!seen[$0]++' | while IFS= read -r series; do
			printf '"< grep -F \\"%s\\t\\" %s" using 2:3:4:5 with yerrorlines lw 2 title "%s", ' \
				"$series" "$points" "$series"
		done)
	GNUPLOT
	rm -f "$points"
}

# bench_write_results JSON FILE PLOTS: the table and its conditions, between two marks of FILE;
# what is around them stays.
bench_write_results() {
	local from=$1 file=$2 plots=$3 new
	new=$(mktemp)
	[ -f "$file" ] || printf '# Results of the benchmarks\n\n<!-- results -->\n<!-- end -->\n' >"$file"
	{
		sed '/^<!-- results -->$/q' "$file"
		echo
		bench_markdown "$from"
		[ -z "$plots" ] || bench_markdown_plots "$plots" "$(dirname -- "$file")"
		echo
		sed -n '/^<!-- end -->$/,$p' "$file"
	} >"$new"
	cat "$new" >"$file"
	rm -f "$new"
}

bench_markdown() {
	jq -rs "$FR_BENCH_ROWS"'
		def values(f): map(f) | unique | map(select(. != "" and . != null)) | join(", ");
		(map(.machine) | "Measured on \(values(.date)) with \(values(.cpus)) CPUs (\(values(.cpu))), "
			+ "Linux \(values(.kernel)) as the base, load \(map(.load) | min) to \(map(.load) | max); "
			+ "VMs on QEMU \(values(.qemu)), \(values(.accel))."),
		"Medians of " + values(.runs | length | tostring) + " runs; less is better, and a ratio is how many times better than the peer.",
		"",
		([rows] | (.[0] | "| " + join(" | ") + " |", "|" + (map("---|") | join(""))),
			(.[1:][] | "| " + (map(tostring) | join(" | ")) + " |")),
		"",
		"Conditions:",
		"",
		(group_by([.name, .conditions])[] | "- \(.[0].name): \(.[0].conditions)")' "$1"
}

bench_markdown_plots() {
	local plot
	for plot in "$1"/*.svg; do
		printf '\n![%s](%s)\n' "$(basename "$plot" .svg)" "$(realpath --relative-to="$2" "$plot")"
	done
}
