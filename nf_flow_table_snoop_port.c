// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where packets of a flow come from: receiving devices, what runs before their
 * flowtables, and what those answer.
 *
 * Nothing holds a device: it is looked up again with each check, and those at which
 * packets are counted are forgotten before they are freed.
 */
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/if_vlan.h>
#include <linux/rculist.h>

#include "nf_flow_table_snoop_internal.h"

/* Orders the writers; readers use RCU. */
static DEFINE_SPINLOCK(snoop_ports_lock);
static DEFINE_HASHTABLE(snoop_ports, 12);

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
 * Does @dev run programs before it looks whether a frame's checksum is finished?
 * What a virtual machine leaves to its tap, and the other end to xen-netfront,
 * is said apart from the frame; see tun_build_skb() and xennet_run_xdp().
 */
static bool snoop_dev_hides_csum(const struct net_device *dev)
{
	const struct device *parent = dev->dev.parent;

	return snoop_dev_is_tap(dev) ||
	       (parent && parent->bus && !strcmp(parent->bus->name, "xen"));
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

	if (snoop_dev_hides_csum(dev))
		block |= NF_SNOOP_IN_CSUM;
	if (!dev->netdev_ops->ndo_get_peer_dev)
		return dev->features & strips ? block | NF_SNOOP_IN_VLAN : block;

	peer = dev->netdev_ops->ndo_get_peer_dev((struct net_device *)dev);
	if (!peer)
		return block;

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
		/* generic XDP, which the stack runs for each device on the way */
		if (rcu_access_pointer(rung.dev->xdp_prog) &&
		    !snoop_dev_is_allowed(rung.dev))
			above |= NF_SNOOP_IN_TC;
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

	if (snoop_scan_is_new(checked, now))
		return true;
	if (!spin_trylock(&port->lock))
		return snoop_scan_is_recent(checked, now);

	if (!(port->block & NF_SNOOP_GONE))
		snoop_port_scan(port);
	smp_store_release(&port->checked, now); /* pairs with the acquire above */
	spin_unlock(&port->lock);

	return true;
}

/* A device can have a port for each of its VLAN devices. */
static u32 snoop_port_hash(const struct net *net,
			   const struct nf_flowmap_key *key, u32 climb)
{
	u32 hash = net_hash_mix(net) + key->ifindex;

	return climb ? hash + hash_64(snoop_key_u64(key->encap), 32) : hash;
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
				   snoop_port_hash(net, key, climb))
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

	spin_lock(&snoop_ports_lock);
	hash_del_rcu(&port->node);
	spin_unlock(&snoop_ports_lock);
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
	fresh->checked = (u32)jiffies - HZ; /* long before any packet of now */
	refcount_set(&fresh->refs, 1);
	spin_lock_init(&fresh->lock);

	spin_lock(&snoop_ports_lock);
	port = snoop_port_find(net, key, climb);
	if (!port)
		hash_add_rcu(snoop_ports, &fresh->node,
			     snoop_port_hash(net, key, climb));
	spin_unlock(&snoop_ports_lock);

	if (!port)
		return fresh;

	kfree(fresh);
	return port;
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
 * Count no packets at @dev any more.
 *
 * Context: may be called from sleeping context.
 */
void snoop_ports_forget(const struct net_device *dev)
{
	struct snoop_port *port;
	unsigned int i;

	rcu_read_lock();
	hash_for_each_rcu(snoop_ports, i, port, node)
		snoop_passage_forget(&port->passage, dev);
	rcu_read_unlock();
}
