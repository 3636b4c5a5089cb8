#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A flowtable with the flag snoop: flows are there before XDP sees their first packet, and have gone when their end returns.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

need conntrack exact wire
modprobe -q nf_flow_table || true
grep -qw nf_flow_snoop_register /proc/kallsyms || unpatched "no flowtables that tell of their flows"
load_modules
topology
crafted_flows
quiet_neighbours
check "flowmap makes a flowtable with the flag snoop" "$(r flowmap snoop -c -j inet filter fast r0 r1)" = '{"made":["fast"]}'
check "and no other with one of its devices" "$(r flowmap snoop inet filter other r0 2>&1)" = \
	"flowmap: flowtable 'other' exists, or another of its table has a device of it: delete that, or take another name or device"
r nft -f - <<-END
table inet filter {
	chain forward {
		type filter hook forward priority filter
		meta l4proto { tcp, udp } flow add @fast
		meta nfproto ipv4 ip dscp set ef
	}
}
END
r flowmap attach r0 r1

# The end of a connection returns, and the next packet goes by the stack: 1000 times.
times=1000
inserted=$(table insert)
ends_at_once $times
check "two entries for each flow" $(($(table insert) - inserted)) -eq $((2 * times))

# Flows that are there when the module comes are told of too.
r flowmap detach r0 r1
c wire send c0 "${ipv4[@]}" -- -- -- >/dev/null
rmmod nf_flow_table_bpf_flowmap
rmmod nf_flow_table_snoop
load_modules
check "entries of flows that were there before the module" "$(table entries)" -eq 2
r flowmap attach r0 r1
# Attaching makes routes stale, and the kernel offloads the flow once more.
c wire send c0 "${ipv4[@]}" -- -- >/dev/null
before=$(forwarded r0)
c wire send c0 "${ipv4[@]}" -- -- -- >/dev/null
succeeds "XDP forwards them" busywait 2000 forwards_more_than $((before + 2))

# What ends a flow besides.
r nft flush chain inet filter forward
r nft delete flowtable inet filter fast
check "entries after the flowtable was deleted" "$(table entries)" -eq 0
