# SPDX-License-Identifier: GPL-2.0-only
# Shared by the scripts of the VM rig. Sourced, not run.
# What it sets is read by the scripts that source it.
# shellcheck shell=bash disable=SC2034

vm_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root_dir=$(cd "$vm_dir/../.." && pwd)
build_dir=$root_dir/build
PATH=$PATH:/usr/sbin:/sbin
# What is printed here is read here, numbers too.
export LC_ALL=C
# A make that called must not lend its flags and variables to the kernel's.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
cache_dir=$(realpath -m "${FLOWMAP_CACHE:-${XDG_CACHE_HOME:-${HOME:?set it, or FLOWMAP_CACHE}/.cache}/flowmap}")

# Kernel log lines that no test may leave behind.
splat_re='(BUG|WARNING|UBSAN|KASAN|KFENCE|KCSAN): |Oops|Call Trace|Kernel panic|general protection fault'
splat_re+='|INFO: task .* blocked|self-detected stall|detected stalls|detected expedited stalls|soft lockup|hard LOCKUP'
splat_re+='|unregister_netdevice: waiting|kmemleak: .*new suspected|possible (recursive|circular) locking|suspicious RCU usage'
splat_re+='|refcount_t: |list_(add|del) corruption|Bad page|scheduling while atomic|sleeping function called'

# Out-of-tree and unsigned modules are what this project loads; every other taint is a failure.
allowed_taint=$((1 << 12 | 1 << 13))

say()
{
	echo "$*" >&2
}

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# /dev/kvm can exist where the processor cannot do it.
has_kvm()
{
	[ -e /dev/kvm ] && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo
}

# Runs a command as root: as it is for root, else through sudo.
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		return 1
	fi
}
