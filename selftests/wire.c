// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends frames that no stack would, and tells what arrives of them: packets of
 * a flow with any field as the test wants it, byte for byte.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define FRAME_MAX	4096
#define RECEIVE_BUFFER	(64 * 1024 * 1024)

/* Frames at once; a veth queues 256. */
#define BURST		64
#define BURST_PAUSE_US	1000
#define SEND_TRIES	1000

/* Of more frames, only a hash is printed. */
#define PRINT_MAX	1000

/* The source ports that many connections have. */
#define FLOWS_PORT	1024
#define FLOWS_PORTS	50000

#define STAMP_MAGIC	0x464c4f57

/* The payload of a stream's packets. */
struct stamp {
	uint32_t	magic;
	uint32_t	seq;
	uint64_t	sent_us;
};

enum field {
	SPORT, DPORT, PROTO, TTL, TOS, LABEL, ID, FRAG, OPTIONS, EXT, LEN, PAD,
	CUT, FLAGS, SEQ, ACK, CSUM, IP_CSUM, ETHERTYPE, OUTER, INNER, THIRD,
	PPPOE, PPPOE_LEN, PPP, FIELDS
};

/* What "name=value" sets; -1 where the right value is computed. */
static const struct {
	const char *name;
	int64_t preset;
} fields[FIELDS] = {
	[SPORT]		= { "sport", 1000 },
	[DPORT]		= { "dport", 2000 },
	[PROTO]		= { "proto", IPPROTO_UDP },
	[TTL]		= { "ttl", 64 },
	[TOS]		= { "tos", 0 },
	[LABEL]		= { "label", 0 },
	[ID]		= { "id", 0 },
	[FRAG]		= { "frag", 0x4000 },
	[OPTIONS]	= { "options", 0 },	/* words of IPv4 options */
	[EXT]		= { "ext", -1 },	/* an IPv6 extension header */
	[LEN]		= { "len", 18 },	/* payload */
	[PAD]		= { "pad", 0 },		/* bytes after the packet */
	[CUT]		= { "cut", FRAME_MAX },	/* longest frame */
	[FLAGS]		= { "flags", 0x10 },	/* TCP */
	[SEQ]		= { "seq", 1 },
	[ACK]		= { "ack", 1 },
	[CSUM]		= { "csum", -1 },
	[IP_CSUM]	= { "ipcsum", -1 },
	[ETHERTYPE]	= { "ethertype", -1 },
	[OUTER]		= { "outer", -1 },	/* a tag: TPID and TCI */
	[INNER]		= { "inner", -1 },
	[THIRD]		= { "third", -1 },
	[PPPOE]		= { "pppoe", -1 },	/* session */
	[PPPOE_LEN]	= { "pppoelen", -1 },
	[PPP]		= { "ppp", -1 },
};

struct spec {
	int64_t		field[FIELDS];
	bool		ip6;
	uint8_t		src[16];
	uint8_t		dst[16];
	uint8_t		smac[ETH_ALEN];
	uint8_t		dmac[ETH_ALEN];
};

struct frame {
	uint8_t		bytes[FRAME_MAX];
	size_t		len;
};

static void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void usage(const char *what)
{
	fprintf(stderr, "wire: %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t now_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);

	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

/* --- frames -------------------------------------------------------------- */

static void *push(struct frame *frame, size_t len)
{
	void *at = frame->bytes + frame->len;

	if (len > FRAME_MAX - frame->len)
		usage("too long");
	memset(at, 0, len);
	frame->len += len;

	return at;
}

static void put_ether(struct frame *frame, const struct spec *spec)
{
	struct ether_header *eth = push(frame, sizeof(*eth));

	memcpy(eth->ether_dhost, spec->dmac, ETH_ALEN);
	memcpy(eth->ether_shost, spec->smac, ETH_ALEN);
}

/* A tag as it stands before the type of what is in it. */
static void put_tag(struct frame *frame, int64_t tag)
{
	uint16_t *type_and_tci = (uint16_t *)(frame->bytes + frame->len) - 1;

	if (tag < 0)
		return;

	push(frame, 4);
	type_and_tci[0] = htons(tag >> 16);
	type_and_tci[1] = htons(tag);
}

/* From the type of Ethernet on to IP, which has @len bytes. */
static void put_encap(struct frame *frame, const struct spec *spec, size_t len)
{
	uint16_t *type, *pppoe;

	put_tag(frame, spec->field[OUTER]);
	put_tag(frame, spec->field[INNER]);
	put_tag(frame, spec->field[THIRD]);
	type = (uint16_t *)(frame->bytes + frame->len) - 1;
	*type = htons(spec->ip6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	if (spec->field[PPPOE] >= 0) {
		*type = htons(ETH_P_PPP_SES);
		pppoe = push(frame, 8);
		pppoe[0] = htons(0x1100);
		pppoe[1] = htons(spec->field[PPPOE]);
		pppoe[2] = htons(spec->field[PPPOE_LEN] < 0 ? len + 2 :
				 (size_t)spec->field[PPPOE_LEN]);
		pppoe[3] = htons(spec->ip6 ? 0x57 : 0x21);
		if (spec->field[PPP] >= 0)
			pppoe[3] = htons(spec->field[PPP]);
	}
	if (spec->field[ETHERTYPE] >= 0)
		*type = htons(spec->field[ETHERTYPE]);
}

static void put_ipv4(struct frame *frame, const struct spec *spec, size_t len)
{
	size_t size = sizeof(struct iphdr) + 4 * spec->field[OPTIONS];
	struct iphdr *ip = push(frame, size);

	ip->version = 4;
	ip->ihl = size / 4;
	ip->tos = spec->field[TOS];
	ip->tot_len = htons(size + len);
	ip->id = htons(spec->field[ID]);
	ip->frag_off = htons(spec->field[FRAG]);
	ip->ttl = spec->field[TTL];
	ip->protocol = spec->field[PROTO];
	memcpy(&ip->saddr, spec->src, 4);
	memcpy(&ip->daddr, spec->dst, 4);
	memset(ip + 1, IPOPT_NOOP, size - sizeof(*ip));
	ip->check = spec->field[IP_CSUM] < 0 ? csum_fold(csum_add(0, ip, size)) :
		    htons(spec->field[IP_CSUM]);
}

static void put_ipv6(struct frame *frame, const struct spec *spec, size_t len)
{
	size_t ext_len = spec->field[EXT] < 0 ? 0 : 8;
	struct ip6_hdr *ip = push(frame, sizeof(*ip));
	uint8_t *ext;

	ip->ip6_flow = htonl(6U << 28 | spec->field[TOS] << 20 |
			     spec->field[LABEL]);
	ip->ip6_plen = htons(ext_len + len);
	ip->ip6_nxt = ext_len ? spec->field[EXT] : spec->field[PROTO];
	ip->ip6_hlim = spec->field[TTL];
	memcpy(&ip->ip6_src, spec->src, 16);
	memcpy(&ip->ip6_dst, spec->dst, 16);
	if (ext_len) {
		ext = push(frame, ext_len);
		ext[0] = spec->field[PROTO];
		/* padding, where the header holds options */
		if (spec->field[EXT] != IPPROTO_FRAGMENT) {
			ext[2] = 1;
			ext[3] = 4;
		}
	}
}

static size_t l4_size(const struct spec *spec)
{
	switch (spec->field[PROTO]) {
	case IPPROTO_TCP:
		return sizeof(struct tcphdr);
	case IPPROTO_UDP:
		return sizeof(struct udphdr);
	default:
		return 8;
	}
}

static void put_tcp(struct tcphdr *tcp, const struct spec *spec)
{
	tcp->source = htons(spec->field[SPORT]);
	tcp->dest = htons(spec->field[DPORT]);
	tcp->seq = htonl(spec->field[SEQ]);
	tcp->ack_seq = htonl(spec->field[ACK]);
	tcp->doff = sizeof(*tcp) / 4;
	((uint8_t *)tcp)[13] = spec->field[FLAGS];
	tcp->window = htons(8192);
}

static void put_udp(struct udphdr *udp, const struct spec *spec, size_t len)
{
	udp->source = htons(spec->field[SPORT]);
	udp->dest = htons(spec->field[DPORT]);
	udp->len = htons(len);
}

static uint16_t l4_csum(const struct spec *spec, const void *l4, size_t len)
{
	size_t addr_len = spec->ip6 ? 16 : 4;
	uint32_t pseudo = spec->field[PROTO] + len;
	uint16_t csum;

	pseudo = csum_add(pseudo, spec->src, addr_len);
	pseudo = csum_add(pseudo, spec->dst, addr_len);
	csum = csum_fold(csum_add(pseudo, l4, len));

	return !csum && spec->field[PROTO] == IPPROTO_UDP ? 0xffff : csum;
}

static void put_l4(struct frame *frame, const struct spec *spec,
		   const void *data, size_t data_len)
{
	size_t header = l4_size(spec), len = header + data_len, i;
	uint8_t *l4 = push(frame, len);
	uint16_t *csum = NULL;

	if (data)
		memcpy(l4 + header, data, data_len);
	for (i = 0; !data && i < data_len; i++)
		l4[header + i] = i + spec->field[ID];

	switch (spec->field[PROTO]) {
	case IPPROTO_TCP:
		put_tcp((void *)l4, spec);
		csum = &((struct tcphdr *)l4)->check;
		break;
	case IPPROTO_UDP:
		put_udp((void *)l4, spec, len);
		csum = &((struct udphdr *)l4)->check;
		break;
	case IPPROTO_ICMP:
		l4[0] = 8;	/* echo */
		csum = (uint16_t *)(l4 + 2);
		*csum = csum_fold(csum_add(0, l4, len));
		return;
	}
	if (csum)
		*csum = spec->field[CSUM] < 0 ? l4_csum(spec, l4, len) :
			htons(spec->field[CSUM]);
}

static void build(struct frame *frame, const struct spec *spec,
		  const void *data, size_t data_len)
{
	size_t len = l4_size(spec) + data_len;

	frame->len = 0;
	put_ether(frame, spec);
	put_encap(frame, spec, len + (spec->ip6 ? sizeof(struct ip6_hdr) :
						  sizeof(struct iphdr)));
	if (spec->ip6)
		put_ipv6(frame, spec, len);
	else
		put_ipv4(frame, spec, len);
	put_l4(frame, spec, data, data_len);
	memset(push(frame, spec->field[PAD]), 0xa5, spec->field[PAD]);
	if (frame->len > (size_t)spec->field[CUT])
		frame->len = spec->field[CUT];
}

/* --- what the command line asks for -------------------------------------- */

static void parse_mac(uint8_t *mac, const char *value)
{
	if (sscanf(value, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
		   &mac[2], &mac[3], &mac[4], &mac[5]) != ETH_ALEN)
		usage("bad MAC address");
}

static void parse_addr(struct spec *spec, uint8_t *addr, const char *value)
{
	spec->ip6 = strchr(value, ':');
	if (inet_pton(spec->ip6 ? AF_INET6 : AF_INET, value, addr) != 1)
		usage("bad address");
}

static void parse_one(struct spec *spec, char *arg)
{
	char *value = strchr(arg, '=');
	size_t i;

	if (!value)
		usage("not name=value");
	*value++ = '\0';

	if (!strcmp(arg, "src"))
		return parse_addr(spec, spec->src, value);
	if (!strcmp(arg, "dst"))
		return parse_addr(spec, spec->dst, value);
	if (!strcmp(arg, "smac"))
		return parse_mac(spec->smac, value);
	if (!strcmp(arg, "dmac"))
		return parse_mac(spec->dmac, value);
	for (i = 0; i < FIELDS; i++) {
		if (!strcmp(arg, fields[i].name)) {
			spec->field[i] = strtoll(value, NULL, 0);
			return;
		}
	}
	usage("unknown field");
}

/* Returns the "--" behind the arguments of one frame, or the end. */
static char **parse(struct spec *spec, char **args)
{
	for (; *args && strcmp(*args, "--"); args++)
		parse_one(spec, *args);

	return args;
}

/* The same for what stands behind a "--", or for nothing. */
static char **parse_next(struct spec *spec, char **args)
{
	return *args ? parse(spec, args + 1) : args;
}

static void preset(struct spec *spec)
{
	size_t i;

	memset(spec, 0, sizeof(*spec));
	for (i = 0; i < FIELDS; i++)
		spec->field[i] = fields[i].preset;
}

static int open_dev(const char *dev, int proto)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(proto),
		.sll_ifindex = if_nametoindex(dev),
	};
	int size = RECEIVE_BUFFER, one = 1, fd;

	if (!addr.sll_ifindex)
		die(dev);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die(dev);

	return fd;
}

/* The stack has taken the outer tag off and tells it apart. */
static size_t restore_tag(uint8_t *bytes, size_t len,
			  const struct tpacket_auxdata *aux)
{
	uint16_t tag[] = { htons(aux->tp_vlan_tpid), htons(aux->tp_vlan_tci) };

	if (!(aux->tp_status & TP_STATUS_VLAN_VALID) || len < 12)
		return len;

	memmove(bytes + 16, bytes + 12, len - 12);
	memcpy(bytes + 12, tag, sizeof(tag));

	return len + sizeof(tag);
}

/* Return: the length of the frame as it was on the wire, or -1. */
static ssize_t receive(int fd, uint8_t bytes[FRAME_MAX])
{
	union {
		char buf[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = bytes, .iov_len = FRAME_MAX - 4 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t len;

	len = recvmsg(fd, &msg, 0);
	if (len < 0)
		return -1;

	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != PACKET_AUXDATA)
		return len;

	return restore_tag(bytes, len, (const void *)CMSG_DATA(cmsg));
}

/* A veth whose ring is full drops the frame and says so. */
static void send_frame(int fd, const struct frame *frame)
{
	int tries;

	for (tries = 0; tries < SEND_TRIES; tries++) {
		if (send(fd, frame->bytes, frame->len, 0) ==
		    (ssize_t)frame->len)
			return;
		if (errno != ENOBUFS)
			break;
		usleep(BURST_PAUSE_US);
	}
	die("send");
}

/* Many frames, a burst at a time. */
static void send_paced(int fd, const struct frame *frame)
{
	static unsigned int sent;

	send_frame(fd, frame);
	if (++sent % BURST == 0)
		usleep(BURST_PAUSE_US);
}

/* --- commands ------------------------------------------------------------ */

static void print_frame(const uint8_t *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

/*
 * Without "--" one frame; with it, one for each part behind a "--", and what
 * stands before holds for all.  Prints what it sends.
 */
static int cmd_send(char **args)
{
	int fd = open_dev(args[0], 0);
	struct spec common, spec;
	struct frame frame;

	preset(&common);
	args = parse(&common, args + 1);
	do {
		spec = common;
		args = parse_next(&spec, args);
		build(&frame, &spec, NULL, spec.field[LEN]);
		send_paced(fd, &frame);
		print_frame(frame.bytes, frame.len);
	} while (*args);

	return EXIT_SUCCESS;
}

/*
 * One frame for each STEP-th value of IPv4's identification and of the first
 * word of the payload, and with them all values of both checksums; of a
 * checksum that is given, each value is set, right or wrong.
 */
static int cmd_sweep(char **args)
{
	unsigned int step = atoi(args[1]), value, sent = 0;
	int fd = open_dev(args[0], 0);
	struct frame frame;
	uint16_t data[8];
	struct spec spec;

	preset(&spec);
	parse(&spec, args + 2);
	memset(data, 0, sizeof(data));
	for (value = 0; value < 1 << 16; value += step) {
		spec.field[ID] = value;
		data[0] = htons(value);
		if (spec.field[CSUM] >= 0)
			spec.field[CSUM] = value;
		if (spec.field[IP_CSUM] >= 0)
			spec.field[IP_CSUM] = value;
		build(&frame, &spec, data, sizeof(data));
		send_paced(fd, &frame);
		sent++;
	}
	printf("%u frames\n", sent);

	return EXIT_SUCCESS;
}

static void send_stamped(int fd, struct spec *spec, uint32_t seq)
{
	struct stamp stamp = {
		.magic = STAMP_MAGIC,
		.seq = seq,
		.sent_us = now_us(CLOCK_REALTIME),
	};
	struct frame frame;

	build(&frame, spec, &stamp, sizeof(stamp));
	send_frame(fd, &frame);
	printf("%u %" PRIu64 "\n", seq, stamp.sent_us);
}

/*
 * A packet each millisecond, with its number and the time of day in it.  What
 * comes after "--" changes the packet after half of them.
 */
static int cmd_stream(char **args)
{
	uint64_t next = now_us(CLOCK_MONOTONIC), now;
	unsigned int count = atoi(args[1]), seq;
	int fd = open_dev(args[0], 0);
	struct spec spec, other;

	preset(&spec);
	args = parse(&spec, args + 2);
	other = spec;
	parse_next(&other, args);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (seq = 0; seq < count; seq++) {
		now = now_us(CLOCK_MONOTONIC);
		if (now < next)
			usleep(next - now);
		else
			next = now;
		next += 1000;
		send_stamped(fd, seq == count / 2 ? &other : &spec, seq);
	}

	return EXIT_SUCCESS;
}

/*
 * Two packets for each of COUNT connections, which differ in the source port
 * and, from one round of ports to the next, in the source address.
 */
static int cmd_flows(char **args)
{
	unsigned int count = atoi(args[1]), i;
	int fd = open_dev(args[0], 0);
	struct frame frame;
	struct spec spec;
	uint32_t addr;

	preset(&spec);
	parse(&spec, args + 2);
	memcpy(&addr, spec.src, sizeof(addr));
	for (i = 0; i < count; i++) {
		spec.field[SPORT] = FLOWS_PORT + i % FLOWS_PORTS;
		*(uint32_t *)spec.src = htonl(ntohl(addr) + i / FLOWS_PORTS);
		build(&frame, &spec, NULL, spec.field[LEN]);
		send_frame(fd, &frame);
		send_frame(fd, &frame);
		if (i % (BURST / 2) == 0)
			usleep(BURST_PAUSE_US);
	}

	return EXIT_SUCCESS;
}

/*
 * Return: where IP or another protocol starts behind tags and PPPoE, its type,
 * in host order, in @type; NULL where the frame ends before.
 */
static const uint8_t *skip_encap(const uint8_t *bytes, size_t len, uint16_t *type)
{
	const uint8_t *at = bytes + 2 * ETH_ALEN, *end = bytes + len;

	for (; at + 2 <= end; at += 4) {
		*type = at[0] << 8 | at[1];
		if (*type == ETH_P_8021Q || *type == ETH_P_8021AD)
			continue;
		if (*type != ETH_P_PPP_SES)
			return at + 2;
		if (at + 10 > end)
			break;
		*type = at[9] == 0x57 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
		return at + 10;
	}

	return NULL;
}

/* Is it what we send, and not ARP, ND and MLD, which stacks say on their own? */
static bool is_test_frame(const uint8_t *bytes, size_t len)
{
	const struct ip6_hdr *ip6;
	const uint8_t *ip;
	uint16_t type;
	uint8_t proto;

	ip = skip_encap(bytes, len, &type);
	if (!ip)
		return true;
	if (type == ETHERTYPE_ARP)
		return false;
	if (type != ETHERTYPE_IPV6 || ip + sizeof(*ip6) + 1 > bytes + len)
		return true;

	ip6 = (const void *)ip;
	proto = ip6->ip6_nxt;
	if (proto == IPPROTO_HOPOPTS)
		proto = *(const uint8_t *)(ip6 + 1);

	return proto != IPPROTO_ICMPV6;
}

static int open_sigterm(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);

	return signalfd(-1, &set, 0);
}

/*
 * Until SIGTERM, or COUNT frames have come.  Prints each frame, or only a
 * hash of all where there are many.
 */
static int cmd_capture(char **args)
{
	struct pollfd pollfds[] = {
		{ .fd = open_dev(args[0], ETH_P_ALL), .events = POLLIN },
		{ .fd = open_sigterm(), .events = POLLIN },
	};
	unsigned int count = 0, max = atoi(args[1]);
	uint64_t hash = 0xcbf29ce484222325ULL;
	uint8_t bytes[FRAME_MAX];
	ssize_t len, i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (count < max && poll(pollfds, ARRAY_SIZE(pollfds), -1) > 0 &&
	       pollfds[0].revents & POLLIN) {
		len = receive(pollfds[0].fd, bytes);
		if (len < 0 || !is_test_frame(bytes, len))
			continue;
		count++;
		for (i = 0; i < len; i++)
			hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
		if (max <= PRINT_MAX)
			print_frame(bytes, len);
	}
	printf("%u frames, hash %016" PRIx64 "\n", count, hash);

	return EXIT_SUCCESS;
}

static const struct stamp *find_stamp(const uint8_t *bytes, size_t len,
				      char *src, uint8_t *tos)
{
	const struct ip6_hdr *ip6;
	const struct iphdr *ip4;
	const struct stamp *stamp;
	const uint8_t *ip, *l4;
	uint16_t type;
	uint8_t proto;

	ip = skip_encap(bytes, len, &type);
	if (!ip || ip + sizeof(*ip6) > bytes + len)
		return NULL;
	ip4 = (const void *)ip;
	ip6 = (const void *)ip;
	if (type == ETHERTYPE_IP) {
		inet_ntop(AF_INET, &ip4->saddr, src, INET6_ADDRSTRLEN);
		*tos = ip4->tos;
		proto = ip4->protocol;
		l4 = (const void *)(ip4 + 1);
	} else if (type == ETHERTYPE_IPV6) {
		inet_ntop(AF_INET6, &ip6->ip6_src, src, INET6_ADDRSTRLEN);
		*tos = ntohl(ip6->ip6_flow) >> 20;
		proto = ip6->ip6_nxt;
		l4 = (const void *)(ip6 + 1);
	} else {
		return NULL;
	}

	stamp = (const void *)(l4 + (proto == IPPROTO_TCP ?
				     sizeof(struct tcphdr) :
				     sizeof(struct udphdr)));
	if ((const uint8_t *)(stamp + 1) > bytes + len ||
	    stamp->magic != STAMP_MAGIC)
		return NULL;

	return stamp;
}

static void log_frame(const char *dev, const uint8_t *bytes, size_t len)
{
	const struct stamp *stamp;
	char src[INET6_ADDRSTRLEN];
	uint8_t tos = 0;

	stamp = find_stamp(bytes, len, src, &tos);
	if (stamp)
		printf("%u %" PRIu64 " dev=%s dmac=%02x:%02x:%02x:%02x:%02x:%02x src=%s tos=%u\n",
		       stamp->seq, stamp->sent_us, dev, bytes[0], bytes[1],
		       bytes[2], bytes[3], bytes[4], bytes[5], src, tos);
}

/* Ends when nothing has come for a while. */
static int cmd_log(char **args)
{
	int timeout_ms = atoi(args[0]), count = 0, i;
	struct pollfd pollfds[8];
	uint8_t bytes[FRAME_MAX];
	ssize_t len;

	for (args++; args[count] && count < (int)ARRAY_SIZE(pollfds); count++) {
		pollfds[count].fd = open_dev(args[count], ETH_P_ALL);
		pollfds[count].events = POLLIN;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (poll(pollfds, count, timeout_ms) > 0) {
		for (i = 0; i < count; i++) {
			if (!(pollfds[i].revents & POLLIN))
				continue;
			len = receive(pollfds[i].fd, bytes);
			if (len > 0)
				log_frame(args[i], bytes, len);
		}
	}

	return EXIT_SUCCESS;
}

static const struct command commands[] = {
	{ "send", "DEV NAME=VALUE... [-- NAME=VALUE...]...", 2, true, cmd_send },
	{ "sweep", "DEV STEP NAME=VALUE...", 3, true, cmd_sweep },
	{ "stream", "DEV COUNT NAME=VALUE... [-- NAME=VALUE...]", 3, true, cmd_stream },
	{ "flows", "DEV COUNT NAME=VALUE...", 3, true, cmd_flows },
	{ "capture", "DEV COUNT", 2, false, cmd_capture },
	{ "log", "TIMEOUT-MS DEV...", 2, true, cmd_log },
};

int main(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc, argv);
}
