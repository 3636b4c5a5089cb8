#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# nft flush ruleset: no address is translated any more; with the ruleset back, the flow is taken up.
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

begin
attempts "nft flush ruleset, ipv4" one_event true flush_ruleset load_ruleset src=10.0.1.9 "${ipv4[@]}"
attempts "nft flush ruleset, ipv6" one_event true flush_ruleset load_ruleset src=fd00:1::9 "${ipv6[@]}"
