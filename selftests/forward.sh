#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# XDP forwards a transfer, and what it forwards is right: TCP and UDP, IPv4 and IPv6, without NAT, with masquerade, with DNAT
# and with both. What counts is what the devices and the ruleset count, not only what XDP says of itself.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2	ports 1000, and 1001 which is masqueraded
#
# Ports 2000 and 2001 of the router lead to the server's.
. "$(dirname "$0")/lib.sh"

need conntrack traffic
load_modules

# As large as a packet can be and still lie in one page: 6.1 redirects no fragments.
mtu=3400
bytes=${BYTES:-$((sanitized ? 20000000 : 100000000))}
udp_timeout=3

ruleset()
{
	r nft -f - <<-END
	table inet filter {
		flowtable fast {
			hook ingress priority filter
			devices = { r0, r1 }
		}
		counter seen_r0 { }
		counter seen_r1 { }
		chain prerouting {
			type filter hook prerouting priority raw
			iifname r0 counter name seen_r0
			iifname r1 counter name seen_r1
		}
		chain forward {
			type filter hook forward priority filter
			ct state established meta l4proto { tcp, udp } flow add @fast
		}
	}
	table inet nat {
		chain prerouting {
			type nat hook prerouting priority dstnat
			iifname r0 meta nfproto ipv4 meta l4proto { tcp, udp } th dport 2000 dnat ip to 10.0.2.2:1000
			iifname r0 meta nfproto ipv4 meta l4proto { tcp, udp } th dport 2001 dnat ip to 10.0.2.2:1001
			iifname r0 meta nfproto ipv6 meta l4proto { tcp, udp } th dport 2000 dnat ip6 to [fd00:2::2]:1000
			iifname r0 meta nfproto ipv6 meta l4proto { tcp, udp } th dport 2001 dnat ip6 to [fd00:2::2]:1001
		}
		chain postrouting {
			type nat hook postrouting priority srcnat
			oifname r1 meta l4proto { tcp, udp } th dport 1001 masquerade
		}
	}
	END
}

# flow FAMILY PROTO PORT: its line in conntrack, by the port that the client asked for
flow()
{
	r conntrack -L -f "$1" -p "$2" --orig-port-dst "$3" 2>/dev/null
}

is_offloaded()
{
	flow "$@" | grep -q '\[OFFLOAD\]'
}

is_time_wait()
{
	flow "$@" | grep -q ' TIME_WAIT .*\[ASSURED\]'
}

is_replied_udp()
{
	flow "$@" | grep -v OFFLOAD | grep -vq UNREPLIED
}

# check_path NAME DEV PACKETS FORWARDED REDIRECTED SEEN: the numbers of one direction
check_path()
{
	local name="$1: $3 packets into $2, $4 forwarded by XDP, $(($3 - $5)) reached the stack, $6 its ruleset"
	local stack=$(($3 / 100 + 50))

	if [ $(($4 * 100)) -ge $(($3 * 99)) ] && [ $(($3 - $5)) -le "$stack" ] && [ "$6" -le "$stack" ]; then
		ok "$name"
	else
		bad "$name"
	fi
}

snapshot()
{
	sent "$client" c0
	forwarded r0
	redirected r0
	counted inet filter seen_r0
	sent "$server" s0
	forwarded r1
	redirected r1
	counted inet filter seen_r1
}

# transfer NAME FAMILY PROTO ADDRESS PORT
transfer()
{
	local name=$1 family=$2 proto=$3 port=$5 before after hold i delta=()
	local args=("$proto" "$4" "$5" "$bytes")

	[ "$proto" = tcp ] || args+=("$((mtu - 48))")
	mapfile -t before < <(snapshot)
	start_transfer 60 "${args[@]}"
	exec {hold}>"$tmp/hold"
	# The transfer is over when it is reported, but the flow is not until the client may end.
	busywait 60000 is_reported || true
	succeeds "$name: $(cat "$tmp/report")" grep -q "^$bytes of $bytes bytes intact" "$tmp/report"
	succeeds "$name: conntrack says OFFLOAD" is_offloaded "$family" "$proto" "$port"
	mapfile -t after < <(snapshot)
	exec {hold}>&-
	wait "$transfer_pid" || true

	for i in "${!after[@]}"; do
		delta[i]=$((after[i] - before[i]))
	done
	check_path "$name" r0 "${delta[@]:0:4}"
	check_path "$name" r1 "${delta[@]:4:4}"
	[ "$proto" = udp ] || check_end "$name" is_time_wait "$family" tcp "$port"
}

# check_end NAME CONDITION FAMILY PROTO PORT
check_end()
{
	if busywait 10000 "${@:2}"; then
		ok "$1: ends as it should: $(flow "${@:3}")"
	else
		bad "$1: does not end as it should ($2): $(flow "${@:3}")"
	fi
}

# each COMMAND...: for every family and kind of NAT
each()
{
	local nat

	for nat in none:10.0.2.2,fd00:2::2:1000 masquerade:10.0.2.2,fd00:2::2:1001 \
		   dnat:10.0.1.1,fd00:1::1:2000 dnat+snat:10.0.1.1,fd00:1::1:2001; do
		local name=${nat%%:*} port=${nat##*:} addrs=${nat#*:}

		addrs=${addrs%:*}
		"$@" "$name" ipv4 "${addrs%,*}" "$port"
		"$@" "$name" ipv6 "${addrs#*,}" "$port"
	done
}

each_tcp()
{
	transfer "tcp $2 $1" "$2" tcp "$3" "$4"
}

each_udp()
{
	transfer "udp $2 $1" "$2" udp "$3" "$4"
}

each_udp_end()
{
	check_end "udp $2 $1" is_replied_udp "$2" udp "$4"
}

topology
ruleset
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=$udp_timeout net.netfilter.nf_conntrack_udp_timeout=600 \
	net.netfilter.nf_conntrack_udp_timeout_stream=600
r flowmap attach r0
r flowmap attach r1
serve "$server" 1000
serve "$server" 1001

mkfifo "$tmp/hold"

each each_tcp
each each_udp
each each_udp_end
