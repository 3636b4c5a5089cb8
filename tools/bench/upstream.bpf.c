// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel itself offers since 6.11, for comparison, as xdp-forward of
 * xdp-tools goes about it: look the flow up with bpf_xdp_flow_lookup(), read its
 * flags and, where there is NAT, the addresses and ports that leave, ask
 * bpf_fib_lookup() for the way out, see that this is a device to forward to, and
 * redirect by the map of those.  The kernel's memory is read with the helper, as
 * there; what NAT needs at once, there a field at a time.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET		2
#define AF_INET6	10

/* Words of an address of IPv4 and of IPv6. */
#define V4		1
#define V6		4

/* Only what is read of the kernel's structures; libbpf finds where it is. */
struct flow_offload_tuple {
	struct in_addr	src_v4;
	unsigned char	dir : 2,
			xmit_type : 3;
} __attribute__((preserve_access_index));

struct flow_offload_tuple_rhash {
	struct flow_offload_tuple tuple;
} __attribute__((preserve_access_index));

struct flow_offload {
	struct flow_offload_tuple_rhash tuplehash[2];
	unsigned long	flags;
} __attribute__((preserve_access_index));

#define NF_FLOW_SNAT		(1UL << 0)
#define NF_FLOW_DNAT		(1UL << 1)
#define FLOW_OFFLOAD_XMIT_NEIGH	1

struct bpf_flowtable_opts {
	__s32 error;
};

/* How a tuple begins. */
struct tuple_head {
	__be32	src[V6], dst[V6];
	__be16	sport, dport;
};

/* What NAT changes of a packet: two addresses, and a word of two ports. */
struct nat {
	__be32	words[2 * V6 + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 64);
	__type(key, int);
	__type(value, int);
} bench_ports SEC(".maps");

struct flow_offload_tuple_rhash *
bpf_xdp_flow_lookup(struct xdp_md *ctx, struct bpf_fib_lookup *fib,
		    struct bpf_flowtable_opts *opts, __u32 opts_len) __ksym;

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);

	return ~sum;
}

static __always_inline void copy_words(void *to, const void *from, int words)
{
	__be32 *out = to;
	const __be32 *in = from;
	int i;

	for (i = 0; i < words; i++)
		out[i] = in[i];
}

/* Of the direction that is not @dir. */
static __always_inline int read_nat(struct flow_offload *flow, int dir,
				    struct nat *nat, int addr)
{
	__u64 size = bpf_core_type_size(struct flow_offload_tuple_rhash);
	const char *tuple = (const char *)&flow->tuplehash[0].tuple.src_v4;
	struct tuple_head other;
	__be16 *ports = (__be16 *)&nat->words[2 * addr];

	if (!dir)
		tuple += size;
	if (bpf_probe_read_kernel(&other, sizeof(other), tuple))
		return -1;

	copy_words(&nat->words[0], other.dst, addr);
	copy_words(&nat->words[addr], other.src, addr);
	ports[0] = other.dport;
	ports[1] = other.sport;

	return 0;
}

static __always_inline __u16 csum_change(__u16 check, const struct nat *from,
					 const struct nat *to, int words)
{
	__u64 sum = (__u16)~check;
	int i;

	for (i = 0; i < words; i++)
		sum += (__u64)(__u32)~from->words[i] + to->words[i];

	return fold(sum);
}

static __always_inline void translate_ip(void *network, struct nat *from,
					 struct nat *to, int addr)
{
	struct ipv6hdr *ip6 = network;
	struct iphdr *ip = network;

	if (addr == V6) {
		copy_words(&ip6->saddr, to->words, 2 * V6);
		return;
	}

	ip->check = csum_change(ip->check, from, to, 2 * V4);
	copy_words(&ip->saddr, to->words, 2 * V4);
}

static __always_inline void translate_l4(void *l4, __u8 proto,
					 struct nat *from, struct nat *to,
					 int addr)
{
	struct tcphdr *tcp = l4;
	struct udphdr *udp = l4;
	int words = 2 * addr + 1;

	if (proto == IPPROTO_TCP)
		tcp->check = csum_change(tcp->check, from, to, words);
	else if (udp->check)
		udp->check = csum_change(udp->check, from, to, words) ?: 0xffff;
	copy_words(l4, &to->words[2 * addr], 1);
}

static __always_inline void decrement_ttl(void *network, int addr)
{
	struct ipv6hdr *ip6 = network;
	struct iphdr *ip = network;
	__u32 check;

	if (addr == V6) {
		ip6->hop_limit--;
		return;
	}

	check = ip->check + bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* The addresses of @fib lie apart, with room for IPv6. */
static __always_inline int forward(struct xdp_md *ctx,
				   struct bpf_fib_lookup *fib, void *network,
				   void *l4, __u8 proto, int addr)
{
	struct ethhdr *eth = network - sizeof(*eth);
	struct bpf_flowtable_opts opts = {};
	struct flow_offload_tuple_rhash *found;
	const __be16 *ports = l4;
	struct flow_offload *flow;
	unsigned long flags;
	struct nat from, to;
	int dir, is_nat;

	fib->sport = ports[0];
	fib->dport = ports[1];
	fib->l4_protocol = proto;
	fib->ifindex = ctx->ingress_ifindex;

	found = bpf_xdp_flow_lookup(ctx, fib, &opts, sizeof(opts));
	if (!found)
		return XDP_PASS;

	dir = BPF_CORE_READ_BITFIELD_PROBED(found, tuple.dir);
	flow = (void *)found - dir * bpf_core_type_size(*found);
	if (bpf_core_read(&flags, sizeof(flags), &flow->flags) ||
	    BPF_CORE_READ_BITFIELD_PROBED(found, tuple.xmit_type) !=
	    FLOW_OFFLOAD_XMIT_NEIGH)
		return XDP_PASS;

	is_nat = !!(flags & (NF_FLOW_SNAT | NF_FLOW_DNAT));
	if (is_nat) {
		copy_words(&from.words[0], fib->ipv6_src, addr);
		copy_words(&from.words[addr], fib->ipv6_dst, addr);
		copy_words(&from.words[2 * addr], l4, 1);
		if (read_nat(flow, dir, &to, addr))
			return XDP_PASS;
		copy_words(fib->ipv6_src, &to.words[0], addr);
		copy_words(fib->ipv6_dst, &to.words[addr], addr);
	}
	if (bpf_fib_lookup(ctx, fib, sizeof(*fib), 0) ||
	    !bpf_map_lookup_elem(&bench_ports, &fib->ifindex))
		return XDP_PASS;

	if (is_nat) {
		translate_l4(l4, proto, &from, &to, addr);
		translate_ip(network, &from, &to, addr);
	}
	decrement_ttl(network, addr);
	__builtin_memcpy(eth->h_dest, fib->dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, fib->smac, ETH_ALEN);

	return bpf_redirect_map(&bench_ports, fib->ifindex, 0);
}

/* The verifier follows UDP and TCP apart, each with its own length. */
static __always_inline int do_l4(struct xdp_md *ctx,
				 struct bpf_fib_lookup *fib, void *network,
				 void *l4, __u8 proto, int addr)
{
	void *end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp = l4;

	if (proto == IPPROTO_UDP && l4 + sizeof(struct udphdr) <= end)
		return forward(ctx, fib, network, l4, IPPROTO_UDP, addr);
	if (proto == IPPROTO_TCP && l4 + sizeof(*tcp) <= end &&
	    !tcp->fin && !tcp->rst)
		return forward(ctx, fib, network, l4, IPPROTO_TCP, addr);

	return XDP_PASS;
}

static __always_inline int do_ipv4(struct xdp_md *ctx, struct iphdr *ip,
				   void *end)
{
	struct bpf_fib_lookup fib = { .family = AF_INET };

	if ((void *)(ip + 1) > end || ip->ihl != 5 || ip->ttl <= 1 ||
	    ip->frag_off & bpf_htons(0x3fff))
		return XDP_PASS;

	fib.tot_len = bpf_ntohs(ip->tot_len);
	fib.ipv4_src = ip->saddr;
	fib.ipv4_dst = ip->daddr;

	return do_l4(ctx, &fib, ip, ip + 1, ip->protocol, V4);
}

static __always_inline int do_ipv6(struct xdp_md *ctx, struct ipv6hdr *ip,
				   void *end)
{
	struct bpf_fib_lookup fib = { .family = AF_INET6 };

	if ((void *)(ip + 1) > end || ip->hop_limit <= 1)
		return XDP_PASS;

	fib.tot_len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	copy_words(fib.ipv6_src, &ip->saddr, V6);
	copy_words(fib.ipv6_dst, &ip->daddr, V6);

	return do_l4(ctx, &fib, ip, ip + 1, ip->nexthdr, V6);
}

SEC("xdp")
int bench_upstream(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return do_ipv4(ctx, (void *)(eth + 1), end);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return do_ipv6(ctx, (void *)(eth + 1), end);

	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
