/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _NF_FLOW_TABLE_SNOOP_H
#define _NF_FLOW_TABLE_SNOOP_H

#include <linux/bits.h>
#include <linux/netfilter/nf_flowmap.h>

struct net;

/*
 * Why a flow of the flowtable belongs to the stack for now.  A door gives the
 * set that matters to it; NF_SNOOP_GONE matters to all.
 */
enum nf_snoop_block {
	NF_SNOOP_GONE		= BIT(0), /* a newer entry takes its place */
	NF_SNOOP_IN_CHAIN	= BIT(1), /* netdev chain before the flowtable */
	NF_SNOOP_IN_TC		= BIT(2), /* filter at tc ingress */
	NF_SNOOP_IN_VLAN	= BIT(3), /* frames may come without their tag */
	NF_SNOOP_IN_CSUM	= BIT(4), /* or with an unfinished checksum */
	NF_SNOOP_OUT_DOWN	= BIT(5), /* egress device down or no carrier */
	NF_SNOOP_OUT_NEIGH	= BIT(6), /* neighbour not reachable */
	NF_SNOOP_OUT_CHAIN	= BIT(7), /* netdev egress chain */
	NF_SNOOP_OUT_TC		= BIT(8), /* filter at tc egress, or a tap's own */
	NF_SNOOP_OUT_QDISC	= BIT(9), /* qdisc that shapes or classifies */
	NF_SNOOP_OUT_XMIT	= BIT(10), /* no redirect, or not as an skb leaves */
	NF_SNOOP_OUT_FRAGS	= BIT(11), /* none of frames in fragments */
	NF_SNOOP_UPPER		= BIT(12), /* TC or QDISC of an upper device */
	NF_SNOOP_OUT_PPP	= BIT(13), /* PPP compresses, filters or waits */

	/* not a reason, yet in each door's set: one test for all that is rare */
	NF_SNOOP_UPPERS		= BIT(15), /* upper devices count the packet */
};

/*
 * An skb brings its tag and the state of its checksum along, and goes through
 * the filters at tc egress and the qdisc of the device that sends it by itself.
 * It skips egress chains:
 * sch_handle_ingress() says so for all that a program there redirects.
 */
#define NF_SNOOP_DOOR_SKB	(NF_SNOOP_GONE | NF_SNOOP_IN_CHAIN |	\
				 NF_SNOOP_OUT_DOWN | NF_SNOOP_OUT_NEIGH | \
				 NF_SNOOP_OUT_CHAIN | NF_SNOOP_UPPER | \
				 NF_SNOOP_OUT_PPP | NF_SNOOP_UPPERS)
#define NF_SNOOP_DOOR_XDP	(NF_SNOOP_DOOR_SKB | NF_SNOOP_IN_TC |	\
				 NF_SNOOP_IN_VLAN | NF_SNOOP_IN_CSUM |	\
				 NF_SNOOP_OUT_TC | NF_SNOOP_OUT_QDISC |	\
				 NF_SNOOP_OUT_XMIT)
#define NF_SNOOP_DOOR_XDP_FRAGS	(NF_SNOOP_DOOR_XDP | NF_SNOOP_OUT_FRAGS)

const struct nf_flowmap_value *
nf_flow_snoop_lookup(struct net *net, const struct nf_flowmap_key *key,
		     u32 door);
int nf_flow_snoop_next(const struct net *net, const struct nf_flowmap_key *key,
		       struct nf_flowmap_key *next);
int nf_flow_snoop_delete(struct net *net, const struct nf_flowmap_key *key);
void nf_flow_snoop_limit(struct net *net, u32 limit);
u64 nf_flow_snoop_mem_usage(const struct net *net);

#endif /* _NF_FLOW_TABLE_SNOOP_H */
