// SPDX-License-Identifier: GPL-2.0-only
/*
 * The routers, each in a network namespace, and the far ends of their cables,
 * all in a third one: s0, s1... for the router with the software flowtable, f0,
 * f1... for the one with XDP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../session.h"
#include "fuzz.h"

#define WIRES_MTU	FRAME_MAX

/* After so many configurations ip starts anew. */
#define IP_CONFIGS	50

/* The kernel tells of carriers once a second, and looks at all routes again then. */
#define LINKWATCH_US	1200000
#define TOLD_US		1500000

static const char * const names[] = {
	[SOFT] = "s", [FAST] = "f",
};

struct counters {
	unsigned long long rx_packets, rx_bytes, tx_packets, tx_bytes;
};

static int namespaces[NAMESPACES];
/* Asks after devices, and sets their flags. */
static int ends = -1;
/* What the last configuration left behind. */
static bool wires_there, has_qdiscs, has_links, has_policy, has_flapped;
static struct session sessions[ROUTERS][PORTS_MAX];
static unsigned int sessions_count[ROUTERS];
static bool can_snoop;

const char *net_name(int router)
{
	return router == SOFT ? "flowtable" : "XDP";
}

void net_enter(int router)
{
	if (setns(namespaces[router], CLONE_NEWNET))
		die("setns: %s", strerror(errno));
}

static void set_sysctl(const char *name, unsigned int value)
{
	char path[128], text[16];
	int fd, len;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	len = snprintf(text, sizeof(text), "%u", value);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, text, len) != len)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

/*
 * Nothing that a router says on its own clock, and nothing that it says at most
 * so often.
 */
static void quieten_router(void)
{
	set_sysctl("ipv4/ip_forward", 1);
	set_sysctl("ipv6/conf/all/forwarding", 1);
	set_sysctl("ipv6/conf/default/addr_gen_mode", 1);
	set_sysctl("ipv6/conf/default/accept_dad", 0);
	set_sysctl("ipv6/conf/default/accept_ra", 0);
	set_sysctl("ipv6/auto_flowlabels", 0);
	set_sysctl("ipv4/icmp_ratelimit", 0);
	set_sysctl("ipv6/icmp/ratelimit", 0);
	set_sysctl("ipv4/conf/all/send_redirects", 0);
	set_sysctl("ipv4/conf/default/send_redirects", 0);
	set_sysctl("ipv4/ipfrag_time", 3600);
	set_sysctl("ipv4/ipfrag_high_thresh", 64 << 20);
	set_sysctl("ipv6/ip6frag_time", 3600);
	set_sysctl("netfilter/nf_conntrack_frag6_timeout", 3600);
	set_sysctl("netfilter/nf_conntrack_frag6_high_thresh", 64 << 20);
	set_sysctl("netfilter/nf_conntrack_acct", 1);
}

static int new_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET))
		die("unshare: %s", strerror(errno));
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("/proc/self/ns/net: %s", strerror(errno));

	return fd;
}

/* A kernel without patches/ has no such flowtables. */
static void find_snoop(void)
{
	static const char * const argv[] = {
		"flowmap", "snoop", "inet", "probe", "fast", "lo", NULL
	};
	int err = dup(STDERR_FILENO);

	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	can_snoop = !run_program(FAST, "", argv);
	dup2(err, STDERR_FILENO);
	close(err);
}

void net_init(void)
{
	int router;

	/* of all namespaces, before 6.13 */
	set_sysctl("ipv4/icmp_msgs_per_sec", 1000000);
	set_sysctl("ipv4/icmp_msgs_burst", 1000000);
	/* what a router without a route says: so many in a time */
	set_sysctl("ipv4/route/error_cost", 0);
	for (router = 0; router < ROUTERS; router++) {
		namespaces[router] = new_namespace();
		quieten_router();
	}
	namespaces[WIRES] = new_namespace();
	set_sysctl("ipv6/conf/default/disable_ipv6", 1);
	ends = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ends < 0)
		die("socket: %s", strerror(errno));
	wire_init();
	for (router = 0; router < ROUTERS; router++) {
		net_start_ip(router);
		net_start_nft(router);
	}
	net_start_ip(WIRES);
	find_snoop();
}

/* --- flowtables ------------------------------------------------------------- */

static void set_lo(short flags)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = flags };

	if (ioctl(ends, SIOCSIFFLAGS, &ifr))
		die("lo: %s", strerror(errno));
}

/*
 * Flowtables get rid of flows that have ended once a second, each on its own
 * clock; one that is still there when its device goes down ends once more, which
 * cuts its connection's timeout. All do so at once when a device goes down,
 * whichever it is, and count the second from then on. What calls this more often
 * has both routers do it between the same two packets.
 */
void net_collect(void)
{
	set_lo(IFF_UP);
	set_lo(0);
}

/* --- links ------------------------------------------------------------------ */

/*
 * Indices stay the same from one configuration to the next, because ip remembers
 * them. A router's come first; then those of the far ends.
 */
#define INDEX(kind, port)	(100 * ((kind) + 1) + (port))

unsigned int net_ifindex(int port)
{
	return INDEX(0, port);
}

/* A device on a port: "l" or, between them, "k". */
unsigned int net_link(int port, char kind)
{
	return INDEX(ROUTERS + 1, PORTS_MAX * (kind == 'k') + port);
}

unsigned int net_wire(int router, int port)
{
	return INDEX(router + 1, port);
}

bool net_is_wire(unsigned int ifindex, int *router, uint8_t *port)
{
	*router = ifindex / 100 - 2;
	*port = ifindex % 100;

	return ifindex >= INDEX(1, 0) && ifindex < INDEX(ROUTERS + 1, 0);
}

/* The kernel tells routing and qdiscs in the background that a carrier has come. */
static void wait_for_carrier(const char *dev)
{
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	do {
		sched_yield();
		if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr))
			die("%s: %s", dev, strerror(errno));
	} while (!(ifr.ifr_flags & IFF_RUNNING));
	close(fd);
}

/* A far end finishes checksums and writes tags, and takes frames from XDP. */
static void plug(int router, int port)
{
	char dev[IF_NAMESIZE];
	const char *const argv[] = {
		"ethtool", "-K", dev, "tx", "off", "gro", "on", "txvlan", "off",
		"tx-vlan-stag-hw-insert", "off", NULL
	};

	snprintf(dev, sizeof(dev), "%s%d", names[router], port);
	if (run_program(WIRES, "", argv))
		die("ethtool failed");
}

static void write_links(FILE *out)
{
	int router, port;

	if (wires_there)
		fprintf(out, "link del group %d\n", WIRES_GROUP);
	for (router = 0; router < ROUTERS; router++)
		for (port = 0; port < PORTS_MAX; port++)
			fprintf(out,
				"link add %s%d index %d group %d mtu %d type veth peer name p%d index %d group %d netns /proc/%d/fd/%d\n",
				names[router], port, net_wire(router, port),
				WIRES_GROUP, WIRES_MTU, port, net_ifindex(port),
				PORTS_GROUP, getpid(), namespaces[router]);
	fprintf(out, "link set group %d up\n", WIRES_GROUP);
	wires_there = true;
}

static void write_nothing(FILE *out)
{
	int port;

	for (port = 0; port < PORTS_MAX; port++)
		fprintf(out,
			"route flush dev p%d\n"
			"addr flush dev p%d\n"
			"neigh flush dev p%d nud permanent\n"
			"link set p%d address 02:00:00:00:%02x:01\n",
			port, port, port, port, port);
	fprintf(out, "link set group %d mtu %d up\n", PORTS_GROUP, WIRES_MTU / 2);
}

/* All that it has on the ports goes, and comes again without addresses. */
static void restart_ip6(int router)
{
	char name[64];
	int port;

	net_enter(router);
	for (port = 0; port < PORTS_MAX; port++) {
		snprintf(name, sizeof(name), "ipv6/conf/p%d/disable_ipv6", port);
		set_sysctl(name, 1);
		set_sysctl(name, 0);
	}
}

/* @program: tc or bridge */
static void run_batch(int router, const char *program, const char *commands)
{
	const char *const argv[] = { program, "-batch", "-", NULL };

	if (commands[0] && run_program(router, commands, argv))
		die("%s failed, given:\n%s", program, commands);
}

void net_down(int router, int port)
{
	char text[32];

	snprintf(text, sizeof(text), "link set p%d down\n", port);
	net_ip(router, text);
	has_flapped = true;
}

/* The router's end; the other one is the port's first neighbour. */
static void open_session(const struct config *config, int router, int port)
{
	struct session_request request = {
		.number = SESSION(port),
		.name = config_device(config, port),
		.ifindex = net_link(port, 'l'),
		.group = LINKS_GROUP,
	};
	bool tagged = link_tags(config->link[port]);
	const char *failed;
	char below[IF_NAMESIZE];

	snprintf(below, sizeof(below), "%c%d", tagged ? 'k' : 'p', port);
	request.below = below;
	neighbour_mac(request.peer, port, 1);
	net_enter(router);
	failed = session_open(&sessions[router][sessions_count[router]++], &request);
	if (failed)
		die("PPPoE: %s: %s", failed, strerror(errno));
}

static void close_sessions(int router)
{
	while (sessions_count[router])
		session_close(&sessions[router][--sessions_count[router]]);
}

/* A port with all that belongs to it. */
void net_up(const struct config *config, int router, int port)
{
	FILE *out = text_begin();
	char dev[IF_NAMESIZE];

	config_ip_below(config, port, out);
	net_ip(router, text_end(out));
	snprintf(dev, sizeof(dev), "p%d", port);
	net_enter(router);
	wait_for_carrier(dev);
	snprintf(dev, sizeof(dev), "%s%d", names[router], port);
	net_enter(WIRES);
	wait_for_carrier(dev);

	if (link_is_pppoe(config->link[port]))
		open_session(config, router, port);
	out = text_begin();
	config_ip_port(config, port, out);
	net_ip(router, text_end(out));
	out = text_begin();
	config_fdb(config, port, out);
	run_batch(router, "bridge", text_end(out));

	net_enter(router);
	wait_for_carrier(config_device(config, port));
}

static void new_links(void)
{
	FILE *out = text_begin();
	int router, port;

	write_links(out);
	net_ip(WIRES, text_end(out));
	has_flapped = true;
	for (router = 0; router < ROUTERS; router++)
		for (port = 0; port < PORTS_MAX; port++)
			plug(router, port);
}

/* Does the kernel tell of the flows of the router with XDP? */
static bool net_snoops(const struct config *config)
{
	return can_snoop && config->snoop;
}

static void make_snoop(const struct config *config)
{
	const char *args[SNOOP_ARGS_MAX];
	int table;

	for (table = 0; table <= config->two_tables; table++) {
		config_snoop(config, table, args);
		if (run_program(FAST, "", args))
			die("flowmap snoop failed");
	}
}

/*
 * In one step, if nft can. A router that has no rules for a moment looks at its
 * connections anew, so both have none then.
 */
void net_rules(const struct config *config, int router)
{
	bool snoop = router == FAST && net_snoops(config);
	FILE *out = text_begin();

	if (net_snoops(config))
		net_nft(router, NO_RULES);
	if (snoop)
		make_snoop(config);
	config_nft(config, snoop, out);
	net_nft(router, text_end(out));
}

/* A router that forwards nothing, as every configuration finds it. */
static void clear(int router)
{
	FILE *out = text_begin();

	if (has_links)
		fprintf(out, "link del group %d\n", LINKS_GROUP);
	if (has_policy)
		config_ip_no_policy(out);
	write_nothing(out);
	net_ip(router, text_end(out));
	close_sessions(router);
	restart_ip6(router);
	net_nft(router, NO_RULES);
}

/* Until the kernel has told of carriers that came or went. */
void net_settle(void)
{
	usleep(LINKWATCH_US);
}

static void restart_ip_in_time(void)
{
	static unsigned int configs;
	int net;

	if (++configs % IP_CONFIGS)
		return;
	for (net = 0; net < NAMESPACES; net++)
		net_restart_ip(net);
}

/* Both routers anew, XDP on one of them. */
void net_setup(const struct config *config)
{
	int router, port;
	FILE *out;

	restart_ip_in_time();
	/* tc is slow to start, so that qdiscs go with their links */
	if (!wires_there || has_qdiscs)
		new_links();
	for (router = 0; router < ROUTERS; router++)
		clear(router);
	conntrack_flush();
	for (router = 0; router < ROUTERS; router++) {
		net_enter(router);
		set_sysctl("ipv4/conf/all/rp_filter", config->rp_filter);
		set_sysctl("ipv4/ip_forward_use_pmtu", config->use_pmtu);
		set_sysctl("netfilter/nf_conntrack_tcp_be_liberal", config->liberal);
		out = text_begin();
		config_ip_links(config, out);
		net_ip(router, text_end(out));
		for (port = 0; port < config->ports; port++)
			net_up(config, router, port);
		out = text_begin();
		config_ip_policy(config, out);
		net_ip(router, text_end(out));
		out = text_begin();
		config_tc(config, out);
		run_batch(router, "tc", text_end(out));
		net_rules(config, router);
	}
	has_qdiscs = config_has_qdiscs(config);
	has_policy = config->policy;
	has_links = false;
	for (port = 0; port < config->ports; port++)
		has_links |= config->link[port] != LINK_PLAIN;
	if (has_links || has_flapped)
		net_settle();
	/* a port that leaves its bond goes down */
	has_flapped = config_has_link(config, LINK_BOND);
	xdp_attach();
}

/*
 * What a router's devices above its ports counted. A bond says what its port
 * counts, and a veth counts fewer bytes of a frame where it has an XDP program.
 */
static void read_counters(const struct config *config, int router,
			  struct counters *counters)
{
	char line[512], name[IF_NAMESIZE];
	struct counters one;
	FILE *dev;

	net_enter(router);
	dev = fopen("/proc/thread-self/net/dev", "r");
	if (!dev)
		die("/proc/net/dev: %s", strerror(errno));
	memset(counters, 0, PORTS_MAX * 2 * sizeof(*counters));
	while (fgets(line, sizeof(line), dev)) {
		unsigned int port;

		if (sscanf(line, " %15[^:]: %llu %llu %*u %*u %*u %*u %*u %*u %llu %llu",
			   name, &one.rx_bytes, &one.rx_packets, &one.tx_bytes,
			   &one.tx_packets) != 5 ||
		    (name[0] != 'k' && name[0] != 'l') ||
		    sscanf(name + 1, "%u", &port) != 1 || port >= PORTS_MAX ||
		    config->link[port] == LINK_BOND)
			continue;
		counters[2 * port + (name[0] == 'k')] = one;
	}
	fclose(dev);
}

static bool read_same(const struct config *config,
		      struct counters counters[ROUTERS][PORTS_MAX * 2])
{
	int router;

	for (router = 0; router < ROUTERS; router++)
		read_counters(config, router, counters[router]);

	return !memcmp(counters[SOFT], counters[FAST], sizeof(counters[SOFT]));
}

/* What XDP forwards is told to the devices above within a second. */
bool net_same(const struct config *config, FILE *out)
{
	struct counters counters[ROUTERS][PORTS_MAX * 2];
	unsigned int i;
	int router;

	if (read_same(config, counters))
		return true;
	usleep(TOLD_US);
	if (read_same(config, counters))
		return true;

	for (i = 0; i < PORTS_MAX * 2; i++) {
		if (!memcmp(&counters[SOFT][i], &counters[FAST][i], sizeof(counters[0][i])))
			continue;
		for (router = 0; router < ROUTERS; router++)
			fprintf(out, "# %s: %c%u: in %llu, %llu bytes, out %llu, %llu bytes\n",
				net_name(router), i % 2 ? 'k' : 'l', i / 2,
				counters[router][i].rx_packets,
				counters[router][i].rx_bytes,
				counters[router][i].tx_packets,
				counters[router][i].tx_bytes);
	}

	return false;
}
