#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What can go wrong is told in one line that names the cause and the remedy, with exit status 1, and changes nothing: no device
# that was named has a program afterwards that it did not have before.
#
#   r0, r1, lo	devices of a namespace
. "$(dirname "$0")/lib.sh"

need setpriv
other=$(object other.bpf.o) || missing "no program 'other.bpf.o'"
load_modules

# What is attached where, as far as this test is to blame.
attached=''

programs()
{
	ip -n "$router" -o link show | sed -n 's/^[0-9]*: \([^:@]*\).* prog\/xdp id \([0-9]*\).*/\1 \2/p'
}

# attaches NAME COUNT COMMAND...: succeeds, and then there are so many programs
attaches()
{
	"${@:3}"
	attached=$(programs)
	check "$1: programs" "$(grep -c . <<<"$attached")" -eq "$2"
}

# refuses CAUSE REMEDY COMMAND...: both are patterns of bash
refuses()
{
	local error="flowmap: $1: $2" now rc=0 lines=()

	shift 2
	"$@" >"$tmp/stdout" 2>"$tmp/stderr" || rc=$?
	mapfile -t lines <"$tmp/stderr"
	# shellcheck disable=SC2053
	if [ $rc -eq 1 ] && [ ${#lines[@]} -eq 1 ] && [[ ${lines[0]} == $error ]] && [ ! -s "$tmp/stdout" ]; then
		ok "$*: ${lines[0]}"
	else
		bad "$*: exit status $rc, not 1 and '$error': $(cat "$tmp/stdout" "$tmp/stderr")"
	fi
	now=$(programs)
	[ "$now" = "$attached" ] || bad "$*: attached afterwards: $now, before: $attached"
	attached=$now
}

# without CAPABILITY COMMAND...: root, but for that
without()
{
	r setpriv --bounding-set "-$1" --inh-caps "-$1" "${@:2}"
}

nobody()
{
	r setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# masked COMMANDS COMMAND...: with what COMMANDS mount. ip gives each command a mount namespace of its own, with a new /sys.
masked()
{
	r bash -c "set -e; $1"'; shift; exec "$@"' bash "$@"
}

unload()
{
	rmmod nf_flow_table_bpf_flowmap 2>/dev/null
}

# $lists: copies of the lists of the kernel's modules without flowtables
lists=$tmp/lists
modules_dir=/lib/modules/$(uname -r)
mkdir "$lists"
for list in modules.dep modules.builtin; do
	grep -v '/nf_flow_table\.ko' "$modules_dir/$list" >"$lists/$list" || [ -e "$lists/$list" ]
done

no_btf='mount -t tmpfs none /sys/kernel/btf'
no_module_btf="$no_btf; touch /sys/kernel/btf/vmlinux"
no_flowtables="mount -t tmpfs none /sys/module; mount --bind '$lists' '$modules_dir'"

new_ns router
link "$router" r0 "$router" r1
up "$router" r0
up "$router" r1

# Others may execute it there.
chmod 755 "$tmp"
flowmap=$tmp/flowmap
cp "$(command -v flowmap)" "$flowmap"

refuses "no device 'nosuch' in this network namespace" "see 'ip link'" r flowmap attach nosuch
refuses "no device 'nosuch' in this network namespace" "see 'ip link'" r flowmap attach r0 r1 nosuch
refuses "no device 'nosuch' in this network namespace" "see 'ip link'" r flowmap detach nosuch
refuses "attach: needs *DEV..." "see 'flowmap help'" r flowmap attach
refuses "snoop: needs *FAMILY TABLE NAME DEV..." "see 'flowmap help'" r flowmap snoop inet
for name in '' 1st 'a b' $'a\nb' ünder; do
	refuses "snoop: nft knows no such TABLE" "take letters, *" r flowmap snoop inet "$name" fast r0
	refuses "snoop: nft knows no such NAME" "take letters, *" r flowmap snoop inet filter "$name" r0
done
refuses "r0: is named twice" "name it once" r flowmap snoop inet filter fast r0 r1 r0
refuses "flows: takes no argument" "see 'flowmap help'" r flowmap flows r0
refuses "unknown command 'atach'" "see 'flowmap help'" r flowmap atach r0
refuses "unknown option '-x'" "see 'flowmap help'" r flowmap attach -x r0
refuses "unknown option '-x'" "see 'flowmap help'" r flowmap attach r0 -xj
refuses "unknown option '--lan'" "see 'flowmap help'" r flowmap attach --lan r0
refuses "unknown option '-z'" "see 'flowmap help'" r flowmap --json -zj stats
refuses "option '-d' needs a value" "see 'flowmap help'" r flowmap attach r0 -d
refuses "attach: takes no such option" "see 'flowmap help'" r flowmap attach -c r0
check "-h and --help are 'help'" "$(r flowmap attach -h nosuch; r flowmap --help)" = "$(r flowmap help; r flowmap help)"
refuses "cannot write all output: *" "make room for it" r bash -c 'flowmap help >/dev/full'

refuses "missing capability CAP_SYS_ADMIN" "run it as root*" nobody "$flowmap" attach r0
refuses "missing capability CAP_SYS_ADMIN" "run it as root*" without sys_admin "$flowmap" attach r0
refuses "missing capability CAP_NET_ADMIN" "run it as root*" without net_admin "$flowmap" attach r0 r1

# A device whose driver has no XDP
refuses "lo: its driver cannot run the XDP program*" "leave it to the flowtable" r flowmap attach r0 r1 lo

refuses "this kernel has no BTF*" "use one with CONFIG_DEBUG_INFO_BTF=y" masked "$no_btf" "$flowmap" attach r0
refuses "the module * was built without BTF" "build it again*" masked "$no_module_btf" "$flowmap" attach r0
refuses "this kernel has no flowtables" "use one with CONFIG_NF_FLOW_TABLE" masked "$no_flowtables" "$flowmap" attach r0
if busywait 5000 unload; then
	refuses "the module is not loaded" "modprobe nf_flow_table_bpf_flowmap" r flowmap attach r0
	load_module nf_flow_table_bpf_flowmap
fi

refuses "r0: no XDP program is attached" "nothing to detach" r flowmap detach r0
attaches "another program" 1 ip -n "$router" link set dev r0 xdpdrv object "$other" section xdp
refuses "r0: another XDP program is attached ('other', id *)" "detach it first" r flowmap attach r0
refuses "r0: another XDP program is attached ('other', id *)" "detach it first" r flowmap attach r1 r0
refuses "r0: another XDP program is attached ('other', id *)" "detach it with*" r flowmap detach r0
attaches "none" 0 ip -n "$router" link set dev r0 xdpdrv off

refuses "r0: is named twice" "name it once" r flowmap attach r0 r0
attaches "flowmap" 1 r flowmap attach r0
refuses "r0: is named twice" "name it once" r flowmap detach r0 r0
refuses "r0: flowmap is already attached" "'flowmap detach' it first" r flowmap attach r0
refuses "r0: flowmap is already attached" "'flowmap detach' it first" r flowmap attach r1 r0
refuses "r1: no XDP program is attached" "nothing to detach" r flowmap detach r0 r1
refuses "missing capability CAP_NET_ADMIN" "run it as root*" without net_admin "$flowmap" detach r0
attaches "none in the end" 0 r flowmap detach r0
