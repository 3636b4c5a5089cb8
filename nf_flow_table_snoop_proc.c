// SPDX-License-Identifier: GPL-2.0-only
/* /proc/net/nf_flowmap: the entries; /proc/net/stat/nf_flowmap: the counters. */
#include <linux/in.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate_wait.h>
#include <linux/seq_file.h>
#include <linux/seq_file_net.h>

#include "nf_flow_table_snoop_internal.h"

static const char * const snoop_stat_names[] = {
#define SNOOP_STAT_NAME(name) #name,
	SNOOP_STATS(SNOOP_STAT_NAME)
#undef SNOOP_STAT_NAME
	/* in the order of enum nf_snoop_block */
	"gone", "netdev_chain", "tc_ingress", "rx_vlan_offload",
	"peer_tx_checksum", "link_down", "neigh_down", "egress_chain",
	"tc_egress", "qdisc", "no_xdp_xmit", "no_xdp_frags",
	"upper_device", "ppp",
};

static_assert(ARRAY_SIZE(snoop_stat_names) == SNOOP_STAT_MAX);
static_assert(NF_SNOOP_OUT_PPP == BIT(SNOOP_STAT_MAX - SNOOP_STAT_BLOCK - 1));

static void *snoop_seq_start(struct seq_file *seq, loff_t *pos)
	__acquires(RCU)
{
	const struct snoop_net *sn = snoop_net(seq_file_net(seq));

	rcu_read_lock();

	return *pos < snoop_table_size() && atomic_read(&sn->used) ? pos : NULL;
}

static void *snoop_seq_next(struct seq_file *seq, void *v, loff_t *pos)
{
	do {
		*pos = snoop_next_bucket(*pos);
		/* A place is a number, which stays. */
		if (!(*pos & 4095))
			cond_resched_rcu();
	} while (*pos < snoop_table_size() &&
		 snoop_bucket_is_empty(*pos));

	return *pos < snoop_table_size() ? pos : NULL;
}

static void snoop_seq_stop(struct seq_file *seq, void *v)
	__releases(RCU)
{
	rcu_read_unlock();
}

static void snoop_seq_entry(struct seq_file *seq,
			    const struct snoop_entry *entry)
{
	const struct nf_flowmap_value *value = &entry->value;
	unsigned long block = READ_ONCE(entry->hop->block) & NF_SNOOP_DOOR_XDP;
	struct nf_flowmap_key key;
	unsigned int i;

	if (!snoop_entry_key(entry, &key))
		return;

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
		seq_printf(seq, " src=%pI6c dst=%pI6c", key.addrs.ip6.saddr,
			   key.addrs.ip6.daddr);
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

	snoop_for_each(entry, *pos)
		if (snoop_entry_is_of(entry, net))
			snoop_seq_entry(seq, entry);

	return 0;
}

static const struct seq_operations snoop_seq_ops = {
	.start	= snoop_seq_start,
	.next	= snoop_seq_next,
	.stop	= snoop_seq_stop,
	.show	= snoop_seq_show,
};

static u64 snoop_sum_stat(const struct net *net, unsigned int stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(snoop_net(net)->stats,
					     cpu)->count[stat]);

	return sum;
}

static int snoop_stat_show(struct seq_file *seq, void *v)
{
	const struct net *net = seq_file_single_net(seq);
	const struct snoop_net *sn = snoop_net(net);
	unsigned int i;

	seq_printf(seq, "entries %u\nmax_entries %u\n",
		   atomic_read(&sn->used), min(sn->limit, snoop_max_entries));
	for (i = 0; i < SNOOP_STAT_MAX; i++)
		seq_printf(seq, "%s %llu\n", snoop_stat_names[i],
			   snoop_sum_stat(net, i));

	return 0;
}

int snoop_proc_init(struct net *net)
{
	if (!proc_create_net("nf_flowmap", 0440, net->proc_net, &snoop_seq_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;

	if (!proc_create_net_single("nf_flowmap", 0444, net->proc_net_stat,
				    snoop_stat_show, NULL)) {
		remove_proc_entry("nf_flowmap", net->proc_net);
		return -ENOMEM;
	}

	return 0;
}

void snoop_proc_exit(struct net *net)
{
	remove_proc_entry("nf_flowmap", net->proc_net_stat);
	remove_proc_entry("nf_flowmap", net->proc_net);
}
