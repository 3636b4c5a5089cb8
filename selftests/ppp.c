// SPDX-License-Identifier: GPL-2.0-only
/*
 * PPP over Ethernet without a daemon: sessions that both ends take for
 * granted, and what a daemon asks of them later.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_pppox.h>
#include <linux/ppp_defs.h>
#include <linux/ppp-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "program.h"

static void die(const char *what)
{
	fprintf(stderr, "ppp: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static int open_ppp(void)
{
	int fd = open("/dev/ppp", O_RDWR);

	if (fd < 0)
		die("/dev/ppp");

	return fd;
}

static int attach(const char *unit)
{
	int fd = open_ppp(), index = atoi(unit);

	if (ioctl(fd, PPPIOCATTACH, &index))
		die(unit);

	return fd;
}

/* A socket that is connected to the session, and the index of its channel. */
static int connect_session(char **args, int *channel)
{
	union {
		struct sockaddr any;
		struct sockaddr_pppox pppox;
	} addr = {
		.pppox.sa_family = AF_PPPOX,
		.pppox.sa_protocol = PX_PROTO_OE,
	};
	unsigned char *mac = addr.pppox.sa_addr.pppoe.remote;
	int fd;

	snprintf(addr.pppox.sa_addr.pppoe.dev, IFNAMSIZ, "%s", args[0]);
	addr.pppox.sa_addr.pppoe.sid = htons(atoi(args[1]));
	if (sscanf(args[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
		   &mac[2], &mac[3], &mac[4], &mac[5]) != ETH_ALEN) {
		errno = EINVAL;
		die(args[2]);
	}

	fd = socket(AF_PPPOX, SOCK_STREAM, PX_PROTO_OE);
	if (fd < 0)
		die("socket");
	if (connect(fd, &addr.any, sizeof(addr.pppox)))
		die(args[0]);
	if (ioctl(fd, PPPIOCGCHAN, channel))
		die("PPPIOCGCHAN");

	return fd;
}

static void set_mode(int fd, int protocol, enum NPmode mode)
{
	struct npioctl npi = { .protocol = protocol, .mode = mode };

	if (ioctl(fd, PPPIOCSNPMODE, &npi))
		die("PPPIOCSNPMODE");
}

/* Prints the unit, which lives as long as this process. */
static int cmd_session(char **args)
{
	int channel, unit = -1, channel_fd, unit_fd;

	connect_session(args, &channel);
	channel_fd = open_ppp();
	if (ioctl(channel_fd, PPPIOCATTCHAN, &channel))
		die("PPPIOCATTCHAN");
	unit_fd = open_ppp();
	if (ioctl(unit_fd, PPPIOCNEWUNIT, &unit))
		die("PPPIOCNEWUNIT");
	if (ioctl(channel_fd, PPPIOCCONNECT, &unit))
		die("PPPIOCCONNECT");
	set_mode(unit_fd, PPP_IP, NPMODE_PASS);
	set_mode(unit_fd, PPP_IPV6, NPMODE_PASS);

	printf("%d\n", unit);
	fflush(stdout);
	pause();

	return EXIT_SUCCESS;
}

/* A filter that lets everything pass, or none. */
static int cmd_filter(char **args)
{
	struct sock_filter accept = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	struct sock_fprog prog = { .len = atoi(args[1]), .filter = &accept };

	if (ioctl(attach(args[0]), PPPIOCSPASS, &prog))
		die("PPPIOCSPASS");

	return EXIT_SUCCESS;
}

static int cmd_mode(char **args)
{
	int fd = attach(args[0]);

	set_mode(fd, PPP_IP, atoi(args[1]) ? NPMODE_PASS : NPMODE_DROP);

	return EXIT_SUCCESS;
}

/* Seconds since a packet was sent. */
static int cmd_idle(char **args)
{
	struct ppp_idle idle;

	if (ioctl(attach(args[0]), PPPIOCGIDLE, &idle))
		die("PPPIOCGIDLE");
	printf("%ld\n", (long)idle.xmit_idle);

	return EXIT_SUCCESS;
}

static const struct command commands[] = {
	{ "session", "DEV SESSION MAC", 3, false, cmd_session },
	{ "filter", "UNIT 0|1", 2, false, cmd_filter },
	{ "mode", "UNIT 0|1", 2, false, cmd_mode },
	{ "idle", "UNIT", 1, false, cmd_idle },
};

int main(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc, argv);
}
