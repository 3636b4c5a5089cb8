#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A bond: XDP takes what its active part receives, which the flowtable sees at the bond, and sends to the bond.
#
#  client              router              server
#   c0 ------------- r0
#               bond0, of r1 -------------- s0
#                     and r2 -------------- s1
. "$(dirname "$0")/links.sh"

load_modules
links_topology
hold_one_of_each
link "$router" r2 "$server" s1
end_host "$server" s1
s ethtool -K s1 txvlan off tx-vlan-stag-hw-insert off
up "$server" s1
ip -n "$router" link add bond0 address "${mac[r1]}" type bond mode active-backup
for dev in r1 r2; do
	ip -n "$router" link set $dev down
	ip -n "$router" link set $dev master bond0
done
ip -n "$router" link set bond0 mtu 2000 up
ip -n "$router" link add link r0 name r0.10 type vlan id 10
ip -n "$router" link add link bond0 name bond0.10 type vlan id 10
kind 1 r0 bond0
kind $vlan r0.10 bond0.10 outer=0x8100000a
addresses
links_ruleset r0 bond0
ports=(r0 bond0)
links_compare r0.10 bond0.10

# What the inactive part receives is not for the bond, nor does XDP forward it.
flow=(src=10.1.1.9 dst=10.2.1.9 sport=1001)
back=(src=10.2.1.9 dst=10.2.1.1 sport=2000 dport=1001 smac="${mac[s0]}" dmac="${mac[r1]}")
before=$(forwarded bond0)
s wire send s1 "${back[@]}" >"$tmp/frames"
sleep 0.2
check "from the inactive part, forwarded by XDP" "$(forwarded bond0)" -eq "$before"
s wire send s0 "${back[@]}" >"$tmp/frames"
sleep 0.2
check "from the active part, forwarded by XDP" "$(forwarded bond0)" -eq $((before + 1))

# A filter of a part of the bond; and a part that takes the place of another.
r tc qdisc add dev r2 clsact
r tc filter add dev r2 egress matchall action ok
sleep 0.1
by_xdp 0 1 "${flow[@]}"
r tc qdisc del dev r2 clsact
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"
ip -n "$router" link set bond0 type bond active_slave r2
again "${flow[@]}"
before=$(forwarded r0)
capture "$server" s1 "$tmp/moved"
c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" "${flow[@]}" >"$tmp/frames"
captured "$tmp/moved" 1
check "to the other part" "$(frames "$tmp/moved" | wc -l)" -eq 1
check "to the other part: forwarded by XDP" "$(forwarded r0)" -eq $((before + 1))

# A part that is sent what came in by a queue of its own, which XDP does not know of.
ip -n "$router" link set bond0 type bond active_slave r1
ip -n "$router" link set r2 type bond_slave queue_id 1
again "${flow[@]}"
by_xdp 0 1 "${flow[@]}"
ip -n "$router" link set r2 type bond_slave queue_id 0
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"
