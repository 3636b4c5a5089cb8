// SPDX-License-Identifier: GPL-2.0-only
/*
 * The doors from BPF to the shadow of the flowtables: kfuncs for XDP and tc
 * programs, and a map type where the kernel lets modules have one.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <net/xdp.h>

#include "nf_flow_table_bpf_flowmap.h"
#include "nf_flowmap_compat.h"
#include "nf_flow_table_snoop.h"

static const u8 *flowmap_lookup(struct net *net, const void *key, u32 key_size,
				u32 value_size, u32 door)
{
	if (unlikely(key_size != sizeof(struct nf_flowmap_key) ||
		     value_size > sizeof(struct nf_flowmap_value)))
		return NULL;

	return (const u8 *)nf_flow_snoop_lookup(net, key, door);
}

__bpf_kfunc_start_defs();

/**
 * bpf_xdp_flowmap_lookup() - what does netfilter's flowtable do to this packet?
 * @ctx: the packet; its device tells the netns
 * @key: a struct nf_flowmap_key: the packet as the program parsed it.  Not
 *	declared as one because the verifier knows no unions there
 * @key__sz: sizeof(struct nf_flowmap_key)
 * @rdonly_buf_size: bytes of struct nf_flowmap_value that the program reads,
 *	a constant
 *
 * Context: BH disabled, as XDP programs run.
 * Return: a struct nf_flowmap_value, read-only, valid until the program ends;
 * NULL where the packet belongs to the stack, or where a size is wrong.
 */
__bpf_kfunc const u8 *
bpf_xdp_flowmap_lookup(struct xdp_md *ctx, const void *key, u32 key__sz,
		       const u32 rdonly_buf_size)
{
	struct xdp_buff *xdp = (struct xdp_buff *)ctx;
	u32 door = unlikely(xdp_buff_has_frags(xdp)) ?
		   NF_SNOOP_DOOR_XDP_FRAGS : NF_SNOOP_DOOR_XDP;

	return flowmap_lookup(dev_net(xdp->rxq->dev), key, key__sz,
			      rdonly_buf_size, door);
}

/**
 * bpf_skb_flowmap_lookup() - the same from a tc program
 * @ctx: the packet; its device tells the netns
 * @key: see bpf_xdp_flowmap_lookup()
 * @key__sz: sizeof(struct nf_flowmap_key)
 * @rdonly_buf_size: see bpf_xdp_flowmap_lookup()
 *
 * What the program redirects goes through the egress device's tc filters and
 * qdisc, so that these do not keep a flow on the stack here.
 * No ingress filter behind the program sees what it redirects: it has to be the
 * device's last.
 *
 * Context: BH disabled, as tc programs run.
 * Return: see bpf_xdp_flowmap_lookup().
 */
__bpf_kfunc const u8 *
bpf_skb_flowmap_lookup(struct __sk_buff *ctx, const void *key, u32 key__sz,
		       const u32 rdonly_buf_size)
{
	struct sk_buff *skb = (struct sk_buff *)ctx;

	return flowmap_lookup(dev_net(skb->dev), key, key__sz, rdonly_buf_size,
			      NF_SNOOP_DOOR_SKB);
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(flowmap_xdp_ids)
BTF_ID_FLAGS(func, bpf_xdp_flowmap_lookup, KF_RET_NULL)
BTF_KFUNCS_END(flowmap_xdp_ids)

BTF_KFUNCS_START(flowmap_skb_ids)
BTF_ID_FLAGS(func, bpf_skb_flowmap_lookup, KF_RET_NULL)
BTF_KFUNCS_END(flowmap_skb_ids)

static const struct btf_kfunc_id_set flowmap_xdp_set = {
	.owner	= THIS_MODULE,
	.set	= &flowmap_xdp_ids,
};

static const struct btf_kfunc_id_set flowmap_skb_set = {
	.owner	= THIS_MODULE,
	.set	= &flowmap_skb_ids,
};

/* The kfunc sets belong to the module's BTF and go away with it. */
static int __init flowmap_kfuncs_init(void)
{
	int err;

	err = register_btf_kfunc_id_set(BPF_PROG_TYPE_XDP, &flowmap_xdp_set);
	if (!err)
		err = register_btf_kfunc_id_set(BPF_PROG_TYPE_SCHED_CLS,
						&flowmap_skb_set);
	if (err)
		pr_err("no kfuncs: error %d; was the module built with BTF?\n",
		       err);

	return err;
}

#ifdef CONFIG_BPF_MODULAR_MAPS

/*
 * A map of the flows of its creator's netns, which it does not hold: when the
 * netns ends, the map is empty.  The smallest of a netns' maps bounds them all,
 * so that they agree.
 */
struct flowmap {
	struct bpf_map		map;
	struct net		*net;	/* NULL: empty for good; RCU */
	struct list_head	list;
};

static DEFINE_MUTEX(flowmap_lock);	/* guards the list */
static LIST_HEAD(flowmaps);

static struct net *flowmap_net(const struct bpf_map *map)
{
	return READ_ONCE(container_of(map, struct flowmap, map)->net);
}

/* Context: flowmap_lock, which keeps @net. */
static void flowmap_limit(struct net *net)
{
	const struct flowmap *flowmap;
	u32 limit = U32_MAX;

	lockdep_assert_held(&flowmap_lock);

	list_for_each_entry(flowmap, &flowmaps, list)
		if (flowmap->net == net)
			limit = min(limit, flowmap->map.max_entries);

	nf_flow_snoop_limit(net, limit);
}

static int flowmap_alloc_check(union bpf_attr *attr)
{
	const u32 allowed = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG;

	if (attr->key_size != sizeof(struct nf_flowmap_key) ||
	    attr->value_size != sizeof(struct nf_flowmap_value) ||
	    !attr->max_entries)
		return -EINVAL;

	/* What a program could write, others would read. */
	if ((attr->map_flags & ~allowed) ||
	    !(attr->map_flags & BPF_F_RDONLY_PROG))
		return -EINVAL;

	return 0;
}

static struct bpf_map *flowmap_alloc(union bpf_attr *attr)
{
	struct flowmap *flowmap;

	flowmap = bpf_map_area_alloc(sizeof(*flowmap), NUMA_NO_NODE);
	if (!flowmap)
		return ERR_PTR(-ENOMEM);

	bpf_map_init_from_attr(&flowmap->map, attr);
	flowmap->net = current->nsproxy->net_ns;

	mutex_lock(&flowmap_lock);
	list_add(&flowmap->list, &flowmaps);
	flowmap_limit(flowmap->net);
	mutex_unlock(&flowmap_lock);

	return &flowmap->map;
}

static void flowmap_free(struct bpf_map *map)
{
	struct flowmap *flowmap = container_of(map, struct flowmap, map);

	mutex_lock(&flowmap_lock);
	list_del(&flowmap->list);
	if (flowmap->net)
		flowmap_limit(flowmap->net);
	mutex_unlock(&flowmap_lock);

	bpf_map_area_free(flowmap);
}

/*
 * The map does not see what kind of packet a program has; what holds for every
 * kind is that of an XDP frame.  Whether it is in fragments stands in the key.
 */
static void *flowmap_lookup_elem(struct bpf_map *map, void *key)
{
	struct net *net;

	/*
	 * BH disabled is what keeps netns and entry: a work item of a program,
	 * or one that replaces a function of a sleepable program, has nothing.
	 */
	if (unlikely((preempt_count() & (NMI_MASK | HARDIRQ_MASK)) ||
		     !in_softirq()))
		return NULL;

	net = flowmap_net(map);
	if (unlikely(!net))
		return NULL;

	return (void *)nf_flow_snoop_lookup(net, key, NF_SNOOP_DOOR_XDP);
}

/* People see all flows, also those that the stack forwards, and forward none. */
static void *flowmap_lookup_elem_sys(struct bpf_map *map, void *packet)
{
	struct nf_flowmap_key key = *(struct nf_flowmap_key *)packet;
	struct net *net = flowmap_net(map);

	if (!net)
		return NULL;

	key.flags = 0;
	key.len = 0;

	return (void *)nf_flow_snoop_lookup(net, &key, NF_SNOOP_GONE);
}

static int flowmap_get_next_key(struct bpf_map *map, void *key, void *next)
{
	struct net *net = flowmap_net(map);

	return net ? nf_flow_snoop_next(net, key, next) : -ENOENT;
}

/* Flows come from netfilter alone. */
static long flowmap_update_elem(struct bpf_map *map, void *key, void *value,
				u64 flags)
{
	return -EOPNOTSUPP;
}

static long flowmap_delete_elem(struct bpf_map *map, void *key)
{
	struct net *net = flowmap_net(map);
	int err = -ENOENT;

	if (in_hardirq() || in_nmi())
		return -EBUSY;
	if (!net)
		return -ENOENT;

	local_bh_disable();
	err = nf_flow_snoop_delete(net, key);
	local_bh_enable();

	return err;
}

static int flowmap_check_btf(const struct bpf_map *map, const struct btf *btf,
			     const struct btf_type *key_type,
			     const struct btf_type *value_type)
{
	return 0;
}

static u64 flowmap_mem_usage(const struct bpf_map *map)
{
	u64 usage = sizeof(struct flowmap);
	struct net *net;

	rcu_read_lock();
	net = flowmap_net(map);
	if (net)
		usage += nf_flow_snoop_mem_usage(net);
	rcu_read_unlock();

	return usage;
}

static const struct bpf_map_ops flowmap_ops = {
	.map_alloc_check	= flowmap_alloc_check,
	.map_alloc		= flowmap_alloc,
	.map_free		= flowmap_free,
	.map_lookup_elem	= flowmap_lookup_elem,
	.map_lookup_elem_sys_only = flowmap_lookup_elem_sys,
	.map_get_next_key	= flowmap_get_next_key,
	.map_update_elem	= flowmap_update_elem,
	.map_delete_elem	= flowmap_delete_elem,
	.map_check_btf		= flowmap_check_btf,
	.map_lookup_batch	= generic_map_lookup_batch,
	.map_meta_equal		= bpf_map_meta_equal,
	.map_mem_usage		= flowmap_mem_usage,
};

static const struct bpf_modular_map_type flowmap_type = {
	.type	= BPF_MAP_TYPE_FLOWMAP,
	.name	= "flowmap",
	.ops	= &flowmap_ops,
	.owner	= THIS_MODULE,
};

/* The maps of @net are empty from now on.  Return: whether there are any. */
static bool flowmap_forget(const struct net *net)
{
	struct flowmap *flowmap;
	bool any = false;

	lockdep_assert_held(&flowmap_lock);

	list_for_each_entry(flowmap, &flowmaps, list) {
		if (flowmap->net != net)
			continue;
		WRITE_ONCE(flowmap->net, NULL);
		any = true;
	}

	return any;
}

/* snoop's own exit, which takes the entries down, comes after this. */
static void __net_exit flowmap_net_exit(struct list_head *nets)
{
	struct net *net;

	mutex_lock(&flowmap_lock);
	list_for_each_entry(net, nets, exit_list)
		flowmap_forget(net);
	mutex_unlock(&flowmap_lock);
	synchronize_rcu();
}

static struct pernet_operations flowmap_net_ops = {
	.exit_batch	= flowmap_net_exit,
};

/* Context: RTNL. */
static bool flowmap_dev_has_programs(struct net_device *dev)
{
	bool has;

	rcu_read_lock();
	has = dev_xdp_prog_count(dev) || compat_tc_ingress(dev) ||
	      compat_tc_egress(dev);
	rcu_read_unlock();

	return has;
}

/*
 * A device takes its programs along to another netns.  There they would go on to
 * find the flows of the one that it leaves: the kernel tells a map nothing of the
 * device that a packet came by.  Nor can be told for sure which maps they reach.
 *
 * Context: RTNL; the device is closed.
 */
static int flowmap_dev_event(struct notifier_block *nb, unsigned long event,
			     void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	if (event != NETDEV_UNREGISTER || dev->reg_state != NETREG_REGISTERED ||
	    !flowmap_dev_has_programs(dev))
		return NOTIFY_DONE;

	mutex_lock(&flowmap_lock);
	if (flowmap_forget(dev_net(dev))) {
		flowmap_limit(dev_net(dev));
		netdev_warn(dev, "leaves its netns with BPF programs: maps of flows there are empty now, load their programs anew\n");
	}
	mutex_unlock(&flowmap_lock);

	return NOTIFY_DONE;
}

static struct notifier_block flowmap_dev_notifier = {
	.notifier_call	= flowmap_dev_event,
};

static int __init flowmap_map_init(void)
{
	int err;

	err = register_pernet_subsys(&flowmap_net_ops);
	if (err)
		return err;

	err = register_netdevice_notifier(&flowmap_dev_notifier);
	if (err)
		goto err_net;

	err = bpf_map_register_type(&flowmap_type);
	if (err)
		goto err_notifier;

	return 0;

err_notifier:
	unregister_netdevice_notifier(&flowmap_dev_notifier);
err_net:
	unregister_pernet_subsys(&flowmap_net_ops);
	return err;
}

/* Maps hold the module, so there is none. */
static void __exit flowmap_map_exit(void)
{
	bpf_map_unregister_type(&flowmap_type);
	unregister_netdevice_notifier(&flowmap_dev_notifier);
	unregister_pernet_subsys(&flowmap_net_ops);
}

#else

static int __init flowmap_map_init(void)
{
	return 0;
}

static void __exit flowmap_map_exit(void)
{
}

#endif /* CONFIG_BPF_MODULAR_MAPS */

static int __init flowmap_init(void)
{
	int err;

	err = flowmap_kfuncs_init();
	if (err)
		return err;

	/* Last: from then on there can be maps, which hold the module. */
	return flowmap_map_init();
}

static void __exit flowmap_exit(void)
{
	flowmap_map_exit();
}

module_init(flowmap_init);
module_exit(flowmap_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("BPF access to netfilter's flowtables");
