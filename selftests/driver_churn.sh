#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Many flows come and go, by ndo_flow_offload of netdevsim, on all CPUs, while one call in ten fails, a device goes down, away and
# comes back, and the flowtable is deleted and made again: what was added is deleted once, and conntrack has what was counted.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1					all four are ports of netdevsim
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/sim.sh"

# How many flows are added, at least; FLOWMAP_FLOWS sets another number.
flows=200000
[ $sanitized -eq 0 ] || flows=20000
[ $patience -eq 1 ] || flows=5000
flows=${FLOWMAP_FLOWS:-$flows}
senders=()

# What goes when the device does.
dress()
{
	ip -n "$router" link set r0 up
	ip -n "$router" addr replace 10.0.1.1/24 dev r0
	ip -n "$router" neigh replace 10.0.1.2 lladdr "${mac[c0]}" dev r0 nud permanent
	ip -n "$router" route replace 10.64.0.0/10 via 10.0.1.2
	echo 10 >"$(port r0 fail_add)"
	echo 10 >"$(port r0 fail_del)"
}

hit()
{
	[ ! -e "$(port "$1" hit)" ] || echo "0 $((RANDOM % 9 + 1)) $((RANDOM + 1000))" >"$(port "$1" hit)"
}

something_happens()
{
	case $((RANDOM % 6)) in
	0)
		ip -n "$router" link set r0 down
		[ "$(offloaded r0)" -eq 0 ] || bad "a device that is down has flows"
		dress
		;;
	1)
		echo "${sim_id[r0]}" >/sys/bus/netdevsim/del_device
		sim "$router" r0
		cable "$client" c0 "$router" r0
		dress
		no_flowtable
		flowtable
		;;
	2)
		no_flowtable
		flowtable
		;;
	3) hit r0 ;;
	4) hit r1 ;;
	5) sleep 0.$RANDOM ;;
	esac
}

enough()
{
	[ "$(total adds)" -ge $((added + 2 * flows)) ]
}

# Packets in conntrack, by connections that the senders made.
in_conntrack()
{
	r conntrack -L -p udp --orig-dst 10.0.9.9 2>/dev/null |
		awk '{ for (i = 1; i <= NF; i++) if (sub(/^packets=/, "", $i)) n += $i } END { printf "%d\n", n }'
}

topology
crafted_flows
quiet_neighbours
echo 65536 >/sys/module/nf_conntrack/parameters/hashsize
sysctl -q net.netfilter.nf_conntrack_max=1000000
r sysctl -q net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_udp_timeout=3600 \
	net.netfilter.nf_conntrack_udp_timeout_stream=3600 net.netfilter.nf_flowtable_udp_timeout=3
# Has conntrack go on while there is no flowtable.
r nft -f - <<-END
table inet count {
	counter seen { }
	chain prerouting {
		type filter hook prerouting priority filter
		ip daddr 10.0.9.9 ct state { new, established } counter name seen
	}
}
END
masquerade "oifname r1 ip saddr 10.0.1.0/24"
dress
echo 10 >"$(port r1 fail_add)"
echo 10 >"$(port r1 fail_del)"
flowtable
added=$(total adds)
deleted=$(total dels)
told=$(total packets_told)

begun=$(now_ms)
for n in 64 96; do
	background "$client" wire flows c0 2000000 "${ipv4[@]}" src=10.$n.0.1
	senders+=($!)
done
until enough; do
	something_happens
done
kill "${senders[@]}"
hit r0
hit r1
no_flowtable
succeeds "all that was added was deleted" busywait 20000 all_deleted
echo "# $(($(total adds) - added)) added and deleted in $(($(now_ms) - begun)) ms, $(total add_errors) and $(total del_errors) errors"
check "directions of flows that were added" $(($(total adds) - added)) -ge $((2 * flows))
check "and deleted" $(($(total dels) - deleted)) -eq $(($(total adds) - added))
told=$(($(total packets_told) - told))
check "packets that hardware counted" $told -gt 0
check "packets in conntrack, of software and hardware" "$(in_conntrack)" -eq $(($(counted inet count seen) + told))

# Connections that conntrack forgets, and nothing else ends meanwhile.
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=300
flowtable
c wire flows c0 1000 "${ipv4[@]}" src=10.120.0.1
busywait 20000 has_more_than r1 500 || :
check "flows in hardware, of $(r conntrack -L -p udp --orig-src 10.120.0.1 2>/dev/null | wc -l) connections" "$(offloaded r1)" -gt 500
r conntrack -F >/dev/null 2>&1
succeeds "conntrack's flush takes them out" busywait 10000 all_deleted
check "calls that a driver could not make sense of" "$(total bugs)" -eq 0
