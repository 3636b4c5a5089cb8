// SPDX-License-Identifier: GPL-2.0-only
/*
 * Preloaded into a program that configures something over netlink, tells when
 * that was done: the kernel does it before sendmsg() and sendto() return.  The
 * time of day of the last return, in microseconds, goes into the file that
 * FLOWMAP_STAMP names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void stamp(void)
{
	const char *path = getenv("FLOWMAP_STAMP");
	struct timespec now;
	char line[32];
	int fd, len;

	clock_gettime(CLOCK_REALTIME, &now);
	fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	len = snprintf(line, sizeof(line), "%llu\n",
		       now.tv_sec * 1000000ULL + now.tv_nsec / 1000);
	if (write(fd, line, len) != len)
		abort();
	close(fd);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t (*real)(int fd, const struct msghdr *msg, int flags);
	ssize_t ret;

	real = dlsym(RTLD_NEXT, "sendmsg");
	ret = real(fd, msg, flags);
	stamp();

	return ret;
}

ssize_t sendto(int fd, const void *data, size_t len, int flags,
	       const struct sockaddr *addr, socklen_t addr_len)
{
	ssize_t (*real)(int fd, const void *data, size_t len, int flags,
			const struct sockaddr *addr, socklen_t addr_len);
	ssize_t ret;

	real = dlsym(RTLD_NEXT, "sendto");
	ret = real(fd, data, len, flags, addr, addr_len);
	stamp();

	return ret;
}
