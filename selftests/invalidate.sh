# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of what ends or changes a flow. Sourced, not run.
#
# A stream of a packet each millisecond is forwarded by XDP; then something happens to the flow. Each packet carries the time
# it was sent, so that the log of what arrives tells how long the packets went on the old way. The ruleset marks what goes
# through it (DSCP ef, a TOS of 184), and so tells the slow path from the fast one.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
#                     r2 10.0.3.1 ---- s1 10.0.3.2
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stamp_so=$(type -P stamp.so) || missing "no stamp.so"

# What the design promises.
epoch_us=10000
log='' stream=''
flush='' more_rules=''
accelerate='meta l4proto { tcp, udp } flow add @fast'

ruleset()
{
	r nft -f - <<-END
	$flush
	table inet filter {
		flowtable fast {
			hook ingress priority filter
			devices = { r0, r1, r2 }
		}
		chain accelerate {
			$accelerate
		}
		chain forward {
			type filter hook forward priority filter
			jump accelerate
			meta nfproto ipv4 ip dscp set ef
			meta nfproto ipv6 ip6 dscp set ef
		}
	}
	$more_rules
	END
}

# Flows that are not offloaded stay so: what happens can be told from what the kernel makes of it next.
stop_offloading()
{
	r nft flush chain inet filter accelerate
}

offload_again()
{
	r nft add rule inet filter accelerate meta l4proto "{ tcp, udp }" flow add @fast
}

begin()
{
	need conntrack wire
	load_modules
	topology
	second_way
	crafted_flows
	ruleset
	r flowmap attach r0 r1 r2
}

# start_stream COUNT FIELD...
start_stream()
{
	background "$server" wire log 10000 s0 s1 >"$tmp/log"
	log=$!
	busywait 5000 grep -q ready "$tmp/log"
	background "$client" wire stream c0 "$@" >"$tmp/sent"
	stream=$!
}

stop_stream()
{
	kill "$stream" || true
	sleep 0.2
	kill "$log"
}

# picked_up WHAT: XDP forwards the stream.
picked_up()
{
	succeeds "$1" busywait 8000 forwards_more_than "$(($(forwarded r0) + 50))"
}

# judge FROM-US UNTIL-US NEW: in that time, once the epoch is over, each packet that was sent arrived with NEW in its line of the
# log. Prints how long after FROM-US a packet went otherwise. Fails if that was too long, or if there was nothing to judge.
judge()
{
	awk -v from="$1" -v until="$2" -v new="$3" -v epoch="$epoch_us" '
		FILENAME == ARGV[1] { right[$1] = index($0 " ", " " new " "); next }
		NF != 2 || $2 <= from || $2 > until { next }
		right[$1] { good++; next }
		{ late = $2 - from }
		END {
			printf "%d packets the new way, the last one otherwise %.0f us after the event\n", good, late
			exit late > epoch || good < 30
		}' "$tmp/log" "$tmp/sent"
}

# attempts NAME COMMAND...: up to three. Where the machine stops a processor for a while, a jiffy takes longer than it should.
# COMMAND says in $line what it found.
attempts()
{
	local name=$1 i line=''

	shift
	for i in 1 2 3; do
		if "$@"; then
			ok "$name: $line"
			return
		fi
		echo "attempt $i: $line"
	done
	bad "$name: $line"
}

# one_event RESET HAPPENS AGAIN NEW FIELD...: after RESET a stream of packets with those fields, then HAPPENS, packets the NEW way,
# and AGAIN, with which XDP takes the stream up again. The first three are commands.
one_event()
{
	local reset=$1 happens=$2 again=$3 new=$4 from until

	shift 4
	"$reset"
	start_stream 30000 "$@"
	picked_up "XDP forwards"
	FLOWMAP_STAMP=$tmp/stamp LD_PRELOAD=$stamp_so "$happens"
	from=$(cat "$tmp/stamp")
	sleep 0.3
	until=${EPOCHREALTIME/./}
	"$again"
	picked_up "XDP forwards again"
	stop_stream
	line=$(judge "$from" "$until" "$new")
}

has_sent()
{
	grep -q "^$1 " "$tmp/sent"
}

# one_end FIELD BACK FIELD...: a stream of TCP; the packet in its middle has the first FIELD, which ends the connection. BACK names
# the fields of an answer.
one_end()
{
	local end=$1 back="$2[@]" half=3000 before from until rc=0

	shift 2
	before=$(forwarded r0)
	start_stream $((half * 2)) proto=6 flags=0x18 "$@" -- "$end"
	s wire send s0 proto=6 "${!back}" >/dev/null
	busywait 8000 forwards_more_than $((before + 50)) || rc=1
	stop_offloading
	if [ "$rc" -ne 0 ]; then
		line="XDP does not forward"
	elif has_sent $half; then
		line="not ready before the end"
		rc=1
	else
		busywait 60000 has_sent $((half + 300)) || echo "the stream is too slow"
		until=${EPOCHREALTIME/./}
		from=$(awk -v half=$half '$1 == half { print $2 }' "$tmp/sent")
		line=$(judge "$from" "$until" tos=184) || rc=1
	fi
	stop_stream
	offload_again
	r conntrack -D -p tcp >/dev/null 2>&1
	return $rc
}
