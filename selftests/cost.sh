#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the fast path costs: instructions for a 60-byte UDP packet with masquerade, above an XDP program that redirects without any
# lookup. Counts them in a virtual machine with one processor where a nanosecond is an instruction, so that no other load
# matters. tools/bench/measure, which has a drawing, fails unless each path was the one meant.
. "$(dirname "$0")/lib.sh"

bound=280

[ -n "${FLOWMAP_ICOUNT-}" ] || skip "needs a machine that counts instructions, and FLOWMAP_ICOUNT=1 to say so"
need bench conntrack
measure=$here/../tools/bench/measure
[ -x "$measure" ] || missing "no program 'tools/bench/measure'"

# Those that it makes.
namespaces=(client router server)
wanted=(slow flowtable kfunc floor)
[ -z "${FLOWMAP_SERIES-}" ] || wanted+=(map)
[ "${FLOWMAP_KERNEL-}" != 6.12 ] || wanted+=(upstream)
declare -A cost
succeeds "each path is the one meant" env COUNT=2000 "$measure" >"$tmp/costs"
cat "$tmp/costs"
while read -r name instructions _; do
	name=${name%.*}
	cost[${name##*.}]=$instructions
done < <(grep '^insn\.' "$tmp/costs")

for path in "${wanted[@]}"; do
	check "$path was measured" "${cost[$path]-0}" -gt 0
done
check "kfunc, above the floor" $((cost[kfunc] - cost[floor])) -le $bound
check "and a lookup is not for nothing" $((cost[kfunc] - cost[floor])) -gt 0
[ -z "${cost[map]-}" ] ||
	check "map, above the floor" $((cost[map] - cost[floor])) -le $((cost[kfunc] - cost[floor]))
check "flowtable, above the floor" $((cost[flowtable] - cost[floor])) -gt $((cost[kfunc] - cost[floor]))
