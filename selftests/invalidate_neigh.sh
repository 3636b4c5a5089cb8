#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The MAC address of the next hop changes: what follows goes there, by XDP too.
. "$(dirname "$0")/invalidate.sh"

other_mac=02:00:00:00:02:99

reset_neighs()
{
	ip -n "$router" neigh replace 10.0.2.2 lladdr "${mac[s0]}" dev r1
	ip -n "$router" neigh replace fd00:2::2 lladdr "${mac[s0]}" dev r1
}

change_neigh4()
{
	ip -n "$router" neigh replace 10.0.2.2 lladdr $other_mac dev r1
}

change_neigh6()
{
	ip -n "$router" neigh replace fd00:2::2 lladdr $other_mac dev r1
}

begin
attempts "neighbour change, ipv4" one_event reset_neighs change_neigh4 true dmac=$other_mac "${ipv4[@]}"
attempts "neighbour change, ipv6" one_event reset_neighs change_neigh6 true dmac=$other_mac "${ipv6[@]}"
