# SPDX-License-Identifier: GPL-2.0-only
# Shared by the tests of links: flows between any two kinds of them, first by the kernel's flowtable and then by XDP. Sourced, not
# run.
#
#  client              router              server
#   c0 ------------- r0, and on it a device of each kind
#                     r1, the same ---- s0
#
# A kind has a number, N. 10.1.N.9 and fd00:1:N::9 are behind its device on r0, 10.2.N.9 and fd00:2:N::9 behind that on r1, which
# masquerades IPv4. Only crafted frames come from them: no stack has these addresses.
# shellcheck shell=bash disable=SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need wire

# What flows leave by, of r0 and of r1, by kind; what frames have before IP there, as wire says it; other MAC addresses.
declare -A dev_of=() encap=() mac_of=()
kinds=()

# What has programs.
ports=(r0 r1)

# Kinds of links, and who else is there.
vlan=2 ad=3 inline=4 qinq=5 adq=6 pppoe=7 vlan_pppoe=8 bridge=9 bridge_vlan=10 vlan_bridge=11 vlan_bridge_vlan=12 untagged=13

# kind NUMBER DEV-ON-R0 DEV-ON-R1 [FIELD...]
kind()
{
	kinds+=("$1")
	dev_of[r0,$1]=$2
	dev_of[r1,$1]=$3
	encap[r0,$1]=${*:4}
	encap[r1,$1]=${*:4}
}

# addresses: for the devices of all kinds
addresses()
{
	local n side net dev peer

	for n in "${kinds[@]}"; do
		for side in r0 r1; do
			net=$((${side#r} + 1)) dev=${dev_of[$side,$n]}
			peer=c0
			[ $side = r0 ] || peer=s0
			echo "link set $dev up"
			echo "addr add 10.$net.$n.1/24 dev $dev"
			echo "addr add fd00:$net:$n::1/64 dev $dev nodad"
			[[ $dev != *ppp* ]] || continue
			echo "neigh add 10.$net.$n.9 lladdr ${mac[$peer]} dev $dev nud permanent"
			echo "neigh add fd00:$net:$n::9 lladdr ${mac[$peer]} dev $dev nud permanent"
		done
	done | ip -n "$router" -batch -
}

links_topology()
{
	new_ns client router server
	link "$client" c0 "$router" r0
	link "$router" r1 "$server" s0
	end_host "$client" c0
	end_host "$server" s0
	# What leaves a tag to the device tells XDP of none.
	c ethtool -K c0 txvlan off tx-vlan-stag-hw-insert off
	s ethtool -K s0 txvlan off tx-vlan-stag-hw-insert off
	r sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0
	mtu=2000
	up "$client" c0
	up "$router" r0
	up "$router" r1
	up "$server" s0
}

# The process that keeps each session, by the PPP device.
declare -A session=()

# ppp_session DEV NUMBER MAC NAME: of the router with MAC
ppp_session()
{
	background "$router" ppp session "$@" >"$tmp/unit-$4"
	session[$4]=$!
	busywait 30000 test -s "$tmp/unit-$4"
	ip -n "$router" link set "$4" mtu 1492
}

# links_ruleset DEV...: a flowtable of these
links_ruleset()
{
	r sysctl -q net.netfilter.nf_conntrack_tcp_be_liberal=1 net.netfilter.nf_conntrack_udp_timeout_stream=1200 \
		net.netfilter.nf_flowtable_udp_timeout=600 net.netfilter.nf_flowtable_tcp_timeout=600
	flowtable_on "$*" counter
	count_seen "meta l4proto { tcp, udp }"
	fill_flowtable "ct state established meta l4proto { tcp, udp }"
	masquerade "ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16"
}

# The frames of a flow, as wire says it.
shapes=('len=18' 'len=0' 'len=1 pad=17' 'len=1400 tos=0xb9 label=0x12345' 'ttl=2 id=5 csum=0')

# Frames from each kind to each, in all protocols, and their answers: one for each shape, and one of each flow, as arguments of wire.
there=() back=() there_first=() back_first=()

# add_flow THERE BACK: fields of a flow's frames in both directions
add_flow()
{
	local shape

	# shellcheck disable=SC2206
	there_first+=(-- $1) back_first+=(-- $2)
	for shape in "${shapes[@]}"; do
		# shellcheck disable=SC2206
		there+=(-- $1 $shape) back+=(-- $2 $shape)
	done
}

# flows_between FROM TO: in all protocols. GRO at the ends does not keep frames with PSH back until others have come.
flows_between()
{
	local from=$1 to=$2 proto in out

	in="dmac=${mac_of[r0,$from]-${mac[r0]}} ${encap[r0,$from]} flags=0x18 sport=$((1000 + from))"
	out="dmac=${mac_of[r1,$to]-${mac[r1]}} ${encap[r1,$to]} flags=0x18 sport=2000 dport=$((1000 + from))"
	for proto in 17 6; do
		add_flow "$in proto=$proto src=10.1.$from.9 dst=10.2.$to.9" "$out proto=$proto src=10.2.$to.9 dst=10.2.$to.1"
		add_flow "$in proto=$proto src=fd00:1:$from::9 dst=fd00:2:$to::9" \
			"$out proto=$proto src=fd00:2:$to::9 dst=fd00:1:$from::9"
	done
}

# From each kind to itself, to the first and to the next.
links_flows()
{
	local i

	for i in "${!kinds[@]}"; do
		flows_between "${kinds[i]}" "${kinds[i]}"
		flows_between "${kinds[i]}" "${kinds[(i + 1) % ${#kinds[@]}]}"
		[ "$i" -eq 0 ] || flows_between "${kinds[i]}" "${kinds[0]}"
	done
}

prime_links()
{
	local i

	for i in 1 2; do
		c wire send c0 smac="${mac[c0]}" "${there_first[@]}" >"$tmp/sent"
		sleep 0.2
		s wire send s0 smac="${mac[s0]}" "${back_first[@]}" >"$tmp/sent"
		sleep 0.2
	done
}

has_ended()
{
	[ ! -e "/proc/$1" ]
}

# links_send WAY DIRECTION FROM DEV TO TO-DEV FIELD...: frames, and what arrives of them
links_send()
{
	local file=$tmp/$1-$2

	capture "$5" "$6" "$file" "$each"
	ip netns exec "$3" wire send "$4" smac="${mac[$4]}" "${@:7}" >"$tmp/sent"
	busywait 10000 has_ended "${capturing[$file]}" || kill "${capturing[$file]}"
	check "$1, $2: arrived" "$(grep -c '^[0-9a-f]*$' "$file")" -eq "$each"
}

# links_pass WAY: all flows, and what arrives at either end
links_pass()
{
	local seen

	seen=$(counted inet filter seen)
	links_send "$1" there "$client" c0 "$server" s0 "${there[@]}"
	links_send "$1" back "$server" s0 "$client" c0 "${back[@]}"
	check "$1: through the ruleset, of $((2 * each))" $(($(counted inet filter seen) - seen)) -le $((each / 50))
}

# upper_counts DEV...: packets and bytes that each of the router's devices has counted as sent and as received
upper_counts()
{
	local dev fields

	for dev in "$@"; do
		while read -r -a fields; do
			[ "${fields[0]-}" != "$dev:" ] || echo "$dev ${fields[10]} ${fields[9]} ${fields[2]} ${fields[1]}"
		done < <(proc_net "$router" dev)
	done
}

# links_compare UPPER...: the same frames by both ways; the router's UPPER devices count the same.
links_compare()
{
	local devs=("$@") before each

	links_flows
	each=$(printf '%s\n' "${there[@]}" | grep -cx -e --)
	prime_links
	upper_counts "${devs[@]}" >"$tmp/before"
	links_pass kernel
	upper_counts "${devs[@]}" >"$tmp/after"
	gained >"$tmp/kernel.upper"

	check "entries" "$(table insert)" -eq 0
	r flowmap attach "${ports[@]}"
	prime_links
	before=$(forwarded "${ports[@]}")
	upper_counts "${devs[@]}" >"$tmp/before"
	links_pass xdp
	check "forwarded by XDP, of $((2 * each))" $(($(forwarded "${ports[@]}") - before)) -ge $((2 * each * 99 / 100))
	upper_counts "${devs[@]}" >"$tmp/after"
	gained >"$tmp/xdp.upper"

	succeeds "the same frames there" diff "$tmp/kernel-there" "$tmp/xdp-there"
	succeeds "the same frames back" diff "$tmp/kernel-back" "$tmp/xdp-back"
	succeeds "upper devices: $(tr '\n' ',' <"$tmp/xdp.upper")" diff "$tmp/kernel.upper" "$tmp/xdp.upper"
}

# gained: from before to after
gained()
{
	local of

	paste -d ' ' "$tmp/before" "$tmp/after" | while read -r -a of; do
		echo "${of[0]} $((of[6] - of[1])) $((of[7] - of[2])) $((of[8] - of[3])) $((of[9] - of[4]))"
	done
}

# by_xdp COUNT ARRIVE FIELD...: frames to r0, of which XDP forwards COUNT and the stack what else arrives
by_xdp()
{
	local before count=$1 arrive=$2

	shift 2
	before=$(redirected r0)
	capture "$server" s0 "$tmp/server"
	c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" "$@" >"$tmp/frames"
	captured "$tmp/server" "$arrive"
	check "$*: forwarded by XDP" $(($(redirected r0) - before)) -eq "$count"
	check "$*: arrived" "$(frames "$tmp/server" | wc -l)" -eq "$arrive"
}

# again FIELD...: a packet that brings a flow back, if a change ended it
again()
{
	sleep 0.2
	c wire send c0 smac="${mac[c0]}" dmac="${mac[r0]}" "$@" >"$tmp/sent"
	sleep 0.2
}
