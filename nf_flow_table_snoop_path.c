// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where packets of a flow come from and where they go: what the kernel says
 * about both, and whether it still holds.
 *
 * A port is a receiving device, a hop a way from there to one that sends.  Entries
 * share hops, and hops share ports, so that each is checked once in a jiffy however
 * many flows use it.  Neither holds a device: it is looked up again with each check,
 * and those at which packets are counted are forgotten before they are freed.
 */
#include <linux/etherdevice.h>
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/rculist.h>
#include <net/arp.h>
#include <net/bonding.h>
#include <net/ip6_route.h>
#include <net/ndisc.h>

#include "nf_flow_table_snoop_internal.h"

/* Orders the writers of both lists; readers use RCU. */
static DEFINE_SPINLOCK(snoop_share_lock);
static DEFINE_HASHTABLE(snoop_ports, 8);
static DEFINE_HASHTABLE(snoop_hops, 10);

static u64 snoop_mix(u64 signature, unsigned long value)
{
	return rol64((signature ^ value) * GOLDEN_RATIO_64, 23);
}

static bool snoop_dev_has_vlans(const struct net_device *dev)
{
#if IS_ENABLED(CONFIG_VLAN_8021Q)
	return rcu_access_pointer(dev->vlan_info);
#else
	return false;
#endif
}

/*
 * May @dev be told of a tag apart from the frame?  By a VLAN device, by a bridge
 * or the like that forwards what came with a tag, or by an action.
 */
static bool snoop_dev_sends_tags(const struct net_device *dev)
{
	return snoop_dev_has_vlans(dev) || compat_tc_egress(dev) ||
	       rcu_access_pointer(dev->nf_hooks_egress) ||
	       netif_is_bridge_port(dev) || netif_is_ovs_port(dev);
}

/*
 * What frames lack when XDP sees them.  A NIC that strips tags, and a veth whose
 * peer leaves tag or checksum to the device, tell an skb but no program.
 *
 * Context: RCU read lock.
 */
static u32 snoop_dev_lacks(const struct net_device *dev)
{
	const netdev_features_t strips = NETIF_F_HW_VLAN_CTAG_RX |
					 NETIF_F_HW_VLAN_STAG_RX;
	const netdev_features_t tags = NETIF_F_HW_VLAN_CTAG_TX |
				       NETIF_F_HW_VLAN_STAG_TX;
	const struct net_device *peer;
	u32 block = 0;

	if (!dev->netdev_ops->ndo_get_peer_dev)
		return dev->features & strips ? NF_SNOOP_IN_VLAN : 0;

	peer = dev->netdev_ops->ndo_get_peer_dev((struct net_device *)dev);
	if (!peer)
		return 0;

	if (peer->features & NETIF_F_CSUM_MASK)
		block |= NF_SNOOP_IN_CSUM;
	if ((peer->features & tags) &&
	    (snoop_dev_sends_tags(peer) || snoop_dev_has_vlans(dev)))
		block |= NF_SNOOP_IN_VLAN;

	return block;
}

/*
 * What a packet meets at one device: flowtables, which @signature stands for,
 * and what runs before them, here or, with @chain, below.
 */
static u32 snoop_dev_scan(const struct net_device *dev, u64 *signature,
			  bool *chain)
{
	bool allowed = snoop_dev_is_allowed(dev);
	const struct nf_hook_entries *hooks;
	u32 block = 0;
	int i;

	*signature = snoop_mix(*signature, (unsigned long)dev);
	if (compat_tc_ingress(dev) && !allowed)
		block |= NF_SNOOP_IN_TC;

	hooks = rcu_dereference(dev->nf_hooks_ingress);
	for (i = 0; hooks && i < hooks->num_hook_entries; i++) {
		const struct nf_flowtable *flowtable;

		flowtable = snoop_hook_flowtable(hooks, i, AF_UNSPEC);
		if (!flowtable) {
			*chain |= !allowed;
			continue;
		}
		if (*chain)
			block |= NF_SNOOP_IN_CHAIN;
		*signature = snoop_mix(*signature, (unsigned long)flowtable);
		*signature = snoop_mix(*signature, READ_ONCE(flowtable->flags));
	}

	return block;
}

static void snoop_port_scan(struct snoop_port *port)
{
	struct snoop_upper upper[SNOOP_CLIMB_MAX];
	u32 uppers = 0;
	struct snoop_rung rung;
	bool chain = false;
	u32 above, block = 0;
	u64 signature = 0;
	unsigned int i;

	rung.dev = dev_get_by_index_rcu(port->net, port->ifindex);
	if (!rung.dev)
		goto out;

	memcpy(rung.encap, port->encap, sizeof(rung.encap));
	block = snoop_dev_lacks(rung.dev) |
		snoop_dev_scan(rung.dev, &signature, &chain);
	for (i = 0; i < port->climb; i++) {
		if (!snoop_climb(&rung)) {
			signature = 0;
			goto out;
		}
		if (is_vlan_dev(rung.dev)) {
			upper[uppers].dev = (struct net_device *)rung.dev;
			upper[uppers++].header = snoop_climb_header(&rung);
		}
		above = snoop_dev_scan(rung.dev, &signature, &chain);
		/* A door that comes from tc ingress comes from that below. */
		if (above & NF_SNOOP_IN_TC)
			above |= NF_SNOOP_UPPER;
		block |= above;
	}
	snoop_passage_set(&port->passage, upper, uppers);
	if (uppers)
		block |= NF_SNOOP_UPPERS;
out:
	if (!port->signature)
		port->signature = signature;
	else if (port->signature != signature)
		block |= NF_SNOOP_GONE;
	WRITE_ONCE(port->block, block);
}

/*
 * Scan @port, unless that was done in this jiffy.  Whoever finds another CPU at
 * it goes on with what was found in the jiffy before.
 *
 * Context: BH disabled, RCU read lock.
 * Return: whether the port's fields are no older than that.
 */
bool snoop_port_check(struct snoop_port *port, u32 now)
{
	/* pairs with the release below: what the scan wrote comes with it */
	u32 checked = smp_load_acquire(&port->checked);

	if (checked == now)
		return true;
	if (!spin_trylock(&port->lock))
		return now - checked <= 1;

	if (!(port->block & NF_SNOOP_GONE))
		snoop_port_scan(port);
	smp_store_release(&port->checked, now); /* pairs with the acquire above */
	spin_unlock(&port->lock);

	return true;
}

static u32 snoop_port_hash(const struct net *net, u32 ifindex)
{
	return net_hash_mix(net) + ifindex;
}

static bool snoop_port_is(const struct snoop_port *port, const struct net *net,
			  const struct nf_flowmap_key *key, u32 climb)
{
	return port->net == net && port->ifindex == key->ifindex &&
	       port->climb == climb &&
	       (!climb || !memcmp(port->encap, key->encap, sizeof(key->encap)));
}

/*
 * Return: the port of @key's device and, with @climb, of its tags, with a
 * reference for the caller, or NULL.  Context: RCU.
 */
struct snoop_port *snoop_port_find(const struct net *net,
				   const struct nf_flowmap_key *key, u32 climb)
{
	struct snoop_port *port;

	hash_for_each_possible_rcu(snoop_ports, port, node,
				   snoop_port_hash(net, key->ifindex))
		if (snoop_port_is(port, net, key, climb) &&
		    !(READ_ONCE(port->block) & NF_SNOOP_GONE) &&
		    refcount_inc_not_zero(&port->refs))
			return port;

	return NULL;
}

void snoop_port_put(struct snoop_port *port)
{
	if (!refcount_dec_and_test(&port->refs))
		return;

	spin_lock(&snoop_share_lock);
	hash_del_rcu(&port->node);
	spin_unlock(&snoop_share_lock);
	kfree_rcu(port, rcu);
}

/*
 * Context: BH disabled, RCU read lock.
 * Return: the port with a reference for the caller; NULL without memory.
 */
struct snoop_port *snoop_port_get(struct net *net,
				  const struct nf_flowmap_key *key, u32 climb)
{
	struct snoop_port *port, *fresh;

	port = snoop_port_find(net, key, climb);
	if (port)
		return port;

	fresh = kzalloc(sizeof(*fresh), GFP_ATOMIC | __GFP_NOWARN);
	if (!fresh)
		return NULL;

	fresh->net = net;
	fresh->ifindex = key->ifindex;
	fresh->climb = climb;
	if (climb)
		memcpy(fresh->encap, key->encap, sizeof(fresh->encap));
	fresh->block = NF_SNOOP_IN_CHAIN;
	fresh->checked = (u32)jiffies - 2;
	refcount_set(&fresh->refs, 1);
	spin_lock_init(&fresh->lock);

	spin_lock(&snoop_share_lock);
	port = snoop_port_find(net, key, climb);
	if (!port)
		hash_add_rcu(snoop_ports, &fresh->node,
			     snoop_port_hash(net, key->ifindex));
	spin_unlock(&snoop_share_lock);

	if (!port)
		return fresh;

	kfree(fresh);
	return port;
}

static bool snoop_qdisc_is_plain(const struct Qdisc *qdisc)
{
	static const char * const plain[] = {
		"noqueue", "pfifo_fast", "fq_codel", "fq", "mq",
	};

	return qdisc && match_string(plain, ARRAY_SIZE(plain),
				     qdisc->ops->id) >= 0;
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
	if (compat_tc_egress(dev))
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
 * What the parts of a bond keep back, of which each could be the one that sends
 * @frame.  A bond that chooses by what is in the packet sees less of a tagged
 * frame than of an skb.
 */
static u32 snoop_bond_block(const struct net_device *dev,
			    const struct snoop_frame *frame)
{
	const struct ethhdr *eth = (const struct ethhdr *)frame->l2;
	struct bonding *bond = netdev_priv(dev);
	struct list_head *iter;
	struct slave *slave;
	u32 block = 0;

	bond_for_each_slave_rcu(bond, slave, iter)
		block |= snoop_dev_block(slave->dev);
	block &= ~NF_SNOOP_OUT_DOWN;

	if (eth_type_vlan(eth->h_proto) && bond_mode_uses_xmit_hash(bond))
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

	if (checked == now)
		return true;
	if (!spin_trylock(&hop->lock))
		return now - checked <= 1;

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

	spin_lock(&snoop_share_lock);
	hash_del_rcu(&hop->node);
	spin_unlock(&snoop_share_lock);
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
	fresh->checked = (u32)jiffies - 2;
	refcount_set(&fresh->refs, 1);
	spin_lock_init(&fresh->lock);

	spin_lock(&snoop_share_lock);
	hop = snoop_hop_find(&way->id, hash, &way->frame);
	if (!hop)
		hash_add_rcu(snoop_hops, &fresh->node, hash);
	spin_unlock(&snoop_share_lock);

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
	return SNOOP_STAT_stale;
}

/*
 * Of the many flows that go the same way each asks for it, and most find it
 * checked.  Where it is not, or leads elsewhere now, the way is found anew.
 *
 * Context: BH disabled, RCU read lock.
 * Return: 0, with a reference to @hop, checked, for the caller, or the enum
 * snoop_stat that says why there is none.
 */
static int snoop_hop_get(const struct snoop_hop_id *id, u32 now,
			 struct snoop_hop **hop)
{
	u64 hash = snoop_hop_hash(id);

	*hop = snoop_hop_find(id, hash, NULL);
	if (*hop) {
		if (snoop_hop_check(*hop, now) &&
		    !(READ_ONCE((*hop)->block) & NF_SNOOP_GONE))
			return 0;
		snoop_hop_put(*hop);
	}

	return snoop_hop_new(id, hash, now, hop);
}

/* @tuple: all zero */
static void snoop_key_to_tuple(const struct nf_flowmap_key *key,
			       struct flow_offload_tuple *tuple)
{
	BUILD_BUG_ON(NF_FLOWMAP_ENCAP_MAX != NF_FLOW_TABLE_ENCAP_MAX);

	tuple->l3proto = key->l3proto;
	tuple->l4proto = key->l4proto;
	tuple->src_port = key->sport;
	tuple->dst_port = key->dport;

	if (key->l3proto == AF_INET) {
		tuple->src_v4.s_addr = key->addrs.ip4.saddr;
		tuple->dst_v4.s_addr = key->addrs.ip4.daddr;
	} else {
		memcpy(&tuple->src_v6, key->addrs.ip6.saddr,
		       sizeof(tuple->src_v6));
		memcpy(&tuple->dst_v6, key->addrs.ip6.daddr,
		       sizeof(tuple->dst_v6));
	}
}

/*
 * Ask the flowtables of a device in the order of their hooks, as the packet
 * would meet them.
 *
 * Context: RCU read lock, which keeps flowtables and flows.
 */
static bool snoop_dev_ask(const struct snoop_rung *rung,
			  struct flow_offload_tuple *tuple,
			  struct snoop_answer *answer)
{
	struct flow_offload_tuple_rhash *found;
	const struct nf_hook_entries *hooks;
	enum flow_offload_tuple_dir dir;
	int i;

	hooks = rcu_dereference(rung->dev->nf_hooks_ingress);
	if (!hooks)
		return false;

	tuple->iifidx = rung->dev->ifindex;
	for (i = 0; i < NF_FLOWMAP_ENCAP_MAX; i++) {
		tuple->encap[i].id = rung->encap[i].id;
		tuple->encap[i].proto = rung->encap[i].proto;
	}

	for (i = 0; i < hooks->num_hook_entries; i++) {
		answer->flowtable = snoop_hook_flowtable(hooks, i,
							 tuple->l3proto);
		if (!answer->flowtable)
			continue;

		found = flow_offload_lookup(answer->flowtable, tuple);
		if (!found)
			continue;

		dir = found->tuple.dir;
		answer->flow = container_of(found, struct flow_offload,
					    tuplehash[dir]);
		answer->tuple = &found->tuple;
		answer->other = &answer->flow->tuplehash[!dir].tuple;
		return true;
	}

	return false;
}

/*
 * Ask the flowtables of the receiving device, then those of the devices that the
 * packet would climb to.
 *
 * Context: RCU read lock, which keeps flowtables and flows.
 */
bool snoop_ask(struct net *net, const struct nf_flowmap_key *key,
	       struct snoop_answer *answer)
{
	struct flow_offload_tuple tuple = {};
	struct snoop_rung rung;

	rung.dev = dev_get_by_index_rcu(net, key->ifindex);
	if (!rung.dev)
		return false;

	memcpy(rung.encap, key->encap, sizeof(rung.encap));
	snoop_key_to_tuple(key, &tuple);
	answer->climb = 0;
	while (!snoop_dev_ask(&rung, &tuple, answer)) {
		if (answer->climb++ == SNOOP_CLIMB_MAX || !snoop_climb(&rung))
			return false;
	}

	return true;
}

/*
 * Where the kernel would send packets of this direction, as
 * nf_flow_offload_ip_hook() and nf_flow_offload_ipv6_hook() do.
 *
 * Context: BH disabled, RCU read lock; the caller has a reference to @port.
 * Return: 0, with a reference to @hop, from @port and checked, for the caller, or
 * the enum snoop_stat that says why XDP cannot send there.
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
	struct snoop_port *port;
	struct snoop_hop *hop;
	unsigned int i;

	if (event != NETDEV_UNREGISTER)
		return NOTIFY_DONE;

	snoop_allow_forget(dev);
	if (!snoop_is_upper(dev))
		return NOTIFY_DONE;

	rcu_read_lock();
	hash_for_each_rcu(snoop_ports, i, port, node)
		snoop_passage_forget(&port->passage, dev);
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

int snoop_path_init(void)
{
	return register_netdevice_notifier(&snoop_dev_notifier);
}

void snoop_path_exit(void)
{
	unregister_netdevice_notifier(&snoop_dev_notifier);
}
