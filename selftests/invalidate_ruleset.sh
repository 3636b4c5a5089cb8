#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# nft flush ruleset: no address is translated any more; with the ruleset back, the flow is taken up. And a ruleset that takes the
# place of the old one in one step, in which each device is in two flowtables: the old one's flows end, the new one's begin.
. "$(dirname "$0")/invalidate.sh"

more_rules="table inet nat {
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname r1 masquerade
	}
}"

flush_ruleset()
{
	r nft flush ruleset
}

load_ruleset()
{
	r conntrack -D -p udp >/dev/null 2>&1 || true
	ruleset
}

reload_ruleset()
{
	flush='flush ruleset' accelerate='' ruleset
}

begin
attempts "nft flush ruleset, ipv4" one_event true flush_ruleset load_ruleset src=10.0.1.9 "${ipv4[@]}"
attempts "nft flush ruleset, ipv6" one_event true flush_ruleset load_ruleset src=fd00:1::9 "${ipv6[@]}"
attempts "nft -f with flush ruleset, ipv4" one_event true reload_ruleset offload_again tos=184 "${ipv4[@]}"
attempts "nft -f with flush ruleset, ipv6" one_event true reload_ruleset offload_again tos=184 "${ipv6[@]}"
