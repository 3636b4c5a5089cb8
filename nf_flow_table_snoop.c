// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shadow of netfilter's flowtables: one entry for each flow and direction
 * that a packet asked for, with the packet's action resolved in advance.
 *
 * The flowtable is the only authority.  On a lookup that finds no entry, or
 * one that is no longer sure, the flowtables bound to the receiving device are
 * asked ("pull"), as their own hook would ask them, and the entry is built
 * from the answer.  Each packet looks whether that still holds, so that whatever
 * ends or changes a flow in the kernel ends or changes it here:
 *
 *   snoop_entry	the flow itself		its conntrack entry
 *   snoop_hop	the way through		route, neighbour, device, its hooks
 *   snoop_port	where that begins	the receiving device's flowtables and
 *					what runs before
 *
 * The first at once; hops and ports, which many entries share, are checked once in
 * a jiffy, so that a change there is noticed within one, or two while another CPU
 * is checking.
 *
 * References: an entry holds its conntrack entry and its hop; a hop holds its port
 * and its dst.  Nothing holds a device or a netns: they are looked up again
 * with each check, and the entries of a netns go when it ends.
 *
 * Locks: snoop_region.lock orders the writers of a part of the hash table;
 * snoop_ports_lock and snoop_hops_lock those of the lists of ports and hops.  None
 * is taken while another is held.  A port and a hop have a lock each, which is only
 * ever tried: the port's by who holds the hop's, too.  Readers use RCU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/poison.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <net/netfilter/nf_conntrack.h>

#include "nf_flow_table_snoop_internal.h"

unsigned int snoop_max_entries __read_mostly = 1 << 17;
module_param_named(max_entries, snoop_max_entries, uint, 0444);
MODULE_PARM_DESC(max_entries, "most entries, two for each connection, of 256 bytes each; more connections stay on the stack");

struct snoop_table snoop_table __read_mostly;
struct snoop_region snoop_regions[SNOOP_REGIONS];
atomic_t snoop_entries = ATOMIC_INIT(0);
unsigned int snoop_net_id __read_mostly;

/* --- the table ----------------------------------------------------------- */

/*
 * A slot for an entry of @bucket, which the caller has counted in snoop_entries:
 * the bucket's own if it is free, or the next one.  In a full table that takes a
 * look at each region, and at the bits of one.
 *
 * Return: the entry there, all zero; NULL where others were quicker.
 */
struct snoop_entry *snoop_entry_alloc(u32 bucket)
{
	const u32 size = 1U << snoop_table.bits;
	u32 slot = bucket, end;
	int i;

	for (i = 0; i <= SNOOP_REGIONS; i++) {
		end = (slot | (size - 1)) + 1;
		if (atomic_read(&snoop_region(slot)->taken) == size)
			slot = end;
		for (; slot < end; slot++) {
			slot = find_next_zero_bit(snoop_table.taken, end, slot);
			if (slot < end &&
			    !test_and_set_bit_lock(slot, snoop_table.taken))
				goto found;
		}
		slot = end & (snoop_table_size() - 1);
	}

	return NULL;

found:
	atomic_inc(&snoop_region(slot)->taken);

	return memset(&snoop_slot(slot)->entry, 0,
		      sizeof(struct snoop_entry));
}

/* An entry that was never in the table, or that no reader has any more. */
void snoop_entry_free(struct snoop_entry *entry)
{
	u32 slot = container_of(entry, struct snoop_slot, entry)->number;

	nf_ct_put(entry->ct);
	snoop_hop_put(entry->hop);
	/* what KASAN would do with it, but for the mark that a sweep may read */
	if (IS_ENABLED(CONFIG_KASAN)) {
		entry->witness = NULL;
		entry->hop = NULL;
		entry->counter = NULL;
		entry->ct = NULL;
		memset(&entry->value, POISON_FREE, sizeof(entry->value));
	}
	atomic_dec(&snoop_region(slot)->taken);
	clear_bit_unlock(slot, snoop_table.taken);
	smp_mb__after_atomic(); /* who counts an entry finds a slot for it */
	atomic_dec(&snoop_entries);
}

/*
 * An RCU grace period has passed since the entry left the table, so no program
 * has its value and no checker its conntrack entry.
 */
static void snoop_entry_free_rcu(struct rcu_head *rcu)
{
	snoop_entry_free(container_of(rcu, struct snoop_entry, rcu));
}

/* Context: RCU read lock, which keeps the netns' statistics. */
static void snoop_entry_removed(struct snoop_entry *entry)
{
	struct net *net = snoop_entry_net(entry);

	atomic_dec(&snoop_net(net)->used);
	snoop_count_stat(net, SNOOP_STAT_remove);
	smp_wmb(); /* its mark, then RCU's head; see snoop_entry_key() */
	/* who waits for a slot, or for the conntrack entry, waits for this */
	compat_call_rcu_hurry(&entry->rcu, snoop_entry_free_rcu);
}

/*
 * Let what leads to @entry lead to @next instead.
 *
 * Context: the lock of @bucket's region.
 */
static void snoop_entry_unlink(struct snoop_entry *entry,
			       struct snoop_entry *next, u32 bucket)
{
	struct snoop_entry __rcu **link = &snoop_slot(bucket)->first;
	spinlock_t *lock = &snoop_region(bucket)->lock;

	while (rcu_access_pointer(*link) != entry)
		link = &rcu_dereference_protected(*link,
						  lockdep_is_held(lock))->next;
	WRITE_ONCE(entry->in_table, false);
	rcu_assign_pointer(*link, next);
}

/* Context: BH disabled, RCU read lock. */
void snoop_entry_remove(struct snoop_entry *entry, u32 bucket)
{
	struct snoop_region *region = snoop_region(bucket);
	bool removed;

	spin_lock(&region->lock);
	removed = entry->in_table;
	if (removed) {
		snoop_entry_unlink(entry, snoop_entry_at(&entry->next), bucket);
		region->used--;
	}
	spin_unlock(&region->lock);

	if (removed)
		snoop_entry_removed(entry);
}

/*
 * Put @entry into the table, in the place of one for the same packets.
 *
 * Context: BH disabled, RCU read lock.
 */
void snoop_entry_insert(struct snoop_entry *entry,
			const struct nf_flowmap_key *key, u32 bucket)
{
	struct snoop_slot *slot = snoop_slot(bucket);
	struct snoop_entry __rcu **link = &slot->first;
	struct snoop_region *region = snoop_region(bucket);
	struct net *net = snoop_entry_net(entry);
	struct snoop_entry *old;

	spin_lock(&region->lock);
	smp_store_release(&entry->in_table, true); /* pairs with the sweep's acquire */
	old = snoop_entry_find(net, key, bucket);
	if (old) {
		if (old->ct == entry->ct) {
			entry->used = READ_ONCE(old->used);
			entry->told = READ_ONCE(old->told);
			entry->value.packets = READ_ONCE(old->value.packets);
			entry->value.bytes = READ_ONCE(old->value.bytes);
		}
		RCU_INIT_POINTER(entry->next, snoop_entry_at(&old->next));
		snoop_entry_unlink(old, entry, bucket);
	} else {
		/* which lookups look at first */
		if (rcu_access_pointer(*link) == &slot->entry)
			link = &slot->entry.next;
		RCU_INIT_POINTER(entry->next, snoop_entry_at(link));
		rcu_assign_pointer(*link, entry);
		region->used++;
	}
	spin_unlock(&region->lock);

	snoop_count_stat(net, SNOOP_STAT_insert);
	if (old)
		snoop_entry_removed(old);
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

/*
 * The entries of a flow that was torn down, or that a packet ends: with @remove
 * they leave the table.  Without, which is quicker, no packet is short enough for
 * them any more, whoever checks them just now, and a sweep takes them.  A flow that
 * follows gets others.
 *
 * Context: BH disabled, RCU read lock.
 */
void snoop_flow_end(const struct net *net, const struct flow_offload *flow,
		    bool remove)
{
	struct snoop_entry *entry;
	u32 bucket;
	int dir;

	smp_mb(); /* the teardown before the end; who inserts writes, then looks */
	for (dir = 0; dir < FLOW_OFFLOAD_DIR_MAX; dir++) {
		entry = snoop_flow_entry(net, flow, dir, &bucket);
		if (entry && remove)
			snoop_entry_remove(entry, bucket);
		else if (entry)
			WRITE_ONCE(entry->value.mtu, 0);
	}
}

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

static void snoop_table_free(void)
{
	int i;

	for (i = 0; i < SNOOP_REGIONS; i++)
		kvfree(snoop_table.slots[i]);
	kvfree(snoop_table.taken);
}

static int __init snoop_table_init(void)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	unsigned int size, i, j;

	snoop_table.bits = max(order_base_2(snoop_max_entries),
			       SNOOP_REGION_BITS) - SNOOP_REGION_BITS;
	size = 1U << snoop_table.bits;
	snoop_table.mask = (u64)(size - 1) << SNOOP_SLOT_BITS;
	get_random_bytes(snoop_table.secret, sizeof(snoop_table.secret));

	snoop_table.taken = kvcalloc(BITS_TO_LONGS(snoop_table_size()),
				     sizeof(long), gfp);
	if (!snoop_table.taken)
		goto err;

	for (i = 0; i < SNOOP_REGIONS; i++) {
		spin_lock_init(&snoop_regions[i].lock);
		snoop_table.slots[i] = kvcalloc(size, sizeof(struct snoop_slot),
						gfp);
		if (!snoop_table.slots[i])
			goto err;
		for (j = 0; j < size; j++)
			snoop_table.slots[i][j].number = i * size + j;
		cond_resched();
	}

	return 0;
err:
	pr_err("max_entries=%u: not enough memory for %llu KiB: give a lower number\n",
	       snoop_max_entries,
	       (u64)snoop_table_size() * sizeof(struct snoop_slot) / 1024);
	snoop_table_free();
	return -ENOMEM;
}

/* Every entry has gone, and every callback that frees one has run. */
static void snoop_table_exit(void)
{
	WARN_ON(atomic_read(&snoop_entries));
	snoop_table_free();
}

static int __init snoop_init(void)
{
	int err;

	if (snoop_max_entries < 2 ||
	    snoop_max_entries > 1 << SNOOP_TABLE_BITS_MAX) {
		pr_err("max_entries=%u: give a number from 2 to %u\n",
		       snoop_max_entries, 1 << SNOOP_TABLE_BITS_MAX);
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

	err = snoop_hop_init();
	if (err)
		goto err_net;

	err = snoop_push_init();
	if (err)
		goto err_hop;

	snoop_age_init();
	return 0;

err_hop:
	snoop_hop_exit();
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
	snoop_hop_exit();
	unregister_pernet_subsys(&snoop_net_ops);
	snoop_bridge_exit();
	snoop_hook_exit();
	snoop_table_exit();
}

module_init(snoop_init);
module_exit(snoop_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Shadow of netfilter's flowtables, for lookups without an skb");
