# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests. Sourced, not run.
#
# FLOWMAP_BUILD	where the flowmap tool and the tests' own programs are; unset: PATH and here
# FLOWMAP_MODULES	where the modules are; unset: modprobe finds them
#
# Network namespaces c, r and s are the client, the router and the server; c, r and s are also commands: "r ip link" runs
# "ip link" on the router.
# shellcheck shell=bash disable=SC2034

set -eu
set -o pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$here${FLOWMAP_BUILD:+:$FLOWMAP_BUILD:$FLOWMAP_BUILD/selftests}:$PATH
export LC_ALL=C

# A kernel with sanitizers is given less of what takes long.
sanitized=0
[ ! -e /sys/kernel/debug/kmemleak ] || sanitized=1
# One with several processors is emulated besides: starting a program can take seconds.
patience=1
[ $sanitized -eq 0 ] || [ "$(nproc)" -eq 1 ] || patience=12

failed=0
client='' router='' server=''
namespaces=()
# A process in each namespace.
declare -A keeper=()
# The process of each capture, by its file.
declare -A capturing=()
# See read_stats.
declare -A stats=()
tmp=$(mktemp -d)

ok()
{
	echo "ok: $*"
}

bad()
{
	echo "FAIL: $*"
	failed=1
}

skip()
{
	echo "SKIP: $*"
	exit 4
}

# missing WHAT: without it there is nothing to test; but the machines of tools/vm have it, and those with patches/ what these bring.
missing()
{
	[ -z "${FLOWMAP_MODULES-}" ] || { bad "$*"; exit 1; }
	skip "$*"
}

unpatched()
{
	[ -z "${FLOWMAP_SERIES-}" ] || missing "$@"
	skip "$*"
}

# check WHAT A OPERATOR B: as [ compares them
check()
{
	if test "${@:2}"; then
		ok "$1: $2"
	else
		bad "$1: $2, not $3 $4"
	fi
}

# succeeds WHAT COMMAND...: COMMAND succeeds
succeeds()
{
	local what=$1

	shift
	if "$@"; then
		ok "$what"
	else
		bad "$what: not so: $*"
	fi
}

now_ms()
{
	local now=$EPOCHREALTIME

	echo $((${now%.*} * 1000 + 10#${now#*.} / 1000))
}

# busywait MS COMMAND...: until COMMAND succeeds; fails if it did not in time.
busywait()
{
	local end=$(($(now_ms) + patience * $1))

	shift
	until "$@"; do
		[ "$(now_ms)" -lt "$end" ] || return 1
	done
}

# background NS COMMAND...: until the test ends; its process id is in $!
background()
{
	ip netns exec "$@" &
	disown
}

# start_transfer SECONDS ARG...: "traffic ARG..." of the client, as the process $transfer_pid, which reports in $tmp/report; its
# connection stays open as long as $tmp/hold.
start_transfer()
{
	# What the transfer before reported is not its own.
	: >"$tmp/report"
	c timeout "$1" traffic "${@:2}" <"$tmp/hold" >"$tmp/report" 2>&1 &
	transfer_pid=$!
}

# is_reported: is the transfer over, whether or not its connection is?
is_reported()
{
	[ -s "$tmp/report" ] || ! kill -0 "$transfer_pid" 2>/dev/null
}

cleanup()
{
	local rc=$? ns

	trap - EXIT
	set +e
	for ns in "${namespaces[@]}"; do
		ip netns pids "$ns" 2>/dev/null | xargs -r kill -KILL 2>/dev/null
		ip netns delete "$ns"
	done
	rm -rf "$tmp"
	[ "$rc" -ne 0 ] || rc=$failed
	exit "$rc"
}
trap cleanup EXIT

need()
{
	local tool

	[ "$(id -u)" -eq 0 ] || skip "not root"
	for tool in ip nft ethtool flowmap "$@"; do
		command -v "$tool" >/dev/null || missing "no program '$tool'"
	done
}

load_module()
{
	[ ! -d "/sys/module/$1" ] || return 0
	if [ -n "${FLOWMAP_MODULES-}" ]; then
		modprobe -a nf_flow_table nf_conntrack
		insmod "$FLOWMAP_MODULES/$1.ko" "${@:2}"
	else
		modprobe "$@"
	fi
}

# test_module NAME: leaves the path of a module of the tests' own in $module
test_module()
{
	module=${FLOWMAP_MODULES:-$here}/test_modules/$1.ko
	[ -e "$module" ] || unpatched "no test_modules/$1.ko"
}

load_modules()
{
	load_module nf_flow_table_snoop || missing "nf_flow_table_snoop does not load"
	load_module nf_flow_table_bpf_flowmap || missing "nf_flow_table_bpf_flowmap does not load"
}

# not_removed MODULE: rmmod refuses
not_removed()
{
	! rmmod "$1" 2>"$tmp/rmmod" && grep -q 'in use' "$tmp/rmmod"
}

# new_ns VARIABLE...: a namespace each, its name in the variable.
new_ns()
{
	local var

	for var in "$@"; do
		printf -v "$var" '%s' "flowmap-$var-${tmp##*.}-${#namespaces[@]}"
		ip netns add "${!var}"
		namespaces+=("${!var}")
		ip netns exec "${!var}" sysctl -q net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_ra=0
		ip -n "${!var}" link set lo up
		background "${!var}" sleep infinity
		keeper[${!var}]=$!
		busywait 5000 is_running_sleep $!
	done
}

is_running_sleep()
{
	[ "$(</proc/"$1"/comm)" = sleep ]
}

# proc_net NS FILE: /proc/net/FILE of a namespace, without starting a program
proc_net()
{
	echo "$(</proc/"${keeper[$1]}"/net/"$2")"
}

c()
{
	ip netns exec "$client" "$@"
}

r()
{
	ip netns exec "$router" "$@"
}

s()
{
	ip netns exec "$server" "$@"
}

# MAC addresses of the devices, which tests know.
declare -A mac=(
	[c0]=02:00:00:00:01:02 [r0]=02:00:00:00:01:01 [r1]=02:00:00:00:02:01 [s0]=02:00:00:00:02:02
	[r2]=02:00:00:00:03:01 [s1]=02:00:00:00:03:02
)

# link NS DEV PEER-NS PEER
link()
{
	ip link add "$2" address "${mac[$2]}" netns "$1" type veth peer name "$4" address "${mac[$4]}" netns "$3"
}

# up NS DEV [ADDRESS/LENGTH...]
up()
{
	local ns=$1 dev=$2 addr

	shift 2
	for addr in "$@"; do
		ip -n "$ns" addr add "$addr" dev "$dev"
	done
	ip -n "$ns" link set "$dev" mtu "${mtu:-1500}" up
}

# An end host's device: finished checksums, for XDP sees the frames as they are; GRO, so that it takes frames from XDP.
end_host()
{
	ip netns exec "$1" ethtool -K "$2" tx off gro on >/dev/null
}

# What most tests start from; see the drawings at their tops.
topology()
{
	new_ns client router server
	link "$client" c0 "$router" r0
	link "$router" r1 "$server" s0
	end_host "$client" c0
	end_host "$server" s0
	r sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	up "$client" c0 10.0.1.2/24 fd00:1::2/64
	up "$router" r0 10.0.1.1/24 fd00:1::1/64
	up "$router" r1 10.0.2.1/24 fd00:2::1/64
	up "$server" s0 10.0.2.2/24 fd00:2::2/64
	ip -n "$client" route add default via 10.0.1.1
	ip -n "$client" route add default via fd00:1::1
	ip -n "$server" route add default via 10.0.2.1
	ip -n "$server" route add default via fd00:2::1
}

is_listening()
{
	proc_net "$1" tcp6 | grep -q "$2 0*:0000 0A "
}

# serve NS PORT: both TCP and UDP, until the test ends
serve()
{
	background "$1" traffic serve "$2"
	busywait 5000 is_listening "$1" "$(printf ':%04X' "$2")"
}

# A second way from the router to the server.
second_way()
{
	link "$router" r2 "$server" s1
	end_host "$server" s1
	up "$router" r2 10.0.3.1/24 fd00:3::1/64
	up "$server" s1 10.0.3.2/24 fd00:3::2/64
}

# Crafted packets go from 10.0.1.9 and fd00:1::9 to 10.0.9.9 and fd00:9::9, which no stack has, by way of the real server.
# In ipv4 and ipv6 stand the fields of such packets, in back4 and back6 of answers; see wire.
crafted_flows()
{
	ipv4=(src=10.0.1.9 dst=10.0.9.9 smac="${mac[c0]}" dmac="${mac[r0]}")
	ipv6=(src=fd00:1::9 dst=fd00:9::9 smac="${mac[c0]}" dmac="${mac[r0]}")
	back4=(src=10.0.9.9 dst=10.0.1.9 sport=2000 dport=1000 smac="${mac[s0]}" dmac="${mac[r1]}")
	back6=(src=fd00:9::9 dst=fd00:1::9 sport=2000 dport=1000 smac="${mac[s0]}" dmac="${mac[r1]}")
	ip -n "$router" route add 10.0.9.0/24 via 10.0.2.2
	ip -n "$router" route add fd00:9::/64 via fd00:2::2
	ip -n "$router" neigh add 10.0.1.9 lladdr "${mac[c0]}" dev r0 nud permanent
	ip -n "$router" neigh add fd00:1::9 lladdr "${mac[c0]}" dev r0 nud permanent
	r sysctl -q net.netfilter.nf_conntrack_tcp_be_liberal=1
}

# flowtable_on DEVICES [LINE]...: a flowtable "fast" of these, with LINEs such as counter
flowtable_on()
{
	local devices=$1 IFS=';' lines

	shift
	lines=$*
	r nft -f - <<-END
	table inet filter {
		flowtable fast {
			hook ingress priority filter
			devices = { ${devices// /, } }
			$lines
		}
	}
	END
}

# fill_flowtable MATCH: what matches while the stack forwards it goes into "fast"; "slow" counts what is forwarded so
fill_flowtable()
{
	r nft -f - <<-END
	table inet filter {
		counter slow { }
		chain forward {
			type filter hook forward priority filter
			counter name slow
			$1 flow add @fast
		}
	}
	END
}

# count_seen MATCH: "seen" counts what the stack gets to see
count_seen()
{
	r nft -f - <<-END
	table inet filter {
		counter seen { }
		chain prerouting {
			type filter hook prerouting priority raw
			$1 counter name seen
		}
	}
	END
}

# masquerade MATCH: it stays where a flowtable goes
masquerade()
{
	r nft -f - <<-END
	table inet nat {
		chain postrouting {
			type nat hook postrouting priority srcnat
			$1 masquerade
		}
	}
	END
}

# A kernel patches itself when the first chain or filter of its kind comes and when the last one goes. Some virtual machines run
# into the patch when another processor is at that place, so there is always one, on a device that is not in the way.
hold_one_of_each()
{
	ip -n "$router" link add other type veth peer name other-end
	r tc qdisc add dev other clsact
	r tc filter add dev other ingress matchall action ok
	r tc filter add dev other egress matchall action ok
	ip -n "$router" link set dev other xdpgeneric object "$(object other.bpf.o)" section xdp
	r nft -f - <<-END
	table netdev other {
		chain ingress {
			type filter hook ingress device other priority 0
		}
		chain egress {
			type filter hook egress device other priority 0
		}
	}
	END
}

# capture NS DEV FILE [COUNT]: the frames that arrive there, until captured; of COUNT, where that is more than 1000, only a hash
capture()
{
	background "$1" wire capture "$2" "${4:-100}" >"$3"
	capturing[$3]=$!
	busywait 5000 says "$3" ready
}

# captured FILE FRAMES: ends it, when so many have come, or too long after that
captured()
{
	busywait 5000 has_captured "$1" "$2" || true
	sleep 0.1
	kill "${capturing[$1]}" 2>/dev/null || true
	busywait 5000 says "$1" ' frames, hash '
	sed -i '/^ready$/d' "$1"
}

# says FILE TEXT: without starting a program, which takes long where the machine is emulated. Who writes it may not have begun.
says()
{
	[[ -e $1 && $(<"$1") = *"$2"* ]]
}

has_captured()
{
	local lines

	mapfile -t lines <"$1"
	[[ ${lines[*]} = *' frames, hash '* ]] || [ ${#lines[@]} -gt "$2" ]
}

# frames FILE: those that were captured there
frames()
{
	grep '^[0-9a-f]*$' "$1" || true
}

# Neighbours that nobody needs to ask after: their packets would be counted among the crafted ones.
quiet_neighbours()
{
	local ns dev addr of

	while read -r ns dev addr of; do
		ip -n "$ns" neigh replace "$addr" lladdr "${mac[$of]}" dev "$dev" nud permanent
	done <<-END
		$client c0 10.0.1.1 r0
		$client c0 fd00:1::1 r0
		$router r0 10.0.1.2 c0
		$router r0 fd00:1::2 c0
		$router r1 10.0.2.2 s0
		$router r1 fd00:2::2 s0
		$server s0 10.0.2.1 r1
		$server s0 fd00:2::1 r1
	END
}

# read_stats DEV...: what the programs on the router's devices counted, by reason, into stats
read_stats()
{
	local count name

	stats=()
	while read -r count name _; do
		[[ $count != [0-9]* ]] || stats[$name]=$((${stats[$name]-0} + count))
	done < <(r flowmap stats "$@")
}

# passed REASON DEV...: packets that the programs on the router's devices counted for this reason
passed()
{
	read_stats "${@:2}"
	echo "${stats[$1]-0}"
}

# forwarded DEV...: packets that the programs on the router's devices sent on
forwarded()
{
	passed forwarded "$@"
}

# ends_at_once TIMES: so many ends of connections return, and the next packet goes by the stack. The ruleset marks what goes through it,
# and offloads; see exact.
ends_at_once()
{
	local before

	before=$(forwarded r0)
	succeeds "each packet after the end of its connection went by the stack" exact "$1" "$client" c0 "$router" "$server" s0 \
		"${mac[c0]}" "${mac[r0]}" "${mac[s0]}" "${mac[r1]}"
	check "each first packet on the fast path was forwarded by XDP" $(($(forwarded r0) - before)) -eq "$1"
}

# forwards_more_than COUNT: packets that came in at r0, or at a device with the same program
forwards_more_than()
{
	[ "$(forwarded r0)" -gt "$1" ]
}

# redirected DEV: the same as the router's driver counts it
redirected()
{
	local name count sum=0

	while read -r name count; do
		[[ $name != *_xdp_redirect: ]] || sum=$((sum + count))
	done < <(r ethtool -S "$1")
	echo "$sum"
}

# sent NS DEV: packets
sent()
{
	local fields

	while read -r -a fields; do
		[ "${fields[0]-}" != "$2:" ] || echo "${fields[10]}"
	done < <(proc_net "$1" dev)
}

# table NAME: a line of the router's /proc/net/stat/nf_flowmap
table()
{
	local name value

	while read -r name value; do
		[ "$name" != "$1" ] || echo "$value"
	done < <(proc_net "$router" stat/nf_flowmap)
}

# counted FAMILY TABLE NAME: packets that a counter of the router's ruleset has seen
counted()
{
	local word count

	while read -r word count _; do
		[ "$word" != packets ] || echo "$count"
	done < <(r nft list counter "$@")
}

# object NAME: where the BPF object is that was built along with the tests; fails if it is nowhere
object()
{
	local dir

	for dir in "$here" ${FLOWMAP_BUILD:+"$FLOWMAP_BUILD" "$FLOWMAP_BUILD/selftests"}; do
		[ ! -e "$dir/$1" ] || { echo "$dir/$1"; return; }
	done
	return 1
}
