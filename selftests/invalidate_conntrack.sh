#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# conntrack -D: what follows goes through the ruleset, and a new flow is taken up. So does the next packet when deletion or reset
# returns, in the same jiffy as one that XDP forwarded.
. "$(dirname "$0")/invalidate.sh"

delete_entries()
{
	stop_offloading
	r conntrack -D -p udp >/dev/null 2>&1
}

need exact
begin
attempts "conntrack -D, ipv4" one_event true delete_entries offload_again tos=184 "${ipv4[@]}"
attempts "conntrack -D, ipv6" one_event true delete_entries offload_again tos=184 "${ipv6[@]}"

quiet_neighbours
ends_at_once 200
