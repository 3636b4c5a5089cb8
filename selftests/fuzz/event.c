// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to the routers between two packets. It happens to both, one after
 * the other; then the router with XDP has the time that the design promises, two
 * jiffies, and from then on it has to do what the other one does. The end of a flow
 * gets no time.
 */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>

#include "fuzz.h"

#define JIFFIES		2

static const char * const names[] = {
#define EVENT_NAME(symbol, name) name,
	EVENTS(EVENT_NAME)
#undef EVENT_NAME
};

const char *event_name(enum event event)
{
	return names[event];
}

/* The coarse clock goes on with each jiffy. */
static uint64_t jiffy_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);

	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void event_wait(void)
{
	uint64_t last = jiffy_clock(), now;
	unsigned int count = JIFFIES;

	while (count) {
		now = jiffy_clock();
		if (now != last)
			count--;
		last = now;
	}
}

static int event_port(const struct config *config, const struct packet *event)
{
	return event->arg / 32 % config->ports;
}

static void write_route(const struct config *config, const struct packet *event, FILE *out)
{
	int port = event_port(config, event), via = 2 + event->arg / 8 % 3;

	fprintf(out, "route replace 10.%d.0.0/17 via 10.255.%d.%d\n", port + 1, port, via);
	if (config_has_ip6(config, port))
		fprintf(out, "route replace fd00:%x::/33 via fd00:ff:%x00::%d\n",
			port + 1, port, via);
}

/* A neighbour that moves. */
static void write_neighbour(const struct config *config, const struct packet *event, FILE *out)
{
	int port = event_port(config, event), host = 2 + event->arg / 8 % 3;
	int mac = 0x60 + event->number % 32;

	fprintf(out, "neigh replace 10.255.%d.%d dev %s " PERMANENT "%02x:%02x\n",
		port, host, config_device(config, port), port, mac);
	if (config_has_ip6(config, port))
		fprintf(out, "neigh replace fd00:ff:%x00::%d dev %s " PERMANENT "%02x:%02x\n",
			port, host, config_device(config, port), port, mac);
}

static void write_address(const struct config *config, const struct packet *event, FILE *out)
{
	int port = event_port(config, event);
	const char *dev = config_device(config, port);

	if (event->arg & 4)
		fprintf(out, "addr replace 10.252.%d.1/32 dev %s\n", port, dev);
	else
		fprintf(out, "addr flush dev %s to 10.252.%d.1/32\n", dev, port);
}

/* The kernel forgets a device's neighbours when its address changes. */
static void write_mac(const struct config *config, const struct packet *event, FILE *out)
{
	int port = event_port(config, event);

	fprintf(out, "link set p%d address 02:00:00:00:%02x:%02x\n", port, port,
		event->arg & 4 ? 1 : 0x66);
	config_ip_port(config, port, out);
}

static void run_ip(const struct config *config, const struct packet *event,
		   void (*write)(const struct config *config,
				 const struct packet *event, FILE *out))
{
	FILE *out = text_begin();
	const char *text;
	int router;

	write(config, event, out);
	text = text_end(out);
	for (router = 0; router < ROUTERS; router++)
		net_ip(router, text);
}

static void run_nft(const char *text)
{
	int router;

	for (router = 0; router < ROUTERS; router++)
		net_nft(router, text);
}

/* A chain on a port that marks what passes, or no longer. */
static void set_chain(const struct config *config, const struct packet *event,
		      const char *hook, int priority)
{
	static const char none[] = "table netdev event\ndelete table netdev event\n";
	char text[512];
	int len;

	len = snprintf(text, sizeof(text), "%s", none);
	if (event->arg & 4)
		snprintf(text + len, sizeof(text) - len,
			 "table netdev event {\n"
			 "	chain rules {\n"
			 "		type filter hook %s device p%d priority %d\n"
			 "		" SET_DSCP(ip, cs2) "\n"
			 "		" SET_DSCP(ip6, cs2) "\n"
			 "	}\n"
			 "}\n", hook, event_port(config, event), priority);
	run_nft(text);
}

/*
 * IPv6 looks at its routes again when a device changes, if only by its XDP program
 * or its alias.
 */
static void set_xdp(bool attach)
{
	char text[256];
	int port, len = 0;

	if (attach)
		xdp_attach();
	else
		xdp_detach();
	for (port = 0; port < PORTS_MAX; port++)
		len += snprintf(text + len, sizeof(text) - len,
				"link set p%d alias xdp%d\n", port, attach);
	net_ip(SOFT, text);
	if (xdp_is_disabled())
		net_ip(FAST, text);
}

static void set_link(const struct config *config, const struct packet *event,
		     struct condition *now)
{
	int port = event_port(config, event), router;

	for (router = 0; router < ROUTERS; router++) {
		if (now->down & 1U << port)
			net_up(config, router, port);
		else
			net_down(router, port);
	}
	net_settle();
	now->down ^= 1U << port;
}

/* Not everything can be changed about a port that is down. */
static bool is_possible(const struct config *config, const struct packet *event,
			const struct condition *now)
{
	return !(now->down & 1U << event_port(config, event)) ||
	       (event->event != EVENT_ROUTE && event->event != EVENT_NEIGHBOUR &&
		event->event != EVENT_MAC);
}

void event_run(const struct config *config, const struct packet *event,
	       struct condition *now)
{
	int router;

	if (!is_possible(config, event, now))
		return;

	switch (event->event) {
	case EVENT_ROUTE:
		run_ip(config, event, write_route);
		break;
	case EVENT_NEIGHBOUR:
		run_ip(config, event, write_neighbour);
		break;
	case EVENT_ADDRESS:
		run_ip(config, event, write_address);
		break;
	case EVENT_MAC:
		run_ip(config, event, write_mac);
		break;
	case EVENT_LINK:
		set_link(config, event, now);
		break;
	case EVENT_RELOAD:
		for (router = 0; router < ROUTERS; router++)
			net_rules(config, router);
		now->chain = false;
		break;
	case EVENT_CONNTRACK:
		conntrack_delete(event->arg);
		break;
	case EVENT_FLUSH:
		conntrack_flush();
		break;
	case EVENT_EGRESS:
		set_chain(config, event, "egress", 0);
		now->chain = event->arg & 4;
		break;
	case EVENT_INGRESS:
		set_chain(config, event, "ingress", -10);
		now->chain = event->arg & 4;
		break;
	case EVENT_XDP:
		set_xdp(event->arg & 1);
		now->detached = !(event->arg & 1);
		break;
	default:
		break;
	}

	if (event->event != EVENT_CONNTRACK && event->event != EVENT_FLUSH)
		event_wait();
}
