#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Bridges, with devices of other kinds above and below them: XDP sends what the kernel's flowtable sends, and bridges count the
# same.
#
#  client              router              server
#   c0 ------------- r0, port of br0
#                     r1, port of br1 ---- s0
#                     r2, the same ------- s1
#
# br0 and br1 filter VLANs; vb0 and vb1 do not, and have a VLAN of r0 and r1 as their port.
. "$(dirname "$0")/links.sh"

need bridge ppp
load_modules
links_topology
hold_one_of_each
c nft 'table bridge other { chain output { type filter hook output priority 0; }; }'
link "$router" r2 "$server" s1
end_host "$server" s1
s ethtool -K s1 txvlan off tx-vlan-stag-hw-insert off
up "$router" r2
up "$server" s1

for n in 0 1; do
	peer=${mac[c0]}
	[ $n = 0 ] || peer=${mac[s0]}
	ip -n "$router" link add br$n address "${mac[r$n]}" type bridge vlan_filtering 1
	ip -n "$router" link set r$n master br$n
	r bridge vlan add dev r$n vid 10
	r bridge vlan add dev br$n vid 10 self
	ip -n "$router" link set br$n up
	ip -n "$router" link add link br$n name br$n.10 type vlan id 10
	ip -n "$router" link set br$n.10 up
	ip -n "$router" link add link r$n name r$n.30 type vlan id 30
	ip -n "$router" link add vb$n address "${mac[r$n]}" type bridge
	ip -n "$router" link set r$n.30 up master vb$n
	ip -n "$router" link set vb$n up
	ip -n "$router" link add link vb$n name vb$n.40 type vlan id 40
	r bridge fdb replace "$peer" dev r$n master static vlan 1
	r bridge fdb replace "$peer" dev r$n master static vlan 10
	r bridge fdb replace "$peer" dev r$n.30 master static
	ppp_session br$n 7 "$peer" br${n}ppp
	ppp_session br$n.10 8 "$peer" br$n.ppp
done
kind $bridge br0 br1
kind $bridge_vlan br0.10 br1.10 outer=0x8100000a
kind $vlan_bridge vb0 vb1 outer=0x8100001e
kind $vlan_bridge_vlan vb0.40 vb1.40 outer=0x8100001e inner=0x81000028
kind $pppoe br0ppp br1ppp pppoe=7
kind $vlan_pppoe br0.ppp br1.ppp outer=0x8100000a pppoe=8
addresses
links_ruleset r0 r1 r2
shapes=('len=18' 'len=1 pad=17 csum=0')
links_compare br0 br0.10 vb0 r0.30 vb0.40 br0ppp br0.ppp br1 br1.10 vb1 r1.30 vb1.40 br1ppp br1.ppp

# Chains of the family bridge.
flow=("src=10.1.$bridge.9" "dst=10.2.$bridge_vlan.9" sport=$((1000 + bridge)))
by_xdp 1 1 "${flow[@]}"
r nft 'table bridge filter { chain output { type filter hook output priority 0; }; }'
sleep 0.1
by_xdp 0 1 "${flow[@]}"
succeeds "says why" grep -q 'stack=egress_chain' "/proc/${keeper[$router]}/net/nf_flowmap"
r nft delete table bridge filter
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"

# A port that does not forward.
r bridge link set dev r1 state 0
sleep 0.1
by_xdp 0 0 "${flow[@]}"
r bridge link set dev r1 state 3
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"

# A VLAN that the bridge itself is not in.
r bridge vlan del dev br1 vid 10 self
sleep 0.1
by_xdp 0 0 "${flow[@]}"
r bridge vlan add dev br1 vid 10 self
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"

# The neighbour moves to another port of the bridge, which it did not tell the flowtable.
ip -n "$router" link set r2 master br1
r bridge vlan add dev r2 vid 10
r bridge fdb del "${mac[s0]}" dev r1 master vlan 10
r bridge fdb replace "${mac[s0]}" dev r2 master static vlan 10
sleep 0.1
before=$(forwarded r0)
capture "$server" s1 "$tmp/moved"
for _ in 1 2; do
	c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" "${flow[@]}" >"$tmp/frames"
	sleep 0.1
done
captured "$tmp/moved" 2
check "to the other port" "$(frames "$tmp/moved" | grep -c 8100000a0800)" -eq 2
check "to the other port: forwarded by XDP" $(($(forwarded r0) - before)) -ge 1

# A group, which a bridge floods although its FDB has it at one port. The flowtable has the bridge here, not its ports.
r nft flush ruleset
links_ruleset r0 br1.10
again "${flow[@]}"
again "${flow[@]}"
by_xdp 1 0 "${flow[@]}"
group=03:bf:0a:02:09:09
r bridge fdb add $group dev r2 master static vlan 10
ip -n "$router" neigh replace 10.2.$bridge_vlan.9 lladdr $group dev br1.10 nud permanent
sleep 0.1
capture "$server" s1 "$tmp/group"
by_xdp 0 1 "${flow[@]}"
captured "$tmp/group" 1
check "to the other port, too" "$(frames "$tmp/group" | grep -c ^03bf0a020909)" -eq 1
