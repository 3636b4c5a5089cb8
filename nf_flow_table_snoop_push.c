// SPDX-License-Identifier: GPL-2.0-only
/*
 * Push: on a kernel with our series, flowtables with the snoop flag tell of
 * their flows.  An entry is there before the flow's next packet, and has gone
 * before the flow's teardown returns, so that nobody needs to look at conntrack
 * in between.
 */
#include <net/netfilter/nf_conntrack.h>

#include "nf_flow_table_snoop_internal.h"

/*
 * Has @dev its packets from other devices?  XDP sees them there and asks with the
 * index of those, so that what is entered for @dev is for a program of its own
 * alone: tc's, or a generic one.
 */
static bool snoop_is_above(const struct net_device *dev)
{
	return snoop_is_upper(dev) || netif_is_bond_master(dev);
}

/*
 * Where an entry cannot be had now, say because a neighbour is not resolved, the
 * first packet asks for it.
 *
 * Context: BH disabled, RCU read lock, the flow's lock.
 */
static void snoop_push_add(struct nf_flowtable *flowtable,
			   struct flow_offload *flow)
{
	struct net *net = nf_ct_net(flow->ct);
	const struct net_device *dev;
	struct nf_flowmap_key key;
	int dir;

	for (dir = 0; dir < FLOW_OFFLOAD_DIR_MAX; dir++) {
		dev = dev_get_by_index_rcu(net,
					   flow->tuplehash[dir].tuple.iifidx);
		if (!dev || snoop_is_above(dev))
			continue;

		snoop_tuple_to_key(&flow->tuplehash[dir].tuple, &key);
		snoop_pull(net, &key, 0, NULL, jiffies);
	}
}

/*
 * The flow is marked already: an entry that is being built now is not put into
 * the table, or is taken out again; see snoop_entry_update().
 *
 * Context: BH disabled, RCU read lock, the flow's lock.
 */
static void snoop_push_teardown(struct flow_offload *flow)
{
	snoop_flow_end(nf_ct_net(flow->ct), flow, true);
}

/* Entries hold nothing of the flow itself. */
static void snoop_push_free(struct flow_offload *flow)
{
}

static struct nf_flow_snoop_ops snoop_push_ops = {
	.add		= snoop_push_add,
	.teardown	= snoop_push_teardown,
	.free		= snoop_push_free,
};

int snoop_push_init(void)
{
	return nf_flow_snoop_register(&snoop_push_ops);
}

void snoop_push_exit(void)
{
	nf_flow_snoop_unregister(&snoop_push_ops);
}
