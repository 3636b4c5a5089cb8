// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames into the routers, and whatever leaves them.
 *
 * Nobody waits for a packet. It is processed by the CPU that sends it, in softirqs
 * when send() returns, or in ksoftirqd, which goes before this process there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#define RECEIVE_BUFFER	(16 << 20)

static int sender, receiver;

/* Of all devices at once, so that frames come in the order in which they left. */
static void open_sockets(void)
{
	int one = 1, size = RECEIVE_BUFFER;

	sender = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	receiver = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			  htons(ETH_P_ALL));
	if (sender < 0 || receiver < 0 ||
	    setsockopt(receiver, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(receiver, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) ||
	    setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("packet socket: %s", strerror(errno));
}

/* The process that has a name; kernel threads keep theirs. */
static pid_t find_thread(const char *name)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	char path[300], comm[32];
	pid_t pid = 0;
	FILE *file;

	while (!pid && proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%31s", comm) == 1 && !strcmp(comm, name))
			pid = atoi(entry->d_name);
		fclose(file);
	}
	if (!pid)
		die("no process '%s'", name);
	closedir(proc);

	return pid;
}

/* Whoever has something to do here goes first, ksoftirqd before all. */
static void run_below_the_kernel(void)
{
	struct sched_param param = {};
	int cpu = sched_getcpu();
	char name[32];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    sched_setscheduler(0, SCHED_IDLE, &param))
		die("scheduler: %s", strerror(errno));

	snprintf(name, sizeof(name), "ksoftirqd/%d", cpu);
	param.sched_priority = 1;
	if (sched_setscheduler(find_thread(name), SCHED_FIFO, &param))
		die("%s: %s", name, strerror(errno));
}

void wire_init(void)
{
	open_sockets();
	run_below_the_kernel();
}

/* Return: whether the router's port took it; it does not take what exceeds its MTU. */
bool wire_send(int router, const struct frame *frame)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = net_wire(router, frame->port),
	};

	if (sendto(sender, frame->bytes, frame->len, 0, (struct sockaddr *)&to,
		   sizeof(to)) == frame->len)
		return true;
	if (errno != ENOBUFS)
		die("send to %s, port %d: %s", net_name(router), frame->port,
		    strerror(errno));

	return false;
}

/* The identification of an ICMP error, and so the checksum behind it, is random. */
static void forget_random(struct frame *frame)
{
	uint16_t type;
	uint8_t *end = frame->bytes + frame->len;
	struct iphdr *ip = (void *)(frame->bytes + frame_network(frame, &type));
	const struct icmphdr *icmp;

	if (type != ETHERTYPE_IP || (uint8_t *)(ip + 1) > end)
		return;

	icmp = (const void *)((uint32_t *)ip + ip->ihl);
	if ((uint8_t *)(icmp + 1) > end || ip->protocol != IPPROTO_ICMP ||
	    (icmp->type != ICMP_DEST_UNREACH && icmp->type != ICMP_TIME_EXCEEDED &&
	     icmp->type != ICMP_PARAMETERPROB))
		return;

	ip->id = 0;
	ip->check = 0;
}

/* The kernel takes the first tag out of a frame and tells it apart. */
static void put_back_tag(struct frame *frame, struct msghdr *msg)
{
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	uint8_t *at = frame->bytes + 2 * ETH_ALEN;
	struct tpacket_auxdata aux;
	uint16_t tag[2];

	if (!cmsg || cmsg->cmsg_type != PACKET_AUXDATA)
		return;
	memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
	if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
		return;

	tag[0] = htons(aux.tp_vlan_tpid);
	tag[1] = htons(aux.tp_vlan_tci);
	memmove(at + sizeof(tag), at, frame->len - 2 * ETH_ALEN);
	memcpy(at, tag, sizeof(tag));
	frame->len += sizeof(tag);
}

/* Return: false when there is none left. */
static bool take(struct out *out)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	static struct frame frame;
	struct sockaddr_ll from;
	struct iovec iov = {
		.iov_base = frame.bytes,
		.iov_len = FRAME_MAX - TAG_LEN,
	};
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t len = recvmsg(receiver, &msg, 0);
	uint16_t type;
	int router;

	if (len < 0 && errno == EAGAIN)
		return false;
	if (len < 0 || msg.msg_flags & MSG_TRUNC)
		die("receive: %s", strerror(errno));

	frame.len = len;
	put_back_tag(&frame, &msg);
	forget_random(&frame);
	/* ARP is what a router says on its own clock */
	frame_network(&frame, &type);
	if (!net_is_wire(from.sll_ifindex, &router, &frame.port) ||
	    type == ETHERTYPE_ARP)
		return true;
	if (out->count[router] == OUT_MAX)
		die("more than %d frames left for one packet", OUT_MAX);
	memcpy(&out->frame[router][out->count[router]++], &frame,
	       offsetof(struct frame, bytes) + frame.len);

	return true;
}

/* Adds what has come. */
void wire_collect(struct out *out)
{
	while (take(out))
		;
}

unsigned int wire_lost(void)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(receiver, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		die("packet socket: %s", strerror(errno));

	return stats.tp_drops;
}
