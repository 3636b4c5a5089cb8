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

const __u8 *bpf_xdp_flowmap_lookup(struct xdp_md *ctx, const void *key,
				   __u32 key__sz,
				   const __u32 rdonly_buf_size) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flowmap_stats);
} flowmap_stats SEC(".maps");

/* TCP and UDP begin alike. */
struct ports {
	__be16 source;
	__be16 dest;
};

static __always_inline void count(enum flowmap_reason reason)
{
	struct flowmap_stats *stats;
	__u32 zero = 0;

	stats = bpf_map_lookup_elem(&flowmap_stats, &zero);
	if (stats)
		stats->count[reason]++;
}

static __always_inline int pass(enum flowmap_reason reason)
{
	count(reason);
	return XDP_PASS;
}

/* Add @delta to the complement of @check; see struct nf_flowmap_value. */
static __always_inline __u16 csum_apply(__u16 check, __u16 delta)
{
	__u32 sum = (__u16)~check + delta;

	return ~(sum + (sum >> 16));
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

/* Return: the reason to leave the packet to the stack, FLOWMAP_FORWARDED for none. */
static __always_inline enum flowmap_reason
check_l4(const void *l4, const void *end, __u8 proto, __u8 ttl)
{
	const struct tcphdr *tcp = l4;

	if (l4 + (proto == IPPROTO_TCP ? sizeof(*tcp) : sizeof(struct udphdr)) > end)
		return FLOWMAP_TRUNCATED;
	if (ttl <= 1)
		return FLOWMAP_TTL;
	if (proto == IPPROTO_TCP && (tcp->fin || tcp->rst))
		return FLOWMAP_TCP_END;

	return FLOWMAP_FORWARDED;
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
	count(FLOWMAP_FORWARDED);

	return bpf_redirect(value->ifindex, 0);
}

static __always_inline int do_ipv4(struct xdp_md *ctx, struct ethhdr *eth,
				   void *end, __u8 proto)
{
	const struct nf_flowmap_value *value;
	struct iphdr *ip = (void *)(eth + 1);
	struct nf_flowmap_key key = {
		.l3proto = AF_INET,
		.l4proto = proto,
		.addrs.ip4.saddr = ip->saddr,
		.addrs.ip4.daddr = ip->daddr,
	};
	void *l4 = ip + 1;
	enum flowmap_reason reason;

	reason = check_l4(l4, end, proto, ip->ttl);
	if (reason)
		return pass(reason);

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
		nat_l4(l4, proto, value);
	}

	return forward(eth, value);
}

static __always_inline int do_ipv6(struct xdp_md *ctx, struct ethhdr *eth,
				   void *end, __u8 proto)
{
	struct ipv6hdr *ip = (void *)(eth + 1);
	const struct nf_flowmap_value *value;
	struct nf_flowmap_key key = {
		.l3proto = AF_INET6,
		.l4proto = proto,
	};
	void *l4 = ip + 1;
	enum flowmap_reason reason;

	reason = check_l4(l4, end, proto, ip->hop_limit);
	if (reason)
		return pass(reason);

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
		nat_l4(l4, proto, value);
	}

	return forward(eth, value);
}

static __always_inline int ipv4(struct xdp_md *ctx, struct ethhdr *eth,
				void *end)
{
	const struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end)
		return pass(FLOWMAP_TRUNCATED);
	if (ip->ihl != 5)
		return pass(FLOWMAP_OPTIONS);
	if (ip->frag_off & bpf_htons(IP_OFFSET_AND_MF))
		return pass(FLOWMAP_FRAGMENT);
	if (ip->protocol == IPPROTO_TCP)
		return do_ipv4(ctx, eth, end, IPPROTO_TCP);
	if (ip->protocol == IPPROTO_UDP)
		return do_ipv4(ctx, eth, end, IPPROTO_UDP);

	return pass(FLOWMAP_PROTOCOL);
}

static __always_inline int ipv6(struct xdp_md *ctx, struct ethhdr *eth,
				void *end)
{
	const struct ipv6hdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end)
		return pass(FLOWMAP_TRUNCATED);
	if (ip->nexthdr == IPPROTO_TCP)
		return do_ipv6(ctx, eth, end, IPPROTO_TCP);
	if (ip->nexthdr == IPPROTO_UDP)
		return do_ipv6(ctx, eth, end, IPPROTO_UDP);

	return pass(FLOWMAP_PROTOCOL);
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
		return ipv4(ctx, eth, end);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return ipv6(ctx, eth, end);

	return pass(FLOWMAP_NOT_IP);
}

char LICENSE[] SEC("license") = "GPL";
