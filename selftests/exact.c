// SPDX-License-Identifier: GPL-2.0-only
/*
 * Usage: exact COUNT CLIENT-NS DEV ROUTER-NS SERVER-NS DEV MAC VIA MAC VIA
 *
 * So many times: a connection is established from 10.0.1.9 to 10.0.9.9 and
 * offloaded, one packet takes the fast path, the connection is deleted (every
 * other time: UDP) or reset (TCP), and one more packet follows at once. The
 * ruleset marks what goes through it with a TOS of 184; the packet after the end
 * has to have the mark, the one before must not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MARK		184
#define WAIT_MS		5000

#pragma pack(push, 1)
struct packet {
	struct ether_header	eth;
	struct iphdr		ip;
	union {
		struct udphdr	udp;
		struct tcphdr	tcp;
	};
	uint32_t		seq;
};

#pragma pack(pop)

static int client, server, conntrack;
static struct ether_addr from_mac, via_mac;
static uint32_t sequence;

[[gnu::noreturn, gnu::format(printf, 1, 2)]]
static void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("exact: ", stderr);
	vfprintf(stderr, fmt, args);
	fputs("\n", stderr);
	exit(EXIT_FAILURE);
}

/* A socket of the network namespace @ns. */
static int socket_in(const char *ns, int domain, int type, int protocol)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("namespace %s: %s", ns, strerror(errno));
	close(fd);
	fd = socket(domain, type, protocol);
	if (fd < 0)
		die("socket: %s", strerror(errno));

	return fd;
}

static int packet_socket(const char *ns, const char *dev)
{
	int fd = socket_in(ns, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(dev),
	};

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("%s: %s", dev, strerror(errno));

	return fd;
}

static uint32_t sum(uint32_t sum, const void *data, size_t len)
{
	const uint16_t *words = data;

	for (; len; len -= 2)
		sum += *words++;

	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);

	return ~sum;
}

static size_t build(struct packet *p, uint8_t proto, uint16_t port,
		    uint8_t flags, bool reply)
{
	size_t l4 = proto == IPPROTO_TCP ? sizeof(p->tcp) : sizeof(p->udp);
	size_t len = sizeof(p->ip) + l4 + sizeof(p->seq);
	uint8_t *payload = (uint8_t *)&p->udp + l4;
	uint16_t check;

	memset(p, 0, sizeof(*p));
	memcpy(p->eth.ether_shost, &from_mac, ETH_ALEN);
	memcpy(p->eth.ether_dhost, &via_mac, ETH_ALEN);
	p->eth.ether_type = htons(ETHERTYPE_IP);
	p->ip.version = 4;
	p->ip.ihl = 5;
	p->ip.ttl = 64;
	p->ip.protocol = proto;
	p->ip.tot_len = htons(len);
	p->ip.saddr = inet_addr(reply ? "10.0.9.9" : "10.0.1.9");
	p->ip.daddr = inet_addr(reply ? "10.0.1.9" : "10.0.9.9");
	p->ip.check = fold(sum(0, &p->ip, sizeof(p->ip)));
	p->udp.source = htons(reply ? 2000 : port);
	p->udp.dest = htons(reply ? port : 2000);
	if (proto == IPPROTO_TCP) {
		p->tcp.doff = l4 / 4;
		p->tcp.window = htons(8192);
		p->tcp.seq = htonl(flags == TH_SYN || reply ? 1 : 2);
		p->tcp.ack_seq = htonl(flags == TH_SYN ? 0 : 2);
		((uint8_t *)&p->tcp)[13] = flags;
	} else {
		p->udp.len = htons(l4 + sizeof(p->seq));
	}
	memcpy(payload, &sequence, sizeof(sequence));

	check = fold(sum(htons(proto) + htons(len - sizeof(p->ip)) +
			 sum(0, &p->ip.saddr, 8), &p->udp,
			 l4 + sizeof(sequence)));
	if (proto == IPPROTO_TCP)
		p->tcp.check = check;
	else
		p->udp.check = check;

	return sizeof(p->eth) + len;
}

/* Return: the TOS with which the packet arrived. */
static uint8_t arrived(int fd, size_t len)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct packet p;
	uint32_t seq;

	while (poll(&pollfd, 1, WAIT_MS) > 0) {
		if (recv(fd, &p, sizeof(p), 0) != (ssize_t)len)
			continue;
		memcpy(&seq, (uint8_t *)&p + len - sizeof(seq), sizeof(seq));
		if (seq == sequence && p.eth.ether_type == htons(ETHERTYPE_IP))
			return p.ip.tos;
	}
	die("packet %u is lost", sequence);
}

static uint8_t send_one(uint8_t proto, uint16_t port, uint8_t flags)
{
	struct packet p;
	size_t len;

	sequence++;
	len = build(&p, proto, port, flags, false);
	if (send(client, &p, len, 0) != (ssize_t)len)
		die("send: %s", strerror(errno));

	return arrived(server, len);
}

/* From the server, whose way back is by the MAC addresses the other way round. */
static void answer(uint16_t port, uint8_t flags, const struct ether_addr *from,
		   const struct ether_addr *via)
{
	struct packet p;
	size_t len;

	sequence++;
	len = build(&p, IPPROTO_TCP, port, flags, true);
	memcpy(p.eth.ether_shost, from, ETH_ALEN);
	memcpy(p.eth.ether_dhost, via, ETH_ALEN);
	if (send(server, &p, len, 0) != (ssize_t)len)
		die("send: %s", strerror(errno));
	arrived(client, len);
}

/* conntrack -F, which returns when the entries have been deleted. */
static void flush(void)
{
	struct {
		struct nlmsghdr	nlh;
		struct nfgenmsg	nfg;
	} request = {
		.nlh = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		},
		.nfg = { .nfgen_family = AF_UNSPEC },
	};
	struct {
		struct nlmsghdr	nlh;
		struct nlmsgerr	err;
	} reply;

	if (send(conntrack, &request, sizeof(request), 0) < 0 ||
	    recv(conntrack, &reply, sizeof(reply), 0) < 0 || reply.err.error)
		die("conntrack does not delete");
}

static void expect(const char *what, uint8_t tos, bool marked)
{
	bool is_marked = tos == MARK;

	if (is_marked != marked)
		die("packet %u, %s: went by the %s path", sequence, what,
		    marked ? "fast" : "slow");
}

int main(int argc, char **argv)
{
	struct ether_addr server_mac, server_via;
	uint16_t port;
	int i, count;

	if (argc != 11)
		die("exact COUNT CLIENT-NS DEV ROUTER-NS SERVER-NS DEV MAC VIA MAC VIA");
	count = atoi(argv[1]);
	if (!ether_aton_r(argv[7], &from_mac) || !ether_aton_r(argv[8], &via_mac) ||
	    !ether_aton_r(argv[9], &server_mac) || !ether_aton_r(argv[10], &server_via))
		die("not a MAC address");
	client = packet_socket(argv[2], argv[3]);
	conntrack = socket_in(argv[4], AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	server = packet_socket(argv[5], argv[6]);

	for (i = 0; i < count; i++) {
		port = 1024 + i;
		if (i % 2) {
			send_one(IPPROTO_UDP, port, 0);
			expect("UDP, offloaded by it",
			       send_one(IPPROTO_UDP, port, 0), true);
			expect("UDP", send_one(IPPROTO_UDP, port, 0), false);
			flush();
			expect("UDP, deleted", send_one(IPPROTO_UDP, port, 0), true);
		} else {
			send_one(IPPROTO_TCP, port, TH_SYN);
			answer(port, TH_SYN | TH_ACK, &server_mac, &server_via);
			expect("TCP, offloaded by it",
			       send_one(IPPROTO_TCP, port, TH_ACK), true);
			expect("TCP", send_one(IPPROTO_TCP, port, TH_ACK), false);
			expect("TCP, the reset",
			       send_one(IPPROTO_TCP, port, TH_RST | TH_ACK), true);
			expect("TCP, reset", send_one(IPPROTO_TCP, port, TH_ACK), true);
		}
	}
	printf("%d times\n", count);

	return EXIT_SUCCESS;
}
