// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shadow of netfilter's flowtables: one entry for each flow and direction
 * that a packet asked for, with the packet's action resolved in advance.
 *
 * The flowtable is the only authority.  On a lookup that finds no entry, or
 * one that is no longer sure, the flowtables bound to the receiving device are
 * asked ("pull"), as their own hook would ask them, and the entry is built
 * from the answer.  What was sure stays so for the rest of the jiffy; then it
 * is checked again, so that whatever ends or changes a flow in the kernel ends
 * or changes it here within one jiffy:
 *
 *   snoop_port	receiving device	its flowtables and what runs before
 *   snoop_hop	way out			route, neighbour, device, its hooks
 *   snoop_entry	the flow itself		its conntrack entry
 *
 * Ports and hops are shared by many entries and are checked once for all.
 *
 * References: an entry holds its conntrack entry, its port and its hop; a hop
 * holds its dst.  Nothing holds a device or a netns: they are looked up again
 * with each check, and the entries of a netns go when it ends.
 *
 * Locks: snoop_region.lock orders the writers of a part of the hash table;
 * snoop_share_lock those of the lists of ports and hops.  Neither is taken
 * while the other is held.  Readers use RCU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/etherdevice.h>
#include <linux/hash.h>
#include <linux/if_arp.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <net/addrconf.h>
#include <net/arp.h>
#include <net/ip6_route.h>
#include <net/ndisc.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/netns/generic.h>

#include "nf_flowmap_compat.h"
#include "nf_flow_table_snoop.h"

static unsigned int max_entries __read_mostly = 1 << 18;
module_param(max_entries, uint, 0444);
MODULE_PARM_DESC(max_entries, "most entries, two for each connection; more connections stay on the stack");

/* What keeps a packet off XDP before the flow itself does; one counter each. */
#define SNOOP_STATS(X)							\
	X(insert)	/* entries built */				\
	X(remove)	/* entries taken down */			\
	X(miss)		/* lookups that found no flow */		\
	X(stale)	/* flow with a route that is no longer valid */	\
	X(neigh)	/* flow whose neighbour is not resolved */	\
	X(xmit)		/* flow that leaves by a way only skbs have */	\
	X(full)		/* max_entries reached */			\
	X(nomem)	/* no memory */

enum snoop_stat {
#define SNOOP_STAT_ENUM(name) SNOOP_STAT_##name,
	SNOOP_STATS(SNOOP_STAT_ENUM)
#undef SNOOP_STAT_ENUM
	SNOOP_STAT_BLOCK,
	SNOOP_STAT_MAX = SNOOP_STAT_BLOCK + 10
};

static const char * const snoop_stat_names[] = {
#define SNOOP_STAT_NAME(name) #name,
	SNOOP_STATS(SNOOP_STAT_NAME)
#undef SNOOP_STAT_NAME
	/* in the order of enum nf_snoop_block */
	"gone", "netdev_chain", "tc_ingress", "link_down", "neigh_down",
	"egress_chain", "tc_egress", "qdisc", "no_xdp_xmit", "no_xdp_frags",
};
static_assert(ARRAY_SIZE(snoop_stat_names) == SNOOP_STAT_MAX);
static_assert(NF_SNOOP_OUT_FRAGS == BIT(SNOOP_STAT_MAX - SNOOP_STAT_BLOCK - 1));

struct snoop_stats {
	u64	count[SNOOP_STAT_MAX];
};

struct snoop_net {
	struct snoop_stats __percpu	*stats;
	bool				ending;
};

static unsigned int snoop_net_id __read_mostly;

static void snoop_count_stat(const struct net *net, unsigned int stat)
{
	struct snoop_net *sn = net_generic(net, snoop_net_id);

	this_cpu_inc(sn->stats->count[stat]);
}

/*
 * A receiving device: which flowtables are bound to it, and what runs before
 * them.  @generation changes with the former.
 */
struct snoop_port {
	struct hlist_node	node;
	struct net		*net;
	u32			ifindex;
	refcount_t		refs;
	spinlock_t		lock;		/* one checker at a time */
	u32			checked;	/* jiffies */
	u32			block;		/* enum nf_snoop_block */
	u32			generation;
	u64			signature;
	struct rcu_head		rcu;
};

/* What tells one way out from another; compared as memory. */
struct snoop_hop_id {
	struct net		*net;
	struct dst_entry	*dst;		/* NULL: transmit directly */
	u32			cookie;
	u32			ifindex;
	__be32			nexthop[4];
	u8			l2[ETH_HLEN];
	u8			zero[2];
};
static_assert(sizeof(struct snoop_hop_id) ==
	      offsetofend(struct snoop_hop_id, zero));

/* A way out.  Holds @id.dst.  Once NF_SNOOP_GONE, always gone. */
struct snoop_hop {
	struct hlist_node	node;
	struct snoop_hop_id	id;
	refcount_t		refs;
	spinlock_t		lock;		/* one checker at a time */
	u32			checked;	/* jiffies */
	u32			block;		/* enum nf_snoop_block */
	struct rcu_head		rcu;
};

/*
 * One direction of a flow.  What a lookup of IPv4 reads stands in the first
 * three cache lines.
 *
 * @match, @value but for its counters, @port, @hop and @ct do not change once
 * the entry is in the table.  The others are written by whoever checks the
 * entry; two that do so at once write the same.
 */
struct snoop_entry {
	struct hlist_node	node;
	struct net		*net;
	struct nf_conn		*ct;
	struct {
		u64		head;		/* ifindex, protocols */
		u64		encap;
		u64		ip4;		/* both addresses */
		u32		ports;
	} match;
	u32			refreshed;	/* jiffies */

	struct nf_flowmap_value	value;
	struct snoop_port	*port;
	struct snoop_hop	*hop;
	u32			checked;	/* jiffies */
	u32			ct_timeout;
	u32			generation;
	u32			zero;

	__be32			ip6[8];
	struct rcu_head		rcu;
} ____cacheline_aligned_in_smp;
static_assert(sizeof(struct snoop_entry) <= 256);

/* A part of the hash table with its own lock. */
struct snoop_region {
	spinlock_t		lock;
	unsigned int		used;
} ____cacheline_aligned_in_smp;

#define SNOOP_REGION_BITS	8

static struct {
	struct hlist_head	*buckets;
	struct snoop_region	*regions;
	unsigned int		bits;
	u32			secret[12];
} snoop_table __read_mostly;

static atomic_t snoop_entries = ATOMIC_INIT(0);
static struct kmem_cache *snoop_cache __read_mostly;

static DEFINE_SPINLOCK(snoop_share_lock);
static DEFINE_HASHTABLE(snoop_ports, 8);
static DEFINE_HASHTABLE(snoop_hops, 10);

/* --- receiving devices --------------------------------------------------- */

/* The hook of inet flowtables, which no symbol is exported for. */
static nf_hookfn *snoop_inet_hook;

static bool snoop_learn_inet_hook(nf_hookfn *hook)
{
	static const char name[] = "nf_flow_offload_inet_hook";
	char symbol[64];

	if (READ_ONCE(snoop_inet_hook))
		return false;

	snprintf(symbol, sizeof(symbol), "%ps", hook);
	if (strncmp(symbol, name, strlen(name)) ||
	    (symbol[strlen(name)] && symbol[strlen(name)] != ' '))
		return false;

	WRITE_ONCE(snoop_inet_hook, hook);
	return true;
}

static int snoop_module_event(struct notifier_block *nb, unsigned long event,
			      void *data)
{
	struct module *module = data;

	if (event == MODULE_STATE_GOING &&
	    !strcmp(module->name, "nf_flow_table_inet"))
		WRITE_ONCE(snoop_inet_hook, NULL);

	return NOTIFY_DONE;
}

static struct notifier_block snoop_module_notifier = {
	.notifier_call	= snoop_module_event,
};

/* Is @hook that of a flowtable of @l3proto (AF_UNSPEC: of any)? */
static bool snoop_is_flowtable(nf_hookfn *hook, u8 l3proto)
{
	if (hook == READ_ONCE(snoop_inet_hook))
		return true;
	if (hook == nf_flow_offload_ip_hook)
		return l3proto != AF_INET6;
	if (hook == nf_flow_offload_ipv6_hook)
		return l3proto != AF_INET;

	return snoop_learn_inet_hook(hook);
}

static u64 snoop_mix(u64 signature, unsigned long value)
{
	return rol64((signature ^ value) * GOLDEN_RATIO_64, 23);
}

static void snoop_port_scan(struct snoop_port *port)
{
	const struct nf_hook_entries *hooks;
	const struct net_device *dev;
	bool chain = false;
	u64 signature = 0;
	u32 block = 0;
	int i;

	dev = dev_get_by_index_rcu(port->net, port->ifindex);
	if (!dev)
		goto out;

	signature = snoop_mix(signature, (unsigned long)dev);
	if (compat_tc_ingress(dev))
		block |= NF_SNOOP_IN_TC;

	hooks = rcu_dereference(dev->nf_hooks_ingress);
	for (i = 0; hooks && i < hooks->num_hook_entries; i++) {
		const struct nf_flowtable *flowtable = hooks->hooks[i].priv;

		if (!snoop_is_flowtable(hooks->hooks[i].hook, AF_UNSPEC)) {
			chain = true;
			continue;
		}
		if (chain)
			block |= NF_SNOOP_IN_CHAIN;
		signature = snoop_mix(signature, (unsigned long)flowtable);
		signature = snoop_mix(signature, READ_ONCE(flowtable->flags));
	}
out:
	if (signature != port->signature) {
		port->signature = signature;
		WRITE_ONCE(port->generation, port->generation + 1);
	}
	WRITE_ONCE(port->block, block);
}

/*
 * Whoever finds the lock taken goes on with what was found last; the one who
 * has it is about to say what changed.
 *
 * Context: BH disabled, RCU read lock.
 */
static void snoop_port_check(struct snoop_port *port, u32 now)
{
	if (READ_ONCE(port->checked) == now || !spin_trylock(&port->lock))
		return;

	snoop_port_scan(port);
	WRITE_ONCE(port->checked, now);
	spin_unlock(&port->lock);
}

static struct snoop_port *snoop_port_find(const struct net *net, u32 ifindex)
{
	struct snoop_port *port;

	hash_for_each_possible_rcu(snoop_ports, port, node, ifindex)
		if (port->net == net && port->ifindex == ifindex &&
		    refcount_inc_not_zero(&port->refs))
			return port;

	return NULL;
}

static void snoop_port_put(struct snoop_port *port)
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
 * Return: the port, checked, with a reference for the caller; NULL without
 * memory.
 */
static struct snoop_port *snoop_port_get(struct net *net, u32 ifindex, u32 now)
{
	struct snoop_port *port, *fresh;

	port = snoop_port_find(net, ifindex);
	if (port)
		goto out;

	fresh = kzalloc(sizeof(*fresh), GFP_ATOMIC | __GFP_NOWARN);
	if (!fresh)
		return NULL;

	fresh->net = net;
	fresh->ifindex = ifindex;
	fresh->checked = now - 1;
	refcount_set(&fresh->refs, 1);
	spin_lock_init(&fresh->lock);

	spin_lock(&snoop_share_lock);
	port = snoop_port_find(net, ifindex);
	if (!port)
		hash_add_rcu(snoop_ports, &fresh->node, ifindex);
	spin_unlock(&snoop_share_lock);

	if (port)
		kfree(fresh);
	else
		port = fresh;
out:
	snoop_port_check(port, now);
	return port;
}

/* --- ways out ------------------------------------------------------------ */

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
	if (rcu_access_pointer(dev->nf_hooks_egress))
		block |= NF_SNOOP_OUT_CHAIN;
	if (compat_tc_egress(dev))
		block |= NF_SNOOP_OUT_TC;
	if (!snoop_dev_queues_plainly(dev))
		block |= NF_SNOOP_OUT_QDISC;
	if (!compat_xdp_xmit(dev))
		block |= NF_SNOOP_OUT_XMIT;
	if (!compat_xdp_xmit_frags(dev))
		block |= NF_SNOOP_OUT_FRAGS;

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
 * Is the neighbour still the one of @id?  It is told of the traffic, as its
 * output function would be, so that it stays reachable.
 */
static u32 snoop_neigh_block(struct net_device *dev,
			     const struct snoop_hop_id *id)
{
	const struct ethhdr *eth = (const struct ethhdr *)id->l2;
	struct neighbour *neigh;
	u8 ha[ETH_ALEN] __aligned(2);

	neigh = snoop_neigh(dev, id->nexthop, eth->h_proto);
	if (!neigh)
		return NF_SNOOP_OUT_NEIGH;

	if (!(READ_ONCE(neigh->nud_state) & NUD_CONNECTED))
		neigh_event_send(neigh, NULL);
	if (!(READ_ONCE(neigh->nud_state) & NUD_VALID))
		return NF_SNOOP_OUT_NEIGH;

	neigh_ha_snapshot(ha, neigh, dev);

	return ether_addr_equal(ha, eth->h_dest) ? 0 : NF_SNOOP_GONE;
}

static u32 snoop_hop_scan(const struct snoop_hop *hop)
{
	const struct snoop_hop_id *id = &hop->id;
	const struct ethhdr *eth = (const struct ethhdr *)id->l2;
	struct net_device *dev;

	dev = dev_get_by_index_rcu(id->net, id->ifindex);
	if (!dev)
		return NF_SNOOP_GONE;
	if (!id->dst)
		return snoop_dev_block(dev);

	if (!dst_check(id->dst, id->cookie) || id->dst->dev != dev ||
	    !ether_addr_equal(dev->dev_addr, eth->h_source))
		return NF_SNOOP_GONE;

	return snoop_dev_block(dev) | snoop_neigh_block(dev, id);
}

/* Context: BH disabled, RCU read lock.  See snoop_port_check(). */
static void snoop_hop_check(struct snoop_hop *hop, u32 now)
{
	u32 gone;

	if (READ_ONCE(hop->checked) == now || !spin_trylock(&hop->lock))
		return;

	gone = hop->block & NF_SNOOP_GONE;
	WRITE_ONCE(hop->block, gone ?: snoop_hop_scan(hop));
	WRITE_ONCE(hop->checked, now);
	spin_unlock(&hop->lock);
}

static struct snoop_hop *snoop_hop_find(const struct snoop_hop_id *id, u32 hash)
{
	struct snoop_hop *hop;

	hash_for_each_possible_rcu(snoop_hops, hop, node, hash)
		if (!memcmp(&hop->id, id, sizeof(*id)) &&
		    !(READ_ONCE(hop->block) & NF_SNOOP_GONE) &&
		    refcount_inc_not_zero(&hop->refs))
			return hop;

	return NULL;
}

/*
 * The last reference is that of an entry no reader can see any more, and only
 * an entry leads to @id.dst; those who find the hop in the list find no
 * reference to take.
 */
static void snoop_hop_put(struct snoop_hop *hop)
{
	if (!refcount_dec_and_test(&hop->refs))
		return;

	spin_lock(&snoop_share_lock);
	hash_del_rcu(&hop->node);
	spin_unlock(&snoop_share_lock);
	dst_release(hop->id.dst);
	kfree_rcu(hop, rcu);
}

/*
 * Context: BH disabled, RCU read lock.
 * Return: the way out, checked, with a reference for the caller; NULL without
 * memory or where the dst is going away.
 */
static struct snoop_hop *snoop_hop_get(const struct snoop_hop_id *id, u32 now)
{
	u32 hash = jhash(id, sizeof(*id), snoop_table.secret[0]);
	struct snoop_hop *hop, *fresh;

	hop = snoop_hop_find(id, hash);
	if (hop)
		goto out;

	fresh = kzalloc(sizeof(*fresh), GFP_ATOMIC | __GFP_NOWARN);
	if (!fresh)
		return NULL;
	if (id->dst && !dst_hold_safe(id->dst)) {
		kfree(fresh);
		return NULL;
	}

	fresh->id = *id;
	fresh->checked = now - 1;
	refcount_set(&fresh->refs, 1);
	spin_lock_init(&fresh->lock);

	spin_lock(&snoop_share_lock);
	hop = snoop_hop_find(id, hash);
	if (!hop)
		hash_add_rcu(snoop_hops, &fresh->node, hash);
	spin_unlock(&snoop_share_lock);

	if (hop) {
		dst_release(fresh->id.dst);
		kfree(fresh);
	} else {
		hop = fresh;
	}
out:
	snoop_hop_check(hop, now);
	return hop;
}

/* --- entries ------------------------------------------------------------- */

/*
 * NH, a universal hash: a sum of products of words, each with a secret added;
 * hash_64() takes the upper bits.  Which tuples collide cannot be told without
 * the secret.
 */
static u64 snoop_nh(u32 x, u32 y, unsigned int i)
{
	return (u64)(x + snoop_table.secret[i]) * (y + snoop_table.secret[i + 1]);
}

static u32 snoop_bucket(const struct nf_flowmap_key *key)
{
	const u32 *tags = (const u32 *)key->encap;
	const u32 *ports = (const u32 *)&key->sport;
	const u32 *addrs = (const u32 *)&key->addrs;
	u64 hash;

	hash = snoop_nh(key->ifindex + tags[0] + tags[1], *ports, 0) +
	       snoop_nh(addrs[0], addrs[1], 2);
	if (key->l3proto == AF_INET6)
		hash += snoop_nh(addrs[2], addrs[3], 4) +
			snoop_nh(addrs[4], addrs[5], 6) +
			snoop_nh(addrs[6], addrs[7], 8);

	return hash_64(hash, snoop_table.bits);
}

static u64 snoop_key_u64(const void *field)
{
	return get_unaligned((const u64 *)field);
}

static bool snoop_entry_matches(const struct snoop_entry *entry,
				const struct net *net,
				const struct nf_flowmap_key *key)
{
	return entry->match.ip4 == snoop_key_u64(&key->addrs) &&
	       entry->match.ports == *(const u32 *)&key->sport &&
	       entry->match.head == snoop_key_u64(key) &&
	       entry->match.encap == snoop_key_u64(key->encap) &&
	       entry->net == net &&
	       (key->l3proto == AF_INET ||
		!memcmp(entry->ip6, &key->addrs, sizeof(entry->ip6)));
}

static struct snoop_entry *snoop_entry_find(const struct net *net,
					    const struct nf_flowmap_key *key,
					    u32 bucket)
{
	struct snoop_entry *entry;

	hlist_for_each_entry_rcu(entry, &snoop_table.buckets[bucket], node,
				 rcu_read_lock_bh_held())
		if (snoop_entry_matches(entry, net, key))
			return entry;

	return NULL;
}

/*
 * An RCU grace period has passed since the entry left the table, so no program
 * has its value and no checker its conntrack entry.
 */
static void snoop_entry_free_rcu(struct rcu_head *rcu)
{
	struct snoop_entry *entry = container_of(rcu, struct snoop_entry, rcu);

	nf_ct_put(entry->ct);
	snoop_hop_put(entry->hop);
	snoop_port_put(entry->port);
	kmem_cache_free(snoop_cache, entry);
	atomic_dec(&snoop_entries);
}

static struct snoop_region *snoop_region(u32 bucket)
{
	return &snoop_table.regions[bucket >> (snoop_table.bits -
					       SNOOP_REGION_BITS)];
}

/* Context: BH disabled, RCU read lock. */
static void snoop_entry_remove(struct snoop_entry *entry, u32 bucket)
{
	struct snoop_region *region = snoop_region(bucket);
	bool removed = false;

	spin_lock(&region->lock);
	if (!hlist_unhashed(&entry->node)) {
		hlist_del_init_rcu(&entry->node);
		region->used--;
		removed = true;
	}
	spin_unlock(&region->lock);

	if (removed) {
		snoop_count_stat(entry->net, SNOOP_STAT_remove);
		call_rcu(&entry->rcu, snoop_entry_free_rcu);
	}
}

/* flow_offload_teardown() clears the offload bit. */
static bool snoop_ct_is_offloaded(const struct nf_conn *ct)
{
	return (READ_ONCE(ct->status) & (IPS_OFFLOAD | IPS_DYING)) ==
	       IPS_OFFLOAD;
}

/*
 * Does a flowtable still have the flow that the entry was built from?  One
 * that was torn down and offloaded again went through conntrack in between,
 * which moved the timeout.
 */
static bool snoop_ct_is_sure(const struct snoop_entry *entry)
{
	return snoop_ct_is_offloaded(entry->ct) &&
	       READ_ONCE(entry->ct->timeout) == READ_ONCE(entry->ct_timeout);
}

/*
 * Is the entry good for the rest of this jiffy?  With @forward, a packet is
 * about to be forwarded, and about once a second the flowtable must hear of
 * it, which snoop_pull() does.
 *
 * Context: BH disabled, RCU read lock.
 */
static bool snoop_entry_check(struct snoop_entry *entry, u32 now, bool forward)
{
	snoop_port_check(entry->port, now);
	snoop_hop_check(entry->hop, now);

	if (READ_ONCE(entry->port->generation) != READ_ONCE(entry->generation) ||
	    READ_ONCE(entry->hop->block) & NF_SNOOP_GONE ||
	    !snoop_ct_is_sure(entry) ||
	    (forward && now - READ_ONCE(entry->refreshed) >= HZ))
		return false;

	WRITE_ONCE(entry->checked, now);
	return true;
}

/* --- asking the kernel --------------------------------------------------- */

/* A flow and direction of a flowtable, as the kernel answered for a key. */
struct snoop_answer {
	struct nf_flowtable		*flowtable;
	struct flow_offload		*flow;
	const struct flow_offload_tuple	*tuple;
	const struct flow_offload_tuple	*other;
};

static bool snoop_key_is_valid(const struct nf_flowmap_key *key)
{
	return !key->zero &&
	       (key->l3proto == AF_INET || key->l3proto == AF_INET6) &&
	       (key->l4proto == IPPROTO_TCP || key->l4proto == IPPROTO_UDP);
}

static void snoop_key_to_tuple(const struct nf_flowmap_key *key,
			       struct flow_offload_tuple *tuple)
{
	int i;

	BUILD_BUG_ON(NF_FLOWMAP_ENCAP_MAX != NF_FLOW_TABLE_ENCAP_MAX);

	memset(tuple, 0, sizeof(*tuple));
	tuple->iifidx = key->ifindex;
	tuple->l3proto = key->l3proto;
	tuple->l4proto = key->l4proto;
	tuple->src_port = key->sport;
	tuple->dst_port = key->dport;
	for (i = 0; i < NF_FLOWMAP_ENCAP_MAX; i++) {
		tuple->encap[i].id = key->encap[i].id;
		tuple->encap[i].proto = key->encap[i].proto;
	}

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
 * Ask the flowtables of the receiving device in the order of their hooks, as
 * the packet would meet them.
 *
 * Context: RCU read lock, which keeps flowtables and flows.
 */
static bool snoop_ask(struct net *net, const struct nf_flowmap_key *key,
		      struct snoop_answer *answer)
{
	struct flow_offload_tuple_rhash *found;
	const struct nf_hook_entries *hooks;
	struct flow_offload_tuple tuple;
	const struct net_device *dev;
	enum flow_offload_tuple_dir dir;
	int i;

	dev = dev_get_by_index_rcu(net, key->ifindex);
	if (!dev)
		return false;

	snoop_key_to_tuple(key, &tuple);
	hooks = rcu_dereference(dev->nf_hooks_ingress);
	for (i = 0; hooks && i < hooks->num_hook_entries; i++) {
		if (!snoop_is_flowtable(hooks->hooks[i].hook, key->l3proto))
			continue;

		answer->flowtable = hooks->hooks[i].priv;
		found = flow_offload_lookup(answer->flowtable, &tuple);
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

static bool snoop_neigh_l2(struct net_device *dev, struct snoop_hop_id *id,
			   __be16 proto)
{
	struct ethhdr *eth = (struct ethhdr *)id->l2;
	struct neighbour *neigh;

	neigh = snoop_neigh(dev, id->nexthop, proto);
	if (!neigh || !(READ_ONCE(neigh->nud_state) & NUD_VALID))
		return false;

	neigh_ha_snapshot(eth->h_dest, neigh, dev);
	ether_addr_copy(eth->h_source, dev->dev_addr);

	return true;
}

/*
 * Where the kernel would send packets of this direction, as
 * nf_flow_offload_ip_hook() and nf_flow_offload_ipv6_hook() do.
 *
 * Context: BH disabled, RCU read lock.
 * Return: 0, or the enum snoop_stat that says why XDP cannot.
 */
static int snoop_route(struct net *net, const struct snoop_answer *answer,
		       struct snoop_hop_id *id)
{
	const struct flow_offload_tuple *tuple = answer->tuple;
	struct ethhdr *eth = (struct ethhdr *)id->l2;
	bool ip4 = tuple->l3proto == AF_INET;
	struct net_device *dev;

	memset(id, 0, sizeof(*id));
	id->net = net;
	eth->h_proto = ip4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);

	switch (tuple->xmit_type) {
	case FLOW_OFFLOAD_XMIT_DIRECT:
		id->ifindex = tuple->out.ifidx;
		ether_addr_copy(eth->h_dest, tuple->out.h_dest);
		ether_addr_copy(eth->h_source, tuple->out.h_source);
		dev = dev_get_by_index_rcu(net, id->ifindex);
		return dev && dev->type == ARPHRD_ETHER ? 0 : SNOOP_STAT_xmit;
	case FLOW_OFFLOAD_XMIT_NEIGH:
		break;
	default:
		return SNOOP_STAT_xmit;
	}

	id->dst = tuple->dst_cache;
	id->cookie = tuple->dst_cookie;
	if (!dst_check(id->dst, id->cookie))
		return SNOOP_STAT_stale;

	dev = id->dst->dev;
	if (!net_eq(dev_net(dev), net) || dev->type != ARPHRD_ETHER)
		return SNOOP_STAT_xmit;

	id->ifindex = dev->ifindex;
	if (ip4)
		id->nexthop[0] = rt_nexthop(dst_rtable(id->dst),
					    answer->other->src_v4.s_addr);
	else
		memcpy(id->nexthop,
		       rt6_nexthop(dst_rt6_info(id->dst),
				   (struct in6_addr *)&answer->other->src_v6),
		       sizeof(id->nexthop));

	return snoop_neigh_l2(dev, id, eth->h_proto) ? 0 : SNOOP_STAT_neigh;
}

/* --- building entries ---------------------------------------------------- */

/* What changes in a checksum when @from becomes @to. */
static __wsum snoop_csum_change(__wsum sum, const void *from, const void *to,
				unsigned int words)
{
	const __wsum *old = from, *new = to;

	while (words--)
		sum = csum_add(csum_sub(sum, *old++), *new++);

	return sum;
}

/* Never 0: in ones' complement 0xffff says the same. */
static u16 snoop_csum_delta(__wsum sum)
{
	return (u16)~(__force u16)csum_fold(sum) ?: 0xffff;
}

/*
 * In either direction the packet that leaves is the other direction's
 * answered: its destination is our source and the other way round.
 */
static void snoop_value_nat(struct nf_flowmap_value *value,
			    const struct nf_flowmap_key *key,
			    const struct snoop_answer *answer)
{
	const struct flow_offload_tuple *other = answer->other;
	bool ip4 = key->l3proto == AF_INET;
	bool nat = answer->flow->flags & (BIT(NF_FLOW_SNAT) | BIT(NF_FLOW_DNAT));
	/* the TTL is the upper byte of its word */
	__wsum ttl = (__force __wsum)~(u32)(__force u16)htons(0x0100);
	__wsum addrs;

	value->sport = other->dst_port;
	value->dport = other->src_port;
	if (ip4) {
		value->addrs.ip4.saddr = other->dst_v4.s_addr;
		value->addrs.ip4.daddr = other->src_v4.s_addr;
	} else {
		memcpy(value->addrs.ip6.saddr, &other->dst_v6,
		       sizeof(other->dst_v6));
		memcpy(value->addrs.ip6.daddr, &other->src_v6,
		       sizeof(other->src_v6));
	}

	addrs = snoop_csum_change(0, &key->addrs, &value->addrs, ip4 ? 2 : 8);
	if (ip4)
		value->l3_delta = snoop_csum_delta(csum_add(addrs, ttl));
	if (!nat)
		return;

	value->flags |= NF_FLOWMAP_F_NAT;
	value->l4_delta = snoop_csum_delta(snoop_csum_change(addrs, &key->sport,
							     &value->sport, 1));
}

static void snoop_value_fill(struct nf_flowmap_value *value,
			     const struct nf_flowmap_key *key,
			     const struct snoop_answer *answer,
			     const struct snoop_hop_id *id)
{
	value->ifindex = id->ifindex;
	value->mtu = answer->tuple->mtu;
	value->l2_len = ETH_HLEN;
	memcpy(value->l2, id->l2, ETH_HLEN);
	if (answer->tuple->dir == FLOW_OFFLOAD_DIR_REPLY)
		value->flags |= NF_FLOWMAP_F_REPLY;
	if (READ_ONCE(answer->flowtable->flags) & NF_FLOWTABLE_COUNTER)
		value->flags |= NF_FLOWMAP_F_COUNTER;

	snoop_value_nat(value, key, answer);
}

static void snoop_match_fill(struct snoop_entry *entry, struct net *net,
			     const struct nf_flowmap_key *key)
{
	entry->net = net;
	entry->match.head = snoop_key_u64(key);
	entry->match.encap = snoop_key_u64(key->encap);
	entry->match.ip4 = snoop_key_u64(&key->addrs);
	entry->match.ports = *(const u32 *)&key->sport;
	if (key->l3proto == AF_INET6)
		memcpy(entry->ip6, &key->addrs, sizeof(entry->ip6));
}

/* Context: BH disabled, RCU read lock, which keeps @answer. */
static struct snoop_entry *snoop_entry_build(struct net *net,
					     const struct nf_flowmap_key *key,
					     const struct snoop_answer *answer,
					     const struct snoop_hop_id *id,
					     u32 now)
{
	struct snoop_entry *entry = NULL;
	int stat = SNOOP_STAT_full;

	if (atomic_inc_return(&snoop_entries) > max_entries)
		goto err_count;

	stat = SNOOP_STAT_nomem;
	entry = kmem_cache_zalloc(snoop_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!entry)
		goto err_count;

	entry->port = snoop_port_get(net, key->ifindex, now);
	if (!entry->port)
		goto err_entry;

	stat = SNOOP_STAT_stale;
	entry->hop = snoop_hop_get(id, now);
	if (!entry->hop)
		goto err_port;

	/* The flow holds its conntrack entry, and RCU holds the flow. */
	if (!refcount_inc_not_zero(&answer->flow->ct->ct_general.use))
		goto err_hop;

	entry->ct = answer->flow->ct;
	snoop_match_fill(entry, net, key);
	snoop_value_fill(&entry->value, key, answer, id);

	return entry;

err_hop:
	snoop_hop_put(entry->hop);
err_port:
	snoop_port_put(entry->port);
err_entry:
	kmem_cache_free(snoop_cache, entry);
err_count:
	atomic_dec(&snoop_entries);
	snoop_count_stat(net, stat);
	return NULL;
}

/* Did the kernel answer what @entry says already? */
static bool snoop_entry_agrees(const struct snoop_entry *entry,
			       const struct snoop_answer *answer,
			       const struct snoop_hop_id *id)
{
	bool counter = READ_ONCE(answer->flowtable->flags) & NF_FLOWTABLE_COUNTER;

	return entry->ct == answer->flow->ct &&
	       entry->value.mtu == answer->tuple->mtu &&
	       !!(entry->value.flags & NF_FLOWMAP_F_COUNTER) == counter &&
	       !memcmp(&entry->hop->id, id, sizeof(*id)) &&
	       !(READ_ONCE(entry->hop->block) & NF_SNOOP_GONE);
}

/* Put @entry into the table, in the place of one for the same packets. */
static void snoop_entry_insert(struct snoop_entry *entry,
			       const struct nf_flowmap_key *key, u32 bucket)
{
	struct snoop_region *region = snoop_region(bucket);
	struct snoop_entry *old;

	spin_lock(&region->lock);
	old = snoop_entry_find(entry->net, key, bucket);
	if (old) {
		if (old->ct == entry->ct) {
			entry->value.packets = READ_ONCE(old->value.packets);
			entry->value.bytes = READ_ONCE(old->value.bytes);
		}
		hlist_replace_rcu(&old->node, &entry->node);
		old->node.pprev = NULL;
	} else {
		hlist_add_head_rcu(&entry->node, &snoop_table.buckets[bucket]);
		region->used++;
	}
	spin_unlock(&region->lock);

	snoop_count_stat(entry->net, SNOOP_STAT_insert);
	if (old) {
		snoop_count_stat(entry->net, SNOOP_STAT_remove);
		call_rcu(&old->rcu, snoop_entry_free_rcu);
	}
}

/*
 * The flowtable agrees with @entry now.  Once the flow is seen to live after
 * the timeout was read, the timeout is that of this flow and not of one that
 * took its place.
 */
static bool snoop_entry_confirm(struct snoop_entry *entry,
				const struct snoop_answer *answer,
				bool forward, u32 now)
{
	u32 timeout = READ_ONCE(entry->ct->timeout);

	if (forward)
		flow_offload_refresh(answer->flowtable, answer->flow, false);

	smp_rmb(); /* timeout before flags */
	if (test_bit(NF_FLOW_TEARDOWN, &answer->flow->flags))
		return false;

	WRITE_ONCE(entry->ct_timeout, timeout);
	WRITE_ONCE(entry->generation, READ_ONCE(entry->port->generation));
	WRITE_ONCE(entry->refreshed, forward ? now : now - HZ);
	WRITE_ONCE(entry->checked, now);

	return true;
}

/*
 * Ask the kernel for the flow of @key and make the table say the same.  If a
 * packet is about to be forwarded, the flowtable hears that the flow is used.
 *
 * Context: BH disabled, RCU read lock.
 * Return: the entry, sure for this jiffy; NULL where there is no flow that
 * XDP could forward.
 */
static struct snoop_entry *snoop_pull(struct net *net,
				      const struct nf_flowmap_key *key,
				      struct snoop_entry *old, u32 bucket,
				      u32 now)
{
	int stat = SNOOP_STAT_miss;
	struct snoop_entry *entry;
	struct snoop_answer answer;
	struct snoop_hop_id id;
	bool forward;

	if (snoop_key_is_valid(key) && snoop_ask(net, key, &answer))
		stat = snoop_route(net, &answer, &id);
	else
		goto none;
	if (stat)
		goto none;

	forward = key->len - 1 < answer.tuple->mtu;
	if (old && snoop_entry_agrees(old, &answer, &id) &&
	    snoop_entry_confirm(old, &answer, forward, now))
		return old;

	entry = snoop_entry_build(net, key, &answer, &id, now);
	if (!entry)
		goto remove;

	if (!snoop_entry_confirm(entry, &answer, forward, now)) {
		snoop_entry_free_rcu(&entry->rcu);
		goto remove;
	}

	snoop_entry_insert(entry, key, bucket);
	return entry;

none:
	snoop_count_stat(net, stat);
remove:
	if (old)
		snoop_entry_remove(old, bucket);
	return NULL;
}

/* --- lookup -------------------------------------------------------------- */

static void snoop_count_block(const struct net *net, unsigned long block)
{
	snoop_count_stat(net, SNOOP_STAT_BLOCK + __ffs(block));
}

static void snoop_count_packet(struct snoop_entry *entry, u32 len)
{
	static_assert(sizeof(atomic64_t) == sizeof(entry->value.packets));

	atomic64_inc((atomic64_t *)&entry->value.packets);
	atomic64_add(len, (atomic64_t *)&entry->value.bytes);

	if (entry->value.flags & NF_FLOWMAP_F_COUNTER)
		nf_ct_acct_update(entry->ct,
				  !!(entry->value.flags & NF_FLOWMAP_F_REPLY),
				  len);
}

static struct snoop_entry *snoop_entry_sure(struct net *net,
					    const struct nf_flowmap_key *key,
					    struct snoop_entry *entry,
					    u32 bucket, u32 now)
{
	rcu_read_lock();
	if (!entry ||
	    !snoop_entry_check(entry, now, key->len - 1 < entry->value.mtu))
		entry = snoop_pull(net, key, entry, bucket, now);
	rcu_read_unlock();

	return entry;
}

/**
 * nf_flow_snoop_lookup() - what would the flowtable do to this packet?
 * @net: netns of the device that received the packet
 * @key: the packet; see struct nf_flowmap_key, also for what @key->len says
 * @door: NF_SNOOP_DOOR_*, the way the packet would take
 *
 * Answers as the software flowtable of the receiving device would, at most one
 * jiffy late.  A packet that is about to be forwarded is counted and keeps its
 * flow alive.
 *
 * Context: BH disabled, which is also what keeps the value: it may be read
 * until BH is enabled.  Does not sleep; allocates atomically, up to
 * max_entries.
 * Return: the action, or NULL where the packet belongs to the stack: no flow,
 * or one that the stack has to forward for a reason of enum nf_snoop_block,
 * or an invalid key.
 */
const struct nf_flowmap_value *
nf_flow_snoop_lookup(struct net *net, const struct nf_flowmap_key *key,
		     u32 door)
{
	u32 bucket = snoop_bucket(key), now = jiffies, block;
	struct snoop_entry *entry;

	RCU_LOCKDEP_WARN(!rcu_read_lock_bh_held(), "lookup with BH enabled");

	entry = snoop_entry_find(net, key, bucket);
	if (unlikely(!entry || READ_ONCE(entry->checked) != now)) {
		entry = snoop_entry_sure(net, key, entry, bucket, now);
		if (!entry)
			return NULL;
	}

	block = READ_ONCE(entry->port->block) | READ_ONCE(entry->hop->block);
	if (unlikely(block & door)) {
		snoop_count_block(net, block & door);
		return NULL;
	}

	if (key->len - 1 < entry->value.mtu)
		snoop_count_packet(entry, key->len);

	return &entry->value;
}
EXPORT_SYMBOL_GPL(nf_flow_snoop_lookup);

/* --- garbage ------------------------------------------------------------- */

/* Take down what @is_garbage says; sleeps between regions. */
static void snoop_sweep(bool (*is_garbage)(const struct snoop_entry *entry))
{
	const u32 size = 1U << (snoop_table.bits - SNOOP_REGION_BITS);
	struct snoop_entry *entry;
	u32 bucket;

	for (bucket = 0; bucket >> snoop_table.bits == 0; bucket++) {
		if (bucket % size == 0) {
			cond_resched();
			if (!READ_ONCE(snoop_region(bucket)->used)) {
				bucket += size - 1;
				continue;
			}
		}

		local_bh_disable();
		rcu_read_lock();
		hlist_for_each_entry_rcu(entry, &snoop_table.buckets[bucket], node)
			if (is_garbage(entry))
				snoop_entry_remove(entry, bucket);
		rcu_read_unlock();
		local_bh_enable();
	}
}

static bool snoop_entry_is_over(const struct snoop_entry *entry)
{
	return !snoop_ct_is_offloaded(entry->ct);
}

static void snoop_gc(struct work_struct *work);
static DECLARE_DELAYED_WORK(snoop_gc_work, snoop_gc);

/*
 * Only for the memory, and for what entries hold: no lookup uses an entry of a
 * flow that has ended.  As often as the flowtable's own.
 */
static void snoop_gc(struct work_struct *work)
{
	if (atomic_read(&snoop_entries))
		snoop_sweep(snoop_entry_is_over);
	queue_delayed_work(system_power_efficient_wq, &snoop_gc_work, HZ);
}

/* --- /proc/net/nf_flowmap, /proc/net/stat/nf_flowmap --------------------- */

static void *snoop_seq_start(struct seq_file *seq, loff_t *pos)
	__acquires(RCU)
{
	local_bh_disable();
	rcu_read_lock();

	return *pos >> snoop_table.bits ? NULL : pos;
}

static void *snoop_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	do {
		++*pos;
	} while (!(*pos >> snoop_table.bits) &&
		 hlist_empty(&snoop_table.buckets[*pos]));

	return *pos >> snoop_table.bits ? NULL : pos;
}

static void snoop_seq_stop(struct seq_file *seq, void *v)
	__releases(RCU)
{
	rcu_read_unlock();
	local_bh_enable();
}

static void snoop_seq_entry(struct seq_file *seq,
			    const struct snoop_entry *entry)
{
	const struct nf_flowmap_value *value = &entry->value;
	unsigned long block = (READ_ONCE(entry->port->block) |
			       READ_ONCE(entry->hop->block)) &
			      NF_SNOOP_DOOR_XDP;
	struct nf_flowmap_key key = {};
	unsigned int i;

	memcpy(&key, &entry->match.head, sizeof(entry->match.head));
	memcpy(key.encap, &entry->match.encap, sizeof(key.encap));
	*(u32 *)&key.sport = entry->match.ports;
	memcpy(&key.addrs, &entry->match.ip4, sizeof(entry->match.ip4));

	seq_printf(seq, "%s %s iif=%u",
		   key.l3proto == AF_INET ? "ipv4" : "ipv6",
		   key.l4proto == IPPROTO_TCP ? "tcp" : "udp", key.ifindex);
	for (i = 0; i < NF_FLOWMAP_ENCAP_MAX && key.encap[i].proto; i++)
		seq_printf(seq, " encap=%04x:%u", ntohs(key.encap[i].proto),
			   key.encap[i].id);
	if (key.l3proto == AF_INET)
		seq_printf(seq, " src=%pI4 dst=%pI4", &key.addrs.ip4.saddr,
			   &key.addrs.ip4.daddr);
	else
		seq_printf(seq, " src=%pI6c dst=%pI6c", &entry->ip6[0],
			   &entry->ip6[4]);
	seq_printf(seq, " sport=%u dport=%u dir=%s oif=%u mtu=%u nat=%u packets=%llu bytes=%llu",
		   ntohs(key.sport), ntohs(key.dport),
		   value->flags & NF_FLOWMAP_F_REPLY ? "reply" : "original",
		   value->ifindex, value->mtu,
		   !!(value->flags & NF_FLOWMAP_F_NAT),
		   READ_ONCE(value->packets), READ_ONCE(value->bytes));
	for_each_set_bit(i, &block, SNOOP_STAT_MAX - SNOOP_STAT_BLOCK)
		seq_printf(seq, " stack=%s", snoop_stat_names[SNOOP_STAT_BLOCK + i]);
	seq_putc(seq, '\n');
}

/* One bucket at a time. */
static int snoop_seq_show(struct seq_file *seq, void *v)
{
	const struct net *net = seq_file_net(seq);
	const struct snoop_entry *entry;
	loff_t *pos = v;

	hlist_for_each_entry_rcu(entry, &snoop_table.buckets[*pos], node)
		if (entry->net == net)
			snoop_seq_entry(seq, entry);

	return 0;
}

static const struct seq_operations snoop_seq_ops = {
	.start	= snoop_seq_start,
	.next	= snoop_seq_next,
	.stop	= snoop_seq_stop,
	.show	= snoop_seq_show,
};

static int snoop_stat_show(struct seq_file *seq, void *v)
{
	struct snoop_net *sn = net_generic(seq_file_single_net(seq),
					   snoop_net_id);
	unsigned int i;
	int cpu;

	seq_printf(seq, "entries %d\nmax_entries %u\n",
		   atomic_read(&snoop_entries), max_entries);
	for (i = 0; i < SNOOP_STAT_MAX; i++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(sn->stats, cpu)->count[i]);
		seq_printf(seq, "%s %llu\n", snoop_stat_names[i], sum);
	}

	return 0;
}

/* --- namespaces, module -------------------------------------------------- */

static int __net_init snoop_net_init(struct net *net)
{
	struct snoop_net *sn = net_generic(net, snoop_net_id);

	sn->stats = alloc_percpu(struct snoop_stats);
	if (!sn->stats)
		return -ENOMEM;

	if (!proc_create_net("nf_flowmap", 0440, net->proc_net, &snoop_seq_ops,
			     sizeof(struct seq_net_private)))
		goto err_stats;
	if (!proc_create_net_single("nf_flowmap", 0444, net->proc_net_stat,
				    snoop_stat_show, NULL))
		goto err_proc;

	return 0;

err_proc:
	remove_proc_entry("nf_flowmap", net->proc_net);
err_stats:
	free_percpu(sn->stats);
	return -ENOMEM;
}

static bool snoop_entry_net_is_ending(const struct snoop_entry *entry)
{
	const struct snoop_net *sn = net_generic(entry->net, snoop_net_id);

	return sn->ending;
}

/*
 * The devices have gone, and with them the packets that could bring new
 * entries; conntrack and the routes, which wait for the references that
 * entries hold, end after this.
 */
static void __net_exit snoop_net_exit(struct list_head *nets)
{
	struct snoop_net *sn;
	struct net *net;

	list_for_each_entry(net, nets, exit_list) {
		sn = net_generic(net, snoop_net_id);
		sn->ending = true;
		remove_proc_entry("nf_flowmap", net->proc_net_stat);
		remove_proc_entry("nf_flowmap", net->proc_net);
	}

	snoop_sweep(snoop_entry_net_is_ending);
	rcu_barrier();

	list_for_each_entry(net, nets, exit_list) {
		sn = net_generic(net, snoop_net_id);
		free_percpu(sn->stats);
	}
}

static struct pernet_operations snoop_net_ops = {
	.init		= snoop_net_init,
	.exit_batch	= snoop_net_exit,
	.id		= &snoop_net_id,
	.size		= sizeof(struct snoop_net),
};

static int __init snoop_table_init(void)
{
	unsigned int i;

	snoop_table.bits = max_t(unsigned int, order_base_2(max_entries),
				 SNOOP_REGION_BITS);
	get_random_bytes(snoop_table.secret, sizeof(snoop_table.secret));

	snoop_table.regions = kcalloc(1 << SNOOP_REGION_BITS,
				      sizeof(*snoop_table.regions), GFP_KERNEL);
	if (!snoop_table.regions)
		return -ENOMEM;
	for (i = 0; i < 1 << SNOOP_REGION_BITS; i++)
		spin_lock_init(&snoop_table.regions[i].lock);

	snoop_table.buckets = kvcalloc(1UL << snoop_table.bits,
				       sizeof(*snoop_table.buckets), GFP_KERNEL);
	if (!snoop_table.buckets)
		goto err_regions;

	snoop_cache = KMEM_CACHE(snoop_entry, SLAB_HWCACHE_ALIGN);
	if (!snoop_cache)
		goto err_buckets;

	return 0;

err_buckets:
	kvfree(snoop_table.buckets);
err_regions:
	kfree(snoop_table.regions);
	return -ENOMEM;
}

/* Every entry has gone, and every callback that frees one has run. */
static void snoop_table_exit(void)
{
	WARN_ON(atomic_read(&snoop_entries));
	kmem_cache_destroy(snoop_cache);
	kvfree(snoop_table.buckets);
	kfree(snoop_table.regions);
}

static int __init snoop_init(void)
{
	int err;

	if (max_entries < 2 || max_entries > 1 << 28) {
		pr_err("max_entries=%u: give a number from 2 to %u\n",
		       max_entries, 1 << 28);
		return -EINVAL;
	}

	err = snoop_table_init();
	if (err)
		return err;

	err = register_module_notifier(&snoop_module_notifier);
	if (err)
		goto err_table;

	err = register_pernet_subsys(&snoop_net_ops);
	if (err)
		goto err_notifier;

	queue_delayed_work(system_power_efficient_wq, &snoop_gc_work, HZ);
	return 0;

err_notifier:
	unregister_module_notifier(&snoop_module_notifier);
err_table:
	snoop_table_exit();
	return err;
}

/* Nobody looks up any more: those who could hold a reference to the module. */
static void __exit snoop_exit(void)
{
	cancel_delayed_work_sync(&snoop_gc_work);
	unregister_pernet_subsys(&snoop_net_ops);
	unregister_module_notifier(&snoop_module_notifier);
	snoop_table_exit();
}

module_init(snoop_init);
module_exit(snoop_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Shadow of netfilter's flowtables, for lookups without an skb");
