// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pull: entries are built, confirmed, replaced and removed by what a receiving
 * device's flowtables answer.
 */
#include <linux/bitops.h>
#include <net/checksum.h>
#include <net/netfilter/nf_conntrack_acct.h>

#include "nf_flow_table_snoop_internal.h"

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
	memcpy(value->eth, frame->l2, sizeof(value->eth));
	memcpy(value->l2_encap, frame->l2 + sizeof(value->eth),
	       sizeof(value->l2_encap));
	if (answer->tuple->dir == FLOW_OFFLOAD_DIR_REPLY)
		value->flags |= NF_FLOWMAP_F_REPLY;

	snoop_value_nat(value, key, answer);
}

/*
 * Where nf_ct_acct_update() would count.  The extensions of a conntrack entry
 * that is confirmed, as all in a flowtable are, stay where they are.
 */
static struct nf_conn_counter *
snoop_ct_counter(const struct snoop_answer *answer)
{
	struct nf_conn_acct *acct;

	if (!(READ_ONCE(answer->flowtable->flags) & NF_FLOWTABLE_COUNTER))
		return NULL;

	acct = nf_conn_acct_find(answer->flow->ct);

	return acct ? &acct->counter[answer->tuple->dir] : NULL;
}

static void snoop_match_fill(struct snoop_entry *entry,
			     const struct nf_flowmap_key *key)
{
	entry->head = snoop_key_u64(key);
	entry->encap = snoop_key_u64(key->encap);
	entry->addrs = snoop_key_u64(&key->addrs);
	entry->ports = *(const u32 *)&key->sport;
	if (key->l3proto == AF_INET6)
		memcpy(entry->ip6, (u64 *)&key->addrs + 1, sizeof(entry->ip6));
}

/*
 * The key that snoop_match_fill() was given, as far as it matters.
 *
 * Return: false where @entry has left the table, and its key with it.
 */
bool snoop_entry_key(const struct snoop_entry *entry, struct nf_flowmap_key *key)
{
	memset(key, 0, sizeof(*key));
	memcpy(key, &entry->head, sizeof(entry->head));
	memcpy(key->encap, &entry->encap, sizeof(entry->encap));
	*(u32 *)&key->sport = entry->ports;
	memcpy(&key->addrs, &entry->addrs, sizeof(entry->addrs));
	if (key->l3proto == AF_INET6)
		memcpy((u64 *)&key->addrs + 1, entry->ip6, sizeof(entry->ip6));

	smp_rmb(); /* its key, then its mark; see snoop_entry_removed() */
	return READ_ONCE(entry->in_table);
}

/*
 * Who says whether the flow is still there?  Its conntrack entry, unless a
 * teardown removes the flow's entries itself.  That knows the devices that have
 * the flowtable, not those below them.
 */
static const struct nf_conn *snoop_witness(const struct snoop_answer *answer)
{
	static const struct nf_conn always = { .status = IPS_OFFLOAD };

	if (compat_is_snooped(answer->flowtable) && !answer->climb)
		return &always;

	return answer->flow->ct;
}

/* No more than a hint: who builds an entry counts it. */
bool snoop_is_full(struct net *net)
{
	const struct snoop_net *sn = snoop_net(net);

	return atomic_read(&snoop_entries) >= snoop_max_entries ||
	       atomic_read(&sn->used) >= READ_ONCE(sn->limit);
}

/*
 * Context: BH disabled, RCU read lock, which keeps @answer.
 * Return: an entry that has taken over the caller's reference to @hop, which is
 * gone in any case; NULL where there is no room.
 */
static struct snoop_entry *snoop_entry_build(struct net *net,
					     const struct nf_flowmap_key *key,
					     const struct snoop_answer *answer,
					     struct snoop_hop *hop,
					     u32 bucket)
{
	struct nf_conn *ct = answer->flow->ct;
	struct snoop_net *sn = snoop_net(net);
	struct snoop_entry *entry;
	int stat = SNOOP_STAT_miss;

	/*
	 * RCU holds the flow, and the flow its conntrack entry; in older kernels
	 * only until it is deleted, which comes after its teardown.
	 */
	if (!refcount_inc_not_zero(&ct->ct_general.use))
		goto err_hop;
	smp_rmb(); /* whose life that is, before the mark */
	if (test_bit(NF_FLOW_TEARDOWN, &answer->flow->flags))
		goto err_ct;

	stat = SNOOP_STAT_full;
	if (atomic_inc_return(&snoop_entries) > snoop_max_entries)
		goto err_count;
	if (atomic_inc_return(&sn->used) > READ_ONCE(sn->limit))
		goto err_used;
	entry = snoop_entry_alloc(bucket);
	if (!entry)
		goto err_used;

	entry->hop = hop;
	entry->ct = ct;
	entry->witness = snoop_witness(answer);
	entry->hw = nf_flowtable_hw_offload(answer->flowtable);
	snoop_match_fill(entry, key);
	snoop_value_fill(&entry->value, key, answer, &hop->frame);
	entry->counter = snoop_ct_counter(answer);
	if (entry->counter)
		entry->value.flags |= NF_FLOWMAP_F_COUNTER;

	return entry;

err_used:
	atomic_dec(&sn->used);
err_count:
	atomic_dec(&snoop_entries);
err_ct:
	nf_ct_put(ct);
err_hop:
	snoop_hop_put(hop);
	snoop_count_stat(net, stat);
	return NULL;
}

/* Did the kernel answer what @entry says already? */
static bool snoop_entry_agrees(const struct snoop_entry *entry,
			       const struct snoop_answer *answer,
			       const struct snoop_hop *hop)
{
	return entry->ct == answer->flow->ct && entry->hop == hop &&
	       entry->witness == snoop_witness(answer) &&
	       entry->value.mtu == min(answer->tuple->mtu, hop->frame.room) &&
	       entry->counter == snoop_ct_counter(answer);
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
	u32 timeout = READ_ONCE(entry->witness->timeout);

	if (forward)
		flow_offload_refresh(answer->flowtable, answer->flow, false);
	WRITE_ONCE(entry->expires, READ_ONCE(answer->flow->timeout));

	smp_rmb(); /* timeout before flags */
	if (test_bit(NF_FLOW_TEARDOWN, &answer->flow->flags))
		return false;

	WRITE_ONCE(entry->ct_timeout, timeout);

	return true;
}

/*
 * Would the flowtable's hook forward the packet?  Where something runs before that,
 * the packet has to get there first, and then the hook does what follows from it.
 */
static bool snoop_is_forwarded(const struct nf_flowmap_key *key, u32 door,
			       const struct snoop_port *port,
			       const struct snoop_answer *answer)
{
	return key->len - 1 < answer->tuple->mtu &&
	       !(READ_ONCE(port->block) & door & ~NF_SNOOP_UPPERS);
}

/* Make the table say what the kernel answered; @old is what it says, or NULL. */
static struct snoop_entry *snoop_entry_update(struct net *net,
					      const struct nf_flowmap_key *key,
					      u32 door, struct snoop_entry *old,
					      const struct snoop_answer *answer,
					      struct snoop_port *port, u32 now)
{
	bool forward = snoop_is_forwarded(key, door, port, answer);
	u32 bucket = snoop_bucket(net, key);
	struct snoop_entry *entry;
	struct snoop_hop *hop;
	int stat;

	stat = SNOOP_STAT_full;
	if (old || !snoop_is_full(net))
		stat = snoop_route(port, answer, now, &hop);
	if (stat < 0)
		return NULL;
	if (stat) {
		snoop_count_stat(net, stat);
		goto none;
	}

	if (old && snoop_entry_agrees(old, answer, hop) &&
	    snoop_entry_confirm(old, answer, forward)) {
		snoop_hop_put(hop);
		return old;
	}

	entry = snoop_entry_build(net, key, answer, hop, bucket);
	if (!entry)
		goto none;

	if (!snoop_entry_confirm(entry, answer, forward)) {
		atomic_dec(&snoop_net(net)->used);
		snoop_entry_free(entry);
		goto none;
	}

	snoop_entry_insert(entry, key, bucket);
	/* Whoever tore the flow down since found no entry to remove. */
	smp_mb(); /* the entry before the mark; a teardown writes, then looks */
	if (!test_bit(NF_FLOW_TEARDOWN, &answer->flow->flags))
		return entry;
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
struct snoop_port *snoop_ask_port(struct net *net,
				  const struct nf_flowmap_key *key,
				  struct snoop_entry *entry, u32 now,
				  struct snoop_answer *answer)
{
	/* where the packet likely climbs to */
	u32 climb = entry ? entry->hop->id.port->climb : 0;
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
			       const struct nf_flowmap_key *packet, u32 door,
			       struct snoop_entry *entry, u32 now)
{
	struct nf_flowmap_key key = *packet;
	struct snoop_port *port = NULL;
	struct snoop_answer answer;

	if (snoop_key_is_valid(&key)) {
		key.flags = 0;
		/* Another may have taken the place of the one that was found. */
		if (entry &&
		    !snoop_entry_matches(entry, net, &key, key.l3proto))
			entry = snoop_entry_find(net, &key,
						 snoop_bucket(net, &key));
		port = snoop_ask_port(net, &key, entry, now, &answer);
	}
	if (!port) {
		snoop_count_stat(net, SNOOP_STAT_miss);
		return NULL;
	}

	entry = snoop_entry_update(net, &key, door, entry, &answer, port, now);
	snoop_port_put(port);

	return entry;
}
