/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differential test: what its parts share.
 *
 * Two routers on one kernel, alike in everything but XDP. A configuration and a
 * list of packets come from a seed; each packet goes into both routers; what
 * leaves them, and what conntrack says in the end, has to be the same.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../program.h"

#define PORTS_MAX	3
#define FLOWS_MAX	16
#define FRAME_MAX	9600

/* The routers. */
enum { SOFT, FAST, ROUTERS };

/* Directions of a flow. */
enum { ORIGINAL, REPLY, DIRECTIONS };

/* --- numbers that look random (splitmix64) -------------------------------- */

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

	return z ^ (z >> 31);
}

/* From 0 to @below - 1. */
static inline uint32_t rng_below(struct rng *rng, uint32_t below)
{
	return (uint32_t)(rng_next(rng) >> 32) * (uint64_t)below >> 32;
}

static inline bool rng_chance(struct rng *rng, uint32_t percent)
{
	return rng_below(rng, 100) < percent;
}

/* --- configurations (config.c) ------------------------------------------- */

/* X(symbol, name) */
#define NATS(X)								\
	X(NONE, "none")							\
	X(MASQUERADE, "masquerade")					\
	X(SNAT, "snat")							\
	X(SNAT_PORT, "snat-port")					\
	X(SNAT_RANGE, "snat-range")					\
	X(DNAT, "dnat")							\
	X(DNAT_PORT, "dnat-port")					\
	X(BOTH, "both")

enum nat {
#define NAT_ENUM(symbol, name) NAT_##symbol,
	NATS(NAT_ENUM)
#undef NAT_ENUM
	NAT_MAX
};

/* What stands in the way of packets beside the flowtable; X(symbol, name, XDP may still forward) */
#define WAYS(X)								\
	X(FREE, "free", true)						\
	X(CHAIN_BEHIND, "chain-behind", true)				\
	X(CLSACT, "clsact", true)					\
	X(FQ_CODEL, "fq-codel", true)					\
	X(CHAIN_BEFORE, "chain-before", false)				\
	X(CHAIN_EGRESS, "chain-egress", false)				\
	X(TC_INGRESS, "tc-ingress", false)				\
	X(TC_EGRESS, "tc-egress", false)				\
	X(TBF, "tbf", false)

enum way {
#define WAY_ENUM(symbol, name, allowed) WAY_##symbol,
	WAYS(WAY_ENUM)
#undef WAY_ENUM
	WAY_MAX
};

/*
 * What a port's addresses are on; X(symbol, name, tags of its frames, and then a PPPoE
 * session, XDP forwards them)
 */
#define LINKS(X)							\
	X(PLAIN, "plain", 0, false, true)				\
	X(VLAN, "802.1q", 1, false, true)				\
	X(AD, "802.1ad", 1, false, true)				\
	X(QINQ, "qinq", 2, false, true)					\
	X(BRIDGE, "bridge", 0, false, true)				\
	X(BRIDGE_PVID, "bridge-pvid", 0, false, true) /* one that knows VLANs */ \
	X(BRIDGE_VLAN, "bridge-802.1q", 1, false, true) /* a VLAN on one that does not */ \
	X(PPPOE, "pppoe", 0, true, true)				\
	X(PPPOE_VLAN, "pppoe-802.1q", 1, true, true)			\
	X(BOND, "bond", 0, false, true)					\
	X(MACVLAN, "macvlan", 0, false, false)

enum link {
#define LINK_ENUM(symbol, name, tags, pppoe, allowed) LINK_##symbol,
	LINKS(LINK_ENUM)
#undef LINK_ENUM
	LINK_MAX
};

/* What a configuration is about, so that each kind gets its share. */
#define CLASSES(X)							\
	X(ROUTE, "route")						\
	X(NAT, "nat")							\
	X(MTU, "mtu")							\
	X(TABLES, "tables")						\
	X(WAY, "rule-3")						\
	X(LINKS, "links")						\
	X(EVENTS, "events")

enum class {
#define CLASS_ENUM(symbol, name) CLASS_##symbol,
	CLASSES(CLASS_ENUM)
#undef CLASS_ENUM
	CLASS_MAX
};

/* A packet's end points, network byte order; IPv4 in the first four bytes. */
struct tuple {
	uint8_t		src[16];
	uint8_t		dst[16];
	uint16_t	sport;	/* host byte order */
	uint16_t	dport;
};

struct flow {
	bool		ip6;
	uint8_t		proto;
	enum nat	nat;
	uint8_t		port[DIRECTIONS];	/* where packets of a direction come in */
	uint8_t		neighbour[DIRECTIONS];	/* and from whom */
	struct tuple	wire[DIRECTIONS];	/* as they come in */
	uint8_t		nat_src[16];
	uint16_t	nat_sport;
};

struct config {
	uint64_t	seed;
	uint32_t	number;
	enum class	class;
	uint8_t		ports;
	uint16_t	mtu[PORTS_MAX];
	enum link	link[PORTS_MAX];
	bool		counter;
	bool		snoop;		/* the flowtable of the router with XDP tells, if it can */
	bool		established;	/* packets of new connections add no flow */
	bool		two_tables;
	uint8_t		without;	/* the last table lacks this port, if there is one */
	bool		liberal;
	bool		policy;		/* some sources have a route of their own */
	bool		use_pmtu;
	uint8_t		rp_filter;
	enum way	way;
	uint8_t		way_port;
	uint8_t		flows;
	struct flow	flow[FLOWS_MAX];
};

void config_make(struct config *config, uint64_t seed, uint32_t number);
bool config_has_ip6(const struct config *config, int port);
bool config_has_qdiscs(const struct config *config);
bool config_allows_xdp(const struct config *config);
void config_print(const struct config *config, FILE *out);
const char *class_name(enum class class);
/* Commands for ip -batch, tc -batch and nft, the same for both routers. */
/* The devices above the ports, but for those of sessions. */
void config_ip_links(const struct config *config, FILE *out);
void config_ip_policy(const struct config *config, FILE *out);
void config_ip_no_policy(FILE *out);
/* What has a port's addresses. */
const char *config_device(const struct config *config, int port);
bool config_has_link(const struct config *config, enum link link);
unsigned int link_tags(enum link link);
bool link_is_pppoe(enum link link);
/* Bytes of its frames between the Ethernet header and IP. */
unsigned int link_header(enum link link);
/* The one that comes with so many before it: EtherType and VLAN id. */
uint16_t link_tag_type(enum link link, unsigned int tag);
#define TAG_LEN			4
#define PPPOE_LEN		8	/* with PPP's protocol */
#define SESSION(port)		(7 + (port))
#define TAG_ID(port, tag)	(10 * ((port) + 1) + (tag))
/* The devices that carry its own. */
void config_ip_below(const struct config *config, int port, FILE *out);
void config_ip_port(const struct config *config, int port, FILE *out);
void config_fdb(const struct config *config, int port, FILE *out);
void config_tc(const struct config *config, FILE *out);
/* Without the flowtables, if they are made by flowmap. */
void config_nft(const struct config *config, bool snoop, FILE *out);
/* The arguments of "flowmap snoop" for one of them. */
#define SNOOP_ARGS_MAX	16
void config_snoop(const struct config *config, int table, const char *args[]);

/* All rules gone, but for one against what a router says on its own clock. */
#define NO_RULES							\
	"flush ruleset\n"						\
	"table inet quiet {\n"						\
	"	chain output {\n"					\
	"		type filter hook output priority filter\n"	\
	"		icmpv6 type { 130-137, 143 } drop\n"		\
	"		ip protocol igmp drop\n"			\
	"	}\n"							\
	"}\n"

/* A neighbour that nobody asks after; but for the MAC address's last two bytes. */
#define PERMANENT	"nud permanent lladdr 02:00:00:00:"

/* A rule that marks packets. */
#define SET_DSCP(family, dscp) \
	"meta protocol " #family " " #family " dscp set " #dscp

/* MAC addresses: of the router's port, or of a neighbour there (from 1 on). */
void port_mac(uint8_t *mac, int port);
void neighbour_mac(uint8_t *mac, int port, int neighbour);

/* --- packets (packet.c) --------------------------------------------------- */

/*
 * What a packet's fields are if they are not set.  AUTO is what they should be.
 */
#define AUTO		(-1)

/* X(symbol, name, default) */
#define FIELDS(X)							\
	X(DMAC, "dmac", 0)	/* 1: another's, 2: broadcast, 3: multicast */ \
	X(TAGS, "tags", AUTO)	/* so many */				\
	X(TPID, "tpid", AUTO)	/* of the first */			\
	X(TCI, "tci", AUTO)	/* of the last */			\
	X(ETHERTYPE, "ethertype", AUTO)					\
	X(PPPOE, "pppoe", AUTO)	/* version, type and code */		\
	X(SID, "sid", AUTO)						\
	X(PPPOE_LEN, "pppoelen", AUTO)					\
	X(PPP, "ppp", AUTO)	/* protocol */				\
	X(VERSION, "version", AUTO)					\
	X(IHL, "ihl", AUTO)						\
	X(TOS, "tos", 0)	/* traffic class */			\
	X(LABEL, "label", 0)						\
	X(TOT_LEN, "totlen", AUTO) /* IPv6: payload length */		\
	X(ID, "id", 0)							\
	X(FRAG, "frag", 0x4000)						\
	X(TTL, "ttl", 64)						\
	X(PROTO, "proto", AUTO)						\
	X(IP_CSUM, "ipcsum", AUTO)					\
	X(OPTIONS, "options", 0) /* words of IPv4 options */		\
	X(OPTION, "option", 1)	/* their kind */			\
	X(EXT, "ext", AUTO)	/* an IPv6 extension header */		\
	X(EXTS, "exts", 1)	/* so many */				\
	X(SADDR, "saddr", 0)	/* added to the address's last byte */	\
	X(DADDR, "daddr", 0)						\
	X(SPORT, "sport", AUTO)						\
	X(DPORT, "dport", AUTO)						\
	X(CSUM, "csum", AUTO)						\
	X(UDP_LEN, "udplen", AUTO)					\
	X(SEQ, "seq", 1)						\
	X(ACK, "ack", 1)						\
	X(DOFF, "doff", AUTO)						\
	X(FLAGS, "flags", 0x10)	/* with the reserved bits above them */	\
	X(WINDOW, "window", 8192)					\
	X(URG, "urg", 0)						\
	X(TCP_OPTIONS, "tcpoptions", 0) /* words */			\
	X(LEN, "len", 18)	/* of the payload */			\
	X(DATA, "data", 0)	/* its first word */			\
	X(PAD, "pad", 0)						\
	X(CUT, "cut", FRAME_MAX)					\
	X(PATCH, "patch", AUTO)	/* a byte of the frame */		\
	X(VALUE, "value", 0)	/* what it becomes */

enum field {
#define FIELD_ENUM(symbol, name, preset) F_##symbol,
	FIELDS(FIELD_ENUM)
#undef FIELD_ENUM
	FIELD_MAX
};

/* What happens between two packets; X(symbol, name) */
#define EVENTS(X)							\
	X(NONE, "none")							\
	X(ROUTE, "route")						\
	X(NEIGHBOUR, "neighbour")					\
	X(ADDRESS, "address")						\
	X(MAC, "mac")							\
	X(LINK, "link")							\
	X(RELOAD, "reload")						\
	X(CONNTRACK, "conntrack")					\
	X(FLUSH, "flush")						\
	X(EGRESS, "egress")						\
	X(INGRESS, "ingress")						\
	X(XDP, "xdp")

enum event {
#define EVENT_ENUM(symbol, name) EVENT_##symbol,
	EVENTS(EVENT_ENUM)
#undef EVENT_ENUM
	EVENT_MAX
};

/* Or an event in a packet's place. */
struct packet {
	uint32_t	number;
	uint8_t		event;
	uint8_t		arg;	/* the event's */
	uint8_t		flow;
	uint8_t		dir;
	int64_t		field[FIELD_MAX];
};

struct frame {
	uint16_t	len;
	uint8_t		port;
	uint8_t		bytes[FRAME_MAX];
};

/* Where the network header is, behind tags and a session, and its EtherType. */
size_t frame_network(const struct frame *frame, uint16_t *type);
void packets_make(const struct config *config, struct packet *packets,
		  size_t count);
void packet_build(const struct config *config, const struct packet *packet,
		  struct frame *frame);
void packet_print(const struct config *config, const struct packet *packet,
		  FILE *out);
int64_t field_preset(enum field field);
const char *field_name(enum field field);

/* --- the routers (net.c) --------------------------------------------------- */

/* The namespace of the far ends of their cables. */
#define WIRES		ROUTERS

/* Groups of devices: at the far ends, ports, and what is on ports. */
#define WIRES_GROUP	7
#define PORTS_GROUP	8
#define LINKS_GROUP	9
#define NAMESPACES	(ROUTERS + 1)

void net_init(void);
/* Do the devices above the ports count the same?  Says on @out what they do not. */
bool net_same(const struct config *config, FILE *out);
/* Its rules, anew. */
void net_rules(const struct config *config, int router);
void net_down(int router, int port);
/* Until the kernel has told of carriers that came or went. */
void net_settle(void);
void net_up(const struct config *config, int router, int port);
void net_setup(const struct config *config);
/* Flows that have ended leave the flowtables now. */
void net_collect(void);
/* This process goes into a namespace. */
void net_enter(int router);
unsigned int net_ifindex(int port);
unsigned int net_wire(int router, int port);
unsigned int net_link(int port, char kind);
bool net_is_wire(unsigned int ifindex, int *router, uint8_t *port);
const char *net_name(int router);

/* --- commands (command.c) -------------------------------------------------- */

void net_start_ip(int router);
void net_restart_ip(int router);
void net_start_nft(int router);
void net_ip(int router, const char *commands);
void net_nft(int router, const char *commands);
int run_program(int router, const char *input, const char *const *argv);
/* A text to be written; what text_end() returns stays until the next begins. */
FILE *text_begin(void);
const char *text_end(FILE *out);

/* --- frames (wires.c) --------------------------------------------------------- */

/* What left the routers for one packet. */
#define OUT_MAX		64

struct out {
	bool		taken[ROUTERS];
	unsigned int	count[ROUTERS];
	struct frame	frame[ROUTERS][OUT_MAX];
};

void wire_init(void);
bool wire_send(int router, const struct frame *frame);
void wire_collect(struct out *out);
/* Frames that the test itself lost since the last call: it cannot judge. */
unsigned int wire_lost(void);

/* --- conntrack (conntrack.c) ------------------------------------------------ */

void conntrack_init(void);
void conntrack_flush(void);
/* Says on @out what differs, if anything does. */
bool conntrack_same(FILE *out);

/* One connection, the same of both. */
void conntrack_delete(unsigned int which);

/* --- events (event.c) -------------------------------------------------------- */

/* What events have made of the routers. */
struct condition {
	unsigned int	down;		/* ports, as bits */
	bool		chain;		/* keeps flows off XDP */
	bool		detached;
};

void event_run(const struct config *config, const struct packet *event,
	       struct condition *now);
const char *event_name(enum event event);

/* --- XDP (xdp.c) ------------------------------------------------------------ */

void xdp_attach(void);
/* Neither of the others does anything after this. */
void xdp_disable(void);
bool xdp_is_disabled(void);
void xdp_detach(void);
uint64_t xdp_forwarded(void);

[[gnu::noreturn, gnu::format(printf, 1, 2)]]
void die(const char *fmt, ...);

#endif /* FUZZ_H */
