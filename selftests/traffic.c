// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves data over TCP or UDP and says whether it arrived intact.  Every eight
 * bytes tell their own place, so that the receiver needs no copy to compare.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

#define CHUNK		(64 * 1024)
#define DATAGRAM_MAX	9000

/* Datagrams under way; below what a veth or a socket's buffer holds. */
#define WINDOW		32
#define ACK_EVERY	8
#define RESEND_MS	200
#define RESENDS_MAX	50

#define STATUS_OK	0
#define STATUS_CORRUPT	1

/*
 * Before the data of TCP: how much there is, and how much to send back.
 * After it: how much was right.
 */
struct stream_note {
	uint64_t	bytes;
	uint64_t	back;
};

struct datagram {
	uint32_t	index;
	uint32_t	count;
	uint64_t	place;
	uint64_t	data[];
};

struct ack {
	uint32_t	next;
	uint32_t	status;
};

static void die(const char *what)
{
	fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t pattern(uint64_t place)
{
	return (place + 1) * 0x9e3779b97f4a7c15ULL;
}

static void fill(uint64_t *words, size_t count, uint64_t place)
{
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = pattern(place + i);
}

static bool is_intact(const uint64_t *words, size_t count, uint64_t place)
{
	uint64_t wrong = 0;
	size_t i;

	for (i = 0; i < count; i++)
		wrong |= words[i] ^ pattern(place + i);

	return !wrong;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);

	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static bool read_all(int fd, void *data, size_t size)
{
	return recv(fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

static bool write_all(int fd, const void *data, size_t size)
{
	return send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool send_stream(int fd, uint64_t bytes)
{
	static uint64_t words[CHUNK / 8];
	uint64_t place = 0, size;

	while (place * 8 < bytes) {
		size = bytes - place * 8;
		if (size > CHUNK)
			size = CHUNK;
		fill(words, size / 8, place);
		if (!write_all(fd, words, size))
			return false;
		place += size / 8;
	}

	return true;
}

/* Returns the number of bytes up to the first wrong chunk. */
static uint64_t receive_stream(int fd, uint64_t bytes)
{
	static uint64_t words[CHUNK / 8];
	uint64_t place = 0, size;

	while (place * 8 < bytes) {
		size = bytes - place * 8;
		if (size > CHUNK)
			size = CHUNK;
		if (!read_all(fd, words, size) ||
		    !is_intact(words, size / 8, place))
			break;
		place += size / 8;
	}

	return place * 8;
}

/* --- server -------------------------------------------------------------- */

static void serve_stream(int fd)
{
	struct stream_note note;
	char byte;

	if (!read_all(fd, &note, sizeof(note)))
		return;

	note.bytes = receive_stream(fd, note.bytes);
	if (write_all(fd, &note, sizeof(note)) && send_stream(fd, note.back))
		while (recv(fd, &byte, 1, 0) > 0)
			;
}

static void serve_tcp(int listener)
{
	int fd;

	for (;;) {
		fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve_stream(fd);
			exit(EXIT_SUCCESS);
		}
		close(fd);
	}
}

/* One transfer at a time; the first datagram of the next one ends it. */
static void serve_udp(int fd)
{
	static union {
		struct datagram	header;
		uint8_t		bytes[DATAGRAM_MAX];
	} in;
	const struct datagram *datagram = &in.header;
	struct sockaddr_storage peer;
	struct ack ack = {};
	socklen_t peer_len;
	size_t words;
	ssize_t len;

	for (;;) {
		peer_len = sizeof(peer);
		len = recvfrom(fd, &in, sizeof(in), 0,
			       (struct sockaddr *)&peer, &peer_len);
		if (len < (ssize_t)sizeof(*datagram))
			continue;

		if (!datagram->index)
			memset(&ack, 0, sizeof(ack));
		words = (len - sizeof(*datagram)) / 8;
		if (datagram->index == ack.next) {
			if (!is_intact(datagram->data, words, datagram->place))
				ack.status = STATUS_CORRUPT;
			ack.next++;
		}
		if (ack.next % ACK_EVERY && datagram->index &&
		    ack.next != datagram->count &&
		    datagram->index + 1 == ack.next)
			continue;
		sendto(fd, &ack, sizeof(ack), 0, (struct sockaddr *)&peer,
		       peer_len);
	}
}

static int open_server(int type, const char *port)
{
	struct addrinfo hints = {
		.ai_family = AF_INET6,
		.ai_socktype = type,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *addr;
	int fd, one = 1;

	if (getaddrinfo(NULL, port, &hints, &addr))
		die("getaddrinfo");
	fd = socket(addr->ai_family, type, 0);
	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, addr->ai_addr, addr->ai_addrlen))
		die("bind");
	if (type == SOCK_STREAM && listen(fd, 16))
		die("listen");
	freeaddrinfo(addr);

	return fd;
}

static int cmd_serve(char **args)
{
	int udp = open_server(SOCK_DGRAM, args[0]);
	int tcp = open_server(SOCK_STREAM, args[0]);

	signal(SIGCHLD, SIG_IGN);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_udp(udp);
	}
	serve_tcp(tcp);

	return EXIT_SUCCESS;
}

/* --- clients ------------------------------------------------------------- */

static int open_client(int type, const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_socktype = type,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *addr;
	int fd;

	if (getaddrinfo(host, port, &hints, &addr))
		die(host);
	fd = socket(addr->ai_family, type, 0);
	if (fd < 0)
		die("socket");
	if (connect(fd, addr->ai_addr, addr->ai_addrlen))
		die("connect");
	freeaddrinfo(addr);

	return fd;
}

/* The flow stays open until standard input ends. */
static int report(uint64_t bytes, uint64_t right, uint64_t start,
		  unsigned int resends)
{
	char byte;

	printf("%llu of %llu bytes intact in %llu ms, %u times resent\n",
	       (unsigned long long)right, (unsigned long long)bytes,
	       (unsigned long long)(now_ms() - start), resends);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;

	return right == bytes ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A quarter comes back, so that both directions carry data. */
static int cmd_tcp(char **args)
{
	int fd = open_client(SOCK_STREAM, args[0], args[1]);
	uint64_t bytes = strtoull(args[2], NULL, 0) & ~31ULL;
	struct stream_note note = { .bytes = bytes, .back = bytes / 4 };
	uint64_t start = now_ms();

	if (!write_all(fd, &note, sizeof(note)) || !send_stream(fd, bytes))
		die("send");
	if (!read_all(fd, &note, sizeof(note)))
		die("no answer");
	if (receive_stream(fd, note.back) != note.back)
		note.bytes = 0;

	return report(bytes, note.bytes, start, 0);
}

/* Returns false where nothing was acknowledged in time. */
static bool take_ack(int fd, struct ack *last, int timeout_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	bool progress = false;
	struct ack ack;

	while (poll(&pollfd, 1, progress ? 0 : timeout_ms) > 0) {
		if (recv(fd, &ack, sizeof(ack), 0) != sizeof(ack))
			continue;
		if (ack.next > last->next || ack.status != STATUS_OK) {
			*last = ack;
			progress = true;
		}
	}

	return progress;
}

static bool send_datagram(int fd, struct datagram *datagram, uint32_t index,
			  uint64_t words, uint64_t total)
{
	datagram->index = index;
	datagram->place = index * words;
	if (words > total - datagram->place)
		words = total - datagram->place;
	fill(datagram->data, words, datagram->place);

	return write_all(fd, datagram, sizeof(*datagram) + words * 8);
}

static int cmd_udp(char **args)
{
	int fd = open_client(SOCK_DGRAM, args[0], args[1]);
	uint64_t total = strtoull(args[2], NULL, 0) / 8;
	uint64_t words = (strtoul(args[3], NULL, 0) - sizeof(struct datagram)) / 8;
	uint32_t next = 0, resends = 0, window = 1;
	static union {
		struct datagram	header;
		uint8_t		bytes[DATAGRAM_MAX];
	} out;
	uint64_t start = now_ms();
	struct ack ack = {};

	if (!words || words > (DATAGRAM_MAX - sizeof(out.header)) / 8)
		die("datagram size");

	out.header.count = (total + words - 1) / words;
	while (ack.next < out.header.count && ack.status == STATUS_OK) {
		if (next < out.header.count && next - ack.next < window) {
			next += send_datagram(fd, &out.header, next, words,
					      total);
		} else if (take_ack(fd, &ack, RESEND_MS)) {
			window = WINDOW;
		} else {
			next = ack.next;
			if (++resends > RESENDS_MAX)
				die("no answer");
		}
	}

	return report(total * 8, ack.status == STATUS_OK ? total * 8 : 0,
		      start, resends);
}

static const struct command commands[] = {
	{ "serve", "PORT", 1, false, cmd_serve },
	{ "tcp", "ADDRESS PORT BYTES", 3, false, cmd_tcp },
	{ "udp", "ADDRESS PORT BYTES DATAGRAM-SIZE", 4, false, cmd_udp },
};

int main(int argc, char **argv)
{
	return run_command(commands, ARRAY_SIZE(commands), argc, argv);
}
