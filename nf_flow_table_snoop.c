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
 * or changes it here within one jiffy, or two while another CPU is checking:
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

#include <linux/module.h>
#include <linux/random.h>
#include <net/checksum.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_acct.h>

#include "nf_flow_table_snoop_internal.h"

unsigned int snoop_max_entries __read_mostly = 1 << 18;
module_param_named(max_entries, snoop_max_entries, uint, 0444);
MODULE_PARM_DESC(max_entries, "most entries, two for each connection; more connections stay on the stack");

/* The kernel allocates no more than 2 GiB at once. */
#define SNOOP_TABLE_BITS_MAX	27

struct snoop_table snoop_table __read_mostly;
atomic_t snoop_entries = ATOMIC_INIT(0);
unsigned int snoop_net_id __read_mostly;
static struct kmem_cache *snoop_cache __read_mostly;

/* --- the table ----------------------------------------------------------- */

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

/* Context: RCU read lock, which keeps the netns' statistics. */
static void snoop_entry_removed(struct snoop_entry *entry)
{
	struct net *net = snoop_entry_net(entry);

	atomic_dec(&snoop_net(net)->used);
	snoop_count_stat(net, SNOOP_STAT_remove);
	call_rcu(&entry->rcu, snoop_entry_free_rcu);
}

/* Context: BH disabled, RCU read lock. */
void snoop_entry_remove(struct snoop_entry *entry, u32 bucket)
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

	if (removed)
		snoop_entry_removed(entry);
}

/*
 * Does a flowtable still have the flow that the entry was built from?  One
 * that was torn down and offloaded again went through conntrack in between,
 * which moved the timeout, unless that is fixed.  A flow that was pushed is
 * taken back before its teardown returns.
 */
static __always_inline bool snoop_ct_is_sure(const struct snoop_entry *entry)
{
	const u32 bits = IPS_OFFLOAD | IPS_DYING | IPS_FIXED_TIMEOUT;
	const struct nf_conn *ct = entry->ct;

	return entry->pushed ||
	       ((READ_ONCE(ct->status) & bits) == IPS_OFFLOAD &&
		READ_ONCE(ct->timeout) == READ_ONCE(entry->ct_timeout));
}

/*
 * Has the connection of @entry gone back to conntrack, with no flow since?  Then
 * nobody has to be asked for its packets, until a sweep takes the entry.  One that
 * died may have left its tuple to another.
 */
static bool snoop_entry_has_ended(const struct snoop_entry *entry)
{
	return !entry->pushed &&
	       !(READ_ONCE(entry->ct->status) & (IPS_OFFLOAD | IPS_DYING));
}

static u32 snoop_entry_block(const struct snoop_entry *entry)
{
	return READ_ONCE(entry->port->block) | READ_ONCE(entry->hop->block);
}

/*
 * The entry is good for the rest of the jiffy.  That of a packet that climbed is
 * good for this packet only: the end of its flow, which removes entries by their
 * keys, does not know it.
 */
static __always_inline void snoop_entry_is_checked(struct snoop_entry *entry,
						   u32 block, u32 now)
{
	now -= !!entry->port->climb;
	WRITE_ONCE(entry->block, block);
	smp_store_release(&entry->checked, now); /* pairs with the lookup's acquire */
}

/*
 * Nor is one whose flow was torn down here, see snoop_flow_end(), or could end
 * before a sweep can tell it of this packet.
 */
static __always_inline bool snoop_entry_is_sure(const struct snoop_entry *entry,
						u32 block, u32 now)
{
	return !(block & NF_SNOOP_GONE) &&
	       READ_ONCE(entry->value.mtu) &&
	       (s32)(READ_ONCE(entry->expires) - now) >= 2 * HZ &&
	       snoop_ct_is_sure(entry);
}

/*
 * Is the entry good for the rest of this jiffy?
 *
 * Context: BH disabled, RCU read lock.
 */
static bool snoop_entry_check(struct snoop_entry *entry, u32 now)
{
	u32 block;

	if (!snoop_port_check(entry->port, now) ||
	    !snoop_hop_check(entry->hop, now))
		return false;

	block = snoop_entry_block(entry);
	if (!snoop_entry_is_sure(entry, block, now))
		return false;

	snoop_entry_is_checked(entry, block, now);
	return true;
}

/*
 * The same for one of many entries, whose port and hop another's packet has
 * checked in this jiffy: takes no lock.
 */
static __always_inline bool
snoop_entry_check_quickly(struct snoop_entry *entry, u32 now, u32 *block)
{
	const struct snoop_port *port = entry->port;
	const struct snoop_hop *hop = entry->hop;

	/* pairs with the releases in snoop_port_check() and snoop_hop_check() */
	if (smp_load_acquire(&port->checked) != now ||
	    smp_load_acquire(&hop->checked) != now)
		return false;

	*block = READ_ONCE(port->block) | READ_ONCE(hop->block);
	if (!snoop_entry_is_sure(entry, *block, now))
		return false;

	snoop_entry_is_checked(entry, *block, now);
	return true;
}

void snoop_tuple_to_key(const struct flow_offload_tuple *tuple,
			struct nf_flowmap_key *key)
{
	int i;

	memset(key, 0, sizeof(*key));
	key->ifindex = tuple->iifidx;
	key->l3proto = tuple->l3proto;
	key->l4proto = tuple->l4proto;
	key->sport = tuple->src_port;
	key->dport = tuple->dst_port;
	for (i = 0; i < NF_FLOWMAP_ENCAP_MAX; i++) {
		key->encap[i].id = tuple->encap[i].id;
		key->encap[i].proto = tuple->encap[i].proto;
	}

	if (tuple->l3proto == AF_INET) {
		key->addrs.ip4.saddr = tuple->src_v4.s_addr;
		key->addrs.ip4.daddr = tuple->dst_v4.s_addr;
	} else {
		memcpy(key->addrs.ip6.saddr, &tuple->src_v6,
		       sizeof(tuple->src_v6));
		memcpy(key->addrs.ip6.daddr, &tuple->dst_v6,
		       sizeof(tuple->dst_v6));
	}
}

static struct snoop_entry *snoop_flow_entry(const struct net *net,
					    const struct flow_offload *flow,
					    int dir, u32 *bucket)
{
	struct nf_flowmap_key key;

	snoop_tuple_to_key(&flow->tuplehash[dir].tuple, &key);
	*bucket = snoop_bucket(net, &key);

	return snoop_entry_find(net, &key, *bucket);
}

/* Context: BH disabled, RCU read lock. */
void snoop_flow_remove(struct net *net, const struct flow_offload *flow)
{
	struct snoop_entry *entry;
	u32 bucket;
	int dir;

	for (dir = 0; dir < FLOW_OFFLOAD_DIR_MAX; dir++) {
		entry = snoop_flow_entry(net, flow, dir, &bucket);
		if (entry)
			snoop_entry_remove(entry, bucket);
	}
}

/*
 * The flow has been torn down: no packet is short enough for its entries any
 * more, whoever checks them just now.  A flow that follows gets others.
 *
 * Context: BH disabled, RCU read lock.
 */
static void snoop_flow_end(const struct net *net,
			   const struct flow_offload *flow)
{
	struct snoop_entry *entry;
	u32 bucket;
	int dir;

	smp_mb(); /* the teardown before the end; who inserts writes, then looks */
	for (dir = 0; dir < FLOW_OFFLOAD_DIR_MAX; dir++) {
		entry = snoop_flow_entry(net, flow, dir, &bucket);
		if (entry)
			WRITE_ONCE(entry->value.mtu, 0);
	}
}

/* --- building entries ---------------------------------------------------- */

bool snoop_key_is_valid(const struct nf_flowmap_key *key)
{
	return !(key->flags & ~(NF_FLOWMAP_KEY_END | NF_FLOWMAP_KEY_FRAGS)) &&
	       (key->l3proto == AF_INET || key->l3proto == AF_INET6) &&
	       (key->l4proto == IPPROTO_TCP || key->l4proto == IPPROTO_UDP);
}

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
			     const struct snoop_frame *frame)
{
	value->ifindex = frame->ifindex;
	value->mtu = min(answer->tuple->mtu, frame->room);
	value->flags = frame->l2_flags;
	value->l2_len = frame->l2_len;
	memcpy(value->l2, frame->l2, sizeof(value->l2));
	if (answer->tuple->dir == FLOW_OFFLOAD_DIR_REPLY)
		value->flags |= NF_FLOWMAP_F_REPLY;
	if (READ_ONCE(answer->flowtable->flags) & NF_FLOWTABLE_COUNTER)
		value->flags |= NF_FLOWMAP_F_COUNTER;

	snoop_value_nat(value, key, answer);
}

/*
 * Where nf_ct_acct_update() would count.  The extensions of a conntrack entry
 * that is confirmed, as all in a flowtable are, stay where they are.
 */
static struct nf_conn_counter *
snoop_ct_counter(const struct nf_conn *ct, const struct nf_flowmap_value *value)
{
	struct nf_conn_acct *acct = nf_conn_acct_find(ct);

	if (!acct || !(value->flags & NF_FLOWMAP_F_COUNTER))
		return NULL;

	return &acct->counter[!!(value->flags & NF_FLOWMAP_F_REPLY)];
}

static void snoop_match_fill(struct snoop_entry *entry,
			     const struct nf_flowmap_key *key)
{
	entry->head = snoop_key_u64(key);
	entry->encap = snoop_key_u64(key->encap);
	entry->ip4 = snoop_key_u64(&key->addrs);
	entry->ports = *(const u32 *)&key->sport;
	if (key->l3proto == AF_INET6)
		memcpy(entry->ip6, &key->addrs, sizeof(entry->ip6));
}

/* The key that snoop_match_fill() was given, as far as it matters. */
void snoop_entry_key(const struct snoop_entry *entry,
		     struct nf_flowmap_key *key)
{
	memset(key, 0, sizeof(*key));
	memcpy(key, &entry->head, sizeof(entry->head));
	memcpy(key->encap, &entry->encap, sizeof(entry->encap));
	*(u32 *)&key->sport = entry->ports;
	if (key->l3proto == AF_INET6)
		memcpy(&key->addrs, entry->ip6, sizeof(entry->ip6));
	else
		memcpy(&key->addrs, &entry->ip4, sizeof(entry->ip4));
}

/*
 * Will the teardown of the flow remove its entries?  It knows the devices that
 * have the flowtable, not those below them.
 */
static bool snoop_is_pushed(const struct snoop_answer *answer)
{
	return compat_is_snooped(answer->flowtable) && !answer->climb;
}

/* No more than a hint: who builds an entry counts it. */
static bool snoop_is_full(struct net *net)
{
	const struct snoop_net *sn = snoop_net(net);

	return atomic_read(&snoop_entries) >= snoop_max_entries ||
	       atomic_read(&sn->used) >= READ_ONCE(sn->limit);
}

/*
 * Context: BH disabled, RCU read lock, which keeps @answer.
 * Return: an entry that holds @port too, and has taken over the caller's
 * reference to @hop, which is gone in any case; NULL where there is no room.
 */
static struct snoop_entry *snoop_entry_build(struct net *net,
					     const struct nf_flowmap_key *key,
					     const struct snoop_answer *answer,
					     struct snoop_hop *hop,
					     struct snoop_port *port)
{
	struct snoop_net *sn = snoop_net(net);
	struct snoop_entry *entry = NULL;
	int stat = SNOOP_STAT_full;

	if (atomic_inc_return(&snoop_entries) > snoop_max_entries)
		goto err_count;
	if (atomic_inc_return(&sn->used) > READ_ONCE(sn->limit))
		goto err_used;

	stat = SNOOP_STAT_nomem;
	entry = kmem_cache_zalloc(snoop_cache, GFP_ATOMIC | __GFP_NOWARN);
	if (!entry)
		goto err_used;

	/* The flow holds its conntrack entry, and RCU holds the flow. */
	if (!refcount_inc_not_zero(&answer->flow->ct->ct_general.use))
		goto err_entry;

	entry->checked = (u32)jiffies - 2;
	entry->hop = hop;
	entry->ct = answer->flow->ct;
	refcount_inc(&port->refs);
	entry->port = port;
	entry->pushed = snoop_is_pushed(answer);
	entry->hw = nf_flowtable_hw_offload(answer->flowtable);
	snoop_match_fill(entry, key);
	snoop_value_fill(&entry->value, key, answer, &hop->frame);
	entry->counter = snoop_ct_counter(entry->ct, &entry->value);

	return entry;

err_entry:
	kmem_cache_free(snoop_cache, entry);
err_used:
	atomic_dec(&sn->used);
err_count:
	atomic_dec(&snoop_entries);
	snoop_hop_put(hop);
	snoop_count_stat(net, stat);
	return NULL;
}

/* Did the kernel answer what @entry says already? */
static bool snoop_entry_agrees(const struct snoop_entry *entry,
			       const struct snoop_answer *answer,
			       const struct snoop_hop *hop,
			       const struct snoop_port *port)
{
	bool counter = READ_ONCE(answer->flowtable->flags) & NF_FLOWTABLE_COUNTER;

	return entry->ct == answer->flow->ct && entry->port == port &&
	       entry->hop == hop &&
	       entry->pushed == snoop_is_pushed(answer) &&
	       entry->value.mtu == min(answer->tuple->mtu, hop->frame.room) &&
	       !!(entry->value.flags & NF_FLOWMAP_F_COUNTER) == counter;
}

/* Put @entry into the table, in the place of one for the same packets. */
static void snoop_entry_insert(struct snoop_entry *entry,
			       const struct nf_flowmap_key *key, u32 bucket)
{
	struct snoop_region *region = snoop_region(bucket);
	struct net *net = snoop_entry_net(entry);
	struct snoop_entry *old;

	spin_lock(&region->lock);
	old = snoop_entry_find(net, key, bucket);
	if (old) {
		if (old->ct == entry->ct) {
			entry->used = READ_ONCE(old->used);
			entry->told = READ_ONCE(old->told);
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

	snoop_count_stat(net, SNOOP_STAT_insert);
	if (old)
		snoop_entry_removed(old);
}

/*
 * The flowtable agrees with @entry now.  Once the flow is seen to live after
 * the timeout was read, the timeout is that of this flow and not of one that
 * took its place.
 */
static bool snoop_entry_confirm(struct snoop_entry *entry,
				const struct snoop_answer *answer,
				bool forward)
{
	u32 timeout = READ_ONCE(entry->ct->timeout);

	if (forward)
		flow_offload_refresh(answer->flowtable, answer->flow, false);
	WRITE_ONCE(entry->expires, READ_ONCE(answer->flow->timeout));

	smp_rmb(); /* timeout before flags */
	if (test_bit(NF_FLOW_TEARDOWN, &answer->flow->flags))
		return false;

	WRITE_ONCE(entry->ct_timeout, timeout);

	return true;
}

/* Make the table say what the kernel answered; @old is what it says, or NULL. */
static struct snoop_entry *snoop_entry_update(struct net *net,
					      const struct nf_flowmap_key *key,
					      struct snoop_entry *old,
					      const struct snoop_answer *answer,
					      struct snoop_port *port, u32 now)
{
	bool forward = key->len - 1 < answer->tuple->mtu;
	u32 bucket = snoop_bucket(net, key);
	struct snoop_entry *entry;
	struct snoop_hop *hop;
	int stat;

	stat = SNOOP_STAT_full;
	if (old || !snoop_is_full(net))
		stat = snoop_route(net, answer, now, &hop);
	if (stat) {
		snoop_count_stat(net, stat);
		goto none;
	}

	if (old && snoop_entry_agrees(old, answer, hop, port) &&
	    snoop_entry_confirm(old, answer, forward)) {
		snoop_entry_is_checked(old, snoop_entry_block(old), now);
		snoop_hop_put(hop);
		return old;
	}

	entry = snoop_entry_build(net, key, answer, hop, port);
	if (!entry)
		goto none;

	if (!snoop_entry_confirm(entry, answer, forward)) {
		atomic_dec(&snoop_net(net)->used);
		snoop_entry_free_rcu(&entry->rcu);
		goto none;
	}

	snoop_entry_insert(entry, key, bucket);
	/* Whoever tore the flow down since found no entry to remove. */
	smp_mb(); /* the entry before the mark; a teardown writes, then looks */
	if (!test_bit(NF_FLOW_TEARDOWN, &answer->flow->flags)) {
		snoop_entry_is_checked(entry, snoop_entry_block(entry), now);
		return entry;
	}
	old = entry;

none:
	if (old) {
		if (old->ct == answer->flow->ct)
			snoop_entry_tell(old, answer);
		snoop_entry_remove(old, bucket);
	}
	return NULL;
}

/* As snoop_ask(); where no flowtable has the flow, its entry goes. */
static bool snoop_ask_or_remove(struct net *net,
				const struct nf_flowmap_key *key,
				struct snoop_entry *entry,
				struct snoop_answer *answer)
{
	if (snoop_ask(net, key, answer))
		return true;

	if (entry)
		snoop_entry_remove(entry, snoop_bucket(net, key));
	return false;
}

/*
 * Ask the kernel for the flow of @key, which has @entry or NULL.  The port, which
 * stands for flowtables, is looked at before they are asked.
 *
 * Context: BH disabled, RCU read lock, which keeps @answer.
 * Return: the port that the flow comes in by, checked, with a reference for the
 * caller; NULL where there is no flow, or for the rest of the jiffy that another
 * CPU is at the port.
 */
static struct snoop_port *snoop_ask_port(struct net *net,
					 const struct nf_flowmap_key *key,
					 struct snoop_entry *entry, u32 now,
					 struct snoop_answer *answer)
{
	/* where the packet likely climbs to */
	u32 climb = entry ? entry->port->climb : 0;
	struct snoop_port *port;
	int tries;

	/* The port that was known may be gone, and the packet climb elsewhere. */
	for (tries = 0; tries < 3; tries++) {
		port = snoop_port_find(net, key, climb);
		if (!port) {
			if (!snoop_ask_or_remove(net, key, entry, answer))
				return NULL;
			port = snoop_port_get(net, key, answer->climb);
		}
		if (!port)
			return NULL;

		if (!snoop_port_check(port, now))
			break;
		if (!(READ_ONCE(port->block) & NF_SNOOP_GONE)) {
			if (!snoop_ask_or_remove(net, key, entry, answer))
				break;
			if (answer->climb == port->climb)
				return port;
			climb = answer->climb;
		}
		if (tries < 2)
			snoop_port_put(port);
	}

	snoop_port_put(port);
	return NULL;
}

/*
 * Make the table say what the kernel says of @packet, which is copied, since a
 * program may have it in memory that others write.  @entry is what the table
 * said, or NULL.
 *
 * Context: BH disabled, RCU read lock.
 * Return: the entry, good for this packet; NULL where there is no flow that
 * XDP could forward.
 */
struct snoop_entry *snoop_pull(struct net *net,
			       const struct nf_flowmap_key *packet,
			       struct snoop_entry *entry, u32 now)
{
	struct nf_flowmap_key key = *packet;
	struct snoop_port *port = NULL;
	struct snoop_answer answer;

	if (snoop_key_is_valid(&key)) {
		/* With flags nothing is found. */
		if (key.flags || (entry && !snoop_entry_matches(entry, net, &key,
								key.l3proto))) {
			key.flags = 0;
			entry = snoop_entry_find(net, &key,
						 snoop_bucket(net, &key));
		}
		port = snoop_ask_port(net, &key, entry, now, &answer);
	}
	if (!port) {
		snoop_count_stat(net, SNOOP_STAT_miss);
		return NULL;
	}

	entry = snoop_entry_update(net, &key, entry, &answer, port, now);
	snoop_port_put(port);

	return entry;
}

/* --- lookup -------------------------------------------------------------- */

static __always_inline void snoop_count_packet(struct snoop_entry *entry,
					       u32 len, u32 block, u32 now)
{
	struct nf_conn_counter *counter = entry->counter;

	static_assert(sizeof(atomic64_t) == sizeof(entry->value.packets));

	WRITE_ONCE(entry->used, now);
	atomic64_inc((atomic64_t *)&entry->value.packets);
	atomic64_add(len, (atomic64_t *)&entry->value.bytes);

	if (counter) {
		atomic64_inc(&counter->packets);
		atomic64_add(len, &counter->bytes);
	}
	if (unlikely(block & SNOOP_UPPERS))
		snoop_uppers_count(&entry->port->passage, &entry->hop->passage,
				   len);
}

/* @block: the entry's; 0 where it is known to be without SNOOP_UPPERS */
static __always_inline const struct nf_flowmap_value *
snoop_entry_use(struct snoop_entry *entry, const struct nf_flowmap_key *key,
		u32 block, u32 now)
{
	u32 len = key->len, mtu = READ_ONCE(entry->value.mtu);

	if (len - 1 < mtu)
		snoop_count_packet(entry, len, block, now);
	else if (!mtu)
		return NULL;

	return &entry->value;
}

/*
 * The way of a packet whose entry is not sure, or is not there, or blocked; see
 * nf_flow_snoop_lookup().  A test run has BH enabled on 6.1.
 */
static noinline const struct nf_flowmap_value *
snoop_lookup_slowly(struct net *net, const struct nf_flowmap_key *key, u32 door,
		    struct snoop_entry *entry, u32 now)
{
	unsigned long stack;
	u32 block;

	/* BH cannot be enabled again below: somebody's locks are held. */
	if (irqs_disabled())
		return NULL;

	local_bh_disable();
	rcu_read_lock();
	if (!entry ||
	    (READ_ONCE(entry->checked) != now &&
	     !snoop_entry_check(entry, now)))
		entry = snoop_pull(net, key, entry, now);
	rcu_read_unlock();
	local_bh_enable();

	if (!entry)
		return NULL;

	block = READ_ONCE(entry->block);
	stack = block & door & ~SNOOP_UPPERS;
	if (stack) {
		snoop_count_stat(net, SNOOP_STAT_BLOCK + __ffs(stack));
		return NULL;
	}

	return snoop_entry_use(entry, key, block, now);
}

/* Those that are blocked, or pass devices that count. Apart, as the next one. */
static noinline const struct nf_flowmap_value *
snoop_lookup_marked(struct net *net, const struct nf_flowmap_key *key, u32 door,
		    struct snoop_entry *entry, u32 now)
{
	u32 block = READ_ONCE(entry->block);

	if (unlikely(block & door & ~SNOOP_UPPERS))
		return snoop_lookup_slowly(net, key, door, entry, now);

	return snoop_entry_use(entry, key, block, now);
}

/* @entry, whose @block that is, is good for this packet, unless @door is blocked. */
static __always_inline const struct nf_flowmap_value *
snoop_lookup_checked(struct net *net, const struct nf_flowmap_key *key,
		     u32 door, struct snoop_entry *entry, u32 block, u32 now)
{
	if (unlikely(block & door))
		return snoop_lookup_marked(net, key, door, entry, now);

	return snoop_entry_use(entry, key, 0, now);
}

/* Apart, so that those whose entry is good do not pay for the registers. */
static noinline const struct nf_flowmap_value *
snoop_lookup_ended(const struct net *net)
{
	snoop_count_stat(net, SNOOP_STAT_miss);

	return NULL;
}

/* The first packet of an entry in a jiffy. */
static noinline const struct nf_flowmap_value *
snoop_lookup_again(struct net *net, const struct nf_flowmap_key *key, u32 door,
		   struct snoop_entry *entry, u32 now)
{
	u32 block;

	if (!snoop_entry_check_quickly(entry, now, &block))
		return snoop_entry_has_ended(entry) ?
		       snoop_lookup_ended(net) :
		       snoop_lookup_slowly(net, key, door, entry, now);

	return snoop_lookup_checked(net, key, door, entry, block, now);
}

/*
 * A packet that ends its connection: do what the flowtable's hook would do to
 * it, see nf_flow_state_check(), which is to leave the connection to conntrack
 * from this packet on.  Where something runs before that hook, the hook does it
 * if the packet gets there; the entries end in any case, for the other direction
 * can be one that XDP forwards, and the next packet asks anew.
 */
static noinline const struct nf_flowmap_value *
snoop_end(struct net *net, const struct nf_flowmap_key *packet, u32 door)
{
	struct nf_flowmap_key key = *packet;
	struct snoop_answer answer;
	struct snoop_entry *entry;
	struct snoop_port *port;
	u32 now = jiffies;

	if (irqs_disabled() || !snoop_key_is_valid(&key))
		return NULL;

	key.flags = 0;
	local_bh_disable();
	rcu_read_lock();
	entry = snoop_entry_find(net, &key, snoop_bucket(net, &key));
	if (entry && snoop_entry_has_ended(entry))
		goto out;
	port = snoop_ask_port(net, &key, entry, now, &answer);
	if (!port)
		goto out;

	if (key.len - 1 < answer.tuple->mtu) {
		if (!(READ_ONCE(port->block) & door))
			flow_offload_teardown(answer.flow);
		if (snoop_is_full(net))
			snoop_flow_remove(net, answer.flow);
		else
			snoop_flow_end(net, answer.flow);
	}
	snoop_port_put(port);
out:
	rcu_read_unlock();
	local_bh_enable();

	return NULL;
}

static __always_inline const struct nf_flowmap_value *
snoop_lookup(struct net *net, const struct nf_flowmap_key *key, u32 door,
	     u8 l3proto)
{
	struct snoop_entry *entry;
	u32 now = jiffies;

	if (unlikely(key->flags)) {
		if (key->flags != NF_FLOWMAP_KEY_FRAGS)
			return snoop_end(net, key, door);
		door |= NF_SNOOP_OUT_FRAGS;
	}
	door |= SNOOP_UPPERS; /* one test for both */

	entry = snoop_entry_find_in(net, key,
				    snoop_bucket_of(net, key, l3proto),
				    l3proto);
	if (unlikely(!entry))
		return snoop_lookup_slowly(net, key, door, NULL, now);
	/* pairs with the release in snoop_entry_is_checked() */
	if (unlikely(smp_load_acquire(&entry->checked) != now))
		return snoop_lookup_again(net, key, door, entry, now);

	return snoop_lookup_checked(net, key, door, entry,
				    READ_ONCE(entry->block), now);
}

/* Apart, so that IPv4 does not pay for the registers that this takes. */
static noinline const struct nf_flowmap_value *
snoop_lookup_ipv6(struct net *net, const struct nf_flowmap_key *key, u32 door)
{
	return snoop_lookup(net, key, door, AF_INET6);
}

/**
 * nf_flow_snoop_lookup() - what would the flowtable do to this packet?
 * @net: netns of the device that received the packet
 * @key: the packet; see struct nf_flowmap_key, also for what @key->len says
 * @door: NF_SNOOP_DOOR_*, the way the packet would take
 *
 * Answers as the software flowtable of the receiving device would, at most two
 * jiffies late.  A packet that is about to be forwarded is counted and keeps its
 * flow alive.
 *
 * Context: RCU read lock or BH disabled, as BPF programs run, which is also what
 * keeps the value.  Does not sleep; allocates atomically, up to
 * max_entries.
 * Return: the action, or NULL where the packet belongs to the stack: no flow,
 * or one that the stack has to forward for a reason of enum nf_snoop_block,
 * or an invalid key.
 */
const struct nf_flowmap_value *
nf_flow_snoop_lookup(struct net *net, const struct nf_flowmap_key *key,
		     u32 door)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_bh_held() && !rcu_read_lock_held(),
			 "lookup outside RCU");

	if (key->l3proto != AF_INET)
		return snoop_lookup_ipv6(net, key, door);

	return snoop_lookup(net, key, door, AF_INET);
}
EXPORT_SYMBOL_GPL(nf_flow_snoop_lookup);

/* --- namespaces, module -------------------------------------------------- */

static int __net_init snoop_net_init(struct net *net)
{
	struct snoop_net *sn = snoop_net(net);
	int err;

	sn->stats = alloc_percpu(struct snoop_stats);
	if (!sn->stats)
		return -ENOMEM;

	sn->limit = U32_MAX;
	err = snoop_allow_net_init(net);
	if (err)
		goto err_stats;
	err = snoop_proc_init(net);
	if (err)
		goto err_allow;

	return 0;

err_allow:
	snoop_allow_net_exit(net);
err_stats:
	free_percpu(sn->stats);
	return err;
}

static bool snoop_entry_net_is_ending(struct snoop_entry *entry)
{
	return snoop_net(snoop_entry_net(entry))->ending;
}

/*
 * The devices have gone, and with them the packets that could bring new
 * entries; conntrack and the routes, which wait for the references that
 * entries hold, end after this.
 */
static void __net_exit snoop_net_exit(struct list_head *nets)
{
	struct net *net;

	list_for_each_entry(net, nets, exit_list) {
		snoop_net(net)->ending = true;
		snoop_proc_exit(net);
	}

	snoop_sweep(snoop_entry_net_is_ending);
	/* Whoever removes an entry counts and calls RCU in one read section. */
	synchronize_rcu();
	rcu_barrier();

	list_for_each_entry(net, nets, exit_list) {
		snoop_allow_net_exit(net);
		free_percpu(snoop_net(net)->stats);
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

	/* two buckets for each entry, so that most chains have one or none */
	snoop_table.bits = clamp_t(unsigned int,
				   order_base_2(snoop_max_entries) + 1,
				   SNOOP_REGION_BITS, SNOOP_TABLE_BITS_MAX);
	snoop_table.shift = 64 - snoop_table.bits;
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

	if (snoop_max_entries < 2 || snoop_max_entries > 1 << 27) {
		pr_err("max_entries=%u: give a number from 2 to %u\n",
		       snoop_max_entries, 1 << 27);
		return -EINVAL;
	}

	err = snoop_table_init();
	if (err)
		return err;

	err = snoop_hook_init();
	if (err)
		goto err_table;

	err = snoop_bridge_init();
	if (err)
		goto err_hook;

	err = register_pernet_subsys(&snoop_net_ops);
	if (err)
		goto err_bridge;

	err = snoop_path_init();
	if (err)
		goto err_net;

	err = snoop_push_init();
	if (err)
		goto err_path;

	snoop_age_init();
	return 0;

err_path:
	snoop_path_exit();
err_net:
	unregister_pernet_subsys(&snoop_net_ops);
err_bridge:
	snoop_bridge_exit();
err_hook:
	snoop_hook_exit();
err_table:
	snoop_table_exit();
	return err;
}

/* Nobody looks up any more: those who could hold a reference to the module. */
static void __exit snoop_exit(void)
{
	snoop_push_exit();
	snoop_age_exit();
	snoop_path_exit();
	unregister_pernet_subsys(&snoop_net_ops);
	snoop_bridge_exit();
	snoop_hook_exit();
	snoop_table_exit();
}

module_init(snoop_init);
module_exit(snoop_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Shadow of netfilter's flowtables, for lookups without an skb");
