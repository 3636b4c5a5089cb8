// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where packets of a flow go: what the kernel says about the way out, and whether
 * it still holds.
 *
 * A hop is a way from a port to a device that sends.  Entries share hops, and hops
 * share ports, so that each is checked once in a jiffy however many flows use it.
 * Nothing holds a device: see nf_flow_table_snoop_port.c.
 */
#include <linux/etherdevice.h>
#include <linux/hashtable.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/rculist.h>
#include <net/arp.h>
#include <net/bonding.h>
#include <net/ip6_route.h>
#include <net/ndisc.h>

#include "nf_flow_table_snoop_internal.h"

/* Orders the writers; readers use RCU. */
static DEFINE_SPINLOCK(snoop_hops_lock);
static DEFINE_HASHTABLE(snoop_hops, 10);

/*
 * Does @qdisc neither classify nor shape?  fq_codel can be bypassed from its
 * beginning until it gets a filter, see tc_new_tfilter(); and fq shapes where it
 * has a rate for flows that come with none.
 */
static bool snoop_qdisc_is_plain(struct Qdisc *qdisc)
{
	static const char * const plain[] = { "noqueue", "pfifo_fast", "mq" };
	const struct compat_fq *fq;

	if (!qdisc)
		return false;
	if (!strcmp(qdisc->ops->id, "fq_codel"))
		return READ_ONCE(qdisc->flags) & TCQ_F_CAN_BYPASS;
	if (!strcmp(qdisc->ops->id, "fq")) {
		fq = qdisc_priv(qdisc);
		return READ_ONCE(fq->max_rate) == ~0UL;
	}

	return match_string(plain, ARRAY_SIZE(plain), qdisc->ops->id) >= 0;
}

static bool snoop_dev_queues_plainly(struct net_device *dev)
{
	unsigned int i;

	if (!snoop_qdisc_is_plain(rcu_dereference(dev->qdisc)))
		return false;

	for (i = 0; i < dev->real_num_tx_queues; i++)
		if (!snoop_qdisc_is_plain(rcu_dereference(netdev_get_tx_queue(dev, i)->qdisc)))
			return false;

	return true;
}

static u32 snoop_dev_block(struct net_device *dev)
{
	u32 block = 0;

	if (!netif_running(dev) || !netif_carrier_ok(dev))
		block |= NF_SNOOP_OUT_DOWN;
	if (snoop_dev_is_allowed(dev))
		return block;

	if (rcu_access_pointer(dev->nf_hooks_egress))
		block |= NF_SNOOP_OUT_CHAIN;
	/* a tap's user can have filters there that nobody else sees */
	if (compat_tc_egress(dev) || snoop_dev_is_tap(dev))
		block |= NF_SNOOP_OUT_TC;
	if (!snoop_dev_queues_plainly(dev))
		block |= NF_SNOOP_OUT_QDISC;

	return block;
}

/* A door that hands over an skb comes by the device that sends it, no other. */
static u32 snoop_upper_block(struct net_device *dev)
{
	u32 block = snoop_dev_block(dev);

	if (block & (NF_SNOOP_OUT_TC | NF_SNOOP_OUT_QDISC))
		block |= NF_SNOOP_UPPER;

	return block;
}

static u32 snoop_dev_xmit_block(struct net_device *dev)
{
	u32 block = 0;

	if (!compat_xdp_xmit(dev))
		block |= NF_SNOOP_OUT_XMIT;
	if (!compat_xdp_xmit_frags(dev))
		block |= NF_SNOOP_OUT_FRAGS;

	return block;
}

/*
 * Would a bond send @frame by another of its parts than an skb?  Where it chooses
 * by what is in the packet it sees less of a tagged frame, and nothing of the
 * hash that an skb may have had from a card or a socket; see bond_xmit_hash().
 */
static bool snoop_bond_chooses_otherwise(const struct bonding *bond,
					 const struct snoop_frame *frame)
{
	const struct ethhdr *eth = (const struct ethhdr *)frame->l2;

	return bond_mode_uses_xmit_hash(bond) &&
	       (eth_type_vlan(eth->h_proto) ||
		READ_ONCE(bond->params.xmit_policy) == BOND_XMIT_POLICY_ENCAP34);
}

/*
 * What the parts of a bond keep back, of which each could be the one that sends
 * @frame.  One with a queue_id gets what came in by that queue; see
 * bond_slave_override().
 */
static u32 snoop_bond_block(const struct net_device *dev,
			    const struct snoop_frame *frame)
{
	struct bonding *bond = netdev_priv(dev);
	bool otherwise = snoop_bond_chooses_otherwise(bond, frame);
	struct list_head *iter;
	struct slave *slave;
	u32 block = 0;

	bond_for_each_slave_rcu(bond, slave, iter) {
		block |= snoop_dev_block(slave->dev);
		otherwise |= READ_ONCE(slave->queue_id) != 0;
	}
	block &= ~NF_SNOOP_OUT_DOWN;

	if (otherwise)
		block |= NF_SNOOP_OUT_XMIT;

	return block;
}

/*
 * The neighbour that the kernel's own path would send to; see
 * nf_flow_offload_ip_hook() and nf_flow_offload_ipv6_hook().
 *
 * Context: BH disabled, RCU read lock, which is all that keeps the neighbour.
 */
static struct neighbour *snoop_neigh(struct net_device *dev,
				     const __be32 *nexthop, __be16 proto)
{
	if (proto == htons(ETH_P_IP))
		return __ipv4_neigh_lookup_noref(dev, (__force u32)nexthop[0]);

	return __ipv6_neigh_lookup_noref_stub(dev, nexthop);
}

/*
 * The addresses of the frames: those of the neighbour and of @dev.  The
 * neighbour is told of the traffic, as its output function would be, so that it
 * stays reachable.
 */
static bool snoop_neigh_l2(struct net_device *dev, struct snoop_way *way)
{
	struct ethhdr *eth = (struct ethhdr *)way->frame.l2;
	struct neighbour *neigh;

	neigh = snoop_neigh(dev, way->id.nexthop, way->id.proto);
	if (!neigh || !(READ_ONCE(neigh->nud_state) & NUD_VALID))
		return false;

	/* Only arms its timer: we may be below a qdisc's lock. */
	if (!(READ_ONCE(neigh->nud_state) & NUD_CONNECTED))
		neigh_event_send_probe(neigh, NULL, false);

	neigh_ha_snapshot(eth->h_dest, neigh, dev);
	ether_addr_copy(eth->h_source, dev->dev_addr);

	return true;
}

/*
 * From the device that the kernel hands the packet to, down to the one that
 * sends the frame.
 *
 * Context: BH disabled, RCU read lock.
 * Return: whether XDP could do the same.
 */
static bool snoop_descend(struct net_device *dev, struct snoop_way *way)
{
	struct snoop_frame *frame = &way->frame;

	while (snoop_is_upper(dev)) {
		way->block |= snoop_upper_block(dev);
		dev = snoop_below(dev, way);
		if (!dev || !net_eq(dev_net(dev), way->id.port->net))
			return false;
	}
	if (dev->type != ARPHRD_ETHER)
		return false;

	way->block |= snoop_dev_block(dev) | snoop_dev_xmit_block(dev);
	if (netif_is_bond_master(dev))
		way->block |= snoop_bond_block(dev, frame);
	frame->ifindex = dev->ifindex;
	/* What xdp_do_redirect() takes: there is no more room for two tags. */
	snoop_frame_limit(frame, dev, VLAN_HLEN);

	return true;
}

/*
 * Find out where @way->id leads to.
 *
 * Context: BH disabled, RCU read lock.
 * Return: 0, or the enum snoop_stat that says why XDP cannot go there.
 */
static int snoop_resolve(struct snoop_way *way)
{
	const struct snoop_hop_id *id = &way->id;
	struct ethhdr *eth = (struct ethhdr *)way->frame.l2;
	struct net_device *dev;

	memset(&way->frame, 0, sizeof(way->frame));
	way->uppers = 0;
	way->block = 0;

	dev = dev_get_by_index_rcu(id->port->net, id->ifindex);
	if (id->dst && (!dst_check(id->dst, id->cookie) ||
			READ_ONCE(id->dst->dev) != dev))
		return SNOOP_STAT_stale;
	if (!dev)
		return SNOOP_STAT_xmit;

	ether_addr_copy(eth->h_dest, id->h_dest);
	ether_addr_copy(eth->h_source, id->h_source);
	eth->h_proto = id->proto;
	way->frame.l2_len = ETH_HLEN;
	way->frame.room = U16_MAX;

	/* PPP has no neighbours. */
	if (id->dst && dev->type != ARPHRD_PPP) {
		if (dev->addr_len != ETH_ALEN)
			return SNOOP_STAT_xmit;
		if (!snoop_neigh_l2(dev, way))
			return SNOOP_STAT_neigh;
	}

	return snoop_descend(dev, way) ? 0 : SNOOP_STAT_xmit;
}

static u32 snoop_hop_scan(struct snoop_hop *hop)
{
	struct snoop_way way;
	int stat;

	way.id = hop->id;
	stat = snoop_resolve(&way);
	if (stat == SNOOP_STAT_neigh)
		return way.block | NF_SNOOP_OUT_NEIGH;
	if (stat || memcmp(&way.frame, &hop->frame, sizeof(way.frame)))
		return NF_SNOOP_GONE;

	snoop_passage_set(&hop->passage, way.upper, way.uppers);

	return way.uppers ? way.block | NF_SNOOP_UPPERS : way.block;
}

/*
 * As snoop_port_check(), for the hop and its port.  Where that was scanned in the
 * jiffy before, the hop is no newer.
 */
bool snoop_hop_check(struct snoop_hop *hop, u32 now)
{
	/* pairs with the release below */
	u32 checked = smp_load_acquire(&hop->checked), block;
	struct snoop_port *port = hop->id.port;
	bool done;

	if (snoop_scan_is_new(checked, now))
		return true;
	if (!spin_trylock(&hop->lock))
		return snoop_scan_is_recent(checked, now);

	done = snoop_port_check(port, now);
	if (done) {
		/* pairs with the release in snoop_port_check() */
		checked = smp_load_acquire(&port->checked);
		block = hop->block & NF_SNOOP_GONE;
		if (!block)
			block = READ_ONCE(port->block) | snoop_hop_scan(hop);
		WRITE_ONCE(hop->block, block);
		/* pairs with the acquire above and that of lookups */
		smp_store_release(&hop->checked, checked);
	}
	spin_unlock(&hop->lock);

	return done;
}

static u64 snoop_hop_hash(const struct snoop_hop_id *id)
{
	const u32 *word = (const u32 *)id;
	unsigned int i;
	u64 hash = 0;

	static_assert(sizeof(*id) == sizeof(u32) * SNOOP_SECRETS);

	for (i = 0; i < SNOOP_SECRETS; i += 2)
		hash += snoop_mul(word[i], word[i + 1], i);

	return hash * hash;
}

static bool snoop_hop_is(const struct snoop_hop *hop,
			 const struct snoop_hop_id *id)
{
	const u64 *a = (const u64 *)&hop->id, *b = (const u64 *)id;
	unsigned int i;
	u64 diff = 0;

	for (i = 0; i < sizeof(*id) / sizeof(*a); i++)
		diff |= a[i] ^ b[i];

	return !diff;
}

/* @frame: the hop's frame, NULL: whatever it is */
static struct snoop_hop *snoop_hop_find(const struct snoop_hop_id *id, u64 hash,
					const struct snoop_frame *frame)
{
	struct snoop_hop *hop;

	hash_for_each_possible_rcu(snoop_hops, hop, node, hash)
		if (snoop_hop_is(hop, id) &&
		    (!frame || !memcmp(&hop->frame, frame, sizeof(*frame))) &&
		    !(READ_ONCE(hop->block) & NF_SNOOP_GONE) &&
		    refcount_inc_not_zero(&hop->refs))
			return hop;

	return NULL;
}

/*
 * Only a reference leads to @id.dst: an entry's is the last where no reader can see
 * the entry any more, and those who find the hop in the list find none to take.
 */
void snoop_hop_put(struct snoop_hop *hop)
{
	if (!refcount_dec_and_test(&hop->refs))
		return;

	spin_lock(&snoop_hops_lock);
	hash_del_rcu(&hop->node);
	spin_unlock(&snoop_hops_lock);
	dst_release(hop->id.dst);
	snoop_port_put(hop->id.port);
	kfree_rcu(hop, rcu);
}

/*
 * A fresh hop keeps packets on the stack until it has been scanned.
 *
 * Context: BH disabled, RCU read lock.
 * Return: the hop with a reference for the caller; NULL without memory or where
 * the dst is going away.
 */
static struct snoop_hop *snoop_hop_add(const struct snoop_way *way, u64 hash)
{
	struct snoop_hop *hop, *fresh;

	fresh = kzalloc(sizeof(*fresh), GFP_ATOMIC | __GFP_NOWARN);
	if (!fresh)
		return NULL;
	if (way->id.dst && !dst_hold_safe(way->id.dst)) {
		kfree(fresh);
		return NULL;
	}

	fresh->net = way->id.port->net;
	fresh->id = way->id;
	refcount_inc(&fresh->id.port->refs);
	fresh->frame = way->frame;
	fresh->block = NF_SNOOP_OUT_DOWN;
	fresh->checked = (u32)jiffies - HZ; /* long before any packet of now */
	refcount_set(&fresh->refs, 1);
	spin_lock_init(&fresh->lock);

	spin_lock(&snoop_hops_lock);
	hop = snoop_hop_find(&way->id, hash, &way->frame);
	if (!hop)
		hash_add_rcu(snoop_hops, &fresh->node, hash);
	spin_unlock(&snoop_hops_lock);

	if (!hop)
		return fresh;

	dst_release(fresh->id.dst);
	snoop_port_put(fresh->id.port);
	kfree(fresh);
	return hop;
}

/* As snoop_hop_get(), for a way that is not known. */
static noinline int snoop_hop_new(const struct snoop_hop_id *id, u64 hash,
				  u32 now, struct snoop_hop **hop)
{
	struct snoop_way way = { .id = *id };
	int stat;

	stat = snoop_resolve(&way);
	if (stat)
		return stat;

	*hop = snoop_hop_add(&way, hash);
	if (!*hop)
		return SNOOP_STAT_nomem;
	if (snoop_hop_check(*hop, now))
		return 0;

	snoop_hop_put(*hop);
	return -EBUSY;
}

/*
 * Of the many flows that go the same way each asks for it, and most find it
 * checked.  Where it is not, or leads elsewhere now, the way is found anew.
 *
 * Context: BH disabled, RCU read lock.
 * Return: 0, with a reference to @hop, checked, for the caller; the enum
 * snoop_stat that says why there is none; -EBUSY while another CPU is at it.
 */
static int snoop_hop_get(const struct snoop_hop_id *id, u32 now,
			 struct snoop_hop **hop)
{
	u64 hash = snoop_hop_hash(id);

	*hop = snoop_hop_find(id, hash, NULL);
	if (*hop) {
		bool checked = snoop_hop_check(*hop, now);

		if (checked && !(READ_ONCE((*hop)->block) & NF_SNOOP_GONE))
			return 0;
		snoop_hop_put(*hop);
		if (!checked)
			return -EBUSY;
	}

	return snoop_hop_new(id, hash, now, hop);
}

/*
 * Where the kernel would send packets of this direction, as
 * nf_flow_offload_ip_hook() and nf_flow_offload_ipv6_hook() do.
 *
 * Context: BH disabled, RCU read lock; the caller has a reference to @port.
 * Return: 0, with a reference to @hop, from @port and checked, for the caller; the
 * enum snoop_stat that says why XDP cannot send there; -EBUSY where another CPU
 * is about to find out, and nothing is known yet.
 */
int snoop_route(struct snoop_port *port, const struct snoop_answer *answer,
		u32 now, struct snoop_hop **hop)
{
	const struct flow_offload_tuple *tuple = answer->tuple;
	bool ip4 = tuple->l3proto == AF_INET;
	struct snoop_hop_id id = {
		.port = port,
		.proto = ip4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6),
	};

	switch (tuple->xmit_type) {
	case FLOW_OFFLOAD_XMIT_DIRECT:
		id.ifindex = tuple->out.ifidx;
		ether_addr_copy(id.h_dest, tuple->out.h_dest);
		ether_addr_copy(id.h_source, tuple->out.h_source);
		return snoop_hop_get(&id, now, hop);
	case FLOW_OFFLOAD_XMIT_NEIGH:
		break;
	default:
		return SNOOP_STAT_xmit;
	}

	id.dst = tuple->dst_cache;
	id.cookie = tuple->dst_cookie;
	if (!dst_check(id.dst, id.cookie))
		return SNOOP_STAT_stale;

	id.ifindex = READ_ONCE(id.dst->dev)->ifindex;
	if (ip4)
		id.nexthop[0] = rt_nexthop(dst_rtable(id.dst),
					   answer->other->src_v4.s_addr);
	else
		memcpy(id.nexthop,
		       rt6_nexthop(dst_rt6_info(id.dst),
				   (struct in6_addr *)&answer->other->src_v6),
		       sizeof(id.nexthop));

	return snoop_hop_get(&id, now, hop);
}

/* --- devices that go ----------------------------------------------------- */

/*
 * A device is told of here after those who could enter it have finished, and
 * freed after those who count at it have: in both cases an RCU grace period
 * later, see unregister_netdevice_many_notify().
 */
static int snoop_dev_event(struct notifier_block *nb, unsigned long event,
			   void *ptr)
{
	const struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct snoop_hop *hop;
	unsigned int i;

	if (event != NETDEV_UNREGISTER)
		return NOTIFY_DONE;

	snoop_allow_forget(dev);
	if (!snoop_is_upper(dev))
		return NOTIFY_DONE;

	snoop_ports_forget(dev);
	rcu_read_lock();
	hash_for_each_rcu(snoop_hops, i, hop, node)
		snoop_passage_forget(&hop->passage, dev);
	rcu_read_unlock();

	/* A bridge of 6.1 is about to free what it counts in. */
	if (netif_is_bridge_master(dev))
		synchronize_net();

	return NOTIFY_DONE;
}

static struct notifier_block snoop_dev_notifier = {
	.notifier_call	= snoop_dev_event,
};

int snoop_hop_init(void)
{
	return register_netdevice_notifier(&snoop_dev_notifier);
}

void snoop_hop_exit(void)
{
	unregister_netdevice_notifier(&snoop_dev_notifier);
}
