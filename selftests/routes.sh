#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Ways that only the slow path knows how to choose: rules, tables, several next hops, MTUs of routes. XDP sends the same frames the
# same way as the kernel's flowtable, and the stack what is left.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
#                     r2 10.0.3.1 ---- s1 10.0.3.2
. "$(dirname "$0")/lib.sh"

need conntrack wire
load_modules
topology
second_way
crafted_flows
quiet_neighbours
ip -n "$router" -batch - <<-END
	neigh replace 10.0.3.2 lladdr ${mac[s1]} dev r2 nud permanent
	neigh replace fd00:3::2 lladdr ${mac[s1]} dev r2 nud permanent
	rule add from 10.0.1.10 table 100
	rule add fwmark 7 table 100
	route add 10.0.9.0/24 via 10.0.3.2 table 100
	route add fd00:9::/64 via fd00:3::2 table 100
	route add 10.0.8.0/24 nexthop via 10.0.2.2 nexthop via 10.0.3.2
	route add fd00:8::/64 nexthop via fd00:2::2 nexthop via fd00:3::2
	route add 10.0.7.0/24 via 10.0.2.2 mtu lock 1300
	route add fd00:7::/64 via fd00:2::2 mtu 1300
	route add 10.0.6.0/24 via 10.0.2.2 mtu 1300
	neigh add 10.0.1.10 lladdr ${mac[c0]} dev r0 nud permanent
	neigh add fd00:1::10 lladdr ${mac[c0]} dev r0 nud permanent
END
ip -6 -n "$router" rule add from fd00:1::10 table 100
ip -6 -n "$router" rule add fwmark 7 table 100
r sysctl -q net.ipv4.conf.all.rp_filter=0 net.ipv4.fib_multipath_hash_policy=1 net.ipv6.fib_multipath_hash_policy=1 \
	net.netfilter.nf_flowtable_udp_timeout=600 net.netfilter.nf_conntrack_udp_timeout_stream=1200 net.ipv4.icmp_ratelimit=0
r nft -f - <<-END
table inet marks {
	chain prerouting {
		type filter hook prerouting priority mangle
		udp sport 1007 meta mark set 7
		ip saddr 10.0.4.9 meta mark set 4
	}
}
END
flowtable_on "r0 r1 r2"
count_seen "meta l4proto { tcp, udp }"
fill_flowtable "ct state established meta l4proto { tcp, udp } meta mark != 4"

# What is sent: of flows by rules, by marks, of several next hops.
there=() back=() again=0
add()
{
	there+=(-- "src=$1" "dst=$2" "sport=$3") back+=(-- "src=$2" "dst=$1" sport=2000 "dport=$3")
}
add 10.0.1.10 10.0.9.9 1000
add 10.0.1.9 10.0.9.9 1000
add 10.0.1.9 10.0.9.9 1007
add fd00:1::10 fd00:9::9 1000
add fd00:1::9 fd00:9::9 1000
add fd00:1::9 fd00:9::9 1007
for port in {1020..1035}; do
	add 10.0.1.9 10.0.8.9 "$port"
	add fd00:1::9 fd00:8::9 "$port"
done
add 10.0.1.9 10.0.7.9 1000
add fd00:1::9 fd00:7::9 1000
add 10.0.1.9 10.0.6.9 1000
flows=$(printf '%s\n' "${there[@]}" | grep -cx -e --)

round()
{
	c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" "${there[@]}" >"$tmp/sent"
	sleep 0.2
	s wire send s0 smac="${mac[s0]}" dmac="${mac[r1]}" "${back[@]}" >"$tmp/sent"
	sleep 0.2
}

# Answers put the flows in, whose own direction has the way that the kernel looked up for it. When routes are looked up anew, as
# they also are when a device's XDP program changes, the next packets put them in again, with the way that these have.
prime()
{
	local dev

	round
	round
	ip -n "$router" route flush cache
	for dev in r0 r1 r2; do
		ip -n "$router" link set "$dev" alias "$dev$((again++))"
	done
	round
	round
}

# fast: packets that the fast path forwarded until now: XDP, or, by what the stack has not seen of $sent, the flowtable
fast()
{
	if [ "$way" = XDP ]; then
		forwarded r0
	else
		echo $((sent - $(counted inet filter seen)))
	fi
}

# sends COUNT FIELD...: what becomes of so many frames goes into $tmp/$way, and how many the fast path forwarded
sends()
{
	local what=${*:2} count=$1 before end

	shift
	before=$(fast)
	capture "$server" s0 "$tmp/s0"
	capture "$server" s1 "$tmp/s1"
	capture "$client" c0 "$tmp/c0"
	c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" "$@" >"$tmp/sent"
	sent=$((sent + count))
	sleep 0.3
	for end in s0 s1 c0; do
		captured "$tmp/$end" 0
	done
	{
		echo "$what: $(($(fast) - before)) of $count by the fast path, to s0 and s1:"
		frames "$tmp/s0"
		echo
		frames "$tmp/s1"
		echo "fragmentation needed: $(frames "$tmp/c0" | cut -c 69-72 | grep -cx 0304)"
	} >>"$tmp/$way"
}

# by_stack WHERE ADDRESS: XDP leaves it, and it comes out all the same
by_stack()
{
	local before=0

	r conntrack -D -d "$2" >/dev/null 2>&1 || true
	for _ in 1 2 3; do
		[ "$way" != XDP ] || before=$(forwarded r0)
		capture "$server" s0 "$tmp/s0"
		c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" src=10.0.1.9 "dst=$2" >"$tmp/sent"
		sleep 0.3
		captured "$tmp/s0" 0
		# The outer header has numbers of its own.
		echo "by $1: $(frames "$tmp/s0" | cut -c 1-36,47-48)" >>"$tmp/$way"
		[ "$way" != XDP ] || check "by $1: forwarded by XDP" $(($(forwarded r0) - before)) -eq 0
		s wire send s0 smac="${mac[s0]}" dmac="${mac[r1]}" "src=$2" dst=10.0.1.9 sport=2000 dport=1000 >"$tmp/sent"
		sleep 0.2
	done
}

# run WAY: all that is sent, by that way
run()
{
	local probes=() len where

	way=$1 sent=0
	prime
	sends "$flows" "${there[@]}"
	check "$way: by the fast path, of $flows" "$(sed -n 's/.*: \([0-9]*\) of [0-9]* by the fast path.*/\1/p' "$tmp/$way")" -eq "$flows"
	check "$way: frames to s0" "$(frames "$tmp/s0" | wc -l)" -ge $((2 + 4))
	check "$way: frames to s1" "$(frames "$tmp/s1" | wc -l)" -ge $((4 + 4))

	# A locked MTU holds for what is forwarded, another one only where discovery is trusted, or in IPv6.
	for len in 1272 1273; do
		probes+=(-- src=10.0.1.9 dst=10.0.7.9 "len=$len" -- src=10.0.1.9 dst=10.0.7.9 "len=$len" frag=0)
		probes+=(-- src=10.0.1.9 dst=10.0.6.9 "len=$len")
	done
	for len in 1252 1253; do
		probes+=(-- src=fd00:1::9 dst=fd00:7::9 "len=$len")
	done
	sends 9 "${probes[@]}" -- src=10.0.1.9 dst=10.0.6.9 len=1472
	r sysctl -q net.ipv4.ip_forward_use_pmtu=1
	ip -n "$router" route change 10.0.6.0/24 via 10.0.2.2 mtu 1301
	prime
	sends 2 -- src=10.0.1.9 dst=10.0.6.9 len=1273 -- src=10.0.1.9 dst=10.0.6.9 len=1274
	r sysctl -q net.ipv4.ip_forward_use_pmtu=0
	ip -n "$router" route change 10.0.6.0/24 via 10.0.2.2 mtu 1300

	for where in "${!no_frames[@]}"; do
		by_stack "$where" "${no_frames[$where]}"
	done
}

# Where packets go whose frames XDP cannot make.
declare -A no_frames=()
if ip -n "$router" link add tunnel type ipip local 10.0.2.1 remote 10.0.2.2 2>"$tmp/error"; then
	ip -n "$router" link set tunnel up
	ip -n "$router" route add 10.0.5.0/24 dev tunnel
	no_frames["a tunnel"]=10.0.5.9
fi
if ip -n "$router" xfrm state add src 10.0.2.1 dst 10.0.2.2 proto esp spi 0x100 mode tunnel enc "ecb(cipher_null)" "" \
	auth digest_null "" 2>"$tmp/error"; then
	ip -n "$router" xfrm policy add dir out src 10.0.1.0/24 dst 10.0.4.0/24 tmpl src 10.0.2.1 dst 10.0.2.2 proto esp mode tunnel
	ip -n "$router" route add 10.0.4.0/24 via 10.0.2.2
	# Answers put no flow in: the kernel looks for the way of the other direction without IPsec's policies, and its flowtable then
	# sends that in the clear, as XDP would.
	no_frames[IPsec]=10.0.4.9
fi

run flowtable
r flowmap attach r0 r1 r2
run XDP
[ -z "${no_frames[IPsec]-}" ] || check "packets that IPsec encrypted" "$(grep -c '^by IPsec: .*32$' "$tmp/XDP")" -eq 3
succeeds "the same frames, as many by the fast path, and the same errors" diff "$tmp/flowtable" "$tmp/XDP"
