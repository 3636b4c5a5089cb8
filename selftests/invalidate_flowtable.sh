#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A flowtable is deleted: what follows goes through the ruleset, until there is a flowtable again.
. "$(dirname "$0")/invalidate.sh"

delete_flowtable()
{
	stop_offloading
	r nft delete flowtable inet filter fast
}

add_flowtable()
{
	r nft add flowtable inet filter fast "{ hook ingress priority filter; devices = { r0, r1, r2 }; }"
	offload_again
}

begin
attempts "nft delete flowtable, ipv4" one_event true delete_flowtable add_flowtable tos=184 "${ipv4[@]}"
attempts "nft delete flowtable, ipv6" one_event true delete_flowtable add_flowtable tos=184 "${ipv6[@]}"
