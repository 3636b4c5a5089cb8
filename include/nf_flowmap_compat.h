/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels that the modules build for; nothing
 * else looks at LINUX_VERSION_CODE.
 */
#ifndef _NF_FLOWMAP_COMPAT_H
#define _NF_FLOWMAP_COMPAT_H

#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/filter.h>
#include <linux/netdevice.h>
#include <linux/version.h>
#include <net/bonding.h>
#include <net/ip6_fib.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/pkt_cls.h>
#include <net/route.h>
#include <net/sch_generic.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "flowmap needs Linux 6.1 or newer: kfuncs that return memory"
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#error "flowmap knows no kernel as new as this: compare the headers, then raise the bound"
#endif

/* "bpf: Add __bpf_kfunc tag for marking kernel functions as kfuncs", 6.3 */
#ifndef __bpf_kfunc
#define __bpf_kfunc __used noinline
#endif

/* "bpf: Add __bpf_kfunc_{start,end}_defs macros", 6.7 */
#ifndef __bpf_kfunc_start_defs
#define __bpf_kfunc_start_defs()					\
	__diag_push();							\
	__diag_ignore_all("-Wmissing-declarations", "kfuncs");		\
	__diag_ignore_all("-Wmissing-prototypes", "kfuncs")
#define __bpf_kfunc_end_defs() __diag_pop()
#endif

/* "bpf: treewide: Annotate BPF kfuncs in BTF", 6.9 */
#ifndef BTF_KFUNCS_START
#define BTF_KFUNCS_START(name) BTF_SET8_START(name)
#define BTF_KFUNCS_END(name) BTF_SET8_END(name)
#endif

/* "move asm/unaligned.h to linux/unaligned.h", 6.12 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* "inet: introduce dst_rtable() helper", 6.10 */
#ifndef dst_rtable
#define dst_rtable(_ptr) container_of_const(_ptr, struct rtable, dst)
#endif

/* "rcu: Make call_rcu() lazy to save power", 6.2 */
static inline void compat_call_rcu_hurry(struct rcu_head *head,
					 rcu_callback_t func)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	call_rcu_hurry(head, func);
#else
	call_rcu(head, func);
#endif
}

/* Does the kernel tell us of @flowtable's flows?  A patch of ours, patches/. */
static inline bool compat_is_snooped(const struct nf_flowtable *flowtable)
{
#ifdef CONFIG_NF_FLOW_TABLE_SNOOP
	return nf_flowtable_snoop(flowtable);
#else
	return false;
#endif
}

/*
 * Is there a filter at tc ingress (egress) of @dev?  A clsact qdisc without a
 * filter does not count.
 *
 * Context: RCU read lock.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
/* "bpf: Add fd-based tcx multi-prog infra with link support", 6.6 */
#include <net/tcx.h>

static inline bool compat_tcx_busy(struct bpf_mprog_entry *entry)
{
	return entry && (READ_ONCE(entry->fp_items[0].prog) ||
			 rcu_access_pointer(tcx_entry(entry)->miniq));
}

static inline bool compat_tc_ingress(const struct net_device *dev)
{
	return compat_tcx_busy(rcu_dereference(dev->tcx_ingress));
}

static inline bool compat_tc_egress(const struct net_device *dev)
{
	return compat_tcx_busy(rcu_dereference(dev->tcx_egress));
}
#else
static inline bool compat_tc_ingress(const struct net_device *dev)
{
	return rcu_access_pointer(dev->miniq_ingress);
}

static inline bool compat_tc_egress(const struct net_device *dev)
{
	return rcu_access_pointer(dev->miniq_egress);
}
#endif

/*
 * Does @dev take XDP frames from a redirect now?  And frames in fragments?
 *
 * Context: RCU read lock.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
/* "netdev-genl: create a simple family for netdev stuff" (xdp_features), 6.3 */
static inline bool compat_xdp_xmit(const struct net_device *dev)
{
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT;
}

static inline bool compat_xdp_xmit_frags(const struct net_device *dev)
{
	return READ_ONCE(dev->xdp_features) & NETDEV_XDP_ACT_NDO_XMIT_SG;
}
#else
/*
 * No device says so here.  Most need a program of their own for the queues they
 * send from.  A veth takes frames while its peer has NAPI, which it has with GRO
 * or with a program; see veth_xdp_xmit().  A bond hands them to its parts, with a
 * program or not, in the modes that bond_xdp_get_xmit_slave() knows.
 */
static inline bool compat_bond_xdp_xmit(const struct net_device *dev)
{
	const struct bonding *bond = netdev_priv(dev);

	switch (BOND_MODE(bond)) {
	case BOND_MODE_ROUNDROBIN:
	case BOND_MODE_ACTIVEBACKUP:
		return true;
	case BOND_MODE_8023AD:
	case BOND_MODE_XOR:
		return READ_ONCE(bond->params.xmit_policy) !=
		       BOND_XMIT_POLICY_VLAN_SRCMAC;
	default:
		return false;
	}
}

/* Generic XDP gives a driver nothing. */
static inline bool compat_has_driver_prog(const struct net_device *dev)
{
	const struct bpf_xdp_entity *driver = &dev->xdp_state[XDP_MODE_DRV];

	return READ_ONCE(driver->prog) || READ_ONCE(driver->link);
}

static inline bool compat_xdp_xmit_one(const struct net_device *dev)
{
	const struct net_device_ops *ops = dev->netdev_ops;
	struct net_device *peer;

	if (!ops->ndo_xdp_xmit)
		return false;
	if (netif_is_bond_master(dev))
		return compat_bond_xdp_xmit(dev);
	if (!ops->ndo_get_peer_dev)
		return compat_has_driver_prog(dev);

	peer = ops->ndo_get_peer_dev((struct net_device *)dev);

	return peer && netif_running(peer) &&
	       ((peer->wanted_features & NETIF_F_GRO) ||
		compat_has_driver_prog(peer));
}

static inline int compat_xdp_xmit_not(struct net_device *dev,
				      struct netdev_nested_priv *unused)
{
	return !compat_xdp_xmit_one(dev);
}

static inline bool compat_xdp_xmit(const struct net_device *dev)
{
	return compat_xdp_xmit_one(dev) &&
	       !netdev_walk_all_lower_dev_rcu((struct net_device *)dev,
					      compat_xdp_xmit_not, NULL);
}

/* xdp_do_redirect() refuses fragments before 6.3. */
static inline bool compat_xdp_xmit_frags(const struct net_device *dev)
{
	return false;
}
#endif

/*
 * How fq's struct fq_sched_data begins; a flow's packets leave at @max_rate bytes
 * a second, ~0 where that is not said.
 */
struct compat_fq {
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	/* "net_sched: sch_fq: struct sched_data reorg", 6.7 */
	u64		before[24];
#endif
	u32		numbers[4];
	unsigned long	max_rate;
};

/* "net: bridge: Add backup nexthop ID support", 6.6: a member of a port */
struct compat_backup_nhid {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	u32	id;
#endif
};

#endif /* _NF_FLOWMAP_COMPAT_H */
