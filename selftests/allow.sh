#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An administrator lets XDP skip the chains, filters and qdiscs of a device.
. "$(dirname "$0")/links.sh"

load_modules
links_topology
hold_one_of_each
ip -n "$router" link add link r1 name r1.10 type vlan id 10
kind 1 r0 r1
kind $vlan r0 r1.10 outer=0x8100000a
addresses
links_ruleset r0 r1
plain=(src=10.1.1.9 dst=10.2.1.9 sport=1001)
tagged=(src=10.1.1.9 "dst=10.2.$vlan.9" sport=1001)
r flowmap attach r0 r1
for _ in 1 2; do
	again "${plain[@]}"
	again "${tagged[@]}"
	s wire send s0 smac="${mac[s0]}" dmac="${mac[r1]}" sport=2000 dport=1001 -- src=10.2.1.9 dst=10.2.1.1 \
		-- src=10.2.$vlan.9 dst=10.2.$vlan.1 outer=0x8100000a >"$tmp/sent"
	sleep 0.2
done

# allowed DEV...: these are
allowed()
{
	succeeds "allowed: $*" test "$(r flowmap allow | paste -s -d ' ')" = "$*"
}

# skips DEV ADD... -- REMOVE...: a rule of DEV's keeps "plain" on the stack, unless DEV is allowed, which it is not afterwards
skips()
{
	local dev=$1 add=()

	shift
	while [ "$1" != -- ]; do
		add+=("$1")
		shift
	done
	shift
	r "${add[@]}"
	sleep 0.1
	by_xdp 0 1 "${plain[@]}"
	r flowmap allow "$dev"
	allowed "$dev"
	sleep 0.1
	by_xdp 1 1 "${plain[@]}"
	r flowmap deny "$dev"
	allowed ""
	r "$@"
	again "${plain[@]}"
}

r tc qdisc add dev r0 clsact
r tc qdisc add dev r1 clsact
skips r0 nft 'table netdev t { chain c { type filter hook ingress device r0 priority -10; }; }' -- nft delete table netdev t
skips r0 tc filter add dev r0 ingress matchall action ok -- tc filter del dev r0 ingress
skips r1 nft 'table netdev t { chain c { type filter hook egress device r1 priority 0; }; }' -- nft delete table netdev t
skips r1 tc filter add dev r1 egress matchall action ok -- tc filter del dev r1 egress
skips r1 tc qdisc add dev r1 root tbf rate 1gbit burst 1m limit 10m -- tc qdisc del dev r1 root

# A qdisc of a VLAN device is not that of the device below.
by_xdp 1 1 "${tagged[@]}"
r tc qdisc add dev r1.10 root tbf rate 1gbit burst 1m limit 10m
r flowmap allow r1
sleep 0.1
by_xdp 0 1 "${tagged[@]}"
by_xdp 1 1 "${plain[@]}"
r flowmap allow r1.10
allowed r1 r1.10
sleep 0.1
by_xdp 1 1 "${tagged[@]}"

# What ends with a device, and what is refused.
ip -n "$router" link add gone type veth peer name gone-end
r flowmap allow gone
allowed r1 r1.10 gone
ip -n "$router" link del gone
allowed r1 r1.10
succeeds "none of two, of which one does not exist" test "$(r flowmap allow other gone 2>&1)" = "flowmap: gone: no such device: see 'ip link'"
allowed r1 r1.10
succeeds "not without the right" test "$(r setpriv --reuid=65534 --regid=65534 --clear-groups flowmap deny r1 2>&1)" = \
	"flowmap: missing capability to write /proc/net/nf_flowmap_allow: run it as root"
allowed r1 r1.10
c flowmap allow c0
allowed r1 r1.10
