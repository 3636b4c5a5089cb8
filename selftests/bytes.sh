#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The frames that XDP sends are byte for byte those that the kernel's own flowtable sends: the same frames go through the one
# and then through the other.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2	r1 masquerades
. "$(dirname "$0")/lib.sh"

need wire
load_modules

# pass WAY NAME FROM DEV TO TO-DEV COUNT COMMAND...: what the COMMAND of wire sends from one device and what arrives at the other
pass()
{
	local file=$tmp/$1-$2 from=$3 dev=$4 to=$5 to_dev=$6 count=$7

	capture "$to" "$to_dev" "$file" "$count"
	ip netns exec "$from" wire "$8" "$dev" "${@:9}" >/dev/null
	captured "$file" "$count"
	check "$1, $2: arrived" "$(sed -n 's/ frames, hash .*//p' "$file")" -eq "$count"
}

special=(
	-- -- csum=0 -- csum=0xffff -- csum=1 -- csum=0xfffe -- ipcsum=0 -- ipcsum=0xffff -- ipcsum=0xfeff -- ipcsum=0xfefe
	-- len=0 -- len=1 -- len=17 -- len=255 -- len=1400 -- pad=1 -- pad=18 len=0 -- tos=0xff -- label=0xabcde tos=3
	-- dmac=ff:ff:ff:ff:ff:ff -- dmac=33:33:00:00:09:09 -- ttl=2 -- ttl=255 -- frag=0 id=7 -- frag=0x8000 -- seq=0x80000000 ack=0xffffffff -- flags=0x18 -- flags=0xf8
)
specials=$(printf '%s\n' "${special[@]}" | grep -cx -e --)

# prime: the flows that "all" needs
prime()
{
	local proto

	for proto in 17 6; do
		for _ in 1 2; do
			c wire send c0 proto=$proto "${ipv4[@]}" >/dev/null
			c wire send c0 proto=$proto "${ipv6[@]}" >/dev/null
			s wire send s0 proto=$proto "${nat4[@]}" >/dev/null
			s wire send s0 proto=$proto "${nat6[@]}" >/dev/null
		done
	done
}

# Of 65536 values; the first of every 7 and, with them, the last. Once all.
step=7 every=1
if [ "$sanitized" -eq 1 ]; then
	step=101 every=13
fi
few=$((65535 / step + 1)) many=$((65535 / every + 1))

# all WAY: every kind of frame, by the kernel's flowtable or by XDP
all()
{
	local way=$1 proto before

	before=$(counted inet filter seen)
	for proto in 17 6; do
		pass "$way" "special-4-$proto" "$client" c0 "$server" s0 "$specials" send proto=$proto "${ipv4[@]}" "${special[@]}"
		pass "$way" "special-6-$proto" "$client" c0 "$server" s0 "$specials" send proto=$proto "${ipv6[@]}" "${special[@]}"
		pass "$way" "special-back4-$proto" "$server" s0 "$client" c0 "$specials" send proto=$proto "${nat4[@]}" "${special[@]}"
		pass "$way" "special-back6-$proto" "$server" s0 "$client" c0 "$specials" send proto=$proto "${nat6[@]}" "${special[@]}"
		pass "$way" "sweep-6-$proto" "$client" c0 "$server" s0 $few sweep $step proto=$proto "${ipv6[@]}"
		pass "$way" "sweep-back4-$proto" "$server" s0 "$client" c0 $few sweep $step proto=$proto "${nat4[@]}"
		pass "$way" "wrong-4-$proto" "$client" c0 "$server" s0 $few sweep $step proto=$proto csum=0 ipcsum=0 "${ipv4[@]}"
	done
	pass "$way" "sweep-4" "$client" c0 "$server" s0 "$many" sweep "$every" "${ipv4[@]}"
	check "$way: through the ruleset" $(($(counted inet filter seen) - before)) -le 20
}

topology
crafted_flows
nat4=("${back4[@]}" dst=10.0.2.1)
nat6=("${back6[@]}" dst=fd00:2::1)
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=600 net.netfilter.nf_flowtable_tcp_timeout=600 \
	net.netfilter.nf_conntrack_udp_timeout_stream=1200
flowtable_on "r0 r1"
count_seen "meta l4proto { tcp, udp }"
fill_flowtable "ct state established meta l4proto { tcp, udp }"
masquerade "oifname r1"

prime
all kernel
check "forwarded by XDP" "$(table insert)" -eq 0
r flowmap attach r0 r1
prime
all xdp
check "forwarded by XDP" "$(forwarded r0 r1)" -ge $((2 * (4 * specials + 3 * few) + many - 10))

for file in "$tmp"/kernel-*; do
	name=${file##*/kernel-}
	succeeds "$name: $(tail -n 1 "$file")" diff "$file" "$tmp/xdp-$name"
done
