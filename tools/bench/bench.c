// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench: sends frames that are born as XDP frames, so that nothing is paid for
 * making them, and tells the time that they took all the way.  In a virtual
 * machine with one processor and QEMU's -icount shift=0 a nanosecond is an
 * instruction.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "bench.skel.h"
#include "frame.h"
#include "upstream.skel.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

static const char usage[] =
	"bench send DEV DSTMAC SADDR DADDR SPORT DPORT COUNT  time of a packet, in ns\n"
	"bench sink DEV                 drop what DEV receives\n"
	"bench redirect DEV TO          send it out of TO\n"
	"bench upstream DEV             forward it with bpf_xdp_flow_lookup()\n";

[[gnu::format(printf, 1, 2)]]
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

static in_addr_t parse_ip(const char *text)
{
	struct in_addr addr;

	if (!inet_aton(text, &addr))
		die("'%s' is no IPv4 address", text);

	return addr.s_addr;
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

static unsigned short udp_checksum(const struct ip *ip,
				   const struct udphdr *udp)
{
	unsigned int sum = htons(IPPROTO_UDP) + udp->uh_ulen;

	sum = add_words(sum, &ip->ip_src, 2 * sizeof(ip->ip_src));

	return ~add_words(sum, udp, sizeof(*udp));
}

/* The data of the packet is zero. */
static void build_frame(unsigned char *frame, char **args)
{
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_IP) };
	struct ip ip = {
		.ip_v = IPVERSION,
		.ip_hl = sizeof(ip) / 4,
		.ip_ttl = IPDEFTTL,
		.ip_p = IPPROTO_UDP,
		.ip_len = htons(FRAME_SIZE - sizeof(eth)),
		.ip_src.s_addr = parse_ip(args[2]),
		.ip_dst.s_addr = parse_ip(args[3]),
	};
	struct udphdr udp = {
		.uh_sport = htons(atoi(args[4])),
		.uh_dport = htons(atoi(args[5])),
		.uh_ulen = htons(FRAME_SIZE - sizeof(eth) - sizeof(ip)),
	};

	if (!ether_aton_r(args[1], (struct ether_addr *)eth.ether_dhost))
		die("'%s' is no MAC address", args[1]);
	ip.ip_sum = ~add_words(0, &ip, sizeof(ip));
	udp.uh_sum = udp_checksum(&ip, &udp);

	memset(frame, 0, FRAME_SIZE);
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), &ip, sizeof(ip));
	memcpy(frame + sizeof(eth) + sizeof(ip), &udp, sizeof(udp));
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

static void cmd_send(char **args)
{
	struct bench_bpf *skel = open_programs();
	struct bpf_test_run_opts opts = {
		.sz = sizeof(opts),
		.data_size_in = FRAME_SIZE,
		.repeat = atoi(args[6]),
		.batch_size = BATCH_SIZE,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	};
	int err;

	if (opts.repeat < 1)
		die("'%s' is no number of packets", args[6]);

	build_frame(skel->bss->frame, args);
	skel->bss->ifindex = dev_index(args[0]);
	load_programs(skel);

	opts.data_in = skel->bss->frame;
	err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.bench_send),
				     &opts);
	if (err)
		die("cannot send: %s", strerror(-err));
	print_cost(skel, opts.repeat);
	bench_bpf__destroy(skel);
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

	if (!skel)
		die("cannot load the program: has this kernel bpf_xdp_flow_lookup()?");
	put_on(args[0], skel->progs.bench_upstream);
	upstream_bpf__destroy(skel);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		void (*run)(char **args);
	} commands[] = {
		{ "send", 7, cmd_send },
		{ "sink", 1, cmd_sink },
		{ "redirect", 2, cmd_redirect },
		{ "upstream", 1, cmd_upstream },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (argc != commands[i].args + 2 ||
		    strcmp(argv[1], commands[i].name))
			continue;
		commands[i].run(argv + 2);
		return EXIT_SUCCESS;
	}

	fputs(usage, stderr);
	return EXIT_FAILURE;
}
