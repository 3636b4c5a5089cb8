// SPDX-License-Identifier: GPL-2.0-only
/* The entries of a netns one by one, for the map type. */
#include <linux/export.h>

#include "nf_flow_table_snoop_internal.h"

/* The key of the first entry of @net from @link on, if there is one. */
static bool snoop_key_from(const struct net *net,
			   struct snoop_entry __rcu *const *link,
			   struct nf_flowmap_key *key)
{
	const struct snoop_entry *entry;

	for (entry = snoop_entry_at(link); entry; entry = snoop_entry_at(&entry->next))
		if (snoop_entry_is_of(entry, net) && snoop_entry_key(entry, key))
			return true;

	return false;
}

/**
 * nf_flow_snoop_next() - the entry after @key
 * @net: whose entries
 * @key: where the walk is; NULL for its start
 * @next: the key of the next entry
 *
 * Entries stay in their order, so that a walk ends however many come and go
 * meanwhile; one whose place has gone goes on behind it.
 *
 * Context: RCU read lock.
 * Return: 0, or -ENOENT at the end.
 */
int nf_flow_snoop_next(const struct net *net, const struct nf_flowmap_key *key,
		       struct nf_flowmap_key *next)
{
	const struct snoop_entry *entry;
	u64 bucket = -1;

	if (key) {
		bucket = snoop_bucket(net, key);
		entry = snoop_entry_find(net, key, bucket);
		if (entry && snoop_key_from(net, &entry->next, next))
			return 0;
	}

	if (!atomic_read(&snoop_net(net)->used))
		return -ENOENT;

	do {
		bucket = snoop_next_bucket(bucket);
		if (bucket >= snoop_table_size())
			return -ENOENT;
	} while (!snoop_key_from(net, &snoop_slot(bucket)->first, next));

	return 0;
}
EXPORT_SYMBOL_GPL(nf_flow_snoop_next);

/**
 * nf_flow_snoop_delete() - give a flow back to the stack
 * @net: the flow's netns
 * @key: a packet of the flow, in either direction
 *
 * Context: RCU read lock, BH disabled.
 * Return: 0, -ENOENT if no flowtable of the receiving device has the flow.
 */
int nf_flow_snoop_delete(struct net *net, const struct nf_flowmap_key *key)
{
	struct snoop_answer answer;

	if (!snoop_key_is_valid(key) || !snoop_ask(net, key, &answer))
		return -ENOENT;

	flow_offload_teardown(answer.flow);
	snoop_flow_end(net, answer.flow, true);

	return 0;
}
EXPORT_SYMBOL_GPL(nf_flow_snoop_delete);

static bool snoop_entry_is_above_limit(struct snoop_entry *entry)
{
	const struct snoop_net *sn = snoop_net(snoop_entry_net(entry));

	return atomic_read(&sn->used) > READ_ONCE(sn->limit) &&
	       snoop_entry_goes(entry);
}

/**
 * nf_flow_snoop_limit() - bound the entries of a netns
 * @net: the netns
 * @limit: most entries, two for each connection; the module's own bound holds
 *	beside it
 *
 * Flows that have no entry stay on the stack; those above a limit that is lower
 * than before lose theirs.
 *
 * Context: Process context, may sleep.  Calls for one netns come one by one.
 */
void nf_flow_snoop_limit(struct net *net, u32 limit)
{
	struct snoop_net *sn = snoop_net(net);

	WRITE_ONCE(sn->limit, limit);
	smp_mb(); /* pairs with atomic_inc_return() in snoop_entry_build() */
	if (atomic_read(&sn->used) > limit)
		snoop_sweep(snoop_entry_is_above_limit);
}
EXPORT_SYMBOL_GPL(nf_flow_snoop_limit);

/**
 * nf_flow_snoop_mem_usage() - bytes that the entries of a netns take at most
 * @net: the netns
 */
u64 nf_flow_snoop_mem_usage(const struct net *net)
{
	return (u64)atomic_read(&snoop_net(net)->used) *
	       sizeof(struct snoop_slot);
}
EXPORT_SYMBOL_GPL(nf_flow_snoop_mem_usage);
