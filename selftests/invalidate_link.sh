#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The link goes down, and there is another way: what follows goes there, by XDP too.
. "$(dirname "$0")/invalidate.sh"

# With the link go the IPv6 address and the routes.
reset_link()
{
	ip -n "$router" link set r1 up
	ip -n "$router" addr replace fd00:2::1/64 dev r1
	ip -n "$router" route replace 10.0.9.0/24 via 10.0.2.2
	ip -n "$router" route replace fd00:9::/64 via fd00:2::2
	r conntrack -D -p udp >/dev/null 2>&1 || true
}

link_down()
{
	ip -n "$router" link set r1 down
}

begin
ip -n "$router" route add 10.0.9.0/24 via 10.0.3.2 metric 100
ip -n "$router" route add fd00:9::/64 via fd00:3::2 metric 2000
attempts "link down, ipv4" one_event reset_link link_down true dev=s1 "${ipv4[@]}"
attempts "link down, ipv6" one_event reset_link link_down true dev=s1 "${ipv6[@]}"
