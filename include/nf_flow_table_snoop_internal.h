/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the snoop module; see nf_flow_table_snoop.c. */
#ifndef _NF_FLOW_TABLE_SNOOP_INTERNAL_H
#define _NF_FLOW_TABLE_SNOOP_INTERNAL_H

#include <linux/if_ether.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_flow_table.h>
#include <net/netns/generic.h>
#include <net/netns/hash.h>

#include "nf_flow_table_snoop.h"
#include "nf_flowmap_compat.h"

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
	SNOOP_STAT_MAX = SNOOP_STAT_BLOCK + 14
};

struct snoop_stats {
	u64	count[SNOOP_STAT_MAX];
};

struct snoop_net {
	struct snoop_stats __percpu	*stats;
	atomic_t			used;	/* entries in the table */
	u32				limit;	/* on them */
	struct xarray			allowed;	/* devices, by ifindex */
	bool				ending;
};

extern unsigned int snoop_net_id;

static inline struct snoop_net *snoop_net(const struct net *net)
{
	return net_generic(net, snoop_net_id);
}

static inline void snoop_count_stat(const struct net *net, unsigned int stat)
{
	this_cpu_inc(snoop_net(net)->stats->count[stat]);
}

/* Upper devices that a packet can pass on its way out; path discovery knows no more. */
#define SNOOP_UPPER_MAX	4

/*
 * One of them, and the bytes before IP that it counts.  Nothing holds it: it was
 * running when it was entered, and is taken out before it is freed; see
 * snoop_dev_event().
 */
struct snoop_upper {
	struct net_device	*dev;
	u32			header;
};

/* Upper devices that count packets, up to the first NULL. */
struct snoop_passage {
	struct snoop_upper	upper[SNOOP_UPPER_MAX + 1];
};

/*
 * Receiving devices: which flowtables are bound to them, and what runs before
 * those.  When the former change, the port is NF_SNOOP_GONE, and stays so.
 * Packets that come in at @ifindex with the tags of @encap climb to as many upper
 * devices as @climb says; where that is 0, @encap does not matter and is zero.
 */
struct snoop_port {
	struct hlist_node	node;
	struct net		*net;
	u32			ifindex;
	u32			climb;
	struct nf_flowmap_encap	encap[NF_FLOWMAP_ENCAP_MAX];
	refcount_t		refs;
	spinlock_t		lock;		/* one checker at a time */
	u32			checked;	/* jiffies, stored last */
	u32			block;		/* enum nf_snoop_block */
	u64			signature;
	struct snoop_passage	passage;
	struct rcu_head		rcu;
};

/* What the frames of a way out look like. */
struct snoop_frame {
	u32			ifindex;	/* the device that sends them */
	u16			room;		/* longest packet that it takes */
	u8			l2_len;
	u8			l2_flags;	/* NF_FLOWMAP_F_PPPOE */
	u8			l2[ETH_HLEN + NF_FLOWMAP_L2_ENCAP_MAX];
	u8			zero[2];	/* compared as memory */
};

static_assert(sizeof(struct snoop_frame) == 40);

/* Of this jiffy?  Another CPU can be one ahead of the one that asks at @now. */
static inline bool snoop_scan_is_new(u32 checked, u32 now)
{
	return checked - now <= 1;
}

/* Good enough while another CPU scans? */
static inline bool snoop_scan_is_recent(u32 checked, u32 now)
{
	return snoop_scan_is_new(checked, now - 1);
}

/* What tells one hop from another; compared as memory. */
struct snoop_hop_id {
	struct snoop_port	*port;		/* where its packets come from */
	struct dst_entry	*dst;		/* NULL: transmit directly */
	u32			cookie;
	u32			ifindex;	/* the device that gets the packet */
	__be32			nexthop[4];
	u8			h_dest[ETH_ALEN];	/* transmitted directly */
	u8			h_source[ETH_ALEN];
	__be16			proto;
	u8			zero[2];
};

static_assert(sizeof(struct snoop_hop_id) == 56);

/* What a hop's id leads to now. */
struct snoop_way {
	struct snoop_hop_id	id;
	struct snoop_frame	frame;
	struct snoop_upper	upper[SNOOP_UPPER_MAX];
	u32			uppers;
	u32			block;		/* enum nf_snoop_block */
};

/*
 * A way through: from a port to a device that sends.  Holds @id.port and @id.dst.
 * When @id leads to other frames than @frame, or the port is gone, it is
 * NF_SNOOP_GONE, and stays so.
 */
struct snoop_hop {
	struct hlist_node	node;
	struct net		*net;		/* the port's */
	u32			checked;	/* jiffies, stored last */
	u32			block;		/* as the port's, which is in it */
	struct snoop_hop_id	id;
	struct snoop_frame	frame;
	refcount_t		refs;
	spinlock_t		lock;		/* one checker at a time */
	struct snoop_passage	passage;
	struct rcu_head		rcu;
};

/* A flow and direction of a flowtable, as the kernel answered for a key. */
struct snoop_answer {
	struct nf_flowtable		*flowtable;
	struct flow_offload		*flow;
	const struct flow_offload_tuple	*tuple;
	const struct flow_offload_tuple	*other;
	u32				climb;	/* as struct snoop_port's */
};

/* Where a received packet is, on its way up, and the tags that it still has. */
struct snoop_rung {
	const struct net_device		*dev;
	struct nf_flowmap_encap		encap[NF_FLOWMAP_ENCAP_MAX];
};

/* VLAN devices and bonds that a packet can climb to. */
#define SNOOP_CLIMB_MAX	4
static_assert(SNOOP_CLIMB_MAX <= SNOOP_UPPER_MAX);

/*
 * One direction of a flow.
 *
 * A reader can still be at an entry that has left the table.  Where RCU's head
 * is in place of its key then, no packet has such a key: neither is a pointer or
 * NULL a device and its protocols, nor a function's address a tag.
 *
 * What came from the key, @value but for its counters, @hop, @ct, @witness,
 * @counter and @hw do not change once the entry is in the table, until
 * the flow's end is written into @value as an mtu of 0.  The others are written by
 * packets and sweeps; two that do so at once write the same.
 */
struct snoop_entry {
	union {
		struct {
			u64	head;		/* key: ifindex, protocols */
			u64	encap;		/* key */
		};
		struct rcu_head	rcu;		/* of one that has left */
	};
	u64			addrs;		/* key: of IPv6 the first 8 bytes */
	u32			ports;		/* key */
	u32			ct_timeout;	/* the witness's */
	const struct nf_conn	*witness;	/* says that the flow is there */
	struct snoop_hop	*hop;
	u32			expires;	/* jiffies: the flow, as last seen */
	u32			used;		/* jiffies: its last packet */

	struct nf_conn_counter	*counter;	/* @ct's, of NF_FLOWMAP_F_COUNTER */
	struct nf_flowmap_value	value;
	__be32			ip6[6];		/* key: the rest of those */
	struct snoop_entry __rcu *next;		/* of the bucket */
	struct nf_conn		*ct;
	u32			told;		/* the packet that the flow knows of */
	bool			in_table;	/* in the list of its bucket */
	bool			hw;		/* drivers are offered the flow */
};

/* Of a slot's size. */
#define SNOOP_SLOT_BITS		8

/*
 * The table is an array of these: a bucket, and room for an entry, which is one
 * of that bucket if the room was free when it came.  So a lookup need not wait
 * for a pointer to know where it likely goes on.  What a packet of IPv4 needs of an
 * entry stands in the first two cache lines, of IPv6 in the first three; there also
 * are tags that leave.
 */
struct snoop_slot {
	struct snoop_entry __rcu *first;	/* of the bucket */
	struct snoop_entry	entry;		/* of any bucket */
	u32			number;		/* of the slot */
} __aligned(1 << SNOOP_SLOT_BITS);

static_assert(sizeof(struct snoop_slot) == 1 << SNOOP_SLOT_BITS);
static_assert(offsetof(struct snoop_slot, entry.counter) == 64);
static_assert(offsetofend(struct snoop_slot, entry.value.addrs.ip4) == 2 * 64);
static_assert(offsetofend(struct snoop_slot, entry.ip6) == 3 * 64);

/* flow_offload_teardown() clears the offload bit. */
static inline bool snoop_ct_is_offloaded(const struct nf_conn *ct)
{
	return (READ_ONCE(ct->status) & (IPS_OFFLOAD | IPS_DYING)) ==
	       IPS_OFFLOAD;
}

static inline struct net *snoop_entry_net(const struct snoop_entry *entry)
{
	return entry->hop->net;
}

/* Is @entry for packets of @net?  One that has ended is for none. */
static inline bool snoop_entry_is_of(const struct snoop_entry *entry,
				     const struct net *net)
{
	return snoop_entry_net(entry) == net && READ_ONCE(entry->value.mtu);
}

/* A part of the table. */
struct snoop_region {
	spinlock_t		lock;	/* orders the writers of its buckets */
	unsigned int		used;	/* entries of its buckets */
	atomic_t		taken;	/* of its slots */
} ____cacheline_aligned_in_smp;

/* Most slots; what is in the upper bits of a hash. */
#define SNOOP_TABLE_BITS_MAX	27
#define SNOOP_REGION_BITS	10
#define SNOOP_REGIONS		BIT(SNOOP_REGION_BITS)

/* Words of 32 bits in the longest that is hashed, a hop's id. */
#define SNOOP_SECRETS		14

struct snoop_table {
	struct snoop_slot	*slots[SNOOP_REGIONS];
	unsigned long		*taken;	/* slots, until no reader is there */
	unsigned int		bits;	/* of a slot's number in its region */
	u64			mask;	/* the bytes that lead there */
	u64			secret[SNOOP_SECRETS];
};

extern struct snoop_table snoop_table;
extern struct snoop_region snoop_regions[SNOOP_REGIONS];
extern unsigned int snoop_max_entries;
extern atomic_t snoop_entries;

/* Of all regions; the largest number of a slot is one less. */
static inline u32 snoop_table_size(void)
{
	return SNOOP_REGIONS << snoop_table.bits;
}

static inline struct snoop_region *snoop_region(u32 number)
{
	return &snoop_regions[number >> snoop_table.bits];
}

static inline struct snoop_slot *snoop_slot(u32 number)
{
	return &snoop_table.slots[number >> snoop_table.bits]
				 [number & ((1U << snoop_table.bits) - 1)];
}

static inline bool snoop_bucket_is_empty(u64 bucket)
{
	return !rcu_access_pointer(snoop_slot(bucket)->first);
}

/* Context: RCU read lock, or BH disabled. */
static __always_inline struct snoop_entry *
snoop_entry_at(struct snoop_entry __rcu *const *link)
{
	return rcu_dereference_check(*link, rcu_read_lock_bh_held());
}

#define snoop_for_each(entry, bucket)					\
	for (entry = snoop_entry_at(&snoop_slot(bucket)->first); entry;	\
	     entry = snoop_entry_at(&entry->next))

/* The bucket after @bucket, without regions that are empty; may be past the end. */
static inline u64 snoop_next_bucket(u64 bucket)
{
	const u64 size = 1ULL << snoop_table.bits;

	bucket++;
	while (!(bucket & (size - 1)) && bucket < snoop_table_size() &&
	       !READ_ONCE(snoop_region(bucket)->used))
		bucket += size;

	return bucket;
}

/*
 * Multilinear hashing: a sum of products of 32-bit words, each with a secret of
 * 64 bits added.  Which tuples collide cannot be told without the secret.  The
 * upper bits of its square are taken: sums of neighbouring addresses are all as
 * far apart, which with some secrets leads to the same few buckets.
 */
static inline u64 snoop_mul(u32 x, u32 y, unsigned int i)
{
	return (snoop_table.secret[i] + x) * (snoop_table.secret[i + 1] + y);
}

/* @l3proto is the key's; the lookup has a constant there. */
static __always_inline u64
snoop_hash(const struct net *net, const struct nf_flowmap_key *key, u8 l3proto)
{
	const u32 *tags = (const u32 *)key->encap;
	const u32 *ports = (const u32 *)&key->sport;
	const u32 *addrs = (const u32 *)&key->addrs;
	u64 hash;

	hash = snoop_mul(net_hash_mix(net) + key->ifindex + tags[0] + tags[1],
			 *ports, 0) +
	       snoop_mul(addrs[0], addrs[1], 2);
	if (l3proto != AF_INET)
		hash += snoop_mul(addrs[2], addrs[3], 4) +
			snoop_mul(addrs[4], addrs[5], 6) +
			snoop_mul(addrs[6], addrs[7], 8);

	return hash * hash;
}

/* The upper bits say the region, and the last of those behind them the slot. */
static __always_inline unsigned long snoop_region_of(u64 hash)
{
	return hash >> (64 - SNOOP_REGION_BITS);
}

/* In bytes from the first slot of the region. */
static __always_inline unsigned long snoop_offset_of(u64 hash)
{
	return (hash >> (64 - SNOOP_TABLE_BITS_MAX - SNOOP_SLOT_BITS)) &
	       snoop_table.mask;
}

static __always_inline struct snoop_slot *snoop_slot_of(u64 hash)
{
	return (void *)snoop_table.slots[snoop_region_of(hash)] +
	       snoop_offset_of(hash);
}

/* The number of that slot. */
static inline u32 snoop_bucket(const struct net *net,
			       const struct nf_flowmap_key *key)
{
	u64 hash = snoop_hash(net, key, key->l3proto);

	return snoop_region_of(hash) << snoop_table.bits |
	       snoop_offset_of(hash) >> SNOOP_SLOT_BITS;
}

static inline u64 snoop_key_u64(const void *field)
{
	return get_unaligned((const u64 *)field);
}

static __always_inline bool
snoop_entry_matches(const struct snoop_entry *entry, const struct net *net,
		    const struct nf_flowmap_key *key, u8 l3proto)
{
	return entry->addrs == snoop_key_u64(&key->addrs) &&
	       entry->ports == *(const u32 *)&key->sport &&
	       entry->head == snoop_key_u64(key) &&
	       entry->encap == snoop_key_u64(key->encap) &&
	       snoop_entry_net(entry) == net &&
	       (l3proto == AF_INET ||
		!memcmp(entry->ip6, (u64 *)&key->addrs + 1,
			sizeof(entry->ip6)));
}

/* Context: RCU read lock. */
static inline struct snoop_entry *
snoop_entry_find(const struct net *net, const struct nf_flowmap_key *key,
		 u32 bucket)
{
	struct snoop_entry *entry;

	snoop_for_each(entry, bucket)
		if (snoop_entry_matches(entry, net, key, key->l3proto))
			return entry;

	return NULL;
}

/* nf_flow_table_snoop.c */
void snoop_tuple_to_key(const struct flow_offload_tuple *tuple,
			struct nf_flowmap_key *key);
struct snoop_entry *snoop_entry_alloc(u32 bucket);
void snoop_entry_free(struct snoop_entry *entry);
void snoop_entry_insert(struct snoop_entry *entry,
			const struct nf_flowmap_key *key, u32 bucket);
void snoop_entry_remove(struct snoop_entry *entry, u32 bucket);
void snoop_flow_end(const struct net *net, const struct flow_offload *flow,
		    bool remove);

/* nf_flow_table_snoop_pull.c */
bool snoop_key_is_valid(const struct nf_flowmap_key *key);
bool snoop_is_full(struct net *net);
bool snoop_entry_key(const struct snoop_entry *entry,
		     struct nf_flowmap_key *key);
struct snoop_port *snoop_ask_port(struct net *net,
				  const struct nf_flowmap_key *key,
				  struct snoop_entry *entry, u32 now,
				  struct snoop_answer *answer);
struct snoop_entry *snoop_pull(struct net *net,
			       const struct nf_flowmap_key *packet, u32 door,
			       struct snoop_entry *entry, u32 now);

/* nf_flow_table_snoop_age.c */
u32 snoop_ct_lifetime(const struct nf_conn *ct);
void snoop_entry_tell(struct snoop_entry *entry,
		      const struct snoop_answer *answer);
bool snoop_entry_goes(struct snoop_entry *entry);
void snoop_sweep(bool (*is_garbage)(struct snoop_entry *entry));
void snoop_age_init(void);
void snoop_age_exit(void);

/* nf_flow_table_snoop_push.c */
#ifdef CONFIG_NF_FLOW_TABLE_SNOOP
int snoop_push_init(void);
void snoop_push_exit(void);
#else
static inline int snoop_push_init(void)
{
	return 0;
}

static inline void snoop_push_exit(void)
{
}
#endif

/* nf_flow_table_snoop_port.c */
bool snoop_ask(struct net *net, const struct nf_flowmap_key *key,
	       struct snoop_answer *answer);
struct snoop_port *snoop_port_find(const struct net *net,
				   const struct nf_flowmap_key *key, u32 climb);
struct snoop_port *snoop_port_get(struct net *net,
				  const struct nf_flowmap_key *key, u32 climb);
bool snoop_port_check(struct snoop_port *port, u32 now);
void snoop_port_put(struct snoop_port *port);
void snoop_ports_forget(const struct net_device *dev);

/* nf_flow_table_snoop_hop.c */
int snoop_route(struct snoop_port *port, const struct snoop_answer *answer,
		u32 now, struct snoop_hop **hop);
bool snoop_hop_check(struct snoop_hop *hop, u32 now);
void snoop_hop_put(struct snoop_hop *hop);
int snoop_hop_init(void);
void snoop_hop_exit(void);

/* nf_flow_table_snoop_link.c */
bool snoop_dev_is_tap(const struct net_device *dev);
bool snoop_frame_push(struct snoop_frame *frame, __be16 proto, u16 tci);
void snoop_frame_pop(struct snoop_frame *frame);
void snoop_frame_limit(struct snoop_frame *frame, const struct net_device *dev,
		       unsigned int more);
bool snoop_is_upper(const struct net_device *dev);
struct net_device *snoop_below(struct net_device *dev, struct snoop_way *way);
bool snoop_climb(struct snoop_rung *rung);
u32 snoop_climb_header(const struct snoop_rung *rung);
void snoop_uppers_count(const struct snoop_passage *rx,
			const struct snoop_passage *tx, u32 len);
void snoop_passage_set(struct snoop_passage *passage,
		       const struct snoop_upper *upper, u32 uppers);
void snoop_passage_forget(struct snoop_passage *passage,
			  const struct net_device *dev);

/* nf_flow_table_snoop_ppp.c */
struct net_device *snoop_ppp_below(struct net_device *dev,
				   struct snoop_way *way);
void snoop_ppp_sent(const struct net_device *dev);

/* nf_flow_table_snoop_bridge.c */
#if IS_ENABLED(CONFIG_BRIDGE)
struct net_device *snoop_bridge_below(struct net_device *dev,
				      struct snoop_way *way,
				      struct snoop_upper *upper);
int snoop_bridge_init(void);
void snoop_bridge_exit(void);
#else
static inline struct net_device *snoop_bridge_below(struct net_device *dev,
						    struct snoop_way *way,
						    struct snoop_upper *upper)
{
	return NULL;
}

static inline int snoop_bridge_init(void)
{
	return 0;
}

static inline void snoop_bridge_exit(void)
{
}
#endif

/* nf_flow_table_snoop_hook.c */
#ifdef CONFIG_NF_FLOW_TABLE_SNOOP
static inline struct nf_flowtable *
snoop_hook_flowtable(const struct nf_hook_entries *hooks, int i, u8 l3proto)
{
	struct nf_flowtable *flowtable = nf_flowtable_of_hook(hooks, i);
	int family = flowtable ? flowtable->type->family : NFPROTO_UNSPEC;

	if (l3proto != AF_UNSPEC && family != NFPROTO_INET && family != l3proto)
		return NULL;

	return flowtable;
}

static inline int snoop_hook_init(void)
{
	return 0;
}

static inline void snoop_hook_exit(void)
{
}
#else
struct nf_flowtable *snoop_hook_flowtable(const struct nf_hook_entries *hooks,
					  int i, u8 l3proto);
int snoop_hook_init(void);
void snoop_hook_exit(void);
#endif

/* nf_flow_table_snoop_allow.c */
bool snoop_dev_is_allowed(const struct net_device *dev);
int snoop_allow_net_init(struct net *net);
void snoop_allow_net_exit(struct net *net);
void snoop_allow_forget(const struct net_device *dev);

/* nf_flow_table_snoop_proc.c */
int snoop_proc_init(struct net *net);
void snoop_proc_exit(struct net *net);

#endif /* _NF_FLOW_TABLE_SNOOP_INTERNAL_H */
