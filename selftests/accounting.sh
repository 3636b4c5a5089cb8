#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A flowtable with "counter": conntrack knows each packet and byte, whichever way it took, and its DESTROY event says so. A flow
# that only XDP forwards lives past its timeout, and ends when the traffic does, or when none of it comes through.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

udp_timeout=2

# What "wire send" and "wire stream" put into a UDP packet.
send_payload=18
stream_payload=16

ruleset()
{
	flowtable_on "r0 r1" counter
	fill_flowtable "ct state established"
}

# entry FAMILY: the line of its connection in conntrack
entry()
{
	r conntrack -L -f "$1" -p udp 2>/dev/null
}

is_offloaded()
{
	entry "$1" | grep -q '\[OFFLOAD\]'
}

is_over()
{
	! is_offloaded "$1" && [ "$(table entries)" -eq 0 ]
}

# numbers LINE: "packets bytes packets bytes", of the original direction and of the reply
numbers()
{
	grep -oE '(packets|bytes)=[0-9]+' <<<"$1" | cut -d = -f 2 | xargs
}

# established FIELD... : a packet each way with the fields in there and back
establish()
{
	c wire send c0 "${there[@]}" >/dev/null
	s wire send s0 "${back[@]}" >/dev/null
}

# account FAMILY HEADERS: 1000 packets one way and 500 back, each counted once; HEADERS is the bytes of both headers
account()
{
	local family=$1 headers=$2 slow xdp want stream listener line
	local -a before

	# A connection has events if somebody listened when it began.
	ip netns exec "$router" conntrack -E -e DESTROY -p udp >"$tmp/events" 2>/dev/null &
	listener=$!
	busywait 5000 has_listener
	before=("$(counted inet filter slow)" "$(forwarded r0 r1)")
	establish
	c wire stream c0 1000 "${there[@]}" >/dev/null &
	stream=$!
	s wire stream s0 500 "${back[@]}" >/dev/null
	wait "$stream"

	want="1001 $((headers + send_payload + 1000 * (headers + stream_payload)))"
	want+=" 501 $((headers + send_payload + 500 * (headers + stream_payload)))"
	line=$(entry "$family")
	check "$family: conntrack's packets and bytes" "$(numbers "$line")" = "$want"
	slow=$(($(counted inet filter slow) - before[0]))
	xdp=$(($(forwarded r0 r1) - before[1]))
	check "$family: packets of 1502 that the ruleset saw" "$slow" -le 15
	check "$family: packets of 1502 that XDP forwarded" "$xdp" -ge 1487

	r conntrack -D -f "$family" -p udp >/dev/null 2>&1
	sleep 0.2
	# It prints what it has when it is told to end.
	kill -TERM "$listener"
	wait "$listener" || true
	line=$(<"$tmp/events")
	check "$family: the DESTROY event's" "$(numbers "$line")" = "$want"
}

has_listener()
{
	# 12 is netfilter; its groups are not zero once somebody listens.
	awk '$2 == 12 && $4 != "00000000" { found = 1 } END { exit !found }' <<<"$(proc_net "$router" netlink)"
}

# keep_alive FAMILY: three times the timeout
keep_alive()
{
	local family=$1 second slow alive=0 stream

	establish
	slow=$(counted inet filter slow)
	c wire stream c0 $((udp_timeout * 3000)) "${there[@]}" >/dev/null &
	stream=$!
	for ((second = 0; second < udp_timeout * 3; second++)); do
		sleep 0.9
		! is_offloaded "$family" || alive=$((alive + 1))
	done
	check "$family: times of $((udp_timeout * 3)) that the flow was offloaded" "$alive" -eq $((udp_timeout * 3))
	check "$family: packets that the ruleset saw meanwhile" $(($(counted inet filter slow) - slow)) -le 50
	wait "$stream"
	succeeds "$family: the flow ends with its traffic" busywait $((udp_timeout * 1000 + 4000)) is_over "$family"
}

# fall_silent FAMILY SECONDS: a flow lives as long behind its last packet, though XDP alone saw that and four seconds before it
fall_silent()
{
	local family=$1 seconds=$2 start rest

	r sysctl -q "net.netfilter.nf_flowtable_udp_timeout=$seconds"
	establish
	start=$(now_ms)
	c wire stream c0 4000 "${there[@]}" >/dev/null
	# What the flow's first packets gave it is over by then.
	rest=$((start + seconds * 1000 + 2500 - $(now_ms)))
	sleep "$((rest > 0 ? rest : 0))e-3"
	succeeds "$family: a silent flow lives on for what XDP forwarded" is_offloaded "$family"
	succeeds "$family: and ends then" busywait $((seconds * 1000 + 4000)) is_over "$family"
}

# starve FAMILY: packets that a chain drops before the flowtable are none of the flow's
starve()
{
	local family=$1 stream

	establish
	r nft "table netdev first { chain in { type filter hook ingress device r0 priority -10; meta l4proto udp drop; }; }"
	ip netns exec "$client" wire stream c0 1000000 "${there[@]}" >/dev/null &
	stream=$!
	succeeds "$family: the flow ends though dropped packets come" busywait $((udp_timeout * 1000 + 4000)) is_over "$family"
	kill $stream
	wait $stream || true
	r nft delete table netdev first
}

need conntrack wire
load_modules
topology
crafted_flows
r sysctl -q net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_flowtable_udp_timeout=30
ruleset
r flowmap attach r0 r1

there=("${ipv4[@]}") back=("${back4[@]}")
account ipv4 28
there=("${ipv6[@]}") back=("${back6[@]}")
account ipv6 48

r sysctl -q net.netfilter.nf_flowtable_udp_timeout=$udp_timeout
there=("${ipv4[@]}") back=("${back4[@]}")
keep_alive ipv4
starve ipv4
there=("${ipv6[@]}") back=("${back6[@]}")
keep_alive ipv6

there=("${ipv4[@]}") back=("${back4[@]}")
fall_silent ipv4 13
