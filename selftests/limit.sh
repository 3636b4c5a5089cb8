#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# max_entries bounds the memory: XDP forwards the connections that there is room for, the others stay on the stack and work as
# well. A connection that ends makes room. All room is used, and what is there is found, wherever it stands.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2	ports 1001 to 1004
. "$(dirname "$0")/lib.sh"

need conntrack traffic dmesg wire
modules=(nf_flow_table_bpf_flowmap nf_flow_table_snoop)
bytes=1000000
max_entries=4

unload()
{
	local m

	for m in "${modules[@]}"; do
		[ ! -d "/sys/module/$m" ] || rmmod "$m" 2>/dev/null || return 1
	done
}

# Other tests want the modules as they are without parameters.
restore()
{
	local rc=$?

	set +e
	r flowmap detach r0 r1 2>/dev/null
	busywait 5000 unload
	(exit "$rc")
	cleanup
}

says_limit()
{
	[[ $(dmesg) == *"nf_flow_table_snoop: max_entries=$1: give a number from 2 to "* ]]
}

# refused VALUE
refused()
{
	if load_module nf_flow_table_snoop max_entries="$1" 2>/dev/null; then
		bad "max_entries=$1 is not refused"
		unload
	else
		succeeds "max_entries=$1 is refused, and the kernel's log says why" says_limit "$1"
	fi
}

# transfer PORT: a connection that stays open. $all is how many packets came to the router, $fast how many XDP forwarded.
transfer()
{
	all=$(($(sent "$client" c0) + $(sent "$server" s0)))
	fast=$(forwarded r0 r1)
	start_transfer 60 tcp 10.0.2.2 "$1" "$bytes"
	busywait 30000 is_reported || true
	all=$(($(sent "$client" c0) + $(sent "$server" s0) - all))
	fast=$(($(forwarded r0 r1) - fast))
	succeeds "port $1: $(<"$tmp/report")" grep -q "^$bytes of $bytes bytes intact" "$tmp/report"
}

by_xdp()
{
	transfer "$1"
	check "port $1: forwarded by XDP, of $all" "$fast" -ge $((all - all / 100 - 50))
	check "port $1: entries" "$(table entries)" -le $max_entries
}

by_stack()
{
	local full

	full=$(table full)
	transfer "$1"
	check "port $1: forwarded by XDP" "$fast" -eq 0
	check "port $1: counted as full, of $all" "$(($(table full) - full))" -ge $((all / 2))
	check "port $1: entries" "$(table entries)" -eq $max_entries
}

has_room()
{
	[ "$(table entries)" -le $((max_entries - 2)) ]
}

busywait 5000 unload || missing "the modules are in use"
trap restore EXIT
refused 0
refused 1
refused 4294967295
load_module nf_flow_table_snoop max_entries=$max_entries
load_modules

topology
flowtable_on "r0 r1"
fill_flowtable "ct state established meta l4proto { tcp, udp }"
r flowmap attach r0 r1
for port in 1001 1002 1003 1004; do
	serve "$server" $port
done
mkfifo "$tmp/hold"
exec 9<>"$tmp/hold"

check "max_entries" "$(table max_entries)" -eq $max_entries
by_xdp 1001
by_xdp 1002
by_stack 1003
r conntrack -D -p tcp --orig-port-dst 1001 >/dev/null 2>&1
succeeds "a connection that ends makes room" busywait 5000 has_room
by_xdp 1004

# Entries of many flows, of which some have to take the places of others, up to the last place.
r flowmap detach r0 r1
r nft flush ruleset
succeeds "the modules go" busywait 5000 unload
max_entries=4096 flows=6000
load_module nf_flow_table_snoop max_entries=$max_entries
load_modules
crafted_flows
quiet_neighbours
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=600
flowtable_on "r0 r1"
fill_flowtable "meta l4proto udp"
r flowmap attach r0 r1
# Of each flow two packets: those of the first time are its connection's and the flowtable's.
c wire flows c0 $flows "${ipv4[@]}" >/dev/null
check "entries before the third packets" "$(table entries)" -eq 0
for _ in 1 2; do
	fast=$(forwarded r0)
	full=$(table full)
	c wire flows c0 $flows "${ipv4[@]}" >/dev/null
	check "entries of $flows flows" "$(table entries)" -eq $max_entries
	check "forwarded by XDP" $(($(forwarded r0) - fast)) -eq $((2 * max_entries))
	check "counted as full" $(($(table full) - full)) -eq $((2 * (flows - max_entries)))
done
