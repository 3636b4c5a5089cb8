#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# PPP over Ethernet, also in a VLAN: XDP takes sessions off and puts them on as the kernel's flowtable does, and PPP devices count
# the same. Where PPP would do more, packets stay on the stack.
. "$(dirname "$0")/links.sh"

need ppp
load_modules
links_topology

for n in 0 1; do
	peer=c0
	[ $n = 0 ] || peer=s0
	ip -n "$router" link add link r$n name r$n.10 type vlan id 10
	ip -n "$router" link set r$n.10 up
	ppp_session r$n $((7 + n)) "${mac[$peer]}" r${n}ppp
	ppp_session r$n.10 $((9 + n)) "${mac[$peer]}" r${n}vppp
done
kind 1 r0 r1
kind $pppoe r0ppp r1ppp
kind $vlan r0.10 r1.10 outer=0x8100000a
kind $vlan_pppoe r0vppp r1vppp outer=0x8100000a
encap[r0,$pppoe]="pppoe=7" encap[r1,$pppoe]="pppoe=8"
encap[r0,$vlan_pppoe]="outer=0x8100000a pppoe=9" encap[r1,$vlan_pppoe]="outer=0x8100000a pppoe=10"
addresses
links_ruleset r0 r1
uppers=(r0.10 r0ppp r0vppp r1.10 r1ppp r1vppp)
links_compare "${uppers[@]}"

# Other sessions, other ends and other protocols than IP are for the stack, which takes them for nobody's. What the length of the
# session says is not looked at; nor is it by the flowtable.
flow=("src=10.1.$pppoe.9" dst=10.2.1.9 sport=$((1000 + pppoe)))
by_xdp 0 0 "${flow[@]}" -- pppoe=9 -- outer=0x8100000a pppoe=7 -- pppoe=7 ppp=0xc021 -- pppoe=7 ppp=0x57 -- pppoe=7 cut=21 \
	-- pppoe=7 ethertype=0x8863
by_xdp 2 2 "${flow[@]}" -- pppoe=7 -- pppoe=7 pppoelen=3

# The MTU of PPP, and what the stack says to a longer packet.
flow=(src=10.1.1.9 "dst=10.2.$pppoe.9" sport=1001)
by_xdp 1 1 "${flow[@]}" len=$((1492 - 28))
by_xdp 0 0 "${flow[@]}" len=$((1493 - 28))
by_xdp 1 1 "${flow[@]}"

# A line that carries packets is not idle.
unit=$(<"$tmp/unit-r1ppp")
sleep 2
check "seconds since a packet, before one" "$(r ppp idle "$unit")" -ge 2
start=$(now_ms)
by_xdp 1 1 "${flow[@]}"
sleep 1.2
idle=$(r ppp idle "$unit")
check "seconds since a packet" "$idle" -le $((($(now_ms) - start) / 1000))

# A filter, where PPP has filters, or a mode of PPP's.
if r ppp filter "$unit" 1 2>"$tmp/error"; then
	sleep 0.1
	by_xdp 0 1 "${flow[@]}"
	succeeds "says why" grep -q 'stack=ppp' "/proc/${keeper[$router]}/net/nf_flowmap"
	r ppp filter "$unit" 0
	sleep 0.1
	by_xdp 1 1 "${flow[@]}"
fi
r ppp mode "$unit" 0
sleep 0.1
by_xdp 0 0 "${flow[@]}"
by_xdp 1 1 "${flow[@]}" src=fd00:1:1::9 dst=fd00:2:$pppoe::9
r ppp mode "$unit" 1
sleep 0.1
by_xdp 1 1 "${flow[@]}"

# The session ends, and with it its flows.
kill "${session[r1ppp]}"
sleep 0.1
by_xdp 0 0 "${flow[@]}"
