#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# VLANs that leave a bridge's port without a tag, and a bridge of 802.1ad: as bridge.sh.
. "$(dirname "$0")/links.sh"

need bridge
load_modules
links_topology

# The router's own address is in VLAN 1, which the port tags; VLAN 10 is the port's own.
for n in 0 1; do
	peer=${mac[c0]}
	[ $n = 0 ] || peer=${mac[s0]}
	ip -n "$router" link add br$n address "${mac[r$n]}" type bridge vlan_filtering 1 vlan_protocol 802.1ad
	ip -n "$router" link set r$n master br$n
	r bridge vlan add dev r$n vid 10 pvid untagged
	r bridge vlan add dev r$n vid 1
	r bridge vlan add dev r$n vid 12
	r bridge vlan add dev br$n vid 10 self
	r bridge vlan add dev br$n vid 12 self
	ip -n "$router" link set br$n up
	for vid in 10 12; do
		ip -n "$router" link add link br$n name br$n.$vid type vlan id $vid proto 802.1ad
		r bridge fdb replace "$peer" dev r$n master static vlan $vid
	done
	r bridge fdb replace "$peer" dev r$n master static vlan 1
done
kind $bridge br0 br1 outer=0x88a80001
kind $untagged br0.10 br1.10
kind $ad br0.12 br1.12 outer=0x88a8000c
addresses
links_ruleset r0 r1
links_compare br0 br0.10 br0.12 br1 br1.10 br1.12
