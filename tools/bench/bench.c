// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench: sends frames that are born as XDP frames, so that nothing is paid for
 * making them, and tells the time that they took all the way.  In a virtual
 * machine with one processor and QEMU's -icount shift=0 a nanosecond is an
 * instruction.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/if_link.h>

#include <linux/netfilter/nf_flowmap.h>

#include "bench.skel.h"
#include "frame.h"
#include "mark.h"
#include "upstream.skel.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

static const char usage[] =
	"bench send [NETNS/]DEV DSTMAC VLAN PACKET SADDR SPORT DADDR DPORT FLOWS COUNT...\n"
	"                               time of a packet, in ns; of several kinds, a line for\n"
	"                               each, which are sent one after the other; with\n"
	"                               MARK in the environment, QEMU's plugin count.so\n"
	"                               counts what they execute\n"
	"  VLAN                         0 for no tag\n"
	"  PACKET                       udp; or of TCP: syn, synack, ack, answer,\n"
	"                               fin, finack, last\n"
	"  SPORT, DPORT                 the one with a + is the first of FLOWS\n"
	"bench lines                    where the code of XDP programs comes from:\n"
	"                               address, file and line, or - behind the end\n"
	"bench sink DEV                 drop what DEV receives\n"
	"bench redirect DEV TO          send it out of TO\n"
	"bench upstream DEV OUT         forward it with bpf_xdp_flow_lookup(), to OUT\n"
	"bench map COUNT PROGRAM...     run it with a BPF hash map for so many flows,\n"
	"                               whose descriptor stands for %d in its last argument\n";

[[gnu::noreturn, gnu::format(printf, 1, 2)]]
static void die(const char *fmt, ...)
{
	va_list args;

	fputs("bench: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

static unsigned int dev_index(const char *name)
{
	unsigned int ifindex = if_nametoindex(name);

	if (!ifindex)
		die("no device '%s'", name);

	return ifindex;
}

static struct bench_bpf *open_programs(void)
{
	struct bench_bpf *skel = bench_bpf__open();

	if (!skel)
		die("cannot open the programs: %s", strerror(errno));

	return skel;
}

static void load_programs(struct bench_bpf *skel)
{
	int err = bench_bpf__load(skel);

	if (err)
		die("cannot load the programs: %s", strerror(-err));
}

static void put_on(const char *dev, const struct bpf_program *prog)
{
	int err = bpf_xdp_attach(dev_index(dev), bpf_program__fd(prog),
				 XDP_FLAGS_DRV_MODE, NULL);

	if (err)
		die("cannot attach to %s: %s", dev, strerror(-err));
}

/* Ones' complement sum of @size bytes, an even number, on top of @sum. */
static unsigned int add_words(unsigned int sum, const void *data, size_t size)
{
	const unsigned short *word = data;

	for (; size; size -= sizeof(*word))
		sum += *word++;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);

	return sum;
}

enum packet {
	PACKET_UDP,
	PACKET_SYN,
	PACKET_SYNACK,
	PACKET_ACK,
	PACKET_ANSWER,
	PACKET_FIN,
	PACKET_FINACK,
	PACKET_LAST,
	PACKET_MAX
};

static enum packet parse_packet(const char *text)
{
	static const char * const names[PACKET_MAX] = {
		"udp", "syn", "synack", "ack", "answer", "fin", "finack", "last",
	};
	enum packet packet;

	for (packet = 0; packet < PACKET_MAX; packet++)
		if (!strcmp(text, names[packet]))
			return packet;

	die("'%s' is no kind of packet: see the usage", text);
}

/* Return: bytes that were written to @eth. */
static size_t build_eth(void *eth, const char *mac, unsigned short vlan,
			unsigned short proto)
{
	unsigned short tag[] = {
		htons(ETHERTYPE_VLAN), htons(vlan), htons(proto),
	};
	size_t skip = vlan ? 0 : 2;

	if (!ether_aton_r(mac, eth))
		die("'%s' is no MAC address", mac);
	memcpy(eth + 2 * ETHER_ADDR_LEN, tag + skip,
	       sizeof(tag) - skip * sizeof(*tag));

	return 2 * ETHER_ADDR_LEN + sizeof(tag) - skip * sizeof(*tag);
}

static size_t build_ipv4(struct ip *ip, unsigned char proto, size_t len,
			 const struct in_addr addrs[2])
{
	*ip = (struct ip){
		.ip_v = IPVERSION,
		.ip_hl = sizeof(*ip) / 4,
		.ip_ttl = IPDEFTTL,
		.ip_p = proto,
		.ip_len = htons(len),
		.ip_src = addrs[0],
		.ip_dst = addrs[1],
	};
	ip->ip_sum = ~add_words(0, ip, sizeof(*ip));

	return sizeof(*ip);
}

static size_t build_ipv6(struct ip6_hdr *ip, unsigned char proto, size_t len,
			 const struct in6_addr addrs[2])
{
	*ip = (struct ip6_hdr){
		.ip6_flow = htonl(6 << 28),
		.ip6_hlim = IPDEFTTL,
		.ip6_nxt = proto,
		.ip6_plen = htons(len - sizeof(*ip)),
		.ip6_src = addrs[0],
		.ip6_dst = addrs[1],
	};

	return sizeof(*ip);
}

static size_t build_udp(struct udphdr *udp, size_t len)
{
	udp->uh_ulen = htons(len);

	return offsetof(struct udphdr, uh_sum);
}

/* The same numbers in each packet of a kind, as after a loss. */
static size_t build_tcp(struct tcphdr *tcp, enum packet packet)
{
	const unsigned int client = 1000, server = 5000;
	bool answer = packet == PACKET_SYNACK || packet == PACKET_ANSWER ||
		      packet == PACKET_FINACK;
	unsigned int sent = client + (packet > PACKET_SYN) +
			    (packet > PACKET_FIN);
	unsigned int answered = server + (packet > PACKET_SYNACK) +
				(packet > PACKET_FINACK);

	tcp->syn = packet == PACKET_SYN || packet == PACKET_SYNACK;
	tcp->fin = packet == PACKET_FIN || packet == PACKET_FINACK;
	tcp->ack = packet != PACKET_SYN;
	tcp->seq = htonl(answer ? answered : sent);
	if (tcp->ack)
		tcp->ack_seq = htonl(answer ? sent : answered);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->window = htons(65535);

	return offsetof(struct tcphdr, check);
}

/* One of the two ports is the first of many; it is written for each packet. */
static void build_ports(struct bench_bpf__bss *bss, size_t l4,
			const char *sport, const char *dport)
{
	unsigned short ports[] = { htons(atoi(sport)), htons(atoi(dport)) };
	int many = !strchr(sport, '+');

	bss->port_at = l4 + many * sizeof(*ports);
	bss->port = ntohs(ports[many]);
	ports[many] = 0;
	memcpy(bss->frame + l4, ports, sizeof(ports));
}

static int frame_family(char **args)
{
	return strchr(args[4], ':') ? AF_INET6 : AF_INET;
}

static size_t frame_size(char **args)
{
	return frame_family(args) == AF_INET ? FRAME_SHORT : FRAME_LONG;
}

/* The data of the packet is zero. */
static void build_frame(struct bench_bpf__bss *bss, char **args)
{
	enum packet packet = parse_packet(args[3]);
	unsigned char proto = packet == PACKET_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	unsigned char *frame = bss->frame;
	unsigned char addrs[2 * sizeof(struct in6_addr)];
	int family = frame_family(args);
	size_t addr_size = family == AF_INET ? sizeof(struct in_addr) :
					       sizeof(struct in6_addr);
	size_t size = frame_size(args);
	size_t ip, l4;

	if (inet_pton(family, args[4], addrs) != 1 ||
	    inet_pton(family, args[6], addrs + addr_size) != 1)
		die("'%s' and '%s' are no addresses of one family", args[4],
		    args[6]);

	ip = build_eth(frame, args[1], atoi(args[2]), family == AF_INET ?
		       ETHERTYPE_IP : ETHERTYPE_IPV6);
	l4 = ip;
	l4 += family == AF_INET ?
	      build_ipv4((void *)frame + ip, proto, size - ip, (void *)addrs) :
	      build_ipv6((void *)frame + ip, proto, size - ip, (void *)addrs);
	build_ports(bss, l4, args[5], args[7]);
	bss->check_at = l4;
	bss->check_at += proto == IPPROTO_UDP ?
			 build_udp((void *)frame + l4, size - l4) :
			 build_tcp((void *)frame + l4, packet);

	bss->sum = add_words(htons(proto) + htons(size - l4), addrs,
			     2 * addr_size);
	bss->sum = add_words(bss->sum, frame + l4, size - l4);
}

/*
 * From the first packet of the first batch to the first of the last one:
 * setting up and waiting for the end are not the packets' business.
 */
static void print_cost(const struct bench_bpf *skel, int count)
{
	int batches = (count - 1) / BATCH_SIZE;

	if (batches)
		printf("%llu\n", (skel->bss->last - skel->bss->first) /
				 (batches * BATCH_SIZE));
}

/* Does nothing, but count.c sees it. */
#ifdef __x86_64__
#define mark(which)	asm volatile("nopl %c0(%%rax)" : : "i" (which) : "memory")
#else
#define mark(which)	((void)(which))
#endif

/* What of a command's arguments describes one kind of packets. */
#define SEND_ARGS	10

/* Return: the name of the device in "NETNS/DEV", whose netns is entered. */
static const char *enter_netns(const char *where)
{
	const char *dev = strchr(where, '/');
	char path[128];
	int fd;

	if (!dev)
		return where;

	snprintf(path, sizeof(path), "/run/netns/%.*s", (int)(dev - where), where);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die("cannot enter %s: %s", path, strerror(errno));
	close(fd);

	return dev + 1;
}

static struct bench_bpf *prepare(char **args)
{
	struct bench_bpf *skel = open_programs();

	build_frame(skel->bss, args);
	skel->bss->ifindex = dev_index(enter_netns(args[0]));
	skel->bss->flows = atoi(args[8]);
	load_programs(skel);

	return skel;
}

static void send_all(struct bench_bpf *skel, char **args, bool marked)
{
	struct bpf_test_run_opts opts = {
		.sz = sizeof(opts),
		.data_in = skel->bss->frame,
		.data_size_in = FRAME_MOVE + frame_size(args),
		.repeat = atoi(args[9]),
		.batch_size = BATCH_SIZE,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	};
	int err;

	if (opts.repeat < 1)
		die("'%s' is no number of packets", args[9]);

	enter_netns(args[0]);
	if (marked)
		mark(MARK_BEGIN);
	err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.bench_send),
				     &opts);
	if (marked)
		mark(MARK_END);
	if (err)
		die("cannot send: %s", strerror(-err));
	print_cost(skel, opts.repeat);
}

/* All are ready before the first is sent. */
static void cmd_send(char **args)
{
	bool marked = getenv("MARK");
	struct bench_bpf *skel[8];
	size_t i, n;

	for (n = 0; args[n * SEND_ARGS]; n++) {
		if (n == ARRAY_SIZE(skel))
			die("more than %zu kinds of packets", n);
		skel[n] = prepare(args + n * SEND_ARGS);
	}
	for (i = 0; i < n; i++)
		send_all(skel[i], args + i * SEND_ARGS, marked);
	for (i = 0; i < n; i++)
		bench_bpf__destroy(skel[i]);
}

static void cmd_sink(char **args)
{
	struct bench_bpf *skel = open_programs();

	load_programs(skel);
	put_on(args[0], skel->progs.bench_sink);
	bench_bpf__destroy(skel);
}

static void cmd_redirect(char **args)
{
	struct bench_bpf *skel = open_programs();

	skel->bss->ifindex = dev_index(args[1]);
	load_programs(skel);
	put_on(args[0], skel->progs.bench_redirect);
	bench_bpf__destroy(skel);
}

static void cmd_upstream(char **args)
{
	struct upstream_bpf *skel = upstream_bpf__open_and_load();
	int out = dev_index(args[1]), err;

	if (!skel)
		die("cannot load the program: has this kernel bpf_xdp_flow_lookup()?");
	err = bpf_map__update_elem(skel->maps.bench_ports, &out, sizeof(out),
				   &out, sizeof(out), BPF_ANY);
	if (err)
		die("cannot forward to %s: %s", args[1], strerror(-err));
	put_on(args[0], skel->progs.bench_upstream);
	upstream_bpf__destroy(skel);
}

static void *array(unsigned int n, size_t size)
{
	void *mem = calloc(n + 1, size);

	if (!mem)
		die("out of memory");

	return mem;
}

/* The source of each piece of the machine's code of @fd's program, and its ends. */
static void print_lines(int fd)
{
	struct bpf_prog_info info = {};
	unsigned long long *at, *func;
	struct bpf_line_info *line;
	__u32 size = sizeof(info), *len, i;
	struct btf *btf;

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		die("no word of a program: %s", strerror(errno));
	if (info.type != BPF_PROG_TYPE_XDP || !info.nr_jited_line_info)
		return;

	line = array(info.nr_line_info, sizeof(*line));
	at = array(info.nr_jited_line_info, sizeof(*at));
	func = array(info.nr_jited_ksyms, sizeof(*func));
	len = array(info.nr_jited_func_lens, sizeof(*len));
	info = (struct bpf_prog_info){
		.nr_line_info = info.nr_line_info,
		.line_info_rec_size = sizeof(*line),
		.line_info = (unsigned long)line,
		.nr_jited_line_info = info.nr_jited_line_info,
		.jited_line_info_rec_size = sizeof(*at),
		.jited_line_info = (unsigned long)at,
		.nr_jited_ksyms = info.nr_jited_ksyms,
		.jited_ksyms = (unsigned long)func,
		.nr_jited_func_lens = info.nr_jited_func_lens,
		.jited_func_lens = (unsigned long)len,
	};
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		die("no lines of a program: %s", strerror(errno));
	btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!btf)
		die("no names for a program: %s", strerror(errno));

	for (i = 0; i < info.nr_line_info && i < info.nr_jited_line_info; i++)
		printf("line %llx %s %u\n", at[i],
		       btf__name_by_offset(btf, line[i].file_name_off),
		       BPF_LINE_INFO_LINE_NUM(line[i].line_col));

	for (i = 0; i < info.nr_jited_ksyms && i < info.nr_jited_func_lens; i++)
		printf("line %llx - 0\n", func[i] + len[i]);

	btf__free(btf);
	free(line);
	free(at);
	free(func);
	free(len);
}

static void cmd_lines(char **args)
{
	__u32 id = 0;
	int fd;

	(void)args;
	while (!bpf_prog_get_next_id(id, &id)) {
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0)
			continue;
		print_lines(fd);
		close(fd);
	}
}

static void cmd_map(char **args)
{
	char **last = args + 1, *arg;
	int fd;

	while (last[1])
		last++;

	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "bench",
			    sizeof(struct nf_flowmap_key),
			    sizeof(struct nf_flowmap_value), atoi(args[0]),
			    NULL);
	if (fd >= 0)
		fd = dup(fd);
	if (fd < 0)
		die("cannot make a map: %s", strerror(errno));

	if (asprintf(&arg, "%.*s%d", (int)strcspn(*last, "%"), *last, fd) < 0)
		die("out of memory");
	*last = arg;
	execvp(args[1], args + 1);
	die("cannot run '%s': %s", args[1], strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int more;	/* at a time */
		void (*run)(char **args);
	} commands[] = {
		{ "send", SEND_ARGS, SEND_ARGS, cmd_send },
		{ "lines", 0, 0, cmd_lines },
		{ "sink", 1, 0, cmd_sink },
		{ "redirect", 2, 0, cmd_redirect },
		{ "upstream", 2, 0, cmd_upstream },
		{ "map", 2, 1, cmd_map },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		int more = argc - commands[i].args - 2;

		if (more < 0 ||
		    (commands[i].more ? more % commands[i].more : more) ||
		    strcmp(argv[1], commands[i].name))
			continue;
		commands[i].run(argv + 2);
		return EXIT_SUCCESS;
	}

	fputs(usage, stderr);
	return EXIT_FAILURE;
}
