// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times what the tables of flows do, at their own API: the kernel's flowtable,
 * the shadow of it, and a BPF hash map with keys and values of the same size.
 * Fills the flowtable of a device with flows first, and ends them all.
 *
 * Each figure is a line of the kernel's log: "flowmap_bench: OP.PATH NS", the
 * mean of all flows.  With keep, when the module goes, "stall": the microseconds
 * that somebody waited for a processor.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bpf.h>
#include <linux/delay.h>
#include <linux/if_vlan.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/unistd.h>
#include <linux/vmalloc.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_zones.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/route.h>

#include "nf_flow_table_snoop.h"
#include "nf_flowmap_compat.h"

/*
 * Stock kernels have no maps of flows: there only keep is of use.  Of the hooks
 * where this is loaded, all are flowtables.
 */
#ifndef CONFIG_NF_FLOW_TABLE_SNOOP
static struct nf_flowtable *
nf_flowtable_of_hook(const struct nf_hook_entries *hooks, int i)
{
	return hooks->hooks[i].priv;
}

#define nf_flow_snoop_delete(net, key)	-EOPNOTSUPP
#define nf_flow_snoop_limit(net, limit)	((void)(limit))
#endif

static char *lan = "lan", *wan = "wan";
module_param(lan, charp, 0);
MODULE_PARM_DESC(lan, "device of a flowtable, where the original direction comes in");
module_param(wan, charp, 0);
MODULE_PARM_DESC(wan, "device of the same, where the reply comes in");

static unsigned int flows = 1024;
module_param(flows, uint, 0);
MODULE_PARM_DESC(flows, "how many, a power of two");

static bool in_order;
module_param(in_order, bool, 0);
MODULE_PARM_DESC(in_order, "one flow after the other, not in random order");

static bool keep;
module_param(keep, bool, 0);
MODULE_PARM_DESC(keep, "leave the flows, and watch how long anybody waits for a processor until the module goes");

static bool bare;
module_param(bare, bool, 0);
MODULE_PARM_DESC(bare, "with keep: no packet of them comes");

static int map_fd = -1;
module_param(map_fd, int, 0);
MODULE_PARM_DESC(map_fd, "a BPF hash map with keys and values like flowmap's");

/* Between two of them the machine may do something else. */
#define BATCH		1024
/* Few flows are looked up more than once, many not all of them. */
#define LOOKUPS		(1 << 20)
#define REPEATS		3
/* Few flows come more than once, where they can: the first time no cache has them. */
#define INSERTS		(1 << 18)

/* The flow's connection is 172.16.0.0/12 > 10.1.2.3:443, as 198.18.0.0/15. */
#define LAN_ADDR	0xac100000
#define WAN_ADDR	0x0a010203
#define NAT_ADDR	0xc6120000
#define WAN_PORT	443
#define FRAME_LEN	46

static struct net *net;
static struct nf_flowtable *flowtable;
static struct flow_offload **flow;
static struct dst_entry *lan_dst, *wan_dst;
static int lan_index, wan_index;
static struct bpf_map *map;
static u32 sink;

static __be32 flow_addr(u32 i)
{
	return htonl(LAN_ADDR + (i & 0xfffff));
}

static __be16 flow_port(u32 i)
{
	return htons(1024 + (i >> 20));
}

static __be32 nat_addr(u32 i)
{
	return htonl(NAT_ADDR + (i >> 15));
}

static __be16 nat_port(u32 i)
{
	return htons(1024 + (i & 0x7fff));
}

/* Two words in one piece, @first before @second in memory: little endian. */
static u64 pair(u32 first, u32 second)
{
	return (u64)second << 32 | first;
}

/*
 * In the pieces that flowmap's XDP program writes, since a processor waits where
 * it reads at once what it wrote in several.
 */
static void write_key(struct nf_flowmap_key *key, int ifindex, __be16 sport,
		      __be16 dport, __be32 saddr, __be32 daddr)
{
	u64 *words = (u64 *)key;

	words[0] = pair(ifindex, AF_INET | IPPROTO_UDP << 8);
	words[1] = 0;
	words[2] = pair((__force u32)sport | (__force u32)dport << 16,
			FRAME_LEN);
	words[3] = pair((__force u32)saddr, (__force u32)daddr);
	words[4] = 0;
	words[5] = 0;
	words[6] = 0;
}

static void flow_key(u32 i, struct nf_flowmap_key *key)
{
	write_key(key, lan_index, flow_port(i), htons(WAN_PORT), flow_addr(i),
		  htonl(WAN_ADDR));
}

static void reply_key(u32 i, struct nf_flowmap_key *key)
{
	write_key(key, wan_index, htons(WAN_PORT), nat_port(i), htonl(WAN_ADDR),
		  nat_addr(i));
}

/* --- what is timed; RCU read lock, BH disabled --------------------------- */

static void flowtable_insert(u32 i)
{
	WARN_ON_ONCE(flow_offload_add(flowtable, flow[i]));
}

/* With what NAT reads; the tuple is written as the flowtable's hook writes it. */
static void flowtable_lookup(u32 i)
{
	struct flow_offload_tuple tuple = {
		.src_v4.s_addr = flow_addr(i),
		.dst_v4.s_addr = htonl(WAN_ADDR),
		.src_port = flow_port(i),
		.dst_port = htons(WAN_PORT),
		.iifidx = lan_index,
		.l3proto = AF_INET,
		.l4proto = IPPROTO_UDP,
	};
	const struct flow_offload_tuple *other;
	struct flow_offload_tuple_rhash *found;
	const struct flow_offload *of;

	found = flow_offload_lookup(flowtable, &tuple);
	if (WARN_ON_ONCE(!found))
		return;

	of = container_of(found, struct flow_offload,
			  tuplehash[found->tuple.dir]);
	other = &of->tuplehash[!found->tuple.dir].tuple;
	sink += of->flags + found->tuple.mtu +
		(__force u32)other->src_v4.s_addr +
		(__force u32)other->dst_v4.s_addr +
		(__force u16)other->src_port + (__force u16)other->dst_port;
}

static void flowtable_delete(u32 i)
{
	flow_offload_teardown(flow[i]);
}

static void value_read(const struct nf_flowmap_value *value)
{
	sink += value->flags + value->mtu + value->eth[0] + value->l4_delta +
		(__force u32)value->addrs.ip4.saddr +
		(__force u32)value->addrs.ip4.daddr +
		(__force u16)value->sport + (__force u16)value->dport;
}

static void snoop_lookup(u32 i)
{
	const struct nf_flowmap_value *value;
	struct nf_flowmap_key key;

	flow_key(i, &key);
	value = nf_flow_snoop_lookup(net, &key, NF_SNOOP_DOOR_XDP);
	if (!WARN_ON_ONCE(!value))
		value_read(value);
}

static void snoop_lookup_reply(u32 i)
{
	struct nf_flowmap_key key;

	reply_key(i, &key);
	WARN_ON_ONCE(!nf_flow_snoop_lookup(net, &key, NF_SNOOP_DOOR_XDP));
}

static void snoop_delete(u32 i)
{
	struct nf_flowmap_key key;

	flow_key(i, &key);
	WARN_ON_ONCE(nf_flow_snoop_delete(net, &key));
}

static void hash_write(u32 i, struct nf_flowmap_key *key)
{
	struct nf_flowmap_value value = { .ifindex = i };

	WARN_ON_ONCE(map->ops->map_update_elem(map, key, &value, BPF_ANY));
}

static void hash_insert(u32 i)
{
	struct nf_flowmap_key key;

	flow_key(i, &key);
	hash_write(i, &key);
}

static void hash_insert_reply(u32 i)
{
	struct nf_flowmap_key key;

	reply_key(i, &key);
	hash_write(i, &key);
}

static void hash_lookup(u32 i)
{
	const struct nf_flowmap_value *value;
	struct nf_flowmap_key key;

	flow_key(i, &key);
	value = map->ops->map_lookup_elem(map, &key);
	if (!WARN_ON_ONCE(!value))
		value_read(value);
}

static void hash_delete(u32 i)
{
	struct nf_flowmap_key key;

	flow_key(i, &key);
	WARN_ON_ONCE(map->ops->map_delete_elem(map, &key));
}

/* --- timing -------------------------------------------------------------- */

/*
 * What was inserted one after the other likely stands so in memory.  Where flows
 * come in random order, what follows the inserts takes them in another.
 */
#define INSERTS_FACTOR	22695477
#define OTHERS_FACTOR	1664525

static u32 factor = OTHERS_FACTOR;

/* Takes turns among all flows before one has its second. */
static u32 next_flow(u32 i)
{
	return (in_order ? i + 1 : i * factor + 1013904223) & (flows - 1);
}

#ifdef CONFIG_UML
/*
 * What this processor has worked, as the host counts it for a thread: that it
 * lets others run meanwhile does not matter.  This kernel is a program there,
 * and may ask.
 */
static u64 bench_clock(void)
{
	struct { u64 s, ns; } time = {};
	long ret;

	asm volatile("syscall" : "=a" (ret)
		     : "0" (__NR_clock_gettime), "D" (CLOCK_THREAD_CPUTIME_ID),
		       "S" (&time) : "rcx", "r11", "memory");
	WARN_ON_ONCE(ret);

	return time.s * NSEC_PER_SEC + time.ns;
}
#else
static u64 bench_clock(void)
{
	return ktime_get_ns();
}
#endif

/* Return: nanoseconds that @count of @op took, from flow @at on. */
static u64 time_batch(void (*op)(u32 i), u32 *at, unsigned int count)
{
	u64 start, end;

	local_bh_disable();
	rcu_read_lock();
	start = bench_clock();
	while (count--) {
		op(*at);
		*at = next_flow(*at);
	}
	end = bench_clock();
	rcu_read_unlock();
	local_bh_enable();
	cond_resched();

	return end - start;
}

static u64 time_flows(void (*op)(u32 i), u32 *at, unsigned int count)
{
	unsigned int left, batch;
	u64 ns = 0;

	for (left = count; left; left -= batch) {
		batch = min(left, BATCH);
		ns += time_batch(op, at, batch);
	}

	return ns;
}

static void report(const char *name, u64 ns, unsigned int count)
{
	u64 tenths = DIV_ROUND_CLOSEST_ULL(10 * ns, count);

	pr_info("%s %llu.%llu\n", name, tenths / 10, tenths % 10);
}

/* Return: the flow after the last. */
static u32 measure(const char *name, void (*op)(u32 i), u32 at,
		   unsigned int count)
{
	report(name, time_flows(op, &at, count), count);

	return at;
}

static void measure_all(const char *name, void (*op)(u32 i))
{
	measure(name, op, 0, flows);
}

static u64 time_inserts(void (*op)(u32 i))
{
	u32 at = 0;
	u64 ns;

	factor = INSERTS_FACTOR;
	ns = time_flows(op, &at, flows);
	factor = OTHERS_FACTOR;

	return ns;
}

static void measure_inserts(const char *name, void (*op)(u32 i))
{
	report(name, time_inserts(op), flows);
}

/* With @undo, which makes all flows new again, in between. */
static void measure_turns(const char *name, void (*op)(u32 i),
			  void (*undo)(void))
{
	const unsigned int turns = max(INSERTS / flows, 1U);
	unsigned int i;
	u64 ns = 0;

	for (i = 0; i < REPEATS * turns; i++) {
		if (i)
			undo();
		ns += time_inserts(op);
		if (i % turns == turns - 1) {
			report(name, ns, turns * flows);
			ns = 0;
		}
	}
}

static void measure_lookups(const char *name, void (*op)(u32 i))
{
	u32 at = 0;
	int i;

	for (i = 0; i < REPEATS; i++)
		at = measure(name, op, at, LOOKUPS);
}

/* A flow that was pushed takes its entries along when it is torn down. */
static void measure_push(void)
{
	measure_inserts("insert.push", flowtable_insert);
	measure_lookups("lookup.push", snoop_lookup);
	measure_all("delete.push", flowtable_delete);
}

static void forget_entries(void)
{
	nf_flow_snoop_limit(net, 0);
	nf_flow_snoop_limit(net, U32_MAX);
	rcu_barrier();
}

static void hash_clear(void)
{
	u32 at = 0;

	time_flows(hash_delete, &at, flows);
}

/* The first packet brings the entry.  Lookups find a table with both directions. */
static void measure_pull(void)
{
	u32 at = 0;

	measure_inserts("insert.flowtable", flowtable_insert);
	measure_lookups("lookup.flowtable", flowtable_lookup);
	measure_turns("insert.pull", snoop_lookup, forget_entries);
	time_inserts(snoop_lookup_reply);
	measure_lookups("lookup.pull", snoop_lookup);
	/* The first of a few flows say what it costs to come here. */
	time_flows(flowtable_delete, &at, flows / 4);
	at = measure("delete.flowtable", flowtable_delete, at, flows / 4);
	measure("delete.pull", snoop_delete, at, flows / 2);
}

static void measure_hash(void)
{
	measure_turns("insert.hash", hash_insert, hash_clear);
	time_inserts(hash_insert_reply);
	measure_lookups("lookup.hash", hash_lookup);
	measure_all("delete.hash", hash_delete);
}

/* --- many flows, and who waits for their end ----------------------------- */

static DEFINE_PER_CPU(struct task_struct *, watcher);
static DEFINE_PER_CPU(s64, longest_wait);

/* Wakes up every millisecond, before all others. */
static int watch(void *data)
{
	s64 *longest = data;

	sched_set_fifo(current);
	while (!kthread_should_stop()) {
		ktime_t until = ktime_add_ms(ktime_get(), 1);

		set_current_state(TASK_INTERRUPTIBLE);
		schedule_hrtimeout(&until, HRTIMER_MODE_ABS);
		*longest = max(*longest,
			       ktime_to_ns(ktime_sub(ktime_get(), until)));
	}

	return 0;
}

static void stop_watching(void)
{
	s64 longest = 0;
	int cpu;

	for_each_online_cpu(cpu) {
		if (IS_ERR_OR_NULL(per_cpu(watcher, cpu)))
			continue;
		kthread_stop(per_cpu(watcher, cpu));
		longest = max(longest, per_cpu(longest_wait, cpu));
	}
	pr_info("stall %lld\n", div_s64(longest, NSEC_PER_USEC));
}

static void start_watching(void)
{
	int cpu;

	for_each_online_cpu(cpu)
		per_cpu(watcher, cpu) =
			kthread_run_on_cpu(watch, per_cpu_ptr(&longest_wait, cpu),
					   cpu, KBUILD_MODNAME "/%u");
}

static void keep_flows(void)
{
	measure_all("insert", flowtable_insert);
	/* The flowtable's hash table grows behind our back, which is not their end. */
	msleep(2 * MSEC_PER_SEC);
	if (!compat_is_snooped(flowtable) && !bare) {
		measure_all("original", snoop_lookup);
		measure_all("reply", snoop_lookup_reply);
	}
	start_watching();
}

/* --- the flows ----------------------------------------------------------- */

static struct nf_conn *make_ct(u32 i)
{
	const struct nf_conntrack_tuple orig = {
		.src = { .u3.ip = flow_addr(i), .u.udp.port = flow_port(i),
			 .l3num = AF_INET },
		.dst = { .u3.ip = htonl(WAN_ADDR), .u.udp.port = htons(WAN_PORT),
			 .protonum = IPPROTO_UDP },
	};
	const struct nf_conntrack_tuple reply = {
		.src = { .u3.ip = htonl(WAN_ADDR), .u.udp.port = htons(WAN_PORT),
			 .l3num = AF_INET },
		.dst = { .u3.ip = nat_addr(i), .u.udp.port = nat_port(i),
			 .protonum = IPPROTO_UDP, .dir = IP_CT_DIR_REPLY },
	};
	struct nf_conn *ct;

	ct = nf_conntrack_alloc(net, &nf_ct_zone_dflt, &orig, &reply,
				GFP_KERNEL);
	if (IS_ERR(ct))
		return NULL;

	ct->status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_SRC_NAT | IPS_OFFLOAD;
	refcount_set(&ct->ct_general.use, 1);

	return ct;
}

static struct flow_offload *make_flow(u32 i)
{
	struct nf_flow_route route = {};
	struct flow_offload *made;
	struct nf_conn *ct;

	ct = make_ct(i);
	if (!ct)
		return NULL;

	made = flow_offload_alloc(ct);
	nf_ct_put(ct);
	if (!made)
		return NULL;

	route.tuple[0].in.ifindex = lan_index;
	route.tuple[0].xmit_type = FLOW_OFFLOAD_XMIT_NEIGH;
	route.tuple[0].dst = dst_clone(wan_dst);
	route.tuple[1].in.ifindex = wan_index;
	route.tuple[1].xmit_type = FLOW_OFFLOAD_XMIT_NEIGH;
	route.tuple[1].dst = dst_clone(lan_dst);
	flow_offload_route_init(made, &route);

	return made;
}

static int make_flows(void)
{
	u32 i;

	flow = kvmalloc_array(flows, sizeof(*flow), GFP_KERNEL | __GFP_ZERO);
	if (!flow)
		return -ENOMEM;

	for (i = 0; i < flows; i++) {
		flow[i] = make_flow(i);
		if (!flow[i])
			goto err;
		if (!(i % BATCH))
			cond_resched();
	}

	return 0;
err:
	while (i--)
		flow_offload_free(flow[i]);
	kvfree(flow);
	return -ENOMEM;
}

/* Whoever loads this keeps devices and flowtable meanwhile. */
static int find_flowtable(void)
{
	const struct nf_hook_entries *hooks;
	struct net_device *dev;
	int i, err = -ENODEV;

	rcu_read_lock();
	dev = dev_get_by_name_rcu(net, wan);
	if (!dev)
		goto out;
	wan_index = dev->ifindex;

	dev = dev_get_by_name_rcu(net, lan);
	if (!dev)
		goto out;
	lan_index = dev->ifindex;

	hooks = rcu_dereference(dev->nf_hooks_ingress);
	for (i = 0; hooks && i < hooks->num_hook_entries && !flowtable; i++)
		flowtable = nf_flowtable_of_hook(hooks, i);
	if (flowtable)
		err = 0;
out:
	rcu_read_unlock();
	return err;
}

static struct dst_entry *find_route(u32 addr)
{
	struct flowi4 fl4 = { .daddr = htonl(addr) };
	struct rtable *rt = ip_route_output_key(net, &fl4);

	return IS_ERR(rt) ? NULL : &rt->dst;
}

static int __init bench_init(void)
{
	int err = -EINVAL;

	if (!is_power_of_2(flows) || flows > 1 << 22)
		return err;
	if (!keep && !IS_ENABLED(CONFIG_NF_FLOW_TABLE_SNOOP))
		return -EOPNOTSUPP;

	net = current->nsproxy->net_ns;
	err = find_flowtable();
	if (err)
		return err;

	err = -ENETUNREACH;
	lan_dst = find_route(LAN_ADDR);
	wan_dst = find_route(WAN_ADDR);
	if (!lan_dst || !wan_dst)
		goto out;

	err = make_flows();
	if (err)
		goto out;

	if (keep)
		keep_flows();
	else if (compat_is_snooped(flowtable))
		measure_push();
	else
		measure_pull();
	kvfree(flow);

	if (map_fd >= 0) {
		map = bpf_map_get(map_fd);
		err = PTR_ERR_OR_ZERO(map);
		if (err)
			goto out;
		measure_hash();
		bpf_map_put(map);
	}
out:
	dst_release(lan_dst);
	dst_release(wan_dst);
	return err;
}

/* The flowtable frees the flows. */
static void __exit bench_exit(void)
{
	if (keep)
		stop_watching();
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Times lookups, inserts and deletes of flows");
MODULE_IMPORT_NS(BPF_INTERNAL);
