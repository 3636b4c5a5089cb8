// SPDX-License-Identifier: GPL-2.0-only
/*
 * PPP over Ethernet without a daemon: a session, and what a daemon asks of it
 * later.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/ppp_defs.h>
#include <linux/ppp-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "program.h"
#include "session.h"

static void die(const char *what)
{
	fprintf(stderr, "ppp: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static int attach(const char *unit)
{
	int fd = open("/dev/ppp", O_RDWR), index = atoi(unit);

	if (fd < 0 || ioctl(fd, PPPIOCATTACH, &index))
		die(unit);

	return fd;
}

/* Prints the unit, which lives as long as this process. */
static int cmd_session(char **args)
{
	struct session_request request = {
		.below = args[0],
		.number = atoi(args[1]),
		.name = args[3],
	};
	uint8_t *mac = request.peer;
	struct session session;
	const char *failed;
	int unit;

	if (sscanf(args[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
		   &mac[2], &mac[3], &mac[4], &mac[5]) != sizeof(request.peer)) {
		errno = EINVAL;
		die(args[2]);
	}
	failed = session_open(&session, &request);
	if (failed)
		die(failed);
	if (ioctl(session.unit, PPPIOCGUNIT, &unit))
		die("PPPIOCGUNIT");

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
	struct npioctl npi = {
		.protocol = PPP_IP,
		.mode = atoi(args[1]) ? NPMODE_PASS : NPMODE_DROP,
	};

	if (ioctl(attach(args[0]), PPPIOCSNPMODE, &npi))
		die("PPPIOCSNPMODE");

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
	{ "session", "DEV SESSION MAC NAME", 4, false, cmd_session },
	{ "filter", "UNIT 0|1", 2, false, cmd_filter },
	{ "mode", "UNIT 0|1", 2, false, cmd_mode },
	{ "idle", "UNIT", 1, false, cmd_idle },
};

int main(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc, argv);
}
