#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which path takes a flow: with each pair of flags of a flowtable, each kind of driver that is asked, with and without XDP. Whichever
# does, the same frames arrive, once and in order, and conntrack has them all. netdevsim forwards nothing in hardware, so that
# whoever is next has the packets: XDP where it is attached, else the software flowtable.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1					all four are ports of netdevsim
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/sim.sh"

need traffic
grep -qw nf_flow_snoop_register /proc/kallsyms || unpatched "no flowtables that tell of their flows"
load_modules

# Packets in each direction.
packets=10

# driver flow|rule|refuses: what those of r0 and r1 do when they are asked
driver()
{
	local dev tc=0 fail=0

	[ "$1" != rule ] || tc=1
	[ "$1" != refuses ] || fail=100
	for dev in r0 r1; do
		echo $tc >"$(port $dev tc)"
		echo $fail >"$(port $dev fail_add)"
	done
}

# flagged [offload] [snoop]: a flowtable with these flags, and what fills it
flagged()
{
	local options=(-c)

	if [[ $* = *snoop* ]]; then
		[[ $* != *offload* ]] || options+=(-o)
		r flowmap snoop "${options[@]}" inet filter fast r0 r1
	else
		flowtable_on "r0 r1" counter "${1:+flags offload}"
	fi
	fill_flowtable "meta l4proto { tcp, udp }"
}

# in_conntrack ORIGINAL REPLY: packets
in_conntrack()
{
	local line

	line=$(r conntrack -L -p udp --sport 1000 2>/dev/null)
	[[ $line = *" packets=$1 "*" packets=$2 "* ]]
}

# what_arrives FILE: sends to either side, and captures there
what_arrives()
{
	local more=() i

	for ((i = 0; i < packets; i++)); do
		more+=(--)
	done
	capture "$server" s0 "$1.s0"
	capture "$client" c0 "$1.c0"
	c wire send c0 "${ipv4[@]}" "${more[@]}" >/dev/null
	s wire send s0 "${back4[@]}" "${more[@]}" >/dev/null
	captured "$1.s0" $packets
	captured "$1.c0" $packets
}

# takes DRIVER XDP HARDWARE [FLAG]...: HARDWARE is what drivers have in the end: flows, rules or nothing.
takes()
{
	local driver=$1 xdp=$2 hardware=$3 arrived before flows=0 rules=0 hits=0 by_xdp slow name
	shift 3

	arrived=$tmp/$driver-$xdp-$#${1-}
	name="flags ${*:-none}, driver $driver, XDP $xdp"
	case $hardware in
	flows) flows=1 hits=5 ;;
	rules) rules=1 ;;
	esac
	driver "$driver"
	flagged "$@"
	[ "$xdp" = off ] || r flowmap attach r0 r1
	before=$(forwarded_by_xdp)
	what_arrives "$arrived"
	succeeds "$name: hardware has $hardware" busywait 5000 in_hardware $flows $rules
	by_xdp=$(($(forwarded_by_xdp) - before))
	slow=$(counted inet filter slow)
	# The first makes the connection, the second the flow.
	check "$name: the stack saw" "$slow" -eq 2
	if [ "$xdp" = on ]; then
		check "$name: XDP forwarded" $by_xdp -eq $((2 * packets - slow))
	else
		check "$name: XDP forwarded" $by_xdp -eq 0
	fi
	[ -n "$frames" ] || frames=$arrived
	check "$name: frames at the server" "$(frames "$arrived.s0" | wc -l)" -eq $packets
	succeeds "$name: the same" cmp "$frames.s0" "$arrived.s0"
	succeeds "$name: and at the client" cmp "$frames.c0" "$arrived.c0"
	[ "$xdp" = off ] || r flowmap detach r0 r1
	# As if hardware had forwarded some more.
	[ $hits -eq 0 ] || echo "0 $hits 500" >"$(port r0 hit)"
	no_flowtable
	succeeds "$name: conntrack has all" busywait 5000 in_conntrack $((packets + hits)) $packets
	succeeds "$name: hardware has nothing" in_hardware 0 0
	r conntrack -F >/dev/null 2>&1
}

# forwarded_by_xdp: packets, where it is attached
forwarded_by_xdp()
{
	if [ "$xdp" = on ]; then
		forwarded r0
	else
		echo 0
	fi
}

# in_hardware FLOWS RULES: of each device
in_hardware()
{
	local dev

	for dev in r0 r1; do
		[ "$(offloaded $dev)" -eq "$1" ] && [ "$(<"$(port $dev tc_rules)")" -eq "$2" ] || return
	done
}

frames=''
topology
crafted_flows
quiet_neighbours
r sysctl -q net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_udp_timeout=300
for xdp in off on; do
	takes flow $xdp nothing
	takes flow $xdp nothing snoop
	takes flow $xdp flows offload
	takes flow $xdp flows offload snoop
	takes rule $xdp rules offload
	takes rule $xdp rules offload snoop
	takes refuses $xdp nothing offload
	takes refuses $xdp nothing offload snoop
done

# A host leaves long segments and checksums to its card.
driver flow
flagged
serve "$server" 1000
r flowmap attach r0 r1
succeeds "TCP as a host sends it" c timeout 60 traffic tcp 10.0.2.2 1000 1000000 </dev/null
check "by XDP" "$(forwarded r0)" -gt 500
r flowmap detach r0 r1
no_flowtable
check "calls that a driver could not make sense of" "$(total bugs)" -eq 0
