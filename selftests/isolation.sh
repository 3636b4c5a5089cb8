#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A lookup in one namespace never finds a flow of another: two networks that are alike to the last address and interface index,
# with other rules.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

need wire conntrack
load_modules

network()
{
	topology
	crafted_flows
	r nft -f - <<-END
	table inet filter {
		flowtable fast {
			hook ingress priority filter
			devices = { r0, r1 }
		}
		chain forward {
			type filter hook forward priority filter; policy drop
		}
	}
	END
	r flowmap attach r0 r1
}

accept_and_offload()
{
	r nft add rule inet filter forward meta l4proto "{ tcp, udp }" flow add @fast
	r nft add rule inet filter forward accept
}

first()
{
	client=${a[0]} router=${a[1]} server=${a[2]}
}

second()
{
	client=${b[0]} router=${b[1]} server=${b[2]}
}

# prime: makes the flows.
prime()
{
	c wire send c0 "${ipv4[@]}" -- -- -- -- >/dev/null
	c wire send c0 "${ipv6[@]}" -- -- -- -- >/dev/null
}

# transmit WHAT FORWARDED SOURCE PATTERN [COUNT]: ten packets each of IPv4 and IPv6, of which XDP forwards so many and COUNT arrive at the
# server, from SOURCE, a PATTERN of their headers.
transmit()
{
	local name=$1 count=${5-20} before

	capture "$server" s0 "$tmp/capture"
	before=$(forwarded r0)
	c wire send c0 "${ipv4[@]}" -- -- -- -- -- -- -- -- -- -- >/dev/null
	c wire send c0 "${ipv6[@]}" -- -- -- -- -- -- -- -- -- -- >/dev/null
	captured "$tmp/capture" "$count"
	check "$name: forwarded by XDP" $(($(forwarded r0) - before)) -eq "$2"
	check "$name: arrived from $3" "$(frames "$tmp/capture" | grep -cE "$4" || true)" -eq "$count"
}

# The sources, in the IPv4 and IPv6 headers that arrive.
own='^.{52}0a000109|^.{44}fd000001000000000000000000000009'
translated='^.{52}0a000201|^.{44}fd000002000000000000000000000001'

network
a=("$client" "$router" "$server")
client='' router='' server=''
network
b=("$client" "$router" "$server")
check "interface index of r0" "$(c cat /sys/class/net/c0/ifindex) $(r cat /sys/class/net/r0/ifindex)" = \
	"$(first; c cat /sys/class/net/c0/ifindex) $(first; r cat /sys/class/net/r0/ifindex)"

first
accept_and_offload
prime
transmit "first" 20 "the client" "$own"
# A lookup that finds the entry of a flow without traffic asks the flowtable anew, so the first has traffic meanwhile.
background "$client" wire stream c0 100000 "${ipv4[@]}" >/dev/null
streams=$!
background "$client" wire stream c0 100000 "${ipv6[@]}" >/dev/null
streams+=" $!"
second
transmit "second, while it drops all" 0 "the client" "$own" 0
check "flows that it knows" "$(proc_net "$router" nf_flowmap | grep -c . || true)" -eq 0

# shellcheck disable=SC2086
kill $streams

masquerade "oifname r1"
accept_and_offload
prime
transmit "second" 20 "the router" "$translated"
first
transmit "first again" 20 "the client" "$own"
r conntrack -D -p udp >/dev/null 2>&1
r nft flush chain inet filter forward
transmit "first, while it drops all" 0 "the client" "$own" 0
second
transmit "second again" 20 "the router" "$translated"
