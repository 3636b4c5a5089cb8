#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Devices, namespaces, conntrack entries and the modules go away when they are told to, while XDP forwards a stream of packets.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

need conntrack wire

# Puts up the network, and streams over IPv4 and IPv6.
begin()
{
	load_modules
	topology
	crafted_flows
	flowtable_on "r0 r1" counter
	fill_flowtable "meta l4proto { tcp, udp }"
	r flowmap attach r0 r1
	background "$client" wire stream c0 100000 "${ipv4[@]}" >/dev/null 2>&1
	background "$client" wire stream c0 100000 "${ipv6[@]}" >/dev/null 2>&1
	forwards
}

forwards()
{
	succeeds "$name: XDP forwards" busywait 8000 forwards_more_than $(($(forwarded r0) + 100))
}

# Ends with nothing left of the network.
end()
{
	local ns

	for ns in "$client" "$router" "$server"; do
		end_ns "$ns"
	done
	succeeds "$name: the namespaces end" namespaces_end
	check_no_entries
}

end_ns()
{
	local ns left=()

	ip netns pids "$1" | xargs -r kill -KILL
	ip netns delete "$1"
	for ns in "${namespaces[@]}"; do
		[ "$ns" = "$1" ] || left+=("$ns")
	done
	namespaces=("${left[@]}")
}

# Namespaces end one after the other: when this new one is gone, so are all before it, or one is stuck.
namespaces_end()
{
	local last=flowmap-last-${tmp##*.}

	ip netns add "$last"
	ip link add flowmap-last type veth peer name peer netns "$last"
	ip netns delete "$last"
	busywait 15000 test ! -e /sys/class/net/flowmap-last
}

no_entries()
{
	grep -q '^entries 0$' /proc/net/stat/nf_flowmap
}

check_no_entries()
{
	succeeds "$name: no entries are left" busywait 5000 no_entries
}

no_connections()
{
	[ "$(r conntrack -C)" -eq 0 ]
}

# Nobody holds a conntrack entry that has been deleted.
check_no_connections()
{
	r nft flush chain inet filter forward
	r conntrack -F >/dev/null 2>&1
	r sysctl -q net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
	end_streams
	r conntrack -F >/dev/null 2>&1
	succeeds "$name: no conntrack entries are left" busywait 5000 no_connections
}

end_streams()
{
	local pid

	for pid in $(ip netns pids "$client"); do
		[ "$pid" = "${keeper[$client]}" ] || kill "$pid"
	done
}

# lose WHAT COMMAND...: a device goes away
lose()
{
	name=$1
	shift
	begin
	"$@"
	check_no_entries
	check_no_connections
	end
}

lose_router()
{
	name="the router's namespace is deleted"
	begin
	end_ns "$router"
	succeeds "$name: it ends" namespaces_end
	check_no_entries
	router=$server
	end_ns "$client"
	end_ns "$server"
	succeeds "$name: the others end" namespaces_end
}

remove_modules()
{
	name="rmmod"
	begin
	for _ in 1 2 3; do
		succeeds "$name: refused while a program uses the kfunc" not_removed nf_flow_table_bpf_flowmap
		succeeds "$name: refused while the other module uses it" not_removed nf_flow_table_snoop
		r flowmap detach r0 r1
		succeeds "$name: flowmap's" busywait 5000 rmmod nf_flow_table_bpf_flowmap
		succeeds "$name: snoop's" rmmod nf_flow_table_snoop
		check_no_modules
		load_modules
		r flowmap attach r0 r1
		forwards
	done
	r conntrack -F >/dev/null 2>&1
	forwards
	end
}

check_no_modules()
{
	check "$name: modules of ours" "$(grep -cE '^nf_flow_table_(snoop|bpf_flowmap) ' /proc/modules || true)" -eq 0
}

lose "the egress device is deleted" r ip link delete r1
lose "the ingress device is deleted" r ip link delete r0
lose "the ingress device's peer is deleted" c ip link delete c0
lose_router
remove_modules
