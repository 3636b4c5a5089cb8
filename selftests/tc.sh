#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A tc program asks for flows as the XDP program does: it forwards one direction, XDP the other. What it redirects meets the
# tc filter and the qdisc of the device that it leaves by, which therefore keep no flow from it, but not the egress chain, which
# does.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1	tc
#                XDP  r1 10.0.2.1 ---- s0 10.0.2.2	port 1000
#
# What leaves through r1 is masqueraded; port 2000 of the router leads to the server's.
. "$(dirname "$0")/lib.sh"

need tc conntrack traffic
[ -e /proc/sys/net/core/bpf_jit_enable ] || skip "no kfuncs without a JIT"
object=$(object tc.bpf.o) || missing "no program 'tc.bpf.o'"
load_modules

bytes=2000000

ruleset()
{
	r nft -f - <<-END
	table inet filter {
		flowtable fast {
			hook ingress priority filter
			devices = { r0, r1 }
		}
		counter seen { }
		chain prerouting {
			type filter hook prerouting priority raw
			counter name seen
		}
		chain forward {
			type filter hook forward priority filter
			meta l4proto { tcp, udp } flow add @fast
		}
	}
	table ip nat {
		chain prerouting {
			type nat hook prerouting priority dstnat
			iifname r0 meta l4proto { tcp, udp } th dport 2000 dnat to 10.0.2.2:1000
		}
		chain postrouting {
			type nat hook postrouting priority srcnat
			oifname r1 masquerade
		}
	}
	END
}

egress_chain()
{
	r nft -f - <<-END
	table netdev out {
		counter seen { }
		chain r1 {
			type filter hook egress device r1 priority filter
			ip protocol { tcp, udp } counter name seen
		}
	}
	END
}

# filtered: packets that the filter at tc egress of r1 has seen
filtered()
{
	r tc -s filter show dev r1 egress | sed -n 's/.*Sent [0-9]* bytes \([0-9]*\) pkt.*/\1/p'
}

# shadow PROTO DIRECTION: packets that lookups of that direction forwarded
shadow()
{
	local line sum=0

	while read -r line; do
		[[ $line == "ipv4 $1 "*" dir=$2 "* ]] || continue
		line=${line##* packets=}
		sum=$((sum + ${line%% *}))
	done < <(proc_net "$router" nf_flowmap)
	echo "$sum"
}

snapshot()
{
	sent "$client" c0
	counted inet filter seen
	filtered
	forwarded r1
	sent "$server" s0
}

# transfer NAME PROTO ADDRESS PORT; the flow stays open until it has been looked at.
transfer()
{
	local name=$1 proto=$2 before after hold i delta=() args=("$2" "$3" "$4" "$bytes")

	[ "$proto" = tcp ] || args+=(1400)
	mapfile -t before < <(snapshot)
	start_transfer 30 "${args[@]}"
	exec {hold}>"$tmp/hold"
	busywait 30000 is_reported || true
	mapfile -t after < <(snapshot)
	for i in "${!after[@]}"; do
		delta[i]=$((after[i] - before[i]))
	done
	local max=$((50 + (delta[0] + delta[4]) / 100))

	succeeds "$name: $(<"$tmp/report")" grep -q "^$bytes of $bytes bytes intact" "$tmp/report"
	check "$name: packets that the client sent" "${delta[0]}" -ge 1000
	check "$name: of both directions, seen by the stack" "${delta[1]}" -le "$max"
	check "$name: forwarded by tc" "$(shadow "$proto" original)" -ge $((delta[0] - max))
	check "$name: seen by the filter at tc egress" "${delta[2]}" -ge $((delta[0] - max))
	check "$name: forwarded by XDP, of ${delta[4]}" "${delta[3]}" -ge $((delta[4] - max))
	exec {hold}>&-
	wait "$transfer_pid" || true
	r conntrack -D -p "$proto" >/dev/null 2>&1 || true
}

topology
ruleset
r tc qdisc add dev r0 clsact
r tc filter add dev r0 ingress bpf direct-action object-file "$object" section tc
r tc qdisc add dev r1 root tbf rate 1gbit burst 1m limit 10m
r tc qdisc add dev r1 clsact
r tc filter add dev r1 egress matchall action ok
r flowmap attach r1
serve "$server" 1000
mkfifo "$tmp/hold"

transfer "tcp masquerade" tcp 10.0.2.2 1000
transfer "udp masquerade" udp 10.0.2.2 1000
transfer "tcp dnat" tcp 10.0.1.1 2000
transfer "udp dnat" udp 10.0.1.1 2000

egress_chain
all=$(sent "$client" c0)
c traffic udp 10.0.2.2 1000 "$bytes" 1400 </dev/null
all=$(($(sent "$client" c0) - all))
check "an egress chain keeps the flow on the stack: seen by it, of $all" "$(counted netdev out seen)" -ge "$all"
