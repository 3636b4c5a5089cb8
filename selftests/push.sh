#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A flowtable with the flag snoop: flows are there before XDP sees their first packet, and have gone when their end returns.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

need conntrack exact wire
modprobe -q nf_flow_table || true
grep -qw nf_flow_snoop_register /proc/kallsyms || unpatched "no flowtables that tell of their flows"
load_modules
topology
crafted_flows
quiet_neighbours
check "flowmap makes a flowtable with the flag snoop" "$(r flowmap snoop -c -j inet filter fast r0 r1)" = '{"made":["fast"]}'
check "and no other with one of its devices" "$(r flowmap snoop inet filter other r0 2>&1)" = \
	"flowmap: flowtable 'other' exists, or another of its table has a device of it: delete that, or take another name or device"
r nft -f - <<-END
table inet filter {
	chain forward {
		type filter hook forward priority filter
		meta l4proto { tcp, udp } flow add @fast
		meta nfproto ipv4 ip dscp set ef
	}
}
END
r flowmap attach r0 r1

# The end of a connection returns, and the next packet goes by the stack: 1000 times.
times=1000
inserted=$(table insert)
ends_at_once $times
check "two entries for each flow" $(($(table insert) - inserted)) -eq $((2 * times))

# Flows that are there when the module comes are told of too.
r flowmap detach r0 r1
c wire send c0 "${ipv4[@]}" -- -- -- >/dev/null
rmmod nf_flow_table_bpf_flowmap
rmmod nf_flow_table_snoop
load_modules
check "entries of flows that were there before the module" "$(table entries)" -eq 2
r flowmap attach r0 r1
# Attaching makes routes stale, and the kernel offloads the flow once more.
c wire send c0 "${ipv4[@]}" -- -- >/dev/null
before=$(forwarded r0)
c wire send c0 "${ipv4[@]}" -- -- -- >/dev/null
succeeds "XDP forwards them" busywait 2000 forwards_more_than $((before + 2))

# What ends a flow besides.
r nft flush chain inet filter forward
r nft delete flowtable inet filter fast
check "entries after the flowtable was deleted" "$(table entries)" -eq 0

# The flowtable is a bond's, and XDP runs on its parts: their first packet brings the entry. One for the bond would match nothing.
r flowmap detach r0 r1
ip -n "$router" addr flush dev r1
ip -n "$router" link set r1 down
ip -n "$router" link add bond0 address "${mac[r1]}" type bond mode active-backup
ip -n "$router" link set r1 master bond0
up "$router" bond0 10.0.2.1/24 fd00:2::1/64
ip -n "$router" neigh add 10.0.2.2 lladdr "${mac[s0]}" dev bond0 nud permanent
ip -n "$router" route add 10.0.9.0/24 via 10.0.2.2
r flowmap snoop -c inet filter fast r0 bond0 >/dev/null
r nft add rule inet filter forward meta l4proto udp flow add @fast
r flowmap attach r0 bond0
c wire send c0 "${ipv4[@]}" -- -- -- >/dev/null
check "entries of a flow over a bond" "$(table entries)" -eq 1
before=$(forwarded bond0)
forwards_for_bond()
{
	s wire send s0 "${back4[@]}" -- -- -- >/dev/null
	[ "$(forwarded bond0)" -gt "$before" ]
}
succeeds "XDP forwards what the part receives" busywait 5000 forwards_for_bond
check "entries of a flow over a bond, both ways" "$(table entries)" -eq 2
