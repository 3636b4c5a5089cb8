#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A flowtable that names VLAN devices instead of those below them: XDP, which sees frames before their tags are taken off, forwards
# the same, and VLAN devices count what they receive, too.
. "$(dirname "$0")/links.sh"

other=$(object other.bpf.o) || missing "no program 'other.bpf.o'"
load_modules
links_topology
hold_one_of_each
devs=()
for n in 0 1; do
	ip -n "$router" link add link r$n name r$n.10 type vlan id 10
	ip -n "$router" link add link r$n name r$n.ad type vlan id 11 proto 802.1ad
	ip -n "$router" link set r$n.10 up
	ip -n "$router" link add link r$n.10 name r$n.10.20 type vlan id 20
	devs+=("r$n.10" "r$n.ad" "r$n.10.20")
done
kind $vlan r0.10 r1.10 outer=0x8100000a
kind $ad r0.ad r1.ad outer=0x88a8000b
kind $qinq r0.10.20 r1.10.20 outer=0x8100000a inner=0x81000014
addresses
links_ruleset "${devs[@]}"
links_compare "${devs[@]}"

# The VLAN device takes tags of any priority, unless that says something.
flow=("src=10.1.$vlan.9" "dst=10.2.$vlan.9" sport=$((1000 + vlan)))
by_xdp 3 3 "${flow[@]}" -- outer=0x8100000a -- outer=0x8100600a -- outer=0x8100100a
ip -n "$router" link set r0.10 type vlan ingress-qos-map 3:5
again "${flow[@]}" outer=0x8100000a
by_xdp 1 2 "${flow[@]}" -- outer=0x8100000a -- outer=0x8100600a
by_xdp 0 1 "${flow[@]}" -- outer=0x8100000b -- outer=0x8100000a inner=0x81000014

# What runs before the flowtable, at either device.
flow+=(outer=0x8100000a)
for dev in r0 r0.10; do
	r tc qdisc add dev $dev clsact
	r tc filter add dev $dev ingress matchall action ok
	sleep 0.1
	by_xdp 0 1 "${flow[@]}"
	r tc qdisc del dev $dev clsact
	sleep 0.1
	by_xdp 1 1 "${flow[@]}"
	r nft "table netdev first { chain in { type filter hook ingress device $dev priority -10; }; }"
	sleep 0.1
	by_xdp 0 1 "${flow[@]}"
	r nft delete table netdev first
	sleep 0.1
	by_xdp 1 1 "${flow[@]}"
done

# Nor is generic XDP skipped, which the stack runs for the VLAN device. To set it makes routes stale.
ip -n "$router" link set dev r0.10 xdpgeneric object "$other" section xdp
again "${flow[@]}"
by_xdp 0 1 "${flow[@]}"
ip -n "$router" link set dev r0.10 xdpgeneric off
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"

# What ends a connection ends it at once, in both directions; another packet takes it up again.
flow+=(proto=6)
again "${flow[@]}"
by_xdp 1 1 "${flow[@]}"
by_xdp 0 2 "${flow[@]}" -- flags=0x11 -- flags=0x10
# XDP does so itself: also where the flowtable's hook does not see the packet.
other=("src=10.1.$ad.9" "dst=10.2.$ad.9" sport=$((1000 + ad)) outer=0x88a8000b proto=6)
again "${other[@]}"
r flowmap allow r0
r nft "table netdev first { chain in { type filter hook ingress device r0 priority -10; tcp flags & fin == fin drop; }; }"
sleep 0.1
by_xdp 1 1 "${other[@]}"
by_xdp 0 1 "${other[@]}" -- flags=0x11 -- flags=0x10
r nft delete table netdev first
r flowmap deny r0
ip -n "$router" link set r0.10 down
sleep 0.1
by_xdp 0 0 "${flow[@]}"
