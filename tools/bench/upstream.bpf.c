// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel itself offers since 6.11, for comparison: look the flow up
 * with bpf_xdp_flow_lookup(), read the addresses that leave from the other
 * direction's tuple, and ask bpf_fib_lookup() for the way out.  UDP over IPv4.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET		2
#define ADDR_ROOM	16

/* Only what is read of the kernel's structures; libbpf finds where it is. */
struct flow_offload_tuple {
	struct in_addr	src_v4;
	unsigned char	dir : 2;
} __attribute__((preserve_access_index));

struct flow_offload_tuple_rhash {
	struct flow_offload_tuple tuple;
} __attribute__((preserve_access_index));

struct bpf_flowtable_opts {
	__s32 error;
};

/* How a tuple begins. */
struct tuple_head {
	__be32	src, src_room[ADDR_ROOM / 4 - 1];
	__be32	dst, dst_room[ADDR_ROOM / 4 - 1];
	__be16	sport, dport;
};

/* What NAT changes of a packet. */
struct nat {
	__be32	src, dst;
	__be16	sport, dport;
};

struct flow_offload_tuple_rhash *
bpf_xdp_flow_lookup(struct xdp_md *ctx, struct bpf_fib_lookup *fib,
		    struct bpf_flowtable_opts *opts, __u32 opts_len) __ksym;

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);

	return ~sum;
}

static __always_inline int read_nat(struct flow_offload_tuple_rhash *flow,
				    struct nat *nat)
{
	__u64 size = bpf_core_type_size(struct flow_offload_tuple_rhash);
	const char *tuple = (const char *)&flow->tuple.src_v4;
	struct tuple_head other;

	/* It lies before this one or behind it. */
	tuple -= size;
	if (!BPF_CORE_READ_BITFIELD(flow, tuple.dir))
		tuple += 2 * size;
	if (bpf_probe_read_kernel(&other, sizeof(other), tuple))
		return -1;

	nat->src = other.dst;
	nat->dst = other.src;
	nat->sport = other.dport;
	nat->dport = other.sport;

	return 0;
}

static __always_inline void translate(struct iphdr *ip, struct udphdr *udp,
				      struct nat *to)
{
	struct nat from = { ip->saddr, ip->daddr, udp->source, udp->dest };
	__u32 ttl = bpf_htons(0x0100);

	ip->ttl--;
	ip->check = fold(bpf_csum_diff(&from.src, 8, &to->src, 8,
				       (__u16)~ip->check) + (__u16)~ttl);
	if (udp->check)
		udp->check = fold(bpf_csum_diff(&from.src, sizeof(from),
						&to->src, sizeof(*to),
						(__u16)~udp->check)) ?: 0xffff;
	ip->saddr = to->src;
	ip->daddr = to->dst;
	udp->source = to->sport;
	udp->dest = to->dport;
}

static __always_inline int forward(struct xdp_md *ctx, struct ethhdr *eth,
				   struct iphdr *ip, struct udphdr *udp)
{
	struct bpf_fib_lookup fib = {
		.family = AF_INET,
		.l4_protocol = ip->protocol,
		.tot_len = bpf_ntohs(ip->tot_len),
		.ipv4_src = ip->saddr,
		.ipv4_dst = ip->daddr,
		.sport = udp->source,
		.dport = udp->dest,
		.ifindex = ctx->ingress_ifindex,
	};
	struct bpf_flowtable_opts opts = {};
	struct flow_offload_tuple_rhash *flow;
	struct nat nat;

	flow = bpf_xdp_flow_lookup(ctx, &fib, &opts, sizeof(opts));
	if (!flow || read_nat(flow, &nat))
		return XDP_PASS;

	fib.ipv4_src = nat.src;
	fib.ipv4_dst = nat.dst;
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0))
		return XDP_PASS;

	translate(ip, udp, &nat);
	__builtin_memcpy(eth->h_dest, fib.dmac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, fib.smac, ETH_ALEN);

	return bpf_redirect(fib.ifindex, 0);
}

SEC("xdp")
int bench_upstream(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->ttl <= 1 ||
	    ip->frag_off & bpf_htons(0x3fff))
		return XDP_PASS;

	return forward(ctx, eth, ip, udp);
}

char LICENSE[] SEC("license") = "GPL";
