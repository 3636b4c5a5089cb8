#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# conntrack -D: what follows goes through the ruleset, and a new flow is taken up.
. "$(dirname "$0")/invalidate.sh"

delete_entries()
{
	stop_offloading
	r conntrack -D -p udp >/dev/null 2>&1
}

begin
attempts "conntrack -D, ipv4" one_event true delete_entries offload_again tos=184 "${ipv4[@]}"
attempts "conntrack -D, ipv6" one_event true delete_entries offload_again tos=184 "${ipv6[@]}"
