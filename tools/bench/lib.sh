# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts that measure with tools/bench/module. Sourced, not run.
# shellcheck shell=bash

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

router()
{
	ip netns exec router "$@"
}

# Flows leave through two gateways, as most do.
add_network()
{
	local dev

	modprobe -a nf_flow_table_inet nf_conntrack veth
	ip netns add router
	# One bound for all namespaces, which only the first can set.
	sysctl -q -w net.netfilter.nf_conntrack_max=0
	router sysctl -q -w net.ipv4.ip_forward=1 net.netfilter.nf_flowtable_udp_timeout=100000
	for dev in lan wan; do
		ip link add name "$dev" netns router type veth peer name peer netns router
		router ethtool -K peer tx off gro on >/dev/null
		ip -n router link set peer name "$dev-peer" up
		ip -n router link set "$dev" up
	done
	ip -n router addr add 192.168.1.1/24 dev lan
	ip -n router addr add 198.51.100.1/24 dev wan
	ip -n router neigh add 192.168.1.2 dev lan lladdr 02:00:00:00:00:01
	ip -n router neigh add 198.51.100.2 dev wan lladdr 02:00:00:00:00:02
	ip -n router route add 172.16.0.0/12 via 192.168.1.2
	ip -n router route add 10.0.0.0/8 via 198.51.100.2
}

# Usage: flowtable DOOR
flowtable()
{
	router nft flush ruleset
	router nft add table inet router
	if [ "$1" = push ]; then
		router flowmap snoop inet router fast lan wan
	else
		router nft 'add flowtable inet router fast { hook ingress priority filter; devices = { lan, wan }; }'
	fi
}

# Waits until the flows of the last round have gone.
no_flows()
{
	local i

	for ((i = 0; i < 6000; i++)); do
		[ "$(router sysctl -n net.netfilter.nf_conntrack_count)" -gt 0 ] || return 0
		sleep 0.01
	done
	die "flows do not go away: see /proc/net/nf_flowmap"
}
