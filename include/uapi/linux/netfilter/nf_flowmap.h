/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The contract between the kernel's shadow of a flowtable and those who look
 * flows up in it: BPF programs and user space.  One key and one value serve
 * every door (kfunc, map type).
 *
 * Everything here is copied into; nothing is a view of a kernel structure.
 */
#ifndef _UAPI_NF_FLOWMAP_H
#define _UAPI_NF_FLOWMAP_H

#include <linux/types.h>

/*
 * The map type that the flowmap module registers, on kernels where modules can;
 * the first of the range that is theirs.
 */
#define BPF_MAP_TYPE_FLOWMAP	64

/* Tags that a frame may carry between Ethernet and IP; more stay on the stack. */
#define NF_FLOWMAP_ENCAP_MAX	2

/*
 * Room for the most that may leave between Ethernet and IP: two tags, and a PPPoE
 * session with the protocol of PPP.  The length in the latter, two bytes before
 * the last two, depends on the packet: it is the key's @len and 2.
 */
#define NF_FLOWMAP_L2_ENCAP_MAX	16

/**
 * struct nf_flowmap_encap - one tag of a received frame
 * @id: host byte order: the TCI of a VLAN tag, the session id of PPPoE
 * @proto: network byte order: ETH_P_8021Q, ETH_P_8021AD or ETH_P_PPP_SES;
 *	0 where there is no tag
 */
struct nf_flowmap_encap {
	__u16	id;
	__be16	proto;
};

/**
 * union nf_flowmap_addrs - the two addresses of a packet
 * @ip4: IPv4, network byte order; the rest of the union is zero
 * @ip6: IPv6, network byte order
 */
union nf_flowmap_addrs {
	struct {
		__be32	saddr;
		__be32	daddr;
	} ip4;
	struct {
		__be32	saddr[4];
		__be32	daddr[4];
	} ip6;
};

/*
 * The packet ends its connection: TCP with FIN or RST.  The flow is given back
 * to conntrack before the lookup returns, which is always without a value, so
 * that no packet behind this one overtakes it.
 */
#define NF_FLOWMAP_KEY_END	(1U << 0)

/*
 * The frame is in fragments, which not every device that sends frames of XDP
 * takes: the data of the context ends before the frame does.  Only a program
 * that loads as one for fragments ever sees such frames.  For a lookup by map;
 * the kfuncs see for themselves.
 */
#define NF_FLOWMAP_KEY_FRAGS	(1U << 1)

/**
 * struct nf_flowmap_key - a packet, as it was received
 * @ifindex: receiving device, in the netns that received the packet
 * @l3proto: AF_INET or AF_INET6
 * @l4proto: IPPROTO_TCP or IPPROTO_UDP
 * @flags: NF_FLOWMAP_KEY_*; not part of the match
 * @encap: tags of the frame, outermost first; zero where there is none
 * @sport: source port, network byte order
 * @dport: destination port, network byte order
 * @len: bytes from the start of the IP header to the end of the frame, padding
 *	included, which is what conntrack counts; not part of the match.
 *	A lookup with a @len of 1 to the value's mtu says "I am forwarding this
 *	packet now": it is counted and keeps the flow alive.  With 0, or with
 *	more than the mtu, the lookup only looks.
 * @addrs: addresses of the packet
 *
 * A key must be zero where it says nothing.  Its first 16 bytes and @addrs are
 * compared eight bytes at a time: a program that writes them so spares the
 * processor the wait until smaller pieces have reached its cache.
 */
struct nf_flowmap_key {
	__u32			ifindex;
	__u8			l3proto;
	__u8			l4proto;
	__u16			flags;
	struct nf_flowmap_encap	encap[NF_FLOWMAP_ENCAP_MAX];
	__be16			sport;
	__be16			dport;
	__u32			len;
	union nf_flowmap_addrs	addrs;
} __attribute__((aligned(8)));

/* The value's flags. */
#define NF_FLOWMAP_F_NAT	(1U << 0) /* write addrs, sport and dport */
#define NF_FLOWMAP_F_REPLY	(1U << 1) /* reply direction of the connection */
#define NF_FLOWMAP_F_COUNTER	(1U << 2) /* counted by conntrack too */
#define NF_FLOWMAP_F_PPPOE	(1U << 3) /* l2_encap has PPPoE: write its length */

/**
 * struct nf_flowmap_value - what to do to a packet of this flow and direction
 * @ifindex: device to send it out of
 * @mtu: longest packet to forward, compared with the key's @len; what is
 *	longer belongs to the stack, and 0 that the flow ended after the lookup
 * @flags: NF_FLOWMAP_F_*
 * @l2_len: bytes before IP of the frame that leaves: the 14 of @eth, and those of
 *	@l2_encap that are used
 * @sport: source port that leaves, network byte order
 * @dport: destination port that leaves, network byte order
 * @l3_delta: to add, in ones' complement, to the complement of the IPv4 header
 *	checksum: the change of addresses and the decrement of the TTL.  Never
 *	0 for IPv4, so that the sum cannot become 0 and the checksum cannot
 *	become 0xffff; 0 for IPv6.  As it would be read from memory, like a
 *	checksum.
 * @l4_delta: likewise for the TCP or UDP checksum: addresses and ports.  0
 *	where there is no NAT.  A UDP checksum of zero stays zero, and one that
 *	becomes zero is written as 0xffff.
 * @packets: forwarded through this direction so far; a few may be missing after
 *	a route changed.  Conntrack's own counters miss none.
 * @bytes: likewise, the sum of the keys' @len
 * @eth: Ethernet header of the frame that leaves, in place of all that came
 *	before IP (which the key described)
 * @reserved: 0
 * @addrs: addresses that leave
 * @l2_encap: what follows @eth where @l2_len is more than 14
 *
 * The caller decrements the TTL or hop limit, which must have been above 1.
 */
struct nf_flowmap_value {
	__u32			ifindex;
	__u16			mtu;
	__u8			flags;
	__u8			l2_len;
	__be16			sport;
	__be16			dport;
	__u16			l3_delta;
	__u16			l4_delta;
	__u64			packets;
	__u64			bytes;
	__u8			eth[14];
	__u16			reserved;
	union nf_flowmap_addrs	addrs;
	__u8			l2_encap[NF_FLOWMAP_L2_ENCAP_MAX];
} __attribute__((aligned(8)));

#ifndef __KERNEL__
#include <stddef.h>
#endif

_Static_assert(sizeof(struct nf_flowmap_key) == 56, "key size");
_Static_assert(offsetof(struct nf_flowmap_key, encap) == 8, "key encap");
_Static_assert(offsetof(struct nf_flowmap_key, sport) == 16, "key ports");
_Static_assert(offsetof(struct nf_flowmap_key, len) == 20, "key len");
_Static_assert(offsetof(struct nf_flowmap_key, addrs) == 24, "key addresses");
_Static_assert(sizeof(struct nf_flowmap_value) == 96, "value size");
_Static_assert(offsetof(struct nf_flowmap_value, sport) == 8, "value ports");
_Static_assert(offsetof(struct nf_flowmap_value, packets) == 16, "value counters");
_Static_assert(offsetof(struct nf_flowmap_value, eth) == 32, "value eth");
_Static_assert(offsetof(struct nf_flowmap_value, addrs) == 48, "value addresses");
_Static_assert(offsetof(struct nf_flowmap_value, l2_encap) == 80, "value encap");

#endif /* _UAPI_NF_FLOWMAP_H */
