// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to entries with time: flows whose packets XDP forwards are kept
 * alive in their flowtable, and entries of flows that have ended go.
 *
 * The kernel's own path writes a flow's timeout when it has more than a second to
 * add.  An entry only notes its last packet; the flowtable hears of it before the
 * flow would end, since nobody reads the timeout sooner, but for hardware.  A
 * packet so need not look for its flow, unless its end is too near for a sweep.
 */
#include <linux/workqueue.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_l4proto.h>

#include "nf_flow_table_snoop_internal.h"

/*
 * The flowtable hears of the packets of a flow when no more is left of the flow's
 * life, in jiffies: several sweeps before its end.
 */
#define SNOOP_EXTEND_BEFORE	(10 * HZ)

/* How long a flow lives without a packet; see flow_offload_get_timeout(). */
u32 snoop_ct_lifetime(const struct nf_conn *ct)
{
	struct net *net = nf_ct_net(ct);

	if (nf_ct_protonum(ct) == IPPROTO_TCP)
		return READ_ONCE(nf_tcp_pernet(net)->offload_timeout);

	return READ_ONCE(nf_udp_pernet(net)->offload_timeout);
}

static void snoop_sweep_slot(struct snoop_entry *entry,
			     bool (*is_garbage)(struct snoop_entry *entry))
{
	struct nf_flowmap_key key;

	/* pairs with the release in snoop_entry_insert() */
	if (smp_load_acquire(&entry->in_table) && is_garbage(entry) &&
	    snoop_entry_key(entry, &key))
		snoop_entry_remove(entry, snoop_bucket(snoop_entry_net(entry),
						       &key));
}

/* Those of @taken, which are bits, from slot @first on. */
static void snoop_sweep_slots(unsigned long first, unsigned long taken,
			      bool (*is_garbage)(struct snoop_entry *entry))
{
	unsigned long i;

	local_bh_disable();
	rcu_read_lock();
	for_each_set_bit(i, &taken, BITS_PER_LONG)
		snoop_sweep_slot(&snoop_slot(first + i)->entry, is_garbage);
	rcu_read_unlock();
	local_bh_enable();
	cond_resched();
}

/*
 * Take down what @is_garbage says.  An entry that is replaced meanwhile can stand
 * where the sweep has been.
 *
 * Context: process.
 */
void snoop_sweep(bool (*is_garbage)(struct snoop_entry *entry))
{
	unsigned long i, taken;

	for (i = 0; i < BITS_TO_LONGS(snoop_table_size()); i++) {
		taken = READ_ONCE(snoop_table.taken[i]);
		if (taken)
			snoop_sweep_slots(i * BITS_PER_LONG, taken, is_garbage);
	}
}

/* A flow's timeout that is further away is from before its sysctl was lowered. */
static bool snoop_is_too_far(u32 timeout, u32 lifetime)
{
	return (s32)(timeout - (u32)jiffies - lifetime) > HZ;
}

/*
 * Tell the flowtable of the last packet of @entry, which is of @answer's flow, as
 * flow_offload_refresh() would have when it came.  A later packet's timeout stays.
 *
 * Context: BH disabled, RCU read lock.
 */
void snoop_entry_tell(struct snoop_entry *entry,
		      const struct snoop_answer *answer)
{
	u32 used = READ_ONCE(entry->used), old, end;
	u32 lifetime = snoop_ct_lifetime(entry->ct);

	if (used == READ_ONCE(entry->told))
		return;
	/* which also asks hardware again that refused the flow */
	if (entry->hw && (u32)jiffies - used <= HZ)
		flow_offload_refresh(answer->flowtable, answer->flow, false);

	end = used + lifetime;
	old = READ_ONCE(answer->flow->timeout);
	while (((s32)(end - old) > 0 || snoop_is_too_far(old, lifetime)) &&
	       !try_cmpxchg(&answer->flow->timeout, &old, end))
		;

	WRITE_ONCE(entry->told, used);
	WRITE_ONCE(entry->expires, READ_ONCE(answer->flow->timeout));
}

/*
 * The same, when the flow has to be asked for.
 * Return: whether the flowtable still has it.
 */
static bool snoop_entry_extend(struct snoop_entry *entry)
{
	struct snoop_answer answer;
	struct nf_flowmap_key key;

	if (!snoop_entry_key(entry, &key) ||
	    !snoop_ask(snoop_entry_net(entry), &key, &answer) ||
	    answer.flow->ct != entry->ct)
		return false;

	snoop_entry_tell(entry, &answer);
	return true;
}

/* Does the flowtable have to hear soon of a packet that XDP forwarded? */
static bool snoop_entry_is_due(const struct snoop_entry *entry)
{
	u32 used = READ_ONCE(entry->used), told = READ_ONCE(entry->told);
	u32 expires = READ_ONCE(entry->expires);

	if (used == told)
		return false;

	return (s32)(expires - (u32)jiffies) < SNOOP_EXTEND_BEFORE ||
	       (entry->hw && used - told > HZ) ||
	       snoop_is_too_far(expires, snoop_ct_lifetime(entry->ct));
}

static bool snoop_entry_is_over(struct snoop_entry *entry)
{
	return !snoop_ct_is_offloaded(entry->ct) ||
	       (snoop_entry_is_due(entry) && !snoop_entry_extend(entry));
}

/* For a sweep: the entry goes, the flow stays.  Return: true. */
bool snoop_entry_goes(struct snoop_entry *entry)
{
	snoop_entry_extend(entry);

	return true;
}

static void snoop_gc(struct work_struct *work);
static DECLARE_DELAYED_WORK(snoop_gc_work, snoop_gc);

/*
 * Flows in use are kept alive, and those that have ended give up memory and what
 * entries hold: no lookup uses these.  As often as the flowtable's own.
 */
static void snoop_gc(struct work_struct *work)
{
	if (atomic_read(&snoop_entries))
		snoop_sweep(snoop_entry_is_over);
	queue_delayed_work(system_power_efficient_wq, &snoop_gc_work, HZ);
}

void snoop_age_init(void)
{
	queue_delayed_work(system_power_efficient_wq, &snoop_gc_work, HZ);
}

/* Nobody looks up any more.  The flows live on. */
void snoop_age_exit(void)
{
	cancel_delayed_work_sync(&snoop_gc_work);
	snoop_sweep(snoop_entry_goes);
}
