#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Four programs, XDP and tc, by map and by kfunc, and two maps, over the same flows at once: the same answers, and each lookup
# counted once, also by conntrack; while XDP forwards the flows' packets by the map door one way and by the kfunc the other.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

need conntrack doors flows wire
object=$(object doors.bpf.o) || missing "no doors.bpf.o"
load_modules
[ "$(flows create || true)" = OK ] || unpatched "no map types of modules"
topology
crafted_flows
quiet_neighbours
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=600
flowtable_on "r0 r1" counter
fill_flowtable "ct state established"
masquerade "oifname r1"
doors=(xdp_map tc_map)
r flowmap attach -d map r0
# Without a JIT there are no kfuncs.
if [ -e /proc/sys/net/core/bpf_jit_enable ]; then
	doors+=(xdp_kfunc tc_kfunc)
	r flowmap attach -d kfunc r1
else
	r flowmap attach r1
fi

nat4=("${back4[@]}" dst=10.0.2.1)
nat6=("${back6[@]}" dst=fd00:2::1)

# each COUNT: so many packets each way over IPv4 and IPv6
each()
{
	local args=()

	for _ in $(seq "$1"); do
		args+=(--)
	done
	c wire send c0 "${ipv4[@]}" "${args[@]}" >/dev/null
	s wire send s0 "${nat4[@]}" "${args[@]}" >/dev/null
	c wire send c0 "${ipv6[@]}" "${args[@]}" >/dev/null
	s wire send s0 "${nat6[@]}" "${args[@]}" >/dev/null
}

# conntrack_packets: of all connections, both ways
conntrack_packets()
{
	r conntrack -L -p udp 2>/dev/null | grep -oE 'packets=[0-9]+' | awk -F = '{ sum += $2 } END { print sum }'
}

r sysctl -q net.netfilter.nf_conntrack_acct=1
each 2
each 2
before=$(conntrack_packets)
forwarded=$(forwarded r0 r1)
background "$router" doors "$object" 200 "${doors[@]}" >"$tmp/doors" 2>&1
each 50
busywait 60000 says "$tmp/doors" oor
lookups=$(sed -n 's/.*, \([0-9]*\) lookups$/\1/p' "$tmp/doors")
check "the same answers by each door" "$(<"$tmp/doors")" = "${#doors[@]} doors, 4 flows, $((200 * 4 * ${#doors[@]})) lookups"
check "forwarded by XDP meanwhile" $(($(forwarded r0 r1) - forwarded)) -eq 200
check "counted by conntrack" $(($(conntrack_packets) - before)) -eq $((${lookups:-0} + 200))
