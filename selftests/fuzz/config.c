// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configurations: what a seed makes of them, and the commands that set a router
 * up that way.
 *
 * Port P of a router has 10.255.P.1/29 and fd00:ff:P::1/125; its neighbours are
 * .2 to .4. Behind the first of them is 10.P+1.0.0/17, behind the second
 * 10.P+1.128.0/18, and behind the second and the third 10.P+1.192.0/18; likewise
 * fd00:P+1::/33 and, behind both of the others, fd00:P+1:8000::/33. What is nowhere
 * goes out of the last port, and if the configuration has a policy, so does what
 * comes from 10.1.64.0/18.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "fuzz.h"

/* A routing table, and the preference of the rule that leads to it. */
#define POLICY		100

#define MIN_MTU		576
#define MIN_MTU_IPV6	1280

static const char * const nat_names[] = {
#define NAT_NAME(symbol, name) name,
	NATS(NAT_NAME)
#undef NAT_NAME
};

static const struct {
	const char *name;
	bool allowed;
} ways[] = {
#define WAY_NAME(symbol, name, allowed) { name, allowed },
	WAYS(WAY_NAME)
#undef WAY_NAME
};

static const char * const class_names[] = {
#define CLASS_NAME(symbol, name) name,
	CLASSES(CLASS_NAME)
#undef CLASS_NAME
};

static const struct {
	const char *name;
	unsigned int tags;
	bool pppoe;
	bool allowed;
} links[] = {
#define LINK_NAME(symbol, name, tags, pppoe, allowed) { name, tags, pppoe, allowed },
	LINKS(LINK_NAME)
#undef LINK_NAME
};

unsigned int link_tags(enum link link)
{
	return links[link].tags;
}

bool link_is_pppoe(enum link link)
{
	return links[link].pppoe;
}

unsigned int link_header(enum link link)
{
	return TAG_LEN * links[link].tags + PPPOE_LEN * links[link].pppoe;
}

uint16_t link_tag_type(enum link link, unsigned int tag)
{
	return !tag && (link == LINK_AD || link == LINK_QINQ) ? 0x88a8 : 0x8100;
}

static const char * const ports[] = { "p0", "p1", "p2" };
static const char * const devices[] = { "l0", "l1", "l2" };

const char *config_device(const struct config *config, int port)
{
	return config->link[port] == LINK_PLAIN ? ports[port] : devices[port];
}

/* A flowtable sees what a bond's ports receive at the bond. */
static const char *flowtable_device(const struct config *config, int port)
{
	return config->link[port] == LINK_BOND ? devices[port] : ports[port];
}

bool config_has_link(const struct config *config, enum link link)
{
	int port;

	for (port = 0; port < config->ports; port++)
		if (config->link[port] == link)
			return true;

	return false;
}

const char *class_name(enum class class)
{
	return class_names[class];
}

bool config_allows_xdp(const struct config *config)
{
	bool allowed = ways[config->way].allowed;
	int port;

	for (port = 0; port < config->ports; port++)
		allowed = allowed && links[config->link[port]].allowed;

	return allowed;
}

void port_mac(uint8_t *mac, int port)
{
	neighbour_mac(mac, port, 0);
}

void neighbour_mac(uint8_t *mac, int port, int neighbour)
{
	const uint8_t bytes[] = { 2, 0, 0, 0, port, neighbour + 1 };

	memcpy(mac, bytes, sizeof(bytes));
}

bool config_has_ip6(const struct config *config, int port)
{
	return config->mtu[port] >= MIN_MTU_IPV6;
}

/* --- addresses ------------------------------------------------------------- */

/* Bytes of both families: 10.A.B.C or fd00:A:B00::C */
static void set_addr(uint8_t *addr, bool ip6, int a, int b, int c)
{
	memset(addr, 0, 16);
	if (ip6) {
		addr[0] = 0xfd;
		addr[3] = a;
		addr[4] = b;
		addr[15] = c;
	} else {
		addr[0] = 10;
		addr[1] = a;
		addr[2] = b;
		addr[3] = c;
	}
}

/* The router's own, and its neighbours', on a port. */
static void link_addr(uint8_t *addr, bool ip6, int port, int host)
{
	set_addr(addr, ip6, 255, port, host);
}

static const char *addr_text(const uint8_t *addr, bool ip6)
{
	static char texts[8][INET6_ADDRSTRLEN];
	static unsigned int next;
	char *text = texts[next++ % ARRAY_SIZE(texts)];

	return inet_ntop(ip6 ? AF_INET6 : AF_INET, addr, text,
			 sizeof(texts[0]));
}

/* A host behind @port, or a neighbour; returns which one sends its packets. */
static int random_host(struct rng *rng, uint8_t *addr, bool ip6, int port)
{
	int neighbour = rng_below(rng, 2);

	if (rng_chance(rng, 15))
		link_addr(addr, ip6, port, neighbour + 2);
	else
		set_addr(addr, ip6, port + 1,
			 rng_below(rng, 128) + 128 * neighbour,
			 rng_below(rng, 254) + 1);

	return neighbour + 1;
}

/* --- what a seed makes ----------------------------------------------------- */

static enum nat random_nat(struct rng *rng, enum class class)
{
	if (class == CLASS_ROUTE || (class != CLASS_NAT && rng_chance(rng, 50)))
		return NAT_NONE;

	return rng_below(rng, NAT_MAX);
}

static bool nat_has_source(enum nat nat)
{
	return nat == NAT_MASQUERADE || nat == NAT_SNAT ||
	       nat == NAT_SNAT_PORT || nat == NAT_SNAT_RANGE ||
	       nat == NAT_BOTH;
}

static bool nat_has_destination(enum nat nat)
{
	return nat == NAT_DNAT || nat == NAT_DNAT_PORT || nat == NAT_BOTH;
}

/* What the packets of both directions look like when they come in. */
static void make_nat(struct rng *rng, struct flow *flow, unsigned int i)
{
	struct tuple *there = &flow->wire[ORIGINAL];
	struct tuple *back = &flow->wire[REPLY];

	memcpy(back->src, there->dst, sizeof(back->src));
	back->sport = there->dport;
	if (nat_has_destination(flow->nat)) {
		if (rng_chance(rng, 50))
			link_addr(there->dst, flow->ip6, flow->port[ORIGINAL], 1);
		else
			set_addr(there->dst, flow->ip6, 253, i, 1);
		if (flow->nat != NAT_DNAT)
			there->dport = 20000 + i;
	}

	memcpy(flow->nat_src, there->src, sizeof(flow->nat_src));
	flow->nat_sport = there->sport;
	if (flow->nat == NAT_MASQUERADE)
		link_addr(flow->nat_src, flow->ip6, flow->port[REPLY], 1);
	else if (nat_has_source(flow->nat))
		set_addr(flow->nat_src, flow->ip6, 254, i, 1);
	if (flow->nat == NAT_SNAT_PORT || flow->nat == NAT_BOTH)
		flow->nat_sport = 50000 + rng_below(rng, 10000);

	memcpy(back->dst, flow->nat_src, sizeof(back->dst));
	back->dport = flow->nat_sport;
}

static void make_flow(struct rng *rng, const struct config *config,
		      unsigned int i, struct flow *flow)
{
	struct tuple *there = &flow->wire[ORIGINAL];
	int dir;

	flow->proto = rng_chance(rng, 50) ? IPPROTO_TCP : IPPROTO_UDP;
	flow->nat = random_nat(rng, config->class);
	flow->port[ORIGINAL] = rng_below(rng, config->ports);
	flow->port[REPLY] = (flow->port[ORIGINAL] + 1 +
			     rng_below(rng, config->ports - 1)) % config->ports;
	flow->ip6 = config_has_ip6(config, flow->port[ORIGINAL]) &&
		    config_has_ip6(config, flow->port[REPLY]) &&
		    rng_chance(rng, 40);
	flow->neighbour[ORIGINAL] = random_host(rng, there->src, flow->ip6,
						flow->port[ORIGINAL]);
	flow->neighbour[REPLY] = random_host(rng, there->dst, flow->ip6,
					     flow->port[REPLY]);
	/* a session has one other end */
	for (dir = 0; dir < DIRECTIONS; dir++)
		if (link_is_pppoe(config->link[flow->port[dir]]))
			flow->neighbour[dir] = 1;
	there->sport = 1024 + i * 1000 + rng_below(rng, 1000);
	there->dport = rng_below(rng, 65535) + 1;
	make_nat(rng, flow, i);
}

static uint16_t random_mtu(struct rng *rng, enum class class)
{
	static const uint16_t mtus[] = {
		MIN_MTU, MIN_MTU_IPV6, 1400, 1492, 1500, 1504, 4000, 9000,
	};

	if (class != CLASS_MTU)
		return rng_chance(rng, 80) ? 1500 : 9000;
	if (rng_chance(rng, 30))
		return MIN_MTU_IPV6 + rng_below(rng, 9000 - MIN_MTU_IPV6);

	return mtus[rng_below(rng, ARRAY_SIZE(mtus))];
}

void config_make(struct config *config, uint64_t seed, uint32_t number)
{
	struct rng rng = { .state = seed * 0x2545f4914f6cdd1dULL + number };
	unsigned int i;

	memset(config, 0, sizeof(*config));
	config->seed = seed;
	config->number = number;
	config->class = number % CLASS_MAX;
	config->ports = 2 + rng_below(&rng, PORTS_MAX - 1);
	for (i = 0; i < config->ports; i++) {
		config->mtu[i] = random_mtu(&rng, config->class);
		if (config->class == CLASS_LINKS)
			config->link[i] = rng_below(&rng, LINK_MAX);
		else if (config->class == CLASS_EVENTS)
			config->link[i] = rng_below(&rng, LINK_BRIDGE);
	}
	config->counter = rng_chance(&rng, 70);
	config->snoop = rng_chance(&rng, 50);
	config->established = rng_chance(&rng, 50);
	config->two_tables = config->class == CLASS_TABLES ||
			     rng_chance(&rng, 20);
	config->without = rng_chance(&rng, 10) ? rng_below(&rng, config->ports) :
			  PORTS_MAX;
	config->liberal = rng_chance(&rng, 50);
	config->policy = rng_chance(&rng, 20);
	config->use_pmtu = rng_chance(&rng, 30);
	config->rp_filter = rng_below(&rng, 3);
	if (config->class == CLASS_WAY)
		/* each in its turn, through seeds that make four of the class */
		config->way = (number / CLASS_MAX + 4 * seed) % WAY_MAX;
	config->way_port = rng_below(&rng, config->ports);
	config->flows = 4 + rng_below(&rng, FLOWS_MAX - 3);
	for (i = 0; i < config->flows; i++)
		make_flow(&rng, config, i, &config->flow[i]);
}

/* --- a router set up so ----------------------------------------------------- */

static void ip_vlan(const char *above, const char *below, int port, int tag,
		    const char *proto, FILE *out)
{
	fprintf(out, "link add link %s name %s index %u group %d type vlan proto %s id %d\n",
		below, above, net_link(port, *above), LINKS_GROUP, proto,
		TAG_ID(port, tag));
}

void config_ip_policy(const struct config *config, FILE *out)
{
	int last = config->ports - 1;

	if (!config->policy)
		return;

	fprintf(out, "rule add pref %d from 10.1.64.0/18 lookup %d\n", POLICY, POLICY);
	fprintf(out, "route replace table %d default via 10.255.%d.2\n", POLICY,
		last);
}

void config_ip_no_policy(FILE *out)
{
	fprintf(out, "rule del pref %d\n", POLICY);
}

/* Its own address is that of the port. */
static void ip_bridge(const char *above, const char *below, int port,
		      bool filters, FILE *out)
{
	fprintf(out, "link add name %s index %u group %d address 02:00:00:00:%02x:01",
		above, net_link(port, *above), LINKS_GROUP, port);
	fputs(" type bridge forward_delay 0 mcast_snooping 0", out);
	if (filters)
		fprintf(out, " vlan_filtering 1 vlan_default_pvid %d",
			TAG_ID(port, 0));
	fprintf(out, "\nlink set %s master %s\n", below, above);
}

/* It has the address of its only part. */
static void ip_bond(const char *above, const char *below, int port, FILE *out)
{
	fprintf(out, "link add name %s index %u group %d address 02:00:00:00:%02x:01",
		above, net_link(port, *above), LINKS_GROUP, port);
	fputs(" type bond mode active-backup\n", out);
	fprintf(out, "link set %s down\nlink set %s master %s\n", below, below,
		above);
}

/* It has the address that the port had. */
static void ip_macvlan(const char *above, const char *below, int port, FILE *out)
{
	fprintf(out, "link set %s address 02:00:00:00:%02x:67\n", below, port);
	fprintf(out, "link add link %s name %s index %u group %d", below, above,
		net_link(port, *above), LINKS_GROUP);
	fprintf(out, " address 02:00:00:00:%02x:01 type macvlan mode private\n", port);
}

/* Below a port's own device, "l", can be one more, "k". */
void config_ip_links(const struct config *config, FILE *out)
{
	char k[8];
	int port;

	for (port = 0; port < config->ports; port++) {
		const char *p = ports[port], *l = devices[port];

		snprintf(k, sizeof(k), "k%d", port);
		switch (config->link[port]) {
		case LINK_VLAN:
			ip_vlan(l, p, port, 0, "802.1q", out);
			break;
		case LINK_AD:
			ip_vlan(l, p, port, 0, "802.1ad", out);
			break;
		case LINK_QINQ:
			ip_vlan(k, p, port, 0, "802.1ad", out);
			ip_vlan(l, k, port, 1, "802.1q", out);
			break;
		case LINK_BRIDGE:
			ip_bridge(l, p, port, false, out);
			break;
		case LINK_BRIDGE_PVID:
			ip_bridge(l, p, port, true, out);
			break;
		case LINK_BRIDGE_VLAN:
			ip_bridge(k, p, port, false, out);
			ip_vlan(l, k, port, 0, "802.1q", out);
			break;
		case LINK_PPPOE_VLAN:
			ip_vlan(k, p, port, 0, "802.1q", out);
			break;
		case LINK_BOND:
			ip_bond(l, p, port, out);
			break;
		case LINK_MACVLAN:
			ip_macvlan(l, p, port, out);
			break;
		default:
			break;
		}
	}
}

/*
 * Bridges know their hosts, as they would from the first word that a host says:
 * what they do not know they flood, which is no flow's way out.
 */
void config_fdb(const struct config *config, int port, FILE *out)
{
	enum link link = config->link[port];
	int n;

	if (link != LINK_BRIDGE && link != LINK_BRIDGE_PVID &&
	    link != LINK_BRIDGE_VLAN)
		return;

	for (n = 2; n < 8; n++) {
		fprintf(out, "fdb replace 02:00:00:00:%02x:%02x dev p%d master dynamic",
			port, n, port);
		if (link == LINK_BRIDGE_PVID)
			fprintf(out, " vlan %d", TAG_ID(port, 0));
		fputs("\n", out);
	}
}

void config_ip_below(const struct config *config, int port, FILE *out)
{
	enum link link = config->link[port];
	unsigned int mtu = config->mtu[port] + link_header(link);

	fprintf(out, "link set p%d mtu %u up\n", port, mtu);
	if (link == LINK_QINQ || link == LINK_BRIDGE_VLAN || link == LINK_PPPOE_VLAN)
		fprintf(out, "link set k%d mtu %u up\n", port, mtu - TAG_LEN);
}

void config_ip_port(const struct config *config, int port, FILE *out)
{
	bool ip6s = config_has_ip6(config, port), last = port == config->ports - 1;
	const char *dev = config_device(config, port);
	uint8_t addr[16];
	int family, n;

	if (config->link[port] != LINK_PLAIN)
		fprintf(out, "link set %s mtu %u up\n", dev, config->mtu[port]);
	for (family = 0; family < 1 + ip6s; family++) {
		link_addr(addr, family, port, 1);
		fprintf(out, "addr replace %s/%d dev %s%s\n",
			addr_text(addr, family), family ? 125 : 29, dev,
			family ? " nodad" : "");
		if (link_is_pppoe(config->link[port]))
			continue;
		/* all that the link has room for, so that nobody is asked after */
		for (n = 2; n < (family ? 8 : 7); n++) {
			link_addr(addr, family, port, n);
			fprintf(out, "neigh replace %s dev %s " PERMANENT "%02x:%02x\n",
				addr_text(addr, family), dev, port, n);
		}
	}
	fprintf(out, "route replace 10.%d.0.0/17 via 10.255.%d.2\n", port + 1, port);
	fprintf(out, "route replace 10.%d.128.0/17 via 10.255.%d.3\n", port + 1, port);
	fprintf(out, "route replace 10.%d.192.0/18", port + 1);
	for (n = 3; n <= 4; n++)
		fprintf(out, " nexthop via 10.255.%d.%d", port, n);
	fputs("\n", out);
	if (last)
		fprintf(out, "route replace default via 10.255.%d.4\n", port);
	if (!ip6s)
		return;
	fprintf(out, "route replace fd00:%x::/33 via fd00:ff:%x00::2\n", port + 1, port);
	fprintf(out, "route replace fd00:%x:8000::/33", port + 1);
	for (n = 3; n <= 4; n++)
		fprintf(out, " nexthop via fd00:ff:%x00::%d", port, n);
	fputs("\n", out);
	if (last)
		fprintf(out, "route replace default via fd00:ff:%x00::4\n", port);
}

bool config_has_qdiscs(const struct config *config)
{
	return config->way == WAY_CLSACT || config->way == WAY_FQ_CODEL ||
	       config->way == WAY_TBF || config->way == WAY_TC_INGRESS ||
	       config->way == WAY_TC_EGRESS;
}

void config_tc(const struct config *config, FILE *out)
{
	int port = config->way_port;

	switch (config->way) {
	case WAY_CLSACT:
		fprintf(out, "qdisc add dev p%d clsact\n", port);
		break;
	case WAY_FQ_CODEL:
		fprintf(out, "qdisc add dev p%d root fq_codel\n", port);
		break;
	case WAY_TBF:
		fprintf(out, "qdisc add dev p%d root tbf rate 10gbit burst 10m limit 100m\n",
			port);
		break;
	case WAY_TC_INGRESS:
	case WAY_TC_EGRESS:
		fprintf(out, "qdisc add dev p%d clsact\n", port);
		fprintf(out, "filter add dev p%d %s protocol ipv6 matchall action drop\n",
			port, config->way == WAY_TC_INGRESS ? "ingress" : "egress");
		break;
	default:
		break;
	}
}

static void nft_chain(const struct config *config, FILE *out)
{
	const char *hook = "ingress";
	int priority;

	switch (config->way) {
	case WAY_CHAIN_BEFORE:
		priority = -10;
		break;
	case WAY_CHAIN_BEHIND:
		priority = 10;
		break;
	case WAY_CHAIN_EGRESS:
		hook = "egress";
		priority = 0;
		break;
	default:
		return;
	}

	fprintf(out,
		"table netdev admin {\n"
		"	chain rules {\n"
		"		type filter hook %s device p%d priority %d\n"
		"		" SET_DSCP(ip, cs1) "\n"
		"		" SET_DSCP(ip6, cs1) "\n"
		"	}\n"
		"}\n", hook, config->way_port, priority);
}

/* Each in a table of its own: two in one table could not have the same devices. */
static bool has_device(const struct config *config, int table, int port)
{
	return table != config->two_tables || port != config->without;
}

static void nft_flowtable(const struct config *config, int table, FILE *out)
{
	const char *separator = "";
	int i;

	fprintf(out, "	flowtable fast {\n"
		"		hook ingress priority %d\n		devices = {",
		table);
	for (i = 0; i < config->ports; i++) {
		if (!has_device(config, table, i))
			continue;
		fprintf(out, "%s %s", separator, flowtable_device(config, i));
		separator = ",";
	}
	fprintf(out, " }\n%s	}\n", config->counter ? "		counter\n" : "");
}

static void nft_flow_add(const struct config *config, int table, bool snoop,
			 const char *protocols, FILE *out)
{
	fprintf(out, "table inet fast%d {\n", table);
	if (!snoop)
		nft_flowtable(config, table, out);
	fprintf(out, "	chain forward {\n"
		"		type filter hook forward priority filter\n"
		"		%smeta l4proto %s flow add @fast\n"
		"	}\n"
		"}\n", config->established ? "ct state established " : "",
		protocols);
}

void config_snoop(const struct config *config, int table, const char *args[])
{
	int i;

	*args++ = "flowmap";
	*args++ = "snoop";
	if (config->counter)
		*args++ = "-c";
	*args++ = "inet";
	*args++ = table ? "fast1" : "fast0";
	*args++ = "fast";
	for (i = 0; i < config->ports; i++)
		if (has_device(config, table, i))
			*args++ = flowtable_device(config, i);
	*args = NULL;
}

/* Packets of these end points. */
static void nft_match(const struct flow *flow, const uint8_t *src, uint16_t sport,
		      const uint8_t *dst, uint16_t dport, FILE *out)
{
	const char *family = flow->ip6 ? "ip6" : "ip";
	const char *proto = flow->proto == IPPROTO_TCP ? "tcp" : "udp";

	fprintf(out, "		%s saddr %s %s daddr %s %s sport %u %s dport %u ",
		family, addr_text(src, flow->ip6), family,
		addr_text(dst, flow->ip6), proto, sport, proto, dport);
}

/*
 * An answer to what conntrack does not know would be a connection of its own, and
 * the flow would then need another port, which NAT chooses at random.
 */
static void nft_no_answer(const struct flow *flow, FILE *out)
{
	const struct tuple *back = &flow->wire[REPLY];

	if (flow->nat == NAT_NONE)
		return;

	nft_match(flow, back->src, back->sport, back->dst, back->dport, out);
	fputs("ct state new drop\n", out);
}

static void nft_target(const char *word, const struct flow *flow,
		       const uint8_t *addr, FILE *out)
{
	fprintf(out, flow->ip6 ? "%s ip6 to [%s]" : "%s ip to %s", word,
		addr_text(addr, flow->ip6));
}

static void nft_dnat(const struct flow *flow, FILE *out)
{
	const struct tuple *there = &flow->wire[ORIGINAL];
	const struct tuple *back = &flow->wire[REPLY];

	if (!nat_has_destination(flow->nat))
		return;

	nft_match(flow, there->src, there->sport, there->dst, there->dport, out);
	nft_target("dnat", flow, back->src, out);
	if (flow->nat != NAT_DNAT)
		fprintf(out, ":%u", back->sport);
	fputs("\n", out);
}

static void nft_snat(const struct flow *flow, FILE *out)
{
	const struct tuple *there = &flow->wire[ORIGINAL];
	const struct tuple *back = &flow->wire[REPLY];

	if (!nat_has_source(flow->nat))
		return;

	nft_match(flow, there->src, there->sport, back->src, back->sport, out);
	if (flow->nat == NAT_MASQUERADE) {
		fputs("masquerade\n", out);
		return;
	}

	nft_target("snat", flow, flow->nat_src, out);
	if (flow->nat == NAT_SNAT_RANGE)
		fprintf(out, ":%u-%u", there->sport - 20, there->sport + 20);
	else if (flow->nat != NAT_SNAT)
		fprintf(out, ":%u", flow->nat_sport);
	fputs("\n", out);
}

/*
 * The slow path marks what it forwards (DSCP ef), so that it can be told from
 * the fast one, on either router.
 */
void config_nft(const struct config *config, bool snoop, FILE *out)
{
	unsigned int i;

	if (!snoop)
		fputs(NO_RULES, out);
	nft_flow_add(config, 0, snoop, config->two_tables ? "udp" : "{ tcp, udp }", out);
	if (config->two_tables)
		nft_flow_add(config, 1, snoop, "tcp", out);
	fputs("table inet marked {\n"
	      "	chain forward {\n		type filter hook forward priority filter + 1\n"
	      "		" SET_DSCP(ip, ef) "\n"
	      "		" SET_DSCP(ip6, ef) "\n"
	      "	}\n}\ntable inet nat {\n"
	      "	chain answers {\n"
	      "		type filter hook prerouting priority filter\n", out);
	for (i = 0; i < config->flows; i++)
		nft_no_answer(&config->flow[i], out);
	fputs("	}\n	chain prerouting {\n"
	      "		type nat hook prerouting priority dstnat\n", out);
	for (i = 0; i < config->flows; i++)
		nft_dnat(&config->flow[i], out);
	fputs("	}\n	chain postrouting {\n"
	      "		type nat hook postrouting priority srcnat\n", out);
	for (i = 0; i < config->flows; i++)
		nft_snat(&config->flow[i], out);
	fputs("	}\n}\n", out);
	nft_chain(config, out);
}

void config_print(const struct config *config, FILE *out)
{
	unsigned int i;

	fprintf(out, "# configuration %u of seed %llu: %s, %s%s%s%s%s%s%s%s, mtu",
		config->number, (unsigned long long)config->seed,
		class_name(config->class), ways[config->way].name,
		config->counter ? ", counter" : "",
		config->snoop ? ", snoop" : "",
		config->established ? ", established" : "",
		config->two_tables ? ", two flowtables" : "",
		config->liberal ? ", liberal" : "",
		config->policy ? ", policy" : "",
		config->use_pmtu ? ", PMTU" : "");
	for (i = 0; i < config->ports; i++)
		fprintf(out, " %u %s", config->mtu[i], links[config->link[i]].name);
	fprintf(out, ", %u flows\n", config->flows);
}

void packet_print(const struct config *config, const struct packet *packet,
		  FILE *out)
{
	const struct flow *flow = &config->flow[packet->flow];
	const struct tuple *tuple = &flow->wire[packet->dir];
	int i;

	if (packet->event) {
		fprintf(out, "# event %u: %s %#x\n", packet->number,
			event_name(packet->event), packet->arg);
		return;
	}
	fprintf(out, "# packet %u, port %u, %s %s:%u > %s:%u, nat %s", packet->number,
		flow->port[packet->dir],
		flow->proto == IPPROTO_TCP ? "tcp" : "udp",
		addr_text(tuple->src, flow->ip6), tuple->sport,
		addr_text(tuple->dst, flow->ip6), tuple->dport,
		nat_names[flow->nat]);
	for (i = 0; i < FIELD_MAX; i++)
		if (packet->field[i] != field_preset(i))
			fprintf(out, " %s=%#llx", field_name(i),
				(unsigned long long)packet->field[i]);
	fputs("\n", out);
}
