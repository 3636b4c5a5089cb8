// SPDX-License-Identifier: GPL-2.0-only
/*
 * What conntrack says about the routers' connections: everything that ctnetlink
 * tells, but for numbers that are the kernel's own (id, references).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "fuzz.h"

/* Seconds; the routers are asked one after the other. */
#define TIMEOUT_TOLERANCE	3

/* What conntrack gives a connection that is in a flowtable, when its own collector comes by. */
#define OFFLOAD_TIMEOUT		86400

/*
 * What one of UDP has at most when its flow ends: 120 s less the flowtable's 30;
 * and what a packet without an answer leaves it.
 */
#define UDP_END_TIMEOUT		90
#define UDP_TIMEOUT		30

#define BUFFER_SIZE		(64 * 1024)

/* One connection: its attributes, as they came, the tuple of the first direction in front. */
struct connection {
	uint8_t		*attrs;
	size_t		len;
	uint32_t	timeout;
};

struct view {
	struct connection	*connections;
	size_t			count;
};

static struct mnl_socket *sockets[ROUTERS];

void conntrack_init(void)
{
	int router;

	for (router = 0; router < ROUTERS; router++) {
		net_enter(router);
		sockets[router] = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
		if (!sockets[router] ||
		    mnl_socket_bind(sockets[router], 0, MNL_SOCKET_AUTOPID) < 0)
			die("netlink: %s", strerror(errno));
	}
}

/* That of a tuple, whose addresses come first. */
static uint8_t family_of(const struct nlattr *tuple)
{
	const struct nlattr *ip = mnl_attr_get_payload(tuple);
	const struct nlattr *addr = mnl_attr_get_payload(ip);

	return mnl_attr_get_type(addr) == CTA_IP_V4_SRC ? AF_INET : AF_INET6;
}

static void request_with(int router, uint8_t type, uint16_t flags,
			 const struct nlattr *attr, mnl_cb_t cb, void *data)
{
	static char buffer[BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *nfg;
	ssize_t len;
	int rc = 1;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = time(NULL);
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = attr ? family_of(attr) : AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	if (attr)
		memcpy(mnl_nlmsg_put_extra_header(nlh, attr->nla_len), attr, attr->nla_len);

	if (mnl_socket_sendto(sockets[router], nlh, nlh->nlmsg_len) < 0)
		die("conntrack: %s", strerror(errno));
	while (rc > 0) {
		len = mnl_socket_recvfrom(sockets[router], buffer, sizeof(buffer));
		if (len < 0)
			die("conntrack: %s", strerror(errno));
		rc = mnl_cb_run(buffer, len, nlh->nlmsg_seq,
				mnl_socket_get_portid(sockets[router]), cb, data);
	}
	if (rc < 0)
		die("conntrack: %s", strerror(errno));
}

static void request(int router, uint8_t type, uint16_t flags, mnl_cb_t cb, void *data)
{
	request_with(router, type, flags, NULL, cb, data);
}

void conntrack_flush(void)
{
	int router;

	for (router = 0; router < ROUTERS; router++)
		request(router, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, NULL, NULL);
}

static int add_connection(const struct nlmsghdr *nlh, void *data)
{
	struct view *view = data;
	struct connection *connection;
	const struct nlattr *attr;

	view->connections = realloc(view->connections,
				    (view->count + 1) * sizeof(*connection));
	connection = &view->connections[view->count++];
	connection->attrs = malloc(nlh->nlmsg_len);
	connection->len = 0;
	connection->timeout = 0;
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) {
		switch (mnl_attr_get_type(attr)) {
		case CTA_ID:
		case CTA_USE:
			continue;
		case CTA_TIMEOUT:
			connection->timeout = ntohl(mnl_attr_get_u32(attr));
			continue;
		}
		memcpy(connection->attrs + connection->len, attr, attr->nla_len);
		connection->len += MNL_ALIGN(attr->nla_len);
	}

	return MNL_CB_OK;
}

/* Attributes begin with the tuple of the first direction. */
static void delete(int router, const struct connection *connection)
{
	const struct nlattr *tuple = (const void *)connection->attrs;

	request_with(router, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, tuple, NULL, NULL);
}

static int compare(const void *a, const void *b)
{
	const struct connection *x = a, *y = b;
	size_t len = x->len < y->len ? x->len : y->len;

	return memcmp(x->attrs, y->attrs, len) ?: (int)x->len - (int)y->len;
}

static void look(int router, struct view *view)
{
	memset(view, 0, sizeof(*view));
	request(router, IPCTNL_MSG_CT_GET, NLM_F_DUMP, add_connection, view);
	if (view->count)
		qsort(view->connections, view->count, sizeof(*view->connections),
		      compare);
}

static void forget(struct view *view)
{
	while (view->count)
		free(view->connections[--view->count].attrs);
	free(view->connections);
}

/* Up to half of it can be over, at which the collector gives it again. */
static bool is_left_of(uint32_t timeout, uint32_t of)
{
	return timeout <= of && timeout >= of / 2 - TIMEOUT_TOLERANCE;
}

static bool is_udp(const struct connection *connection)
{
	const struct nlattr *tuple = (const void *)connection->attrs, *proto, *num;

	mnl_attr_for_each_nested(proto, tuple) {
		if (mnl_attr_get_type(proto) != CTA_TUPLE_PROTO)
			continue;
		mnl_attr_for_each_nested(num, proto)
			if (mnl_attr_get_type(num) == CTA_PROTO_NUM)
				return mnl_attr_get_u8(num) == IPPROTO_UDP;
	}

	return false;
}

/*
 * Whether the collector came by is chance.  What it gave is left when a flow of
 * TCP ends, and cut when one of UDP does; without it there is what a packet on
 * the stack left, which is less.
 */
static bool may_be_collectors(const struct connection *with, const struct connection *without)
{
	return is_left_of(with->timeout, OFFLOAD_TIMEOUT) ||
	       (is_udp(with) && is_left_of(with->timeout, UDP_END_TIMEOUT) &&
		without->timeout <= UDP_TIMEOUT);
}

static bool same(const struct connection *a, const struct connection *b)
{
	int64_t late = (int64_t)a->timeout - b->timeout;

	if (compare(a, b))
		return false;

	return (late <= TIMEOUT_TOLERANCE && late >= -TIMEOUT_TOLERANCE) ||
	       may_be_collectors(a, b) || may_be_collectors(b, a);
}

static void print(FILE *out, int router, const struct connection *connection)
{
	size_t i;

	fprintf(out, "# %s: timeout %u, attributes ", net_name(router),
		connection->timeout);
	for (i = 0; i < connection->len; i++)
		fprintf(out, "%02x", connection->attrs[i]);
	fputs("\n", out);
}

bool conntrack_same(FILE *out)
{
	struct view views[ROUTERS];
	bool differs;
	size_t i;
	int router;

	for (router = 0; router < ROUTERS; router++)
		look(router, &views[router]);

	differs = views[SOFT].count != views[FAST].count;
	if (differs)
		fprintf(out, "# conntrack has %zu and %zu connections\n",
			views[SOFT].count, views[FAST].count);
	for (i = 0; i < views[SOFT].count && i < views[FAST].count; i++) {
		if (same(&views[SOFT].connections[i], &views[FAST].connections[i]))
			continue;
		differs = true;
		for (router = 0; router < ROUTERS; router++)
			print(out, router, &views[router].connections[i]);
		break;
	}

	for (router = 0; router < ROUTERS; router++)
		forget(&views[router]);

	return !differs;
}

void conntrack_delete(unsigned int which)
{
	struct view view;
	int router;

	for (router = 0; router < ROUTERS; router++) {
		look(router, &view);
		if (view.count)
			delete(router, &view.connections[which % view.count]);
		forget(&view);
	}
}
