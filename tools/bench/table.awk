# SPDX-License-Identifier: GPL-2.0-only
# The tables of 'make bench', from lines "NAME FIGURE SPREAD".

# @unit: insn or wall
function above(kernel, path, case_) {
	return figure[unit "." kernel "." path "." case_] - figure[unit "." kernel ".floor." case_]
}

function has(kernel, path, case_) {
	return (unit "." kernel "." path "." case_) in figure && (unit "." kernel ".floor." case_) in figure
}

function number(kernel, path, case_) {
	return has(kernel, path, case_) ? sprintf("%10d", above(kernel, path, case_)) : sprintf("%10s", "-")
}

# By how much the runs of a path and those of the floor let the difference be another.
function blur(kernel, path, case_,    name, base) {
	name = unit "." kernel "." path "." case_
	base = unit "." kernel ".floor." case_
	return (figure[name] * spread[name] + figure[base] * spread[base]) / 100
}

function is_sure(kernel, path, case_) {
	return has(kernel, path, case_) && blur(kernel, path, case_) <= 0.15 * above(kernel, path, case_)
}

# How many times fewer.
function times(kernel, path, case_, door) {
	return is_sure(kernel, path, case_) && is_sure(kernel, door, case_) ? sprintf("%9.1fx", above(kernel, path, case_) / above(kernel, door, case_)) : sprintf("%10s", "-")
}

function packets(what, kernel, door,    i, c, headed) {
	for (i = 1; i <= cases; i++) {
		c = name[i]
		if (!((unit "." kernel ".floor." c) in figure))
			continue
		if (!headed++) {
			printf "\n%s above the floor, kernel %s, and how many times those of %s; runs differ by %.1f%% at most\n", what, kernel, door,
				widest[unit "." kernel]
			printf "  %-18s%10s%10s%10s%10s%10s %10s%10s%10s%10s\n", "", "slow", "flowtable", "upstream", "kfunc", "map", "slow", "flowtable", "upstream", "floor"
		}
		printf "  %-18s%s%s%s%s%s %s%s%s%10d\n", c, number(kernel, "slow", c), number(kernel, "flowtable", c), number(kernel, "upstream", c),
			number(kernel, "kfunc", c), number(kernel, "map", c), times(kernel, "slow", c, door), times(kernel, "flowtable", c, door),
			times(kernel, "upstream", c, door), figure[unit "." kernel ".floor." c]
	}
}

function whole(kind, name, order, n,    i, sum) {
	for (i = 1; i <= n; i++)
		sum += figure[kind "." name "." order[i]]
	return sum
}

function made_of(kernel, path,    i, j, n, name, order, headed) {
	n = split("parse call hash compare checks count rewrite send rest", order, " ")
	printf "\nWhat those of flowmap are, kernel %s, %s\n  %-18s", kernel, path, ""
	for (j = 1; j <= n; j++)
		printf "%9s", order[j]
	printf "%9s\n", "in all"
	for (i = 1; i <= apart; i++) {
		name = kernel "." path "." taken[i]
		if (!(("parts." name ".hash") in figure))
			continue
		printf "  %-18s", taken[i]
		for (j = 1; j <= n; j++)
			printf "%9.1f", figure["parts." name "." order[j]]
		printf "%9.1f\n", whole("parts", name, order, n)
	}
	for (i = 1; i <= apart; i++) {
		name = kernel "." path "." taken[i]
		if (taken[i] !~ /_10000$/ || !(("lines." name ".hash") in figure))
			continue
		if (!headed++)
			printf "Cache lines that they touch, one packet of each flow\n  %-18s%9s%9s\n", "", "bucket", "others"
		printf "  %-18s%9.2f%9.2f\n", taken[i], figure["lines." name ".hash"],
			whole("lines", name, order, n) - figure["lines." name ".hash"]
	}
}

function ns(op, path, flows,    key) {
	key = "ns." op "." path "." flows
	return key in figure ? sprintf("%10.0f", figure[key]) : sprintf("%10s", "-")
}

function ratio(op, path, flows,    key, base) {
	key = "ns." op "." path "." flows
	base = "ns.lookup.flowtable." flows
	return key in figure && base in figure ? sprintf("%9.2fx", figure[key] / figure[base]) : sprintf("%10s", "-")
}

function tables_ns(    i, j, order, ops, op, n, row, headed) {
	n = split("1k 64k 1M 4M 1k_seq 64k_seq 1M_seq 4M_seq", order, " ")
	split("lookup insert delete", ops, " ")
	for (j = 1; j <= 3; j++) {
		op = ops[j]
		headed = 0
		for (i = 1; i <= n; i++) {
			row = ns(op, "flowtable", order[i]) ns(op, "hash", order[i]) ns(op, "pull", order[i]) ns(op, "push", order[i])
			if (row !~ /[0-9]/)
				continue
			if (!headed++) {
				printf "\nNanoseconds of %s %s, rounds differ by %.0f%% at most; beside it, lookups of the flowtable that take as long\n",
					j == 2 ? "an" : "a", op, widest["ns." op]
				printf "  %-18s%10s%10s%10s%10s %10s%10s\n", "flows", "flowtable", "hash map", "pull", "push", "pull", "push"
			}
			printf "  %-18s%s %s%s\n", order[i], row, ratio(op, "pull", order[i]), ratio(op, "push", order[i])
		}
	}
}

function connection(path, what,    key) {
	key = "insn.6.12." path ".tcp4_masq_1"
	if (key in figure)
		printf "  %-42s%10d%10.3f\n", what, 1e9 / figure[key], figure["insn.6.12.connect_plain.tcp4_masq_1"] / figure[key]
}

function many(kernel, door, what,    name) {
	name = kernel "." door "." flows
	if (("us.teardown." name) in figure)
		printf "  %-42s%10.0f (%2.0f%%)%10s\n", kernel ", " what, figure["us.teardown." name] / 1000, spread["us.teardown." name],
			("us.stall." name) in figure ? sprintf("%.2f", figure["us.stall." name] / 1000) : "-"
}

{
	figure[$1] = $2
	spread[$1] = $3
	split($1, part, ".")
	if (part[1] == "bytes")
		flows = part[length(part)]
	group = part[1] "." part[2]
	if ($1 ~ /^(insn|wall)\.6\.12\./)
		group = part[1] ".6.12"
	if ($1 ~ /\.connect_/)
		group = "connect"
	if ($3 >= widest[group])
		widest[group] = $3
	if ($1 ~ /^parts\..*\.hash$/ && !(part[length(part) - 1] in known)) {
		known[part[length(part) - 1]] = 1
		taken[++apart] = part[length(part) - 1]
	}
	if ($1 ~ /^(insn|wall)\..*\.floor\./) {
		case_ = part[length(part)]
		if (!(case_ in seen)) {
			seen[case_] = 1
			name[++cases] = case_
		}
	}
}

END {
	unit = "insn"
	packets("Instructions per packet", "6.12", "kfunc")
	packets("Instructions per packet", "patched", "map")
	unit = "wall"
	packets("Nanoseconds per packet, by the clock,", "6.12", "kfunc")
	if (apart) {
		made_of("6.12", "kfunc")
		made_of("patched", "push")
	}
	tables_ns()
	if ("insn.6.12.connect_plain.tcp4_masq_1" in figure) {
		printf "\nConnections per second of a machine with 1000 million instructions a second; runs differ by %.1f%% at most\n",
			widest["connect"]
		connection("connect_plain", "without the module")
		connection("connect_module", "with the module")
		connection("connect_xdp", "with XDP attached")
	}
	if (flows != "") {
		printf "\nThe end of %d flows, of such a machine: milliseconds, by how much runs differ, the longest that anybody waited in any run\n", flows
		many("6.12", "none", "the flowtable alone")
		many("6.12", "pull", "with flowmap")
		many("6.12", "none_full", "preempt=full, alone")
		many("6.12", "pull_full", "preempt=full, with flowmap")
		many("patched", "none", "the flowtable alone")
		many("patched", "pull", "with flowmap, pull")
		many("patched", "push", "with flowmap, push")
		if (("bytes.direction.patched." flows) in figure)
			printf "  %-42s%10d\n", "bytes for one direction of a flow", figure["bytes.direction.patched." flows]
	}
}
