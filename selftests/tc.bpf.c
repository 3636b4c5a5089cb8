// SPDX-License-Identifier: GPL-2.0-only
/* The least that a tc program needs to forward TCP and UDP over IPv4. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <linux/netfilter/nf_flowmap.h>

#define AF_INET			2
#define IP_OFFSET_AND_MF	0x3fff

const __u8 *bpf_skb_flowmap_lookup(struct __sk_buff *ctx, const void *key,
				   __u32 key__sz,
				   const __u32 rdonly_buf_size) __ksym;

static __always_inline __u16 csum_apply(__u16 check, __u16 delta)
{
	__u32 sum = (__u16)~check + delta;

	return ~(sum + (sum >> 16));
}

static __always_inline void rewrite(struct ethhdr *eth, struct iphdr *ip,
				    const struct nf_flowmap_value *value)
{
	struct tcphdr *tcp = (void *)(ip + 1);
	struct udphdr *udp = (void *)(ip + 1);

	ip->ttl--;
	ip->check = csum_apply(ip->check, value->l3_delta);
	if (value->flags & NF_FLOWMAP_F_NAT) {
		ip->saddr = value->addrs.ip4.saddr;
		ip->daddr = value->addrs.ip4.daddr;
		udp->source = value->sport;
		udp->dest = value->dport;
		if (ip->protocol == IPPROTO_TCP)
			tcp->check = csum_apply(tcp->check, value->l4_delta);
		else if (udp->check)
			udp->check = csum_apply(udp->check, value->l4_delta) ?: 0xffff;
	}
	__builtin_memcpy(eth, value->eth, sizeof(*eth));
}

SEC("tc")
int flowmap_tc(struct __sk_buff *skb)
{
	struct nf_flowmap_key key = { .l3proto = AF_INET };
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)(long)skb->data;
	struct iphdr *ip = (void *)(eth + 1);
	const struct nf_flowmap_value *value;
	struct tcphdr *tcp = (void *)(ip + 1);

	/* TCP's header is the longer one; short UDP may stay on the stack. */
	if ((void *)(tcp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->ihl != 5 || ip->frag_off & bpf_htons(IP_OFFSET_AND_MF) ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) ||
	    ip->ttl <= 1)
		return TC_ACT_OK;

	key.ifindex = skb->ifindex;
	key.l4proto = ip->protocol;
	key.sport = tcp->source;
	key.dport = tcp->dest;
	key.len = skb->len - ETH_HLEN;
	key.addrs.ip4.saddr = ip->saddr;
	key.addrs.ip4.daddr = ip->daddr;
	if (ip->protocol == IPPROTO_TCP && (tcp->fin || tcp->rst))
		key.flags = NF_FLOWMAP_KEY_END;

	value = (const void *)bpf_skb_flowmap_lookup(skb, &key, sizeof(key),
						     sizeof(*value));
	if (!value || key.len > value->mtu)
		return TC_ACT_OK;

	rewrite(eth, ip, value);

	return bpf_redirect(value->ifindex, 0);
}

char LICENSE[] SEC("license") = "GPL";
