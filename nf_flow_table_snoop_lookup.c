// SPDX-License-Identifier: GPL-2.0-only
/*
 * A packet's way through the table: find its entry, see that it is good for the
 * packet, count.  What takes longer is apart, so that those who need none of it
 * do not pay for its registers.
 */
#include <linux/bitops.h>
#include <linux/bottom_half.h>
#include <linux/export.h>
#include <linux/irqflags.h>
#include <net/netfilter/nf_conntrack_acct.h>

#include "nf_flow_table_snoop_internal.h"

/* --- is an entry good for a packet? -------------------------------------- */

/*
 * Does a flowtable still have the flow that the entry was built from?  One
 * that was torn down and offloaded again went through conntrack in between,
 * which moved the timeout, unless that is fixed.  Nor must the flow end before a
 * sweep can tell it of this packet.
 */
static __always_inline bool snoop_entry_is_sure(const struct snoop_entry *entry,
						u32 now)
{
	const u32 bits = IPS_OFFLOAD | IPS_DYING | IPS_FIXED_TIMEOUT;
	const struct nf_conn *witness = entry->witness;

	return (READ_ONCE(witness->status) & bits) == IPS_OFFLOAD &&
	       READ_ONCE(witness->timeout) == READ_ONCE(entry->ct_timeout) &&
	       (s32)(READ_ONCE(entry->expires) - now) >= 2 * HZ;
}

/*
 * Has a packet ended @entry, and its connection gone back to conntrack, with no
 * flow since?  Then nobody has to be asked for its packets, until a sweep takes the
 * entry.  Nothing follows from the bit alone: two who tear a flow down clear it
 * twice, the second time perhaps of the flow that came after.  One that died may
 * have left its tuple to another.
 */
static bool snoop_entry_has_ended(const struct snoop_entry *entry)
{
	return !READ_ONCE(entry->value.mtu) &&
	       !(READ_ONCE(entry->witness->status) & (IPS_OFFLOAD | IPS_DYING));
}

/*
 * Is the entry good for this packet, or does somebody have to be asked?  Not when
 * its flow was torn down here, see snoop_flow_end().
 *
 * Context: BH disabled, RCU read lock.
 */
static bool snoop_entry_check(const struct snoop_entry *entry, u32 now)
{
	return snoop_hop_check(entry->hop, now) &&
	       !(READ_ONCE(entry->hop->block) & NF_SNOOP_GONE) &&
	       READ_ONCE(entry->value.mtu) && snoop_entry_is_sure(entry, now);
}

/* --- lookup -------------------------------------------------------------- */

static __always_inline void snoop_count_packet(struct snoop_entry *entry,
					       u32 len, u32 block, u32 now)
{
	struct nf_conn_counter *counter;

	static_assert(sizeof(atomic64_t) == sizeof(entry->value.packets));

	if (READ_ONCE(entry->used) != now)
		WRITE_ONCE(entry->used, now);
	atomic64_inc((atomic64_t *)&entry->value.packets);
	atomic64_add(len, (atomic64_t *)&entry->value.bytes);

	if (entry->value.flags & NF_FLOWMAP_F_COUNTER) {
		counter = entry->counter;
		atomic64_inc(&counter->packets);
		atomic64_add(len, &counter->bytes);
	}
	if (unlikely(block & NF_SNOOP_UPPERS))
		snoop_uppers_count(&entry->hop->id.port->passage,
				   &entry->hop->passage, len);
}

/* What is longer than the mtu is only looked for. */
static __always_inline bool snoop_entry_takes(const struct snoop_entry *entry,
					      u32 len)
{
	return len - 1 < READ_ONCE(entry->value.mtu);
}

static const struct nf_flowmap_value *
snoop_entry_use(struct snoop_entry *entry, u32 len, u32 block, u32 now)
{
	if (snoop_entry_takes(entry, len))
		snoop_count_packet(entry, len, block, now);

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
	u32 block, len = key->len;
	unsigned long stack;

	/* BH cannot be enabled again below: somebody's locks are held. */
	if (irqs_disabled())
		return NULL;

	local_bh_disable();
	rcu_read_lock();
	if (!entry || !snoop_entry_check(entry, now))
		entry = snoop_pull(net, key, door, entry, now);
	rcu_read_unlock();
	local_bh_enable();

	if (!entry)
		return NULL;

	block = READ_ONCE(entry->hop->block);
	stack = block & door & ~NF_SNOOP_UPPERS;
	if (stack) {
		snoop_count_stat(net, SNOOP_STAT_BLOCK + __ffs(stack));
		return NULL;
	}

	return READ_ONCE(entry->value.mtu) ?
	       snoop_entry_use(entry, len, block, now) : NULL;
}

static noinline const struct nf_flowmap_value *
snoop_lookup_again(struct net *net, const struct nf_flowmap_key *key, u32 door,
		   struct snoop_entry *entry, u32 now)
{
	if (!snoop_entry_has_ended(entry))
		return snoop_lookup_slowly(net, key, door, entry, now);

	snoop_count_stat(net, SNOOP_STAT_miss);
	return NULL;
}

/* Of entries that are blocked, or pass devices that count, or are only looked for. */
static noinline const struct nf_flowmap_value *
snoop_lookup_marked(struct net *net, const struct nf_flowmap_key *key, u32 door,
		    struct snoop_entry *entry, u32 now)
{
	u32 block = READ_ONCE(entry->hop->block), len = key->len;

	if (block & door & ~NF_SNOOP_UPPERS || !READ_ONCE(entry->value.mtu))
		return snoop_lookup_again(net, key, door, entry, now);

	return snoop_entry_use(entry, len, block, now);
}

/*
 * A packet that ends its connection: do what the flowtable's hook would do to
 * it, see nf_flow_state_check(), which is to leave the connection to conntrack
 * from this packet on.  Where something runs before that hook, the hook does it
 * if the packet gets there; the entries end in any case, for the other direction
 * can be one that XDP forwards, and the next packet asks anew.
 */
static void snoop_end(struct net *net, const struct nf_flowmap_key *key,
		      u32 door, u32 now)
{
	struct snoop_answer answer;
	struct snoop_entry *entry;
	struct snoop_port *port;

	if (irqs_disabled())
		return;

	local_bh_disable();
	rcu_read_lock();
	entry = snoop_entry_find(net, key, snoop_bucket(net, key));
	if (entry && snoop_entry_has_ended(entry))
		goto out;
	port = snoop_ask_port(net, key, entry, now, &answer);
	if (!port) {
		/* Another CPU is at the port: what comes behind asks anew. */
		if (entry)
			WRITE_ONCE(entry->value.mtu, 0);
		goto out;
	}

	if (key->len - 1 < answer.tuple->mtu) {
		if (!(READ_ONCE(port->block) & door & ~NF_SNOOP_UPPERS))
			flow_offload_teardown(answer.flow);
		snoop_flow_end(net, answer.flow, snoop_is_full(net));
	}
	snoop_port_put(port);
out:
	rcu_read_unlock();
	local_bh_enable();
}

/*
 * A packet with flags, which has found no entry for that.  Its key is copied, since
 * a program may have it in memory that others write.
 */
static noinline const struct nf_flowmap_value *
snoop_lookup_flagged(struct net *net, const struct nf_flowmap_key *packet,
		     u32 door, u32 now)
{
	struct nf_flowmap_key key = *packet;
	struct snoop_entry *entry;
	u16 flags = key.flags;

	if (!snoop_key_is_valid(&key))
		return NULL;

	key.flags = 0;
	if (flags & NF_FLOWMAP_KEY_END) {
		snoop_end(net, &key, door, now);
		return NULL;
	}

	entry = snoop_entry_find(net, &key, snoop_bucket(net, &key));

	return snoop_lookup_slowly(net, &key, door | NF_SNOOP_OUT_FRAGS, entry,
				   now);
}

static __always_inline const struct nf_flowmap_value *
snoop_lookup_found(struct net *net, const struct nf_flowmap_key *key, u32 door,
		   struct snoop_entry *entry, u32 now)
{
	const struct snoop_hop *hop = entry->hop;
	u32 len = key->len;

	/* pairs with the release in snoop_hop_check() */
	if (unlikely(smp_load_acquire(&hop->checked) != now ||
		     !snoop_entry_is_sure(entry, now)))
		return snoop_lookup_again(net, key, door, entry, now);
	if (unlikely(READ_ONCE(hop->block) & door ||
		     !snoop_entry_takes(entry, len)))
		return snoop_lookup_marked(net, key, door, entry, now);

	snoop_count_packet(entry, len, 0, now);

	return &entry->value;
}

/* Where the bucket's own slot has not got the entry: it can be behind @entry. */
static noinline const struct nf_flowmap_value *
snoop_lookup_behind(struct net *net, const struct nf_flowmap_key *key, u32 door,
		    struct snoop_entry *entry, u32 now, u8 l3proto)
{
	if (unlikely(key->flags))
		return snoop_lookup_flagged(net, key, door, now);

	while (entry && !snoop_entry_matches(entry, net, key, l3proto))
		entry = snoop_entry_at(&entry->next);
	if (!entry)
		return snoop_lookup_slowly(net, key, door, NULL, now);

	return snoop_lookup_found(net, key, door, entry, now);
}

static __always_inline const struct nf_flowmap_value *
snoop_lookup(struct net *net, const struct nf_flowmap_key *key, u32 door,
	     u8 l3proto)
{
	struct snoop_entry *entry, *own;
	struct snoop_slot *slot;
	u32 now = jiffies;

	/*
	 * Most entries stand in the slot of their bucket.  With the address of
	 * that, a processor need not wait for the pointer to read all of it.
	 */
	slot = snoop_slot_of(snoop_hash(net, key, l3proto));
	own = &slot->entry;
	OPTIMIZER_HIDE_VAR(own);
	entry = snoop_entry_at(&slot->first);
	if (unlikely(entry != own))
		return snoop_lookup_behind(net, key, door, entry, now, l3proto);
	smp_acquire__after_ctrl_dep(); /* pairs with rcu_assign_pointer() */
	if (unlikely(!snoop_entry_matches(own, net, key, l3proto)))
		return snoop_lookup_behind(net, key, door, own, now, l3proto);

	return snoop_lookup_found(net, key, door, own, now);
}

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
 * Answers as the software flowtable of the receiving device would.  That a flow has
 * ended is known at once; what has become of devices, flowtables and the way out at
 * most two jiffies late.  A packet that is about to be forwarded is counted and keeps
 * its flow alive.
 *
 * Context: RCU read lock or BH disabled, as BPF programs run, which is also what
 * keeps the value.  Does not sleep; allocates atomically what a device or a
 * way out needs that is new.
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
