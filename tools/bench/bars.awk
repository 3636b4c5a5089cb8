# SPDX-License-Identifier: GPL-2.0-only
# Data for the bars: a line for each path, a column for each of some cases, instructions above the floor.

BEGIN {
	n = split("udp4_masq_1 udp6_masq_1 tcp4_masq_1 udp4_vlan_1", cases, " ")
	paths = split("6.12.slow 6.12.flowtable 6.12.upstream 6.12.kfunc patched.map", path, " ")
	title["6.12.slow"] = "slow path"
	title["6.12.flowtable"] = "flowtable"
	title["6.12.upstream"] = "bpf_xdp_flow_lookup"
	title["6.12.kfunc"] = "flowmap, kfunc"
	title["patched.map"] = "flowmap, map (series)"
}

{ figure[$1] = $2 }

END {
	for (i = 1; i <= paths; i++) {
		kernel = path[i]
		sub(/\.[a-z]*$/, "", kernel)
		printf "\"%s\"", title[path[i]]
		for (j = 1; j <= n; j++) {
			key = "insn." path[i] "." cases[j]
			floor = "insn." kernel ".floor." cases[j]
			printf " %s", key in figure && floor in figure ? figure[key] - figure[floor] : "?"
		}
		print ""
	}
}
