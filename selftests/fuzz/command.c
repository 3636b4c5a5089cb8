// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands for the routers, as ip, tc and nft take them.
 *
 * A program takes a tenth of a second to start where the machine is emulated. So
 * there is one "ip -batch" for each namespace, as long as this process lives, and
 * nft is a library.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

struct batch {
	pid_t	pid;
	int	input;
	int	done;
};

static struct batch ip[NAMESPACES];
static struct nft_ctx *nft[ROUTERS];
static char *text;
static size_t text_len;

FILE *text_begin(void)
{
	FILE *out;

	free(text);
	text = NULL;
	out = open_memstream(&text, &text_len);
	if (!out)
		die("no memory");

	return out;
}

const char *text_end(FILE *out)
{
	fclose(out);

	return text;
}

static pid_t start_program(int router, int input, const char *const *argv)
{
	struct sched_param param = {};
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setscheduler(0, SCHED_OTHER, &param);
	net_enter(router);
	dup2(input, STDIN_FILENO);
	dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

/*
 * @argv in a namespace, with @input to read, or nothing.
 * Return: its exit status.
 */
int run_program(int router, const char *input, const char *const *argv)
{
	int fd = memfd_create("input", MFD_CLOEXEC), status;
	size_t len = strlen(input);

	if (fd < 0 || write(fd, input, len) != (ssize_t)len)
		die("memfd: %s", strerror(errno));

	lseek(fd, 0, SEEK_SET);
	if (waitpid(start_program(router, fd, argv), &status, 0) < 0)
		die("%s: %s", argv[0], strerror(errno));
	close(fd);

	return status;
}

void net_start_ip(int router)
{
	static const char * const argv[] = { "ip", "-batch", "-", NULL };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	ip[router].pid = start_program(router, fds[0], argv);
	ip[router].input = fds[1];
	close(fds[0]);
}

/* It forgets no memory that a command took. */
void net_restart_ip(int router)
{
	close(ip[router].input);
	if (waitpid(ip[router].pid, NULL, 0) < 0)
		die("ip: %s", strerror(errno));
	net_start_ip(router);
}

static int mtu_of_lo(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr))
		die("lo: %s", strerror(errno));
	close(fd);

	return ifr.ifr_mtu;
}

/* The MTU of lo tells when all is done. */
void net_ip(int router, const char *commands)
{
	struct batch *to = &ip[router];

	net_enter(router);
	to->done = to->done == 2000 ? 2001 : 2000;
	if (dprintf(to->input, "%slink set lo mtu %d\n", commands, to->done) < 0)
		die("ip: %s", strerror(errno));
	while (mtu_of_lo() != to->done) {
		if (waitpid(to->pid, NULL, WNOHANG))
			die("ip failed, given:\n%s", commands);
		sched_yield();
	}
}

/*
 * The kernel takes old rules down in the background. Whoever closes a socket of
 * netfilter's waits for that.
 */
void net_nft(int router, const char *commands)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int fd;

	if (nft_run_cmd_from_buffer(nft[router], commands))
		die("nft failed, given:\n%s", commands);

	net_enter(router);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("netlink: %s", strerror(errno));
	close(fd);
}

void net_start_nft(int router)
{
	net_enter(router);
	nft[router] = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft[router])
		die("nft does not start");
}
