// SPDX-License-Identifier: GPL-2.0-only
/* Packets: what a seed makes of them, and their bytes. */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "fuzz.h"

static const struct {
	const char *name;
	int64_t preset;
} fields[] = {
#define FIELD_NAME(symbol, name, preset) { name, preset },
	FIELDS(FIELD_NAME)
#undef FIELD_NAME
};

int64_t field_preset(enum field field)
{
	return fields[field].preset;
}

const char *field_name(enum field field)
{
	return fields[field].name;
}

/* Of a PPPoE session, and PPP's protocols there. */
#define ETHERTYPE_SESSION	0x8864
#define PPP_IP			0x21
#define PPP_IPV6		0x57

/* --- bytes ------------------------------------------------------------------ */

/* What a packet's field is, or what it should be. */
static int64_t get(const struct packet *packet, enum field field, int64_t right)
{
	return packet->field[field] == AUTO ? right : packet->field[field];
}

static void *push(struct frame *frame, size_t len)
{
	void *at = frame->bytes + frame->len;

	if (len > FRAME_MAX - (size_t)frame->len)
		die("a frame of more than %d bytes", FRAME_MAX);
	memset(at, 0, len);
	frame->len += len;

	return at;
}

static void put_tag(struct frame *frame, uint16_t type, uint16_t tci)
{
	const uint16_t tag[] = { htons(type), htons(tci) };

	memcpy(push(frame, sizeof(tag)), tag, sizeof(tag));
}

/* A tag's type stands before it, where that of the packet otherwise is. */
static void put_tags(struct frame *frame, const struct config *config,
		     const struct packet *packet, int port)
{
	enum link link = config->link[port];
	unsigned int tags = get(packet, F_TAGS, link_tags(link)), i;
	uint16_t tci, type;

	for (i = 0; i < tags; i++) {
		type = link_tag_type(link, i);
		if (!i)
			type = get(packet, F_TPID, type);
		tci = TAG_ID(port, i);
		if (i + 1 == tags)
			tci = get(packet, F_TCI, tci);
		put_tag(frame, type, tci);
	}
}

static uint16_t word_at(const struct frame *frame, size_t at)
{
	return frame->bytes[at] << 8 | frame->bytes[at + 1];
}

size_t frame_network(const struct frame *frame, uint16_t *type)
{
	size_t at = 2 * ETH_ALEN;

	*type = 0;
	for (; at + 6 < frame->len; at += 4) {
		*type = word_at(frame, at);
		if (*type != ETHERTYPE_VLAN && *type != 0x88a8)
			break;
	}
	if (*type == ETHERTYPE_SESSION && at + PPPOE_LEN + 6 < frame->len) {
		at += PPPOE_LEN;
		*type = word_at(frame, at);
		if (*type == PPP_IP || *type == PPP_IPV6)
			*type = *type == PPP_IP ? ETHERTYPE_IP : ETHERTYPE_IPV6;
	}

	return at + 2;
}

static uint16_t ether_type(const struct config *config, const struct flow *flow,
			   int port)
{
	if (link_is_pppoe(config->link[port]))
		return ETHERTYPE_SESSION;

	return flow->ip6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
}

static void put_ether(struct frame *frame, const struct config *config,
		      const struct flow *flow, const struct packet *packet)
{
	static const uint8_t others[][ETH_ALEN] = {
		{},
		{ 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		{ 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 },
	};
	struct ether_header *eth = push(frame, 2 * ETH_ALEN);
	int port = flow->port[packet->dir];
	uint16_t *type;
	unsigned int kind = packet->field[F_DMAC] % ARRAY_SIZE(others);

	neighbour_mac(eth->ether_shost, port, flow->neighbour[packet->dir]);
	if (kind)
		memcpy(eth->ether_dhost, others[kind], ETH_ALEN);
	else
		port_mac(eth->ether_dhost, port);
	put_tags(frame, config, packet, port);
	type = push(frame, sizeof(*type));
	*type = htons(get(packet, F_ETHERTYPE, ether_type(config, flow, port)));
}

static void put_session(struct frame *frame, const struct flow *flow,
			const struct packet *packet, int port)
{
	const uint16_t words[] = {
		htons(get(packet, F_PPPOE, 0x1100)),
		htons(get(packet, F_SID, SESSION(port))),
		0,
		htons(get(packet, F_PPP, flow->ip6 ? PPP_IPV6 : PPP_IP)),
	};

	memcpy(push(frame, sizeof(words)), words, sizeof(words));
}

/* @at: where the session begins, whose length does not count the first six bytes */
static void put_session_len(struct frame *frame, const struct packet *packet,
			    size_t at)
{
	uint16_t len = htons(get(packet, F_PPPOE_LEN, frame->len - at - 6));

	memcpy(frame->bytes + at + 4, &len, sizeof(len));
}

static void put_options(uint8_t *options, size_t size, unsigned int kind)
{
	memset(options, IPOPT_NOOP, size);
	switch (kind) {
	case IPOPT_NOOP:
		return;
	case IPOPT_RA:
		options[0] = IPOPT_RA;
		options[1] = 4;
		options[2] = 0;
		options[3] = 0;
		return;
	case IPOPT_RR:
	case IPOPT_LSRR:
	case IPOPT_SSRR:
		options[0] = kind;
		options[1] = size - 1;
		options[2] = 4;
		memset(options + 3, 0, size - 4);
		return;
	default:
		options[0] = kind;
		options[1] = size;
	}
}

static void put_ipv4(struct frame *frame, const struct flow *flow,
		     const struct packet *packet, size_t len)
{
	const struct tuple *tuple = &flow->wire[packet->dir];
	size_t size = sizeof(struct iphdr) + 4 * packet->field[F_OPTIONS];
	struct iphdr *ip = push(frame, size);

	ip->version = get(packet, F_VERSION, 4);
	ip->ihl = get(packet, F_IHL, size / 4);
	ip->tos = packet->field[F_TOS];
	ip->tot_len = htons(get(packet, F_TOT_LEN, size + len));
	ip->id = htons(packet->field[F_ID]);
	ip->frag_off = htons(packet->field[F_FRAG]);
	ip->ttl = packet->field[F_TTL];
	ip->protocol = get(packet, F_PROTO, flow->proto);
	memcpy(&ip->saddr, tuple->src, 4);
	memcpy(&ip->daddr, tuple->dst, 4);
	((uint8_t *)&ip->saddr)[3] += packet->field[F_SADDR];
	((uint8_t *)&ip->daddr)[3] += packet->field[F_DADDR];
	if (size > sizeof(*ip))
		put_options((uint8_t *)(ip + 1), size - sizeof(*ip),
			    packet->field[F_OPTION]);
	if (packet->field[F_IP_CSUM] == AUTO)
		ip->check = csum_fold(csum_add(0, ip, size));
	else
		ip->check = htons(packet->field[F_IP_CSUM]);
}

/* Eight bytes each: options that are padding, or what a fragment header has. */
static uint8_t put_extensions(struct frame *frame, const struct packet *packet,
			      unsigned int count, uint8_t proto)
{
	uint8_t kind = packet->field[F_EXT];
	uint8_t *ext;
	unsigned int i;

	for (i = 0; i < count; i++) {
		ext = push(frame, 8);
		ext[0] = i + 1 < count ? kind : proto;
		if (kind == IPPROTO_FRAGMENT) {
			ext[2] = packet->field[F_FRAG] >> 8 & 0xf;
			ext[3] = packet->field[F_FRAG];
			ext[7] = packet->field[F_ID];
			ext[6] = packet->field[F_ID] >> 8;
		} else {
			ext[2] = 1;
			ext[3] = 4;
		}
	}

	return count ? kind : proto;
}

static void put_ipv6(struct frame *frame, const struct flow *flow,
		     const struct packet *packet, size_t len)
{
	const struct tuple *tuple = &flow->wire[packet->dir];
	struct ip6_hdr *ip = push(frame, sizeof(*ip));
	unsigned int exts = packet->field[F_EXT] == AUTO ? 0 :
			    packet->field[F_EXTS];

	ip->ip6_flow = htonl((uint32_t)get(packet, F_VERSION, 6) << 28 |
			     (packet->field[F_TOS] & 0xff) << 20 |
			     (packet->field[F_LABEL] & 0xfffff));
	ip->ip6_plen = htons(get(packet, F_TOT_LEN, 8 * exts + len));
	ip->ip6_hlim = packet->field[F_TTL];
	memcpy(&ip->ip6_src, tuple->src, 16);
	memcpy(&ip->ip6_dst, tuple->dst, 16);
	ip->ip6_src.s6_addr[15] += packet->field[F_SADDR];
	ip->ip6_dst.s6_addr[15] += packet->field[F_DADDR];
	ip->ip6_nxt = put_extensions(frame, packet, exts,
				     get(packet, F_PROTO, flow->proto));
}

static uint16_t l4_csum(const struct flow *flow, const struct packet *packet,
			const void *l4, size_t len)
{
	const struct tuple *tuple = &flow->wire[packet->dir];
	size_t addr_len = flow->ip6 ? 16 : 4;
	uint32_t pseudo = flow->proto + len;
	uint16_t csum;

	pseudo = csum_add(pseudo, tuple->src, addr_len);
	pseudo = csum_add(pseudo, tuple->dst, addr_len);
	csum = csum_fold(csum_add(pseudo, l4, len));

	return !csum && flow->proto == IPPROTO_UDP ? 0xffff : csum;
}

static void put_tcp(struct tcphdr *tcp, const struct tuple *tuple,
		    const struct packet *packet, size_t size)
{
	tcp->source = htons(get(packet, F_SPORT, tuple->sport));
	tcp->dest = htons(get(packet, F_DPORT, tuple->dport));
	tcp->seq = htonl(packet->field[F_SEQ]);
	tcp->ack_seq = htonl(packet->field[F_ACK]);
	((uint8_t *)tcp)[12] = get(packet, F_DOFF, size / 4) << 4 |
			       (packet->field[F_FLAGS] >> 8 & 0xf);
	((uint8_t *)tcp)[13] = packet->field[F_FLAGS];
	tcp->window = htons(packet->field[F_WINDOW]);
	tcp->urg_ptr = htons(packet->field[F_URG]);
	memset(tcp + 1, TCPOPT_NOP, size - sizeof(*tcp));
}

static void put_udp(struct udphdr *udp, const struct tuple *tuple,
		    const struct packet *packet, size_t len)
{
	udp->source = htons(get(packet, F_SPORT, tuple->sport));
	udp->dest = htons(get(packet, F_DPORT, tuple->dport));
	udp->len = htons(get(packet, F_UDP_LEN, len));
}

static size_t l4_size(const struct flow *flow, const struct packet *packet)
{
	return flow->proto == IPPROTO_UDP ? sizeof(struct udphdr) :
	       sizeof(struct tcphdr) + 4 * packet->field[F_TCP_OPTIONS];
}

static void put_l4(struct frame *frame, const struct flow *flow,
		   const struct packet *packet)
{
	const struct tuple *tuple = &flow->wire[packet->dir];
	size_t header = l4_size(flow, packet), i;
	size_t len = header + packet->field[F_LEN];
	uint8_t *l4 = push(frame, len);
	uint16_t *csum;

	for (i = header; i < len; i++)
		l4[i] = i * 7 + (packet->field[F_DATA] >> 8 * (i & 3));
	if (flow->proto == IPPROTO_TCP) {
		put_tcp((void *)l4, tuple, packet, header);
		csum = &((struct tcphdr *)l4)->check;
	} else {
		put_udp((void *)l4, tuple, packet, len);
		csum = &((struct udphdr *)l4)->check;
	}
	if (packet->field[F_CSUM] == AUTO)
		*csum = l4_csum(flow, packet, l4, len);
	else
		*csum = htons(packet->field[F_CSUM]);
}

void packet_build(const struct config *config, const struct packet *packet,
		  struct frame *frame)
{
	const struct flow *flow = &config->flow[packet->flow];
	size_t len = l4_size(flow, packet) + packet->field[F_LEN];
	size_t pad = packet->field[F_PAD];
	bool pppoe;
	size_t session;

	frame->len = 0;
	frame->port = flow->port[packet->dir];
	pppoe = link_is_pppoe(config->link[frame->port]);
	put_ether(frame, config, flow, packet);
	session = frame->len;
	if (pppoe)
		put_session(frame, flow, packet, frame->port);
	if (flow->ip6)
		put_ipv6(frame, flow, packet, len);
	else
		put_ipv4(frame, flow, packet, len);
	put_l4(frame, flow, packet);
	if (pppoe)
		put_session_len(frame, packet, session);
	memset(push(frame, pad), 0xa5, pad);
	if (frame->len > packet->field[F_CUT])
		frame->len = packet->field[F_CUT];
	if (packet->field[F_PATCH] != AUTO && packet->field[F_PATCH] < frame->len)
		frame->bytes[packet->field[F_PATCH]] = packet->field[F_VALUE];
}

/* --- what a seed makes ------------------------------------------------------- */

/*
 * Packets that a flow begins with. If the first of its other direction were the
 * first that conntrack sees, NAT would have to choose another port, at random.
 */
#define BEGINNING	4

/* Where a TCP connection is. */
enum phase { CLOSED, SYN_SENT, SYN_RECEIVED, ESTABLISHED };

struct state {
	enum phase	phase;
	unsigned int	seen;
	uint32_t	next[DIRECTIONS];	/* sequence numbers */
};

static int64_t random_of(struct rng *rng, const int64_t *values, size_t count)
{
	return values[rng_below(rng, count)];
}

#define ONE_OF(rng, ...)						\
	random_of(rng, (const int64_t[]){ __VA_ARGS__ },		\
		  sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))

static int64_t random_len(struct rng *rng, const struct config *config,
			  const struct packet *packet)
{
	const struct flow *flow = &config->flow[packet->flow];
	unsigned int what = rng_below(rng, 100);
	int64_t headers = (flow->ip6 ? 40 : 20) + l4_size(flow, packet);
	int64_t len;

	if (what < 50)
		return rng_below(rng, 64);
	if (what < 75)
		return rng_below(rng, 1400);
	if (what < 90)
		return rng_below(rng, 9000 - headers);
	/* around what a port takes */
	len = config->mtu[rng_below(rng, config->ports)] - headers - 4 +
	      rng_below(rng, 8);

	return len > 9000 - headers ? 9000 - headers : len;
}

/* What a connection would send next. */
static void next_tcp(struct rng *rng, struct packet *packet, struct state *state)
{
	int64_t *field = packet->field;

	switch (state->phase) {
	case CLOSED:
		packet->dir = ORIGINAL;
		state->next[ORIGINAL] = rng_next(rng);
		state->next[REPLY] = rng_next(rng);
		field[F_FLAGS] = 0x02;
		field[F_LEN] = 0;
		state->phase = SYN_SENT;
		break;
	case SYN_SENT:
		packet->dir = REPLY;
		field[F_FLAGS] = 0x12;
		field[F_LEN] = 0;
		state->phase = SYN_RECEIVED;
		break;
	case SYN_RECEIVED:
		packet->dir = ORIGINAL;
		field[F_LEN] = 0;
		state->phase = ESTABLISHED;
		break;
	case ESTABLISHED:
		field[F_FLAGS] = rng_chance(rng, 30) ? 0x18 : 0x10;
		if (rng_chance(rng, 1)) {
			field[F_FLAGS] = rng_chance(rng, 50) ? 0x11 : 0x14;
			if (rng_chance(rng, 50))
				state->phase = CLOSED;
		}
		break;
	}
	field[F_SEQ] = state->next[packet->dir];
	field[F_ACK] = field[F_FLAGS] & 0x10 ? state->next[!packet->dir] : 0;
	state->next[packet->dir] += field[F_LEN] + !!(field[F_FLAGS] & 0x03);
}

/* What a flowtable has to forward, one way or the other. */
static void make_odd(struct rng *rng, const struct config *config,
		     const struct flow *flow, struct packet *packet)
{
	unsigned int tags = link_tags(config->link[flow->port[packet->dir]]);
	int64_t *field = packet->field;
	bool tcp = flow->proto == IPPROTO_TCP;

	switch (rng_below(rng, 17)) {
	case 0:
		field[F_TOS] = rng_below(rng, 256);
		break;
	case 1:
		field[F_LABEL] = rng_below(rng, 1 << 20);
		field[F_TOS] = rng_below(rng, 4);
		break;
	case 2:
		field[F_TTL] = ONE_OF(rng, 2, 3, 63, 128, 255);
		break;
	case 3:
		field[F_CSUM] = ONE_OF(rng, 0, 1, 0xfffe, 0xffff, 0x7fff, 0x8000);
		break;
	case 4:
		field[F_CSUM] = rng_below(rng, 1 << 16);
		break;
	case 5:
		field[F_IP_CSUM] = ONE_OF(rng, 0, 0xffff, 0xfeff, 0xfefe, 0xfffe);
		break;
	case 6:
		field[F_IP_CSUM] = rng_below(rng, 1 << 16);
		break;
	case 7:
		field[F_PAD] = 1 + rng_below(rng, 30);
		break;
	case 8:
		field[F_TOT_LEN] = rng_below(rng, 1 << 16);
		break;
	case 9:
		field[F_DMAC] = 1;
		break;
	case 10:
		field[tcp ? F_SEQ : F_UDP_LEN] = rng_next(rng) & 0xffffffff;
		break;
	case 11:
		field[tcp ? F_FLAGS : F_ID] = rng_below(rng, 1 << 12);
		break;
	case 12:
		field[F_DOFF] = rng_below(rng, 16);
		break;
	case 13:
		field[F_TCP_OPTIONS] = rng_below(rng, 11);
		break;
	case 14:
		field[F_WINDOW] = rng_below(rng, 1 << 16);
		field[F_URG] = rng_below(rng, 1 << 16);
		break;
	case 15:
		field[F_FRAG] = ONE_OF(rng, 0, 0x8000, 0xc000);
		break;
	case 16:
		/* the same VLAN, another priority */
		if (tags)
			field[F_TCI] = TAG_ID(flow->port[packet->dir], tags - 1) |
				       rng_below(rng, 16) << 12;
		break;
	}
}

/* What it must not forward, or what has another packet's flow. */
static void make_bad(struct rng *rng, const struct flow *flow,
		     struct packet *packet)
{
	int64_t *field = packet->field;

	switch (rng_below(rng, 17)) {
	case 0:
		field[F_TTL] = rng_below(rng, 2);
		break;
	case 1:
		field[F_OPTIONS] = 1 + rng_below(rng, 10);
		field[F_OPTION] = ONE_OF(rng, IPOPT_NOOP, IPOPT_RA, IPOPT_RR,
					 IPOPT_LSRR, IPOPT_SSRR, 0, 134, 222);
		break;
	case 2:
		field[F_FRAG] = ONE_OF(rng, 0x2000, 1, 3, 0x2001, 0x1fff, 0x4001,
				       0x6000, 0x2008);
		field[F_EXT] = IPPROTO_FRAGMENT;
		field[F_ID] = rng_below(rng, 1 << 16);
		break;
	case 3:
		field[F_EXT] = ONE_OF(rng, IPPROTO_HOPOPTS, IPPROTO_ROUTING,
				      IPPROTO_FRAGMENT, IPPROTO_DSTOPTS,
				      IPPROTO_AH, IPPROTO_NONE, IPPROTO_MH);
		field[F_EXTS] = 1 + rng_below(rng, 4);
		break;
	case 4:
		field[F_PROTO] = ONE_OF(rng, 0, IPPROTO_ICMP, IPPROTO_ICMPV6,
					IPPROTO_GRE, IPPROTO_SCTP,
					IPPROTO_UDPLITE, IPPROTO_IPIP, IPPROTO_ESP,
					IPPROTO_TCP, IPPROTO_UDP, 255);
		break;
	case 5:
		field[F_VERSION] = rng_below(rng, 16);
		break;
	case 6:
		field[F_IHL] = rng_below(rng, 16);
		break;
	case 7:
		field[F_CUT] = 14 + rng_below(rng, 70);
		break;
	case 8:
		field[F_DMAC] = 2 + rng_below(rng, 2);
		break;
	case 9:
		field[F_ETHERTYPE] = ONE_OF(rng, ETHERTYPE_IP, ETHERTYPE_IPV6,
					    0x88b5, 0x8100, 0x88a8, 0x8864, 46,
					    1500, 0);
		break;
	case 10:
		field[rng_chance(rng, 50) ? F_SPORT : F_DPORT] =
			rng_below(rng, 1 << 16);
		break;
	case 11:
		field[rng_chance(rng, 50) ? F_SADDR : F_DADDR] =
			rng_below(rng, 4);
		break;
	case 12:
		field[F_PATCH] = 12 + rng_below(rng, 70);
		field[F_VALUE] = rng_below(rng, 256);
		break;
	case 13:
		field[F_TAGS] = rng_below(rng, 4);
		break;
	case 14:
		field[rng_chance(rng, 50) ? F_TCI : F_TPID] =
			ONE_OF(rng, 0, 11, 20, 21, 0x8100, 0x88a8, 0x9100, 4095);
		break;
	case 15:
		if (flow->proto == IPPROTO_TCP)
			field[F_FLAGS] = rng_below(rng, 1 << 12);
		else
			field[F_LEN] = 0;
		break;
	case 16:
		/* only what comes by a session has these */
		field[ONE_OF(rng, F_PPPOE, F_SID, F_PPP, F_PPPOE_LEN)] =
			ONE_OF(rng, 0, 1, SESSION(0), SESSION(1), 20, PPP_IP, PPP_IPV6,
			       0x1100, 0x1101, 0x2100, 0x2145, 0xc021, 0xffff);
		break;
	}
}

static void make_packet(struct rng *rng, const struct config *config,
			struct state *states, struct packet *packet)
{
	struct state *state;
	const struct flow *flow;
	unsigned int what;
	int i;

	for (i = 0; i < FIELD_MAX; i++)
		packet->field[i] = fields[i].preset;
	packet->flow = rng_below(rng, config->flows);
	flow = &config->flow[packet->flow];
	state = &states[packet->flow];
	packet->dir = rng_chance(rng, 50) && state->seen;
	packet->field[F_DATA] = rng_next(rng) & 0xffffffff;
	packet->field[F_ID] = rng_below(rng, 1 << 16);
	/* A flow begins with packets that arrive, whatever the MTU. */
	packet->field[F_LEN] = state->seen < BEGINNING ? rng_below(rng, 64) :
			       random_len(rng, config, packet);
	if (flow->proto == IPPROTO_TCP)
		next_tcp(rng, packet, state);

	what = rng_below(rng, 100);
	/* and that are right */
	if (state->seen < BEGINNING)
		what += 50;
	if (what < 15)
		make_bad(rng, flow, packet);
	if (what < 45)
		make_odd(rng, config, flow, packet);
	state->seen++;
}

/* The first of them are the same however many there are. */
void packets_make(const struct config *config, struct packet *packets,
		  size_t count)
{
	struct rng rng = { .state = ~config->seed * 0x2545f4914f6cdd1dULL +
				    config->number };
	struct state states[FLOWS_MAX] = {};
	size_t i;

	for (i = 0; i < count; i++) {
		memset(&packets[i], 0, sizeof(packets[i]));
		packets[i].number = i;
		if (config->class == CLASS_EVENTS && i > 40 && rng_chance(&rng, 4)) {
			packets[i].event = 1 + rng_below(&rng, EVENT_MAX - 1);
			packets[i].arg = rng_below(&rng, 256);
		} else {
			make_packet(&rng, config, states, &packets[i]);
		}
	}
}
