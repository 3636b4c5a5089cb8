#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A virtual machine leaves checksums for its tap to finish, and says so apart from the frame, where no XDP program sees it. Flows that come
# in there stay on the stack. So do those that leave there, for a tap can have filters that nobody sees, until the administrator says
# that it has none.
#
#  client                    router              server
#   c0 10.0.1.2 ---- v0 ==== r0 10.0.1.1
#                             r1 10.0.2.1 ---- s0 10.0.2.2	port 1000
#
# v0 has no addresses: what comes there is written to the tap r0, and the other way round.
. "$(dirname "$0")/lib.sh"

need conntrack traffic tap
modprobe -q tun || missing "no taps"
load_modules

has_tap()
{
	ip -n "$router" link show r0 >/dev/null 2>&1
}

is_reported_by()
{
	grep -q ' stack=peer_tx_checksum' <<<"$(proc_net "$router" nf_flowmap)"
}

new_ns client router server
mac[v0]=02:00:00:00:01:03
link "$client" c0 "$router" v0
link "$router" r1 "$server" s0
end_host "$server" s0
# A segment that is longer than a frame goes another way, see tun_get_user().
c ethtool -K c0 tx on tso off gso off >/dev/null
r sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.v0.disable_ipv6=1
ip -n "$router" link set v0 arp off
up "$router" v0
background "$router" tap r0 v0
busywait 5000 has_tap
ip -n "$router" link set r0 address "${mac[r0]}"
up "$client" c0 10.0.1.2/24
up "$router" r0 10.0.1.1/24
up "$router" r1 10.0.2.1/24
up "$server" s0 10.0.2.2/24
ip -n "$client" route add default via 10.0.1.1
ip -n "$server" route add default via 10.0.2.1
flowtable_on "r0 r1"
fill_flowtable "meta l4proto { tcp, udp }"
r flowmap attach r0 r1
serve "$server" 1000

bytes=100000
succeeds "UDP arrives as it was sent" c timeout 60 traffic udp 10.0.2.2 1000 $bytes 1000 </dev/null
succeeds "it stays on the stack: stack=peer_tx_checksum" is_reported_by
succeeds "TCP arrives as it was sent" c timeout 60 traffic tcp 10.0.2.2 1000 $bytes </dev/null
check "forwarded by XDP" "$(forwarded r0 r1)" -eq 0
r flowmap allow r0
succeeds "TCP arrives as it was sent, the tap allowed" c timeout 60 traffic tcp 10.0.2.2 1000 $bytes </dev/null
check "forwarded by XDP on the way back" "$(redirected r1)" -gt 10
check "forwarded by XDP in all" "$(forwarded r0)" -eq "$(redirected r1)"
