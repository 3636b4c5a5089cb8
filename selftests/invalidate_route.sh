#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The route changes to another next hop: what follows goes there, by XDP too.
. "$(dirname "$0")/invalidate.sh"

reset_routes()
{
	ip -n "$router" route replace 10.0.9.0/24 via 10.0.2.2
	ip -n "$router" route replace fd00:9::/64 via fd00:2::2
}

change_route4()
{
	ip -n "$router" route replace 10.0.9.0/24 via 10.0.3.2
}

change_route6()
{
	ip -n "$router" route replace fd00:9::/64 via fd00:3::2
}

begin
attempts "route change, ipv4" one_event reset_routes change_route4 true dev=s1 "${ipv4[@]}"
attempts "route change, ipv6" one_event reset_routes change_route6 true dev=s1 "${ipv6[@]}"
