#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Which driver gets a flow whose packets come and leave by upper devices: that of the port below, with the tags that are in the
# frame there, as the kernel's path discovery resolves them.
#
#  client              router              server
#   c0      ---- r0 (tagged with 10)					all four are ports of netdevsim
#                     r1 (below whatever it is) ---- s0
. "$(dirname "$0")/sim.sh"

need bridge bash

# tagged NS DEV ID: its name
tagged()
{
	ip -n "$1" link add link "$2" name "$2.$3" type vlan id "$3"
	ip -n "$1" link set "$2.$3" up
}

# sends SPORT: three packets of UDP to where nobody answers, from a socket for that the stack puts the tag on
sends()
{
	c bash -c "exec 3>/dev/udp/10.0.9.9/$1; echo 1 >&3; echo 2 >&3; echo 3 >&3"
}

# arrive TAG: packets with it that the server has got
arrive()
{
	s nft list counter netdev count "tag${1:-none}" | sed -n 's/.*packets \([0-9]*\).*/\1/p'
}

arrived()
{
	[ "$(arrive "$1")" -ge "$2" ]
}

# path NAME TAG DEV [NEIGHBOUR-DEV]: a flow that leaves by DEV, and by r1 with TAG below, comes to the server
path()
{
	local name=$1 tag=$2 dev=$3 before

	ip -n "$router" addr add 10.0.2.1/24 dev "$dev"
	ip -n "$router" neigh replace 10.0.2.2 lladdr "${mac[s0]}" dev "$dev" nud permanent
	ip -n "$router" route replace 10.0.9.0/24 via 10.0.2.2
	out_mac=$(ip -n "$router" -o link show "$dev" | sed 's/.*link\/ether \([^ ]*\) .*/\1/')
	port=$((port + 1))
	before=$(arrive "$tag")
	flowtable
	sends $port
	succeeds "$name: the driver that it comes in by has the flow" busywait 5000 has_offloaded r0 1
	succeeds "with its tag, and the port below as the way out" grep -qE \
		"^[0-9]+ udp 10\.0\.1\.2:[0-9]+ 10\.0\.9\.9:$port in $(index "$router" r0) vlan 10 becomes 10\.0\.1\.2:[0-9]+ 10\.0\.9\.9:$port out $(index "$router" r1) from $out_mac to ${mac[s0]}${tag:+ vlan $tag} mtu " \
		"$(port r0 flows)"
	succeeds "the other one has the answers" busywait 5000 has_offloaded r1 1
	succeeds "the other way round" grep -qE \
		"in $(index "$router" r1)${tag:+ vlan $tag} becomes .* out $(index "$router" r0) from ${mac[r0]} to ${mac[c0]} vlan 10 mtu " \
		"$(port r1 flows)"
	succeeds "three packets arrive" busywait 5000 arrived "$tag" $((before + 3))
	no_flowtable
	succeeds "both are told of the end" busywait 5000 all_deleted
	check "packets that arrived" "$(arrive "$tag")" -eq $((before + 3))
	ip -n "$router" addr del 10.0.2.1/24 dev "$dev"
}

port=2000 out_mac=''
new_ns client router server
link "$client" c0 "$router" r0
link "$router" r1 "$server" s0
r sysctl -q net.ipv4.ip_forward=1
up "$client" c0
up "$router" r0
up "$router" r1
up "$server" s0
tagged "$client" c0 10
tagged "$router" r0 10
s nft -f - <<-END
table netdev count {
	counter tagnone { }
	counter tag20 { }
	chain ingress {
		type filter hook ingress device s0 priority filter
		ip daddr 10.0.9.9 counter name tagnone
		vlan id 20 ip daddr 10.0.9.9 counter name tag20
	}
}
END
ip -n "$client" addr add 10.0.1.2/24 dev c0.10
ip -n "$router" addr add 10.0.1.1/24 dev r0.10
ip -n "$client" route add default via 10.0.1.1
ip -n "$client" neigh replace 10.0.1.1 lladdr "${mac[r0]}" dev c0.10 nud permanent
ip -n "$router" neigh replace 10.0.1.2 lladdr "${mac[c0]}" dev r0.10 nud permanent

path "a port" "" r1

tagged "$router" r1 20
path "a VLAN device" 20 r1.20
ip -n "$router" link del r1.20

ip -n "$router" link add br0 type bridge
ip -n "$router" link set r1 master br0
ip -n "$router" link set br0 up
r bridge fdb replace "${mac[s0]}" dev r1 master static
path "a bridge" "" br0

tagged "$router" br0 20
path "a VLAN device on a bridge" 20 br0.20

ip -n "$router" link set br0 type bridge vlan_filtering 1
r bridge vlan add dev r1 vid 20
r bridge vlan add dev br0 vid 20 self
r bridge fdb replace "${mac[s0]}" dev r1 vlan 20 master static
path "a bridge that filters by VLAN, a tagged port" 20 br0.20

r bridge vlan add dev r1 vid 20 pvid untagged
path "a bridge that filters by VLAN, an untagged port" "" br0.20

# Path discovery ends at a bond: its ports' drivers are not asked, and packets take the stack.
ip -n "$router" link del br0
ip -n "$router" link set r1 down
ip -n "$router" link add bond0 type bond mode active-backup
ip -n "$router" link set r1 master bond0
ip -n "$router" link set bond0 up
ip -n "$router" addr add 10.0.2.1/24 dev bond0
ip -n "$router" neigh replace 10.0.2.2 lladdr "${mac[s0]}" dev bond0 nud permanent
ip -n "$router" route replace 10.0.9.0/24 via 10.0.2.2
before=$(arrive "")
flowtable
sends 3000
succeeds "a bond: three packets arrive" busywait 5000 arrived "" $((before + 3))
check "and no driver has the answers" "$(offloaded r1)" -eq 0
no_flowtable
succeeds "and in the end none has anything" busywait 5000 all_deleted
check "calls that a driver could not make sense of" "$(total bugs)" -eq 0
