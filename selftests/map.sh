#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The map type: who may make a map, and of what; what user space finds in it, and can do to it; what it holds.
#
#  client              router              server
#   c0 10.0.1.2 ---- r0 10.0.1.1
#                     r1 10.0.2.1 ---- s0 10.0.2.2
. "$(dirname "$0")/lib.sh"

need bpftool flows setpriv wire
load_modules
pins=/sys/fs/bpf/flowmap-${tmp##*.}
mkdir "$pins"
# made ANSWER [COMMAND...] -- [FIELD=VALUE]...: what making a map is answered
made()
{
	local answer=$1 command=()

	shift
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	check "create ${*:2} ${command[*]}" "$("${command[@]}" flows create "${@:2}" || true)" = "$answer"
}

# Sizes, flags and rights.
[ "$(flows create || true)" = OK ] || unpatched "no map types of modules"
made OK -- max=1
made EINVAL -- key=55
made EINVAL -- key=57
made EINVAL -- value=95
made EINVAL -- value=104
made EINVAL -- max=0
made EINVAL -- extra=1
made EINVAL -- flags=0
for flag in 0x1 0x2 0x4 0x20 0x40 0x100 0x200 0x400 0x800 0x1000 0x2000 0x80000000; do
	made EINVAL -- flags=$((0x80 | flag))
done
made OK -- flags=$((0x80 | 0x8))
made EINVAL -- type=65
made EINVAL -- type=80
made EINVAL -- type=4294967295
sysctl -q kernel.unprivileged_bpf_disabled=0 2>/dev/null || true
made EPERM setpriv --reuid 65534 --clear-groups --
made EPERM setpriv --bounding-set -all,+bpf --inh-caps -all --
made EPERM setpriv --bounding-set -all,+net_admin --inh-caps -all --
made OK setpriv --bounding-set -all,+bpf,+net_admin --inh-caps -all --

# held WHAT: rmmod refuses
held()
{
	succeeds "rmmod: refused while $1" not_removed nf_flow_table_bpf_flowmap
}

reload()
{
	succeeds "rmmod: $1" busywait 5000 rmmod nf_flow_table_bpf_flowmap
	load_modules
}

flows hold >"$tmp/hold" &
holder=$!
busywait 5000 says "$tmp/hold" OK
held "a process has a map"
kill -KILL $holder
wait $holder 2>/dev/null || true
reload "after its death"

flows pin "$pins/map" >/dev/null
held "a map is pinned"
rm "$pins/map"
reload "after it was unpinned"

flows inner "$pins/outer" >/dev/null
held "a map is in a map"
rm "$pins/outer"
reload "after the outer map was unpinned"

# Flows, as user space sees them. The first packet is the connection's, the second the flow's.
topology
crafted_flows
quiet_neighbours
r sysctl -q net.netfilter.nf_flowtable_udp_timeout=600
flowtable_on "r0 r1"
fill_flowtable "meta l4proto { tcp, udp }"
r flowmap attach -d map r0 r1

# on_map COMMAND MAP: in the router's namespace, with this mount of bpffs
on_map()
{
	nsenter --net="/run/netns/$router" flows "$1" "$pins/$2" || true
}

make_flows()
{
	local port args=()

	for port in $(seq "$1"); do
		args+=(-- "sport=$port" -- "sport=$port" -- "sport=$port")
	done
	c wire send c0 "${ipv4[@]}" "${args[@]}" >/dev/null
}

nsenter --net="/run/netns/$router" flows pin "$pins/all" max=1000 >/dev/null
nsenter --net="/run/netns/$server" flows pin "$pins/others" max=1000 >/dev/null
make_flows 10
check "walked" "$(on_map count all)" = "10 keys 10 values"
check "another namespace's map" "$(on_map count others)" = "0 keys 0 values"
check "update" "$(on_map update all)" = EOPNOTSUPP
check "look up" "$(on_map lookup all)" = "out $(r cat /sys/class/net/r1/ifindex) mtu 1500"

# As bpftool sees it.
id=$(bpftool -j map show pinned "$pins/all" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
echo "# $(bpftool map show id "$id" | head -n 1)"
check "bpftool map show: type" "$(bpftool map show id "$id" | grep -c 'type 64\|type flowmap')" -eq 1
memlock=$(bpftool -j map show id "$id" | sed -n 's/.*"bytes_memlock":\([0-9]*\).*/\1/p')
entry=256
check "memory of 10 entries of $entry bytes, within a tenth" "$((memlock * 10))" -le "$((entry * 10 * 11 + 11 * 1024))"
check "memory of 10 entries of $entry bytes, within a tenth" "$((memlock * 10))" -ge "$((entry * 10 * 9))"
id=$(bpftool -j map show name flowmap_flows | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
bpftool map dump id "$id" >"$tmp/dump"
check "bpftool map dump: keys with names of fields" "$(grep -c '"sport": ' "$tmp/dump")" -eq 20
check "bpftool map dump: values with names of fields" "$(grep -c '"l3_delta": ' "$tmp/dump")" -eq 10

# Deleting gives the flow back to the stack.
r nft -f - <<-END
flush chain inet filter forward
add rule inet filter forward counter name slow
END
before=$(counted inet filter slow)
forwarded=$(forwarded r0)
check "deleted" "$(on_map delete all)" = "10 keys 10 values"
check "entries" "$(table entries)" -eq 0
make_flows 10
check "packets by the stack after that" $(($(counted inet filter slow) - before)) -eq 30
check "packets by XDP" $(($(forwarded r0) - forwarded)) -eq 0

# The smallest map bounds the entries of the namespace.
r nft add rule inet filter forward meta l4proto "{ tcp, udp }" flow add @fast
make_flows 10
check "walked" "$(on_map count all)" = "10 keys 10 values"
nsenter --net="/run/netns/$router" flows pin "$pins/small" max=4 >/dev/null
check "a smaller map comes: walked" "$(on_map count small)" = "4 keys 4 values"
make_flows 10
check "and more flows: walked" "$(on_map count small)" = "4 keys 4 values"
rm "$pins/small"
sleep 0.5
make_flows 10
check "it has gone: walked" "$(on_map count all)" = "10 keys 10 values"

# A device that leaves with its program takes no flows along, though its new index is one of theirs. Attached anew, others go on.
elsewhere='' other=''
new_ns elsewhere other
ip link add r9 netns "$router" type veth peer name p9 netns "$elsewhere"
up "$router" r9
up "$elsewhere" p9
r flowmap detach r0 r1
r flowmap attach -d map r0 r1 r9
make_flows 1
sleep 0.1
before=$(forwarded r0)
make_flows 1
check "XDP forwards" $(($(forwarded r0) - before)) -ge 2
ip -n "$other" link add x9 index "$(r cat /sys/class/net/r9/ifindex)" type veth peer name y9 index 900
ip -n "$router" link set r9 netns "$other"
up "$other" r9
# The routes changed with the device.
make_flows 1
sleep 0.1
check "index of the device that left" "$(ip netns exec "$other" cat /sys/class/net/r9/ifindex)" -eq "$(r cat /sys/class/net/r0/ifindex)"
before=$(forwarded r0)
ip netns exec "$elsewhere" wire send p9 "${ipv4[@]}" sport=1 -- -- -- -- >/dev/null
sleep 0.2
check "forwarded there" $(($(forwarded r0) - before)) -eq 0
r flowmap detach r0 r1
r flowmap attach -d map r0 r1
make_flows 1
before=$(forwarded r0)
make_flows 1
check "forwarded here again" $(($(forwarded r0) - before)) -ge 2
rm "$pins/all"
nsenter --net="/run/netns/$router" flows pin "$pins/all" max=1000 >/dev/null
succeeds "a new map finds flows" grep '^[1-9]' <<<"$(on_map count all)"

# Maps do not hold a namespace, nor find anything after its end.
ip netns pids "$router" | xargs -r kill -KILL
ip -n "$router" link delete r0
ip netns delete "$router"
router=$server
namespaces=("$client" "$server" "$elsewhere" "$other")
empty()
{
	[ "$(on_map count all)" = "0 keys 0 values" ]
}
succeeds "the namespace has ended: the map is empty" busywait 10000 empty
rm -r "$pins"
