# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of ndo_flow_offload: the topology of lib.sh with ports of netdevsim in place of veth. Sourced, not run.
# shellcheck shell=bash disable=SC2034
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need conntrack wire
sims=/sys/kernel/debug/netdevsim
modprobe -a nf_flow_table netdevsim 2>/dev/null || unpatched "no netdevsim"
[ -e $sims/flow_offload ] || unpatched "netdevsim takes no flows"
queue_max=/sys/module/nf_flow_table/parameters/offload_queue_max
before_queue_max=$(<$queue_max)
# The number of each port among netdevsim's devices.
declare -A sim_id=([c0]=61 [r0]=62 [r1]=63 [s0]=64)

remove_sims()
{
	local rc=$? dev

	set +e
	echo "$before_queue_max" >$queue_max
	for dev in "${!sim_id[@]}"; do
		[ ! -e "/sys/bus/netdevsim/devices/netdevsim${sim_id[$dev]}" ] || echo "${sim_id[$dev]}" >/sys/bus/netdevsim/del_device
	done
	(exit "$rc")
	cleanup
}
trap remove_sims EXIT

# sim NS DEV
sim()
{
	local id=${sim_id[$2]} net

	echo "$id 1" >/sys/bus/netdevsim/new_device
	net=$(echo /sys/bus/netdevsim/devices/netdevsim"$id"/net/*)
	ip link set "${net##*/}" netns "$1" name "$2" address "${mac[$2]}"
}

# index NS DEV
index()
{
	local line

	line=$(ip -n "$1" -o link show "$2")
	echo "${line%%:*}"
}

# cable NS DEV PEER-NS PEER
cable()
{
	local a b

	exec {a}</run/netns/"$1" {b}</run/netns/"$3"
	echo "$a:$(index "$1" "$2") $b:$(index "$3" "$4")" >/sys/bus/netdevsim/link_device
	exec {a}<&- {b}<&-
}

# In place of veth, for topology.
link()
{
	sim "$1" "$2"
	sim "$3" "$4"
	cable "$@"
}

end_host()
{
	:
}

# port DEV FILE
port()
{
	echo "$sims/netdevsim${sim_id[$1]}/ports/0/flow_offload/$2"
}

# offloaded DEV: how many directions of flows it has
offloaded()
{
	wc -l <"$(port "$1" flows)"
}

has_offloaded()
{
	[ "$(offloaded "$1")" -eq "$2" ]
}

has_more_than()
{
	[ "$(offloaded "$1")" -gt "$2" ]
}

# total NAME: of all ports
total()
{
	sed -n "s/^$1 //p" $sims/flow_offload
}

all_deleted()
{
	[ "$(total adds)" -eq "$(total dels)" ]
}

total_is()
{
	[ "$(total "$1")" -ge "$2" ]
}

flowtable()
{
	flowtable_on "r0 r1" "flags offload" counter
	fill_flowtable "meta l4proto { tcp, udp }"
}

no_flowtable()
{
	r nft delete table inet filter
}
