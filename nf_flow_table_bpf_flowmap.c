// SPDX-License-Identifier: GPL-2.0-only
/*
 * The door from BPF to the shadow of the flowtables: kfuncs for XDP and tc
 * programs.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
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
 * What the program redirects goes through the egress device's chains, filters
 * and qdisc, so that these do not keep a flow on the stack here.
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
static int __init flowmap_init(void)
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

static void __exit flowmap_exit(void)
{
}

module_init(flowmap_init);
module_exit(flowmap_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("BPF access to netfilter's flowtables");
