#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What XDP must not touch of an established flow, it passes up as it came, for the reason that it counts; and the stack does
# with it what it always did.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2	r1's MTU is 1400
. "$(dirname "$0")/lib.sh"

need conntrack wire
load_modules

# goes_up REASON ARRIVE FIELD...: sends frames, which XDP passes up for REASON; ARRIVE of them arrive at the server.
goes_up()
{
	local what="$1: ${*:7}" reason=$1 arrive=$2 before forwarded sent

	shift 2
	read_stats r0 r1
	before=${stats[$reason]-0} forwarded=${stats[forwarded]-0}
	capture "$router" r0 "$tmp/stack"
	capture "$server" s0 "$tmp/server"
	c wire send c0 "$@" >"$tmp/frames"
	sent=$(wc -l <"$tmp/frames")
	captured "$tmp/stack" "$sent"
	captured "$tmp/server" "$arrive"
	read_stats r0 r1

	check "$what: passed up as $reason" $((${stats[$reason]-0} - before)) -eq "$sent"
	check "$what: forwarded by XDP" $((${stats[forwarded]-0} - forwarded)) -eq 0
	check "$what: arrived at the server" "$(frames "$tmp/server" | wc -l)" -eq "$arrive"
	succeeds "$what: reached the stack unmodified" diff <(frames "$tmp/stack") "$tmp/frames"
}

# snmp NAME: a counter of the router's IPv4 (Proto:Name) or IPv6
snmp()
{
	if [[ $1 = *:* ]]; then
		proc_net "$router" snmp | awk -v proto="${1%:*}:" -v name="${1#*:}" '
			$1 != proto { next }
			!column { for (column = 2; $column != name; column++); next }
			{ print $column }'
	else
		proc_net "$router" snmp6 | awk -v name="$1" '$1 == name { print $2 }'
	fi
}

# answers COUNTER REASON ARRIVE FIELD...: like goes_up, and COUNTER rises by the number of frames.
answers()
{
	local counter=$1 before

	shift
	before=$(snmp "$counter")
	goes_up "$@"
	check "$counter" $(($(snmp "$counter") - before)) -eq "$(wc -l <"$tmp/frames")"
}

# establish FIELD...: a flow that XDP forwards
establish()
{
	local before

	c wire send c0 "$@" -- -- -- >/dev/null
	before=$(forwarded r0)
	c wire send c0 "$@" -- -- -- >/dev/null
	check "established: $*" $(($(forwarded r0) - before)) -eq 3
}

topology
crafted_flows
quiet_neighbours
ip -n "$router" link set r1 mtu 1400
r sysctl -q net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=600 net.netfilter.nf_conntrack_udp_timeout=1200
# Its own packets would be counted too.
c sysctl -q net.ipv6.conf.c0.disable_ipv6=1
flowtable_on "r0 r1"
fill_flowtable "meta l4proto { tcp, udp }"
r flowmap attach r0 r1

establish "${ipv4[@]}"
goes_up fragment 0 "${ipv4[@]}" len=16 -- frag=0x2000 id=1 -- frag=3 id=2 -- frag=0x2003 id=3
goes_up options 2 "${ipv4[@]}" -- options=1 -- options=10
answers Icmp:OutTimeExcds ttl 0 "${ipv4[@]}" ttl=1 -- -- len=100
goes_up ttl 0 "${ipv4[@]}" ttl=0
answers Icmp:OutDestUnreachs mtu 0 "${ipv4[@]}" -- len=1373 -- len=1400
goes_up mtu 4 "${ipv4[@]}" frag=0 len=1400 -- id=1 -- id=2
goes_up protocol 3 "${ipv4[@]}" -- proto=1 -- proto=47 -- proto=132
goes_up truncated 0 "${ipv4[@]}" -- cut=20 -- cut=33 -- cut=34 -- cut=41
goes_up not_ip 0 "${ipv4[@]}" ethertype=0x88b5

establish "${ipv6[@]}"
goes_up protocol 4 "${ipv6[@]}" -- ext=0 -- ext=60 -- ext=44 -- proto=132
answers Icmp6OutTimeExcds ttl 0 "${ipv6[@]}" ttl=1 -- -- len=100
answers Icmp6OutPktTooBigs mtu 0 "${ipv6[@]}" -- len=1353 -- len=1400
goes_up truncated 0 "${ipv6[@]}" -- cut=20 -- cut=53 -- cut=54 -- cut=61

# Still there, after all of that.
establish "${ipv4[@]}"
establish "${ipv6[@]}"

# begins BACK FIELD...: a connection of TCP, with the fields of an answer
begins()
{
	local back="$1[@]"

	c wire send c0 proto=6 "${@:2}" >/dev/null
	s wire send s0 proto=6 "${!back}" >/dev/null
	establish proto=6 "${@:2}"
}

# ends_at_once FLAGS FIELD...: of five packets in one batch, of which the second ends the connection, XDP forwards the first.
ends_at_once()
{
	local flags=$1 before

	before=$(forwarded r0)
	c wire send c0 proto=6 "${@:2}" -- -- flags="$flags" -- -- -- >/dev/null
	check "forwarded of a batch that flags=$flags ends: ${*:2}" $(($(forwarded r0) - before)) -eq 1
}

for family in 4 6; do
	flow="ipv${family}[@]" back=back$family
	for flags in 0x11 0x14; do
		begins "$back" "${!flow}"
		goes_up truncated 0 "${!flow}" proto=6 cut=$((family == 4 ? 53 : 73))
		goes_up tcp_begin 2 "${!flow}" proto=6 -- flags=0x02 -- flags=0x12
		check "shown before its end" "$(proc_net "$router" nf_flowmap | grep -c ' tcp ')" -ge 1
		goes_up tcp_end 1 "${!flow}" proto=6 flags=$flags
		check "shown behind its end" "$(proc_net "$router" nf_flowmap | grep -c ' tcp ')" -eq 0
		r conntrack -D -p tcp >/dev/null 2>&1

		for _ in 1 2 3; do
			begins "$back" "${!flow}"
			ends_at_once $flags "${!flow}"
			r conntrack -D -p tcp >/dev/null 2>&1
		done
	done
done
