// SPDX-License-Identifier: GPL-2.0-only
/*
 * Forwards the packets of flows that netfilter has put into a flowtable, and
 * passes up all others as they came.
 */
#include <stdbool.h>
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

/* The shortest that could be forwarded. */
#define FRAME_MIN	(ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr))

#define TCP_ENDS_OR_BEGINS	(TCP_FLAG_FIN | TCP_FLAG_RST | TCP_FLAG_SYN)
#define TCP_MEANINGS		(TCP_ENDS_OR_BEGINS | TCP_FLAG_PSH | TCP_FLAG_URG)

#define VLAN_HLEN		4
#define TAGGED_HLEN		(ETH_HLEN + VLAN_HLEN)
#define PPPOE_SES_HLEN		8
#define PPP_PROTO_LEN		2
#define PPP_IP			0x21
#define PPP_IPV6		0x57
#define L2_LEN_MAX		(ETH_HLEN + NF_FLOWMAP_L2_ENCAP_MAX)

const __u8 *bpf_xdp_flowmap_lookup(struct xdp_md *ctx, const void *key,
				   __u32 key__sz,
				   const __u32 rdonly_buf_size) __ksym;

/*
 * The other door, where the kernel has map types of modules; libbpf creates it
 * for flowmap_xdp_map alone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_FLOWMAP);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1 << 27);
	__type(key, struct nf_flowmap_key);
	__type(value, struct nf_flowmap_value);
} flowmap_flows SEC(".maps");

enum door {
	DOOR_KFUNC,
	DOOR_MAP,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flowmap_stats);
} flowmap_stats SEC(".maps");

static const __u32 stats_key;	/* not on the stack, to be written each time */

/*
 * Headers lie at odd halves of a word, and the compiler would copy them in
 * small pieces; every processor that XDP runs on copies them in large ones.
 */
static __always_inline void copy4(void *to, const void *from)
{
	*(__u32 *)to = *(const __u32 *)from;
}

static __always_inline void copy8(void *to, const void *from)
{
	*(__u64 *)to = *(const __u64 *)from;
}

static __always_inline void copy2(void *to, const void *from)
{
	*(__u16 *)to = *(const __u16 *)from;
}

/*
 * Add @delta to the complement of @check, which is to subtract it from @check
 * itself; see struct nf_flowmap_value.  In ones' complement a borrow is one more.
 */
static __always_inline __u64 csum_apply(__u64 check, __u64 delta)
{
	__u64 diff = check - delta;

	return diff - (diff >> 63);
}

/* The same for UDP, with 0xffff in the place of 0; what comes in is never 0. */
static __always_inline __u64 csum_apply_udp(__u64 check, __u64 delta)
{
	__u64 diff = delta - check;

	return ~(diff - (diff >> 63));
}

static __always_inline void nat_l4(void *l4, __u8 proto,
				   const struct nf_flowmap_value *value)
{
	struct tcphdr *tcp = l4;
	struct udphdr *udp = l4;

	copy4(l4, &value->sport);
	if (proto == IPPROTO_TCP)
		tcp->check = csum_apply(tcp->check, value->l4_delta);
	else if (udp->check)
		udp->check = csum_apply_udp(udp->check, value->l4_delta);
}

/* Apart, so that the reason is no business of a packet that is forwarded. */
static __noinline int leave(enum flowmap_reason reason)
{
	struct flowmap_stats *stats;

	stats = bpf_map_lookup_elem(&flowmap_stats, &stats_key);
	if (stats && reason < FLOWMAP_REASON_MAX)
		stats->count[reason]++;

	return XDP_PASS;
}

static __always_inline int send(const struct nf_flowmap_value *value)
{
	struct flowmap_stats *stats;

	stats = bpf_map_lookup_elem(&flowmap_stats, &stats_key);
	if (stats)
		stats->count[FLOWMAP_FORWARDED]++;

	return bpf_redirect(value->ifindex, 0);
}

/*
 * Does the frame end within @size bytes from @ip on?  Where @offset is a constant,
 * ETH_ZLEN has been compared already.
 */
static __always_inline bool is_short(const void *ip, __u32 size, const void *end,
				     __u32 offset)
{
	if (__builtin_constant_p(offset) && offset + size <= ETH_ZLEN)
		return false;

	return ip + size > end;
}

static __always_inline __u32 l4_size(__u8 proto)
{
	return proto == IPPROTO_TCP ? sizeof(struct tcphdr) :
				      sizeof(struct udphdr);
}

/* May a packet with headers of @size bytes be looked up?  If not, it is left. */
static __always_inline bool check_headers(const void *ip, __u32 size,
					  const void *end, __u32 offset,
					  __u8 ttl)
{
	if (is_short(ip, size, end, offset)) {
		barrier();	/* or each frame computes the reason */
		leave(FLOWMAP_TRUNCATED);
		return false;
	}
	if (ttl <= 1) {
		barrier();
		leave(FLOWMAP_TTL);
		return false;
	}

	return true;
}

/* In one piece, as it is compared; see struct nf_flowmap_key. */
static __always_inline void write_head(struct nf_flowmap_key *key,
				       __u32 ifindex, __u8 family, __u8 proto)
{
	const struct nf_flowmap_key head = {
		.ifindex = ifindex,
		.l3proto = family,
		.l4proto = proto,
	};

	copy8(key, &head);
}

/* Return: what becomes of the packet; NULL where it is left. */
static __always_inline const struct nf_flowmap_value *
look_up(struct xdp_md *ctx, enum door door, struct nf_flowmap_key *key,
	__u8 family, const struct nf_flowmap_encap *encap, const void *l4,
	__u8 proto, __u32 offset)
{
	__u64 linear = door == DOOR_MAP ? ctx->data_end - ctx->data : 0;
	const struct nf_flowmap_value *value;
	const struct tcphdr *tcp = l4;
	__u32 len;

	if (door == DOOR_MAP)
		barrier_var(linear);	/* the verifier subtracts 64 bits */
	copy8(key->encap, encap);
	len = bpf_xdp_get_buff_len(ctx);
	write_head(key, ctx->ingress_ifindex, family, proto);
	if (door == DOOR_MAP && (__u32)linear != len) {
		barrier();	/* or each frame computes the flag */
		key->flags = NF_FLOWMAP_KEY_FRAGS;
	}
	if (proto == IPPROTO_TCP && (tcp_flag_word(tcp) & TCP_ENDS_OR_BEGINS)) {
		barrier();	/* or each frame keeps a copy of the flags */
		if ((tcp_flag_word(tcp) & TCP_MEANINGS) == TCP_FLAG_SYN) {
			leave(FLOWMAP_TCP_BEGIN);
			return NULL;
		}
		if (tcp->fin || tcp->rst)
			key->flags |= NF_FLOWMAP_KEY_END;
	}
	copy4(&key->sport, l4);
	key->len = len - offset;

	if (door == DOOR_MAP)
		value = bpf_map_lookup_elem(&flowmap_flows, key);
	else
		value = (const void *)bpf_xdp_flowmap_lookup(ctx, key,
							     sizeof(*key),
							     sizeof(*value));
	if (!value) {
		leave(key->flags & NF_FLOWMAP_KEY_END ?
		      FLOWMAP_TCP_END : FLOWMAP_NO_FLOW);
		return NULL;
	}
	if (key->len > value->mtu) {
		barrier();	/* as in check_headers() */
		leave(FLOWMAP_MTU);
		return NULL;
	}

	return value;
}

static __always_inline void write_eth(void *data,
				      const struct nf_flowmap_value *value)
{
	copy8(data, value->eth);
	copy4(data + 8, value->eth + 8);
	copy2(data + 12, value->eth + 12);
}

/*
 * What stands behind Ethernet: tags of 4 bytes, then PPPoE, of whose 8 bytes the
 * second half begins with the length.
 */
static __always_inline void write_encap(void *data, __u32 l2_len, __u32 len,
					const struct nf_flowmap_value *value)
{
	void *last = data + 14;

	copy4(last, value->l2_encap);
	if (l2_len > 18) {
		last = data + 18;
		copy4(last, value->l2_encap + 4);
	}
	if (l2_len > 22) {
		last = data + 22;
		copy4(last, value->l2_encap + 8);
	}
	if (l2_len > 26) {
		last = data + 26;
		copy4(last, value->l2_encap + 12);
	}

	if (value->flags & NF_FLOWMAP_F_PPPOE)
		*(__be16 *)last = bpf_htons(len + PPP_PROTO_LEN);
}

/*
 * Put the link-layer header of @value in the place of the one that came, which
 * was @offset bytes long.  Nothing is written unless all of it can be.
 * Return: where IP is now, with @size bytes behind it; NULL where there is no
 * room.
 */
static __always_inline void *write_l2(struct xdp_md *ctx, __u32 offset,
				      __u32 size,
				      const struct nf_flowmap_key *key,
				      const struct nf_flowmap_value *value)
{
	__u32 l2_len = value->l2_len;
	void *data, *end, *ip;

	if (l2_len < ETH_HLEN || l2_len > L2_LEN_MAX ||
	    (l2_len != offset &&
	     bpf_xdp_adjust_head(ctx, (int)offset - (int)l2_len)))
		return NULL;

	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	ip = data + l2_len;
	if (data + L2_LEN_MAX > end || ip + size > end)
		return NULL;
	write_eth(data, value);
	write_encap(data, l2_len, key->len, value);

	return ip;
}

/*
 * The same for a frame that leaves with Ethernet alone before IP, as most do: apart,
 * so that the compiler knows where its headers are.  IP stood at @ip.
 */
static __always_inline void *write_eth_alone(struct xdp_md *ctx, void *ip,
					     __u32 offset, __u32 size,
					     const struct nf_flowmap_value *value)
{
	if (offset != ETH_HLEN) {
		if (bpf_xdp_adjust_head(ctx, offset - ETH_HLEN))
			return NULL;
		ip = (void *)(long)ctx->data + ETH_HLEN;
		if (ip + size > (void *)(long)ctx->data_end)
			return NULL;
	}
	write_eth(ip - ETH_HLEN, value);

	return ip;
}

static __always_inline int send_ipv4(struct iphdr *ip, __u8 proto,
				     const struct nf_flowmap_value *value)
{
	ip->ttl--;
	ip->check = csum_apply(ip->check, value->l3_delta);
	if (value->l4_delta) {
		copy8(&ip->saddr, &value->addrs.ip4);
		nat_l4(ip + 1, proto, value);
	}

	return send(value);
}

static __always_inline void copy_ipv6_addrs(void *to, const void *from)
{
	copy8(to, from);
	copy8(to + 8, from + 8);
	copy8(to + 16, from + 16);
	copy8(to + 24, from + 24);
}

static __always_inline int send_ipv6(struct ipv6hdr *ip, __u8 proto,
				     const struct nf_flowmap_value *value)
{
	ip->hop_limit--;
	if (value->l4_delta) {
		copy_ipv6_addrs(&ip->saddr, &value->addrs.ip6);
		nat_l4(ip + 1, proto, value);
	}

	return send(value);
}

static __always_inline int send_ip(void *ip, __u8 family, __u8 proto,
				   const struct nf_flowmap_value *value)
{
	if (family == AF_INET)
		return send_ipv4(ip, proto, value);

	return send_ipv6(ip, proto, value);
}

/*
 * The two ways to write the headers end apart, or the compiler would join them, and
 * know no more where the headers are.
 */
static __always_inline int rewrite(struct xdp_md *ctx, void *ip, __u8 family,
				   __u8 proto, __u32 offset, __u32 size,
				   const struct nf_flowmap_key *key,
				   const struct nf_flowmap_value *value)
{
	if (value->l2_len == ETH_HLEN) {
		ip = write_eth_alone(ctx, ip, offset, size, value);
		if (ip)
			return send_ip(ip, family, proto, value);
	} else {
		ip = write_l2(ctx, offset, size, key, value);
		if (ip)
			return send_ip(ip, family, proto, value);
	}

	return leave(FLOWMAP_HEADROOM);
}

static __always_inline int
forward_ipv4(struct xdp_md *ctx, enum door door,
	     const struct nf_flowmap_encap *encap, struct iphdr *ip,
	     __u32 offset, void *end, __u8 proto)
{
	const __u32 size = sizeof(*ip) + l4_size(proto);
	const struct nf_flowmap_value *value;
	struct nf_flowmap_key key;

	if (!check_headers(ip, size, end, offset, ip->ttl))
		return XDP_PASS;

	copy8(&key.addrs.ip4, &ip->saddr);
	*(__u64 *)&key.addrs.ip6.saddr[2] = 0;
	*(__u64 *)&key.addrs.ip6.daddr[0] = 0;
	*(__u64 *)&key.addrs.ip6.daddr[2] = 0;
	value = look_up(ctx, door, &key, AF_INET, encap, ip + 1, proto, offset);
	if (!value)
		return XDP_PASS;

	return rewrite(ctx, ip, AF_INET, proto, offset, size, &key, value);
}

static __always_inline int
forward_ipv6(struct xdp_md *ctx, enum door door,
	     const struct nf_flowmap_encap *encap, struct ipv6hdr *ip,
	     __u32 offset, void *end, __u8 proto)
{
	const __u32 size = sizeof(*ip) + l4_size(proto);
	const struct nf_flowmap_value *value;
	struct nf_flowmap_key key;

	if (!check_headers(ip, size, end, offset, ip->hop_limit))
		return XDP_PASS;

	copy_ipv6_addrs(&key.addrs.ip6, &ip->saddr);
	value = look_up(ctx, door, &key, AF_INET6, encap, ip + 1, proto, offset);
	if (!value)
		return XDP_PASS;

	return rewrite(ctx, ip, AF_INET6, proto, offset, size, &key, value);
}

/* Without options, and no fragment: one comparison for both. */
static __always_inline bool is_whole(const struct iphdr *ip)
{
	const struct iphdr mask = {
		.ihl = 0xf,
		.frag_off = bpf_htons(IP_OFFSET_AND_MF),
	};
	const struct iphdr whole = { .ihl = 5 };
	__u64 head, head_mask, head_whole;

	copy8(&head, ip);
	copy8(&head_mask, &mask);
	copy8(&head_whole, &whole);

	return (head & head_mask) == head_whole;
}

/* The verifier follows TCP and UDP apart, each with its own length. */
static __always_inline int
do_ipv4(struct xdp_md *ctx, enum door door,
	const struct nf_flowmap_encap *encap, struct iphdr *ip, __u32 offset,
	void *end)
{
	if (is_short(ip, sizeof(*ip), end, offset))
		return leave(FLOWMAP_TRUNCATED);
	if (!is_whole(ip)) {
		barrier();	/* or each frame keeps a copy of what was read */
		return leave(ip->ihl != 5 ? FLOWMAP_OPTIONS : FLOWMAP_FRAGMENT);
	}
	if (ip->protocol == IPPROTO_UDP)
		return forward_ipv4(ctx, door, encap, ip, offset, end, IPPROTO_UDP);
	if (ip->protocol == IPPROTO_TCP)
		return forward_ipv4(ctx, door, encap, ip, offset, end, IPPROTO_TCP);

	return leave(FLOWMAP_PROTOCOL);
}

static __always_inline int
do_ipv6(struct xdp_md *ctx, enum door door,
	const struct nf_flowmap_encap *encap, struct ipv6hdr *ip, __u32 offset,
	void *end)
{
	if (is_short(ip, sizeof(*ip), end, offset))
		return leave(FLOWMAP_TRUNCATED);
	if (ip->nexthdr == IPPROTO_UDP)
		return forward_ipv6(ctx, door, encap, ip, offset, end, IPPROTO_UDP);
	if (ip->nexthdr == IPPROTO_TCP)
		return forward_ipv6(ctx, door, encap, ip, offset, end, IPPROTO_TCP);

	return leave(FLOWMAP_PROTOCOL);
}

static __always_inline bool is_ip(__be16 proto)
{
	return proto == bpf_htons(ETH_P_IP) || proto == bpf_htons(ETH_P_IPV6);
}

/* Does the tag at @data + @offset exist?  Then it stands in @encap. */
static __always_inline bool read_tag(const void *data, __u32 offset,
				     const void *end, __be16 *proto,
				     struct nf_flowmap_encap *encap)
{
	if (data + offset + VLAN_HLEN > end)
		return false;

	encap->id = bpf_ntohs(*(const __be16 *)(data + offset));
	encap->proto = *proto;
	*proto = *(const __be16 *)(data + offset + 2);

	return true;
}

/* The fields that say more than the session id are not looked at. */
static __always_inline bool read_pppoe(const void *data, __u32 offset,
				       const void *end, __be16 *proto,
				       struct nf_flowmap_encap *encap)
{
	if (data + offset + PPPOE_SES_HLEN > end)
		return false;

	encap->id = bpf_ntohs(*(const __be16 *)(data + offset + 2));
	encap->proto = *proto;
	switch (*(const __be16 *)(data + offset + 6)) {
	case bpf_htons(PPP_IP):
		*proto = bpf_htons(ETH_P_IP);
		break;
	case bpf_htons(PPP_IPV6):
		*proto = bpf_htons(ETH_P_IPV6);
		break;
	}

	return true;
}

/*
 * What may stand before IP, as nf_flow_tuple_encap() knows it: the stack has
 * taken an outer tag of either kind off, and looks for one more thing.
 * Return: the offset of IP, or 0 where there is none; @proto is that of IP.
 */
static __always_inline __u32 read_encap(const void *data, const void *end,
					__be16 *proto,
					struct nf_flowmap_encap *encap)
{
	__u32 offset = ETH_HLEN;

	if (*proto == bpf_htons(ETH_P_PPP_SES)) {
		if (!read_pppoe(data, offset, end, proto, &encap[0]))
			return 0;
		offset += PPPOE_SES_HLEN;
	} else if (*proto == bpf_htons(ETH_P_8021Q) ||
		   *proto == bpf_htons(ETH_P_8021AD)) {
		if (!read_tag(data, offset, end, proto, &encap[0]))
			return 0;
		offset += VLAN_HLEN;
		if (*proto == bpf_htons(ETH_P_8021Q)) {
			if (!read_tag(data, offset, end, proto, &encap[1]))
				return 0;
			offset += VLAN_HLEN;
		} else if (*proto == bpf_htons(ETH_P_PPP_SES)) {
			if (!read_pppoe(data, offset, end, proto, &encap[1]))
				return 0;
			offset += PPPOE_SES_HLEN;
		}
	}

	return is_ip(*proto) ? offset : 0;
}

/* Any frame, whatever stands before IP and however short it is. */
static __always_inline int run_any(struct xdp_md *ctx, enum door door)
{
	struct nf_flowmap_encap encap[NF_FLOWMAP_ENCAP_MAX] = {};
	void *end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	__u32 offset;
	__be16 proto;

	if (data + FRAME_MIN > end)
		return leave(FLOWMAP_TRUNCATED);

	proto = *(__be16 *)(data + offsetof(struct ethhdr, h_proto));
	offset = read_encap(data, end, &proto, encap);
	if (!offset)
		return leave(FLOWMAP_NOT_IP);
	if (proto == bpf_htons(ETH_P_IP))
		return do_ipv4(ctx, door, encap, data + offset, offset, end);

	return do_ipv6(ctx, door, encap, data + offset, offset, end);
}

static __noinline int run_any_kfunc(struct xdp_md *ctx)
{
	return run_any(ctx, DOOR_KFUNC);
}

static __noinline int run_any_map(struct xdp_md *ctx)
{
	return run_any(ctx, DOOR_MAP);
}

/*
 * Rewrite the packet and send it, or touch nothing.  Most frames are as long as
 * Ethernet wants them and have no tag, or one; those are treated here, apart from
 * each other, and all others by run_any().
 */
static __always_inline int run(struct xdp_md *ctx, enum door door)
{
	void *end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	struct nf_flowmap_encap encap[NF_FLOWMAP_ENCAP_MAX] = {};
	__u64 type;

	if (data + ETH_ZLEN > end)
		goto any;

	type = *(__be16 *)(data + offsetof(struct ethhdr, h_proto));
	if (type == bpf_htons(ETH_P_IP))
		return do_ipv4(ctx, door, encap, data + ETH_HLEN, ETH_HLEN, end);
	barrier_var(type);	/* or the compiler makes a search of it */
	if (type == bpf_htons(ETH_P_IPV6))
		return do_ipv6(ctx, door, encap, data + ETH_HLEN, ETH_HLEN, end);
	barrier_var(type);
	if (type == bpf_htons(ETH_P_8021Q)) {
		const __be16 *tag = data + ETH_HLEN;

		encap[0].id = bpf_ntohs(tag[0]);
		encap[0].proto = type;
		type = tag[1];
		if (type == bpf_htons(ETH_P_IP))
			return do_ipv4(ctx, door, encap, data + TAGGED_HLEN,
				       TAGGED_HLEN, end);
		barrier_var(type);
		if (type == bpf_htons(ETH_P_IPV6))
			return do_ipv6(ctx, door, encap, data + TAGGED_HLEN,
				       TAGGED_HLEN, end);
	}
any:
	return door == DOOR_MAP ? run_any_map(ctx) : run_any_kfunc(ctx);
}

SEC("xdp.frags")
int flowmap_xdp(struct xdp_md *ctx)
{
	return run(ctx, DOOR_KFUNC);
}

SEC("xdp.frags")
int flowmap_xdp_map(struct xdp_md *ctx)
{
	return run(ctx, DOOR_MAP);
}

char LICENSE[] SEC("license") = "GPL";
