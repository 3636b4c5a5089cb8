// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tap as a virtual machine has it: what comes to a device is what the machine
 * sends, its checksums left for the tap to finish where they were left for the
 * device, and what the tap sends leaves by the device.
 *
 *	tap NAME DEVICE
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>

static void die(const char *what)
{
	fprintf(stderr, "tap: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

/* Without waiting, as vhost writes: only then does a tap run XDP in its driver. */
static int open_tap(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		die("/dev/net/tun");

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req))
		die(name);

	return fd;
}

static int open_device(const char *name)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), yes = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes)) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof(yes)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die(name);

	return fd;
}

/* One frame, with what is said apart from it; both sides have the same header. */
static void pass(int from, int to)
{
	static char frame[65536];
	ssize_t len = read(from, frame, sizeof(frame));

	if (len > 0 && write(to, frame, len) != len && errno != EIO &&
	    errno != ENETDOWN)
		die("write");
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };

	if (argc != 3) {
		fprintf(stderr, "Usage: tap NAME DEVICE\n");
		return EXIT_FAILURE;
	}
	fds[0].fd = open_tap(argv[1]);
	fds[1].fd = open_device(argv[2]);

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			pass(fds[0].fd, fds[1].fd);
		if (fds[1].revents)
			pass(fds[1].fd, fds[0].fd);
	}
	die("poll");
}
