# SPDX-License-Identifier: GPL-2.0-only
# Data for the lines: a line for each number of flows, nanoseconds of a lookup in random order.

BEGIN {
	n = split("1k 64k 1M 4M", flows, " ")
	split("1024 65536 1048576 4194304", number, " ")
	paths = split("flowtable hash pull push", path, " ")
}

{ figure[$1] = $2 }

END {
	for (i = 1; i <= n; i++) {
		printf "%s", number[i]
		for (j = 1; j <= paths; j++) {
			key = "ns.lookup." path[j] "." flows[i]
			printf " %s", key in figure ? figure[key] : "?"
		}
		print ""
	}
}
