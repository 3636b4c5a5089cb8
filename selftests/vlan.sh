#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Frames with one and two tags, of 802.1Q and 802.1ad, into and out of the router. XDP takes tags off and puts them on as the
# kernel's flowtable does, and VLAN devices count the same.
. "$(dirname "$0")/links.sh"

load_modules
links_topology
for n in 0 1; do
	ip -n "$router" link add link r$n name r$n.10 type vlan id 10 egress-qos-map 0:5
	ip -n "$router" link add link r$n name r$n.ad type vlan id 11 proto 802.1ad
	ip -n "$router" link add link r$n name r$n.12 type vlan id 12 reorder_hdr off
	ip -n "$router" link set r$n.10 up
	ip -n "$router" link set r$n.ad up
	ip -n "$router" link add link r$n.10 name r$n.10.20 type vlan id 20
	ip -n "$router" link add link r$n.ad name r$n.ad.21 address 02:00:00:00:09:0$n type vlan id 21 reorder_hdr off
	mac_of[r$n,$adq]=02:00:00:00:09:0$n
done
kind 1 r0 r1
kind $vlan r0.10 r1.10 outer=0x8100000a
kind $ad r0.ad r1.ad outer=0x88a8000b
kind $inline r0.12 r1.12 outer=0x8100000c
kind $qinq r0.10.20 r1.10.20 outer=0x8100000a inner=0x81000014
kind $adq r0.ad.21 r1.ad.21 outer=0x88a8000b inner=0x81000015
addresses
links_ruleset r0 r1
links_compare r0.10 r0.ad r0.12 r0.10.20 r0.ad.21 r1.10 r1.ad r1.12 r1.10.20 r1.ad.21

# A tag with a priority is another one to the flowtable; the stack, which takes it, forwards.
flow=("src=10.1.$vlan.9" dst=10.2.1.9 sport=$((1000 + vlan)))
by_xdp 0 2 "${flow[@]}" -- outer=0x8100600a -- outer=0x8100100a
by_xdp 1 1 "${flow[@]}" outer=0x8100000a
plain=(src=10.1.1.9 dst=10.2.1.9 sport=1001)
by_xdp 0 2 "${plain[@]}" -- outer=0x81000000 -- outer=0x8100e000
# Tags that nobody has, and the same ones otherwise.
by_xdp 0 0 "${plain[@]}" -- outer=0x81000063 -- outer=0x88a8000a -- outer=0x8100000b
flow=("src=10.1.$qinq.9" dst=10.2.1.9 sport=$((1000 + qinq)))
by_xdp 0 0 "${flow[@]}" -- outer=0x81000014 inner=0x8100000a -- outer=0x8100000a inner=0x88a80014 -- outer=0x81000014 \
	-- outer=0x8100000a inner=0x81000014 third=0x81000001 -- outer=0x8100000a inner=0x81000014 cut=21
by_xdp 0 1 "${flow[@]}" outer=0x8100000a
by_xdp 1 1 "${flow[@]}" outer=0x8100000a inner=0x81000014

# A device takes frames from XDP that are 4 bytes longer than its MTU wants them, which is one tag; of two the stack can take off
# one. A smaller MTU sends flows through the stack once, as does a route that goes.
ip -n "$router" link set r1 mtu 1500
flow=("src=10.1.$qinq.9" "dst=10.2.$qinq.9" sport=$((1000 + qinq)) outer=0x8100000a inner=0x81000014)
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}" len=$((1496 - 28))
by_xdp 0 2 "${flow[@]}" -- len=$((1497 - 28)) -- len=$((1500 - 28))

# A tag that the other end leaves to its device would be hidden, and the packet taken for one without.
c ethtool -K c0 txvlan on
by_xdp 0 1 "${plain[@]}"
for dev in r0.10 r0.ad r0.12; do
	ip -n "$router" link del $dev
done
again "${plain[@]}"
by_xdp 1 1 "${plain[@]}"
ip -n "$client" link add link c0 name c0.99 type vlan id 99
sleep 0.1
by_xdp 0 1 "${plain[@]}"
ip -n "$client" link del c0.99
ip -n "$client" link add br0 type bridge
again "${plain[@]}"
by_xdp 1 1 "${plain[@]}"
ip -n "$client" link set c0 master br0
sleep 0.1
by_xdp 0 1 "${plain[@]}"
