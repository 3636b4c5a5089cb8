// SPDX-License-Identifier: GPL-2.0-only
/*
 * Forwards the packets of flows that netfilter has put into a flowtable, and
 * passes up all others as they came.
 */
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <linux/netfilter/nf_flowmap.h>

#include "stats.h"

#define AF_INET		2
#define AF_INET6	10

#define IP_OFFSET_AND_MF	0x3fff

const __u8 *bpf_xdp_flowmap_lookup(struct xdp_md *ctx,
				   const struct nf_flowmap_key *key,
				   __u32 key__sz,
				   const __u32 rdonly_buf_size) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flowmap_stats);
} flowmap_stats SEC(".maps");

/* TCP and UDP begin alike; the checksum is where they differ. */
struct ports {
	__be16 source;
	__be16 dest;
};

static __always_inline int verdict(enum flowmap_reason reason, int action)
{
	struct flowmap_stats *stats;
	__u32 zero = 0;

	stats = bpf_map_lookup_elem(&flowmap_stats, &zero);
	if (stats)
		stats->count[reason]++;

	return action;
}

static __always_inline int pass(enum flowmap_reason reason)
{
	return verdict(reason, XDP_PASS);
}

/*
 * @l4: the transport header
 * Return: the reason to leave the packet to the stack, 0 for none.
 */
static __always_inline int check_l4(void *l4, void *end, __u8 proto)
{
	const struct tcphdr *tcp = l4;

	if (proto == IPPROTO_UDP)
		return l4 + sizeof(struct udphdr) > end ? FLOWMAP_TRUNCATED : 0;
	if (proto != IPPROTO_TCP)
		return FLOWMAP_PROTOCOL;
	if ((void *)(tcp + 1) > end)
		return FLOWMAP_TRUNCATED;

	return tcp->fin || tcp->rst ? FLOWMAP_TCP_END : 0;
}

/* Add @delta to the complement of @check; neither may be 0 there, see l3_delta. */
static __always_inline __u16 csum_apply(__u16 check, __u16 delta)
{
	__u32 sum = (__u16)~check + delta;

	return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline void nat_l4(void *l4, __u8 proto,
				   const struct nf_flowmap_value *value)
{
	struct ports *ports = l4;

	ports->source = value->sport;
	ports->dest = value->dport;
	if (proto == IPPROTO_TCP) {
		struct tcphdr *tcp = l4;

		tcp->check = csum_apply(tcp->check, value->l4_delta);
	} else {
		struct udphdr *udp = l4;

		if (udp->check)
			udp->check = csum_apply(udp->check, value->l4_delta) ?: 0xffff;
	}
}

static __always_inline const struct nf_flowmap_value *
lookup(struct xdp_md *ctx, struct nf_flowmap_key *key, const void *l4)
{
	const struct ports *ports = l4;

	key->ifindex = ctx->ingress_ifindex;
	key->sport = ports->source;
	key->dport = ports->dest;
	key->len = bpf_xdp_get_buff_len(ctx) - ETH_HLEN;

	return (const void *)bpf_xdp_flowmap_lookup(ctx, key, sizeof(*key),
						    sizeof(struct nf_flowmap_value));
}

static __always_inline int forward(struct ethhdr *eth,
				   const struct nf_flowmap_value *value)
{
	__builtin_memcpy(eth, value->l2, ETH_HLEN);
	verdict(FLOWMAP_FORWARDED, 0);

	return bpf_redirect(value->ifindex, 0);
}

static __always_inline int do_ipv4(struct xdp_md *ctx, struct ethhdr *eth,
				   void *end)
{
	const struct nf_flowmap_value *value;
	struct iphdr *ip = (void *)(eth + 1);
	struct nf_flowmap_key key = {};
	void *l4 = ip + 1;
	int reason;

	if (l4 > end)
		return pass(FLOWMAP_TRUNCATED);
	if (ip->ihl != 5)
		return pass(FLOWMAP_OPTIONS);
	if (ip->frag_off & bpf_htons(IP_OFFSET_AND_MF))
		return pass(FLOWMAP_FRAGMENT);
	reason = check_l4(l4, end, ip->protocol);
	if (reason)
		return pass(reason);
	if (ip->ttl <= 1)
		return pass(FLOWMAP_TTL);

	key.l3proto = AF_INET;
	key.l4proto = ip->protocol;
	key.addrs.ip4.saddr = ip->saddr;
	key.addrs.ip4.daddr = ip->daddr;
	value = lookup(ctx, &key, l4);
	if (!value)
		return pass(FLOWMAP_NO_FLOW);
	if (key.len > value->mtu)
		return pass(FLOWMAP_MTU);

	ip->ttl--;
	ip->check = csum_apply(ip->check, value->l3_delta);
	if (value->flags & NF_FLOWMAP_F_NAT) {
		ip->saddr = value->addrs.ip4.saddr;
		ip->daddr = value->addrs.ip4.daddr;
		nat_l4(l4, ip->protocol, value);
	}

	return forward(eth, value);
}

static __always_inline int do_ipv6(struct xdp_md *ctx, struct ethhdr *eth,
				   void *end)
{
	struct ipv6hdr *ip = (void *)(eth + 1);
	const struct nf_flowmap_value *value;
	struct nf_flowmap_key key = {};
	void *l4 = ip + 1;
	int reason;

	if (l4 > end)
		return pass(FLOWMAP_TRUNCATED);
	reason = check_l4(l4, end, ip->nexthdr);
	if (reason)
		return pass(reason);
	if (ip->hop_limit <= 1)
		return pass(FLOWMAP_TTL);

	key.l3proto = AF_INET6;
	key.l4proto = ip->nexthdr;
	__builtin_memcpy(&key.addrs.ip6, &ip->saddr, sizeof(key.addrs.ip6));
	value = lookup(ctx, &key, l4);
	if (!value)
		return pass(FLOWMAP_NO_FLOW);
	if (key.len > value->mtu)
		return pass(FLOWMAP_MTU);

	ip->hop_limit--;
	if (value->flags & NF_FLOWMAP_F_NAT) {
		__builtin_memcpy(&ip->saddr, &value->addrs.ip6,
				 sizeof(value->addrs.ip6));
		nat_l4(l4, ip->nexthdr, value);
	}

	return forward(eth, value);
}

SEC("xdp.frags")
int flowmap_xdp(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > end)
		return pass(FLOWMAP_TRUNCATED);
	if (eth->h_dest[0] & 1)
		return pass(FLOWMAP_MULTICAST);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return do_ipv4(ctx, eth, end);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return do_ipv6(ctx, eth, end);

	return pass(FLOWMAP_NOT_IP);
}

char LICENSE[] SEC("license") = "GPL";
