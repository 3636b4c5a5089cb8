/* SPDX-License-Identifier: GPL-2.0-only */
/* PPP over Ethernet without a daemon: sessions that both ends take for granted. */
#ifndef FLOWMAP_TEST_SESSION_H
#define FLOWMAP_TEST_SESSION_H

#include <stdint.h>

/* Files that keep it; the network device goes with @unit. */
struct session {
	int	socket;
	int	channel;
	int	unit;
};

/* What is asked for. */
struct session_request {
	const char	*below;		/* an Ethernet device, up */
	uint16_t	number;
	uint8_t		peer[6];
	const char	*name;		/* the network device's */
	unsigned int	ifindex;	/* 0: any */
	unsigned int	group;
};

/*
 * Return: NULL, or what failed, for a reason that errno names; what there is of a
 * session then ends with the process.
 */
const char *session_open(struct session *session,
			 const struct session_request *request);
void session_close(struct session *session);

#endif /* FLOWMAP_TEST_SESSION_H */
