#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# ndo_flow_offload, with netdevsim: a driver is told of each flow that comes in by its device, what it counts reaches conntrack,
# and what it was told it is told to forget once, whatever ends the flow.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1					all four are ports of netdevsim
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/sim.sh"

test_module flowmap_flow_dev

# packets SPORT COUNT
packets()
{
	local more=() i

	for ((i = 0; i < $2; i++)); do
		more+=(--)
	done
	c wire send c0 "${ipv4[@]}" sport="$1" "${more[@]}" >/dev/null
}

# counts SPORT: packets of the connection as conntrack has them
counts()
{
	r conntrack -L -p udp --sport "$1" 2>/dev/null | sed -n 's/^.* sport='"$1"' [^=]*=[0-9]* packets=\([0-9]*\) .*$/\1/p' | head -n 1
}

counts_at_least()
{
	[ "$(counts "$1")" -ge "$2" ]
}

topology
crafted_flows
quiet_neighbours
# What is left of a connection when its flow ends should live for a while.
r sysctl -q net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_udp_timeout=300

masquerade "oifname r1 ip saddr 10.0.1.0/24"
flowtable
packets 1001 3
succeeds "the driver of the first packet's device has the flow" busywait 5000 has_offloaded r0 1
succeeds "the driver of the other direction's device has it too" busywait 5000 has_offloaded r1 1
succeeds "its table shows tuple, NAT, the way out and its addresses" grep -qE \
	"^1 udp 10\.0\.1\.9:1001 10\.0\.9\.9:2000 in $(index "$router" r0) becomes 10\.0\.2\.1:[0-9]+ 10\.0\.9\.9:2000 out $(index "$router" r1) from ${mac[r1]} to ${mac[s0]} mtu 1500 " \
	"$(port r0 flows)"
succeeds "conntrack says so" grep -q HW_OFFLOAD <(r conntrack -L -p udp --sport 1001 2>/dev/null)

had=$(counts 1001)
check "conntrack counted what came by software" "$had" -eq 3
echo "0 50 5000" >"$(port r0 hit)"
succeeds "what the driver counted reaches conntrack" busywait 10000 counts_at_least 1001 53
check "and nothing else" "$(counts 1001)" -eq 53

# Hardware may leave packets to software, which keep the flow alive as well, though its own last one is long ago. That was otherwise
# as soon as jiffies needed a 33rd bit, five minutes after boot.
udp_timeout=$(r sysctl -n net.netfilter.nf_flowtable_udp_timeout)
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=10
dels=$(total dels)
had=$(counts 1001)
echo "0 1 100" >"$(port r0 hit)"
for _ in {1..8}; do
	sleep 1
	packets 1001 1
done
sleep 5
check "a flow that software forwards lives, though hardware's last packet is 13 s ago" "$(total dels)" -eq "$dels"
check "the driver told of that packet" "$(counts 1001)" -eq $((had + 9))
r sysctl -q net.netfilter.nf_flowtable_udp_timeout="$udp_timeout"

# What follows a flow of the same connection, whose deletion comes later: statistics are those of the flow.
adds=$(total adds)
r nft 'delete flowtable inet filter fast { hook ingress priority filter; devices = { r1 }; }'
packets 1001 2
succeeds "a flow that is torn down is offered again" busywait 5000 total_is adds $((adds + 1))
succeeds "and the one before it deleted" busywait 5000 has_offloaded r0 1
had=$(counts 1001)
echo "0 50 5000" >"$(port r0 hit)"
succeeds "what the driver counts for the new one reaches conntrack" busywait 10000 counts_at_least 1001 $((had + 50))

# A deletion takes the rest along.
echo "0 7 700" >"$(port r0 hit)"
no_flowtable
succeeds "a flowtable that is deleted takes its flows out of hardware" busywait 5000 all_deleted
check "what was counted until then reached conntrack" "$(counts 1001)" -eq $((had + 57))

# Errors leave the flow in software, which offers it again.
flowtable
echo 100 >"$(port r0 fail_add)"
errors=$(total add_errors)
packets 1002 3
succeeds "an add fails" busywait 5000 total_is add_errors $((errors + 1))
check "a flow that could not be added is not in the table" "$(offloaded r0)" -eq 0
echo 0 >"$(port r0 fail_add)"
sleep 1.2
packets 1002 2
succeeds "it is offered again" busywait 5000 has_offloaded r0 1
echo 1 >"$(port r0 max)"
packets 1003 3
succeeds "one more than there is room for stays in software" busywait 5000 has_offloaded r1 2
check "of the device with the limit" "$(offloaded r0)" -eq 1
echo 1000 >"$(port r0 max)"

# The queue.
echo 0 >$queue_max
packets 1004 3
sleep 0.5
check "nothing is offered past the queue's limit" "$(offloaded r1)" -eq 2
full=$((0x0$(proc_net "$router" stat/nf_flowtable | awk 'NR > 1 { n += $4 } END { print n + 0 }')))
check "which is counted" $full -gt 0
had=$(counts 1002)
echo "0 50 5000" >"$(port r0 hit)"
succeeds "what the driver counts reaches conntrack past it, too" busywait 10000 counts_at_least 1002 $((had + 50))
echo "$before_queue_max" >$queue_max

# Whatever ends a flow.
echo 100 >"$(port r0 fail_del)"
ip -n "$router" link set r0 down
check "when a device is down, its flows are deleted, though the driver says no" "$(offloaded r0)" -eq 0
succeeds "also by the other device" has_offloaded r1 0
echo 0 >"$(port r0 fail_del)"
ip -n "$router" link set r0 up
ip -n "$router" neigh replace 10.0.1.9 lladdr "${mac[c0]}" dev r0 nud permanent
packets 1005 3
succeeds "and come back" busywait 5000 has_offloaded r0 1
r conntrack -D -p udp --sport 1005 >/dev/null 2>&1
succeeds "a connection that is deleted leaves hardware" busywait 5000 has_offloaded r0 0
packets 1006 3
succeeds "another one" busywait 5000 has_offloaded r0 1
echo "${sim_id[r0]}" >/sys/bus/netdevsim/del_device
succeeds "a device that goes away leaves nothing behind" all_deleted

# TC_SETUP_FT goes first.
no_flowtable
echo 1 >"$(port r1 tc)"
sim "$router" r0
cable "$client" c0 "$router" r0
up "$router" r0 10.0.1.1/24 fd00:1::1/64
ip -n "$router" neigh replace 10.0.1.9 lladdr "${mac[c0]}" dev r0 nud permanent
flowtable
packets 1007 3
succeeds "a driver without TC_SETUP_FT gets the flow" busywait 5000 has_offloaded r0 1
check "one with it gets a rule" "$(<"$(port r1 tc_rules)")" -eq 1
check "and no flow" "$(offloaded r1)" -eq 0
no_flowtable
succeeds "both are told of the end" busywait 5000 all_deleted
check "rules left" "$(<"$(port r1 tc_rules)")" -eq 0

# A device that knows nothing of tc: no other driver is asked about its flowtable, not even one that comes when that has gone.
comes=/sys/module/flowmap_flow_dev/parameters
insmod "$module"
ip link set flowdev0 netns "$router"
r nft -f - <<-END
	table inet other {
		flowtable fast { hook ingress priority filter; devices = { flowdev0 }; flags offload; }
	}
END
echo 1 >$comes/come
check "other drivers asked about a flowtable with the hook" "$(<$comes/asked)" -eq 0
r nft delete table inet other
rmmod flowmap_flow_dev
insmod "$module"
echo 1 >$comes/come
check "and when it has gone" "$(<$comes/asked)" -eq 0
rmmod flowmap_flow_dev
check "calls that a driver could not make sense of" "$(total bugs)" -eq 0
