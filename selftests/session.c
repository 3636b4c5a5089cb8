// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/if_pppox.h>
#include <linux/ppp-ioctl.h>
#include <linux/rtnetlink.h>

#include "session.h"

static const char *connect_peer(struct session *session,
				const struct session_request *request)
{
	union {
		struct sockaddr any;
		struct sockaddr_pppox pppox;
	} addr = {
		.pppox.sa_family = AF_PPPOX,
		.pppox.sa_protocol = PX_PROTO_OE,
	};

	snprintf(addr.pppox.sa_addr.pppoe.dev, IFNAMSIZ, "%s", request->below);
	addr.pppox.sa_addr.pppoe.sid = htons(request->number);
	memcpy(addr.pppox.sa_addr.pppoe.remote, request->peer,
	       sizeof(request->peer));

	session->socket = socket(AF_PPPOX, SOCK_STREAM | SOCK_CLOEXEC, PX_PROTO_OE);
	if (session->socket < 0)
		return "a PPPoE socket";
	if (connect(session->socket, &addr.any, sizeof(addr.pppox)))
		return request->below;

	return NULL;
}

static bool send_request(struct nlmsghdr *nlh)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	ssize_t len = -1;

	if (nl && mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) >= 0)
		len = mnl_socket_recvfrom(nl, nlh, MNL_SOCKET_BUFFER_SIZE);
	if (len > 0)
		len = mnl_cb_run(nlh, len, 0, 0, NULL, NULL);
	if (nl)
		mnl_socket_close(nl);

	return len >= 0;
}

/* As "ip link add", which could not lend its file to the device. */
static const char *add_device(const struct session *session,
			      const struct session_request *request)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct nlattr *info, *data;
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = request->ifindex;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, request->name);
	mnl_attr_put_u32(nlh, IFLA_GROUP, request->group);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "ppp");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	mnl_attr_put_u32(nlh, IFLA_PPP_DEV_FD, session->unit);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);

	return send_request(nlh) ? NULL : request->name;
}

/* What the peer sends is the device's, and the other way round. */
static const char *join(struct session *session)
{
	int channel, unit;

	if (ioctl(session->socket, PPPIOCGCHAN, &channel))
		return "PPPIOCGCHAN";
	session->channel = open("/dev/ppp", O_RDWR | O_CLOEXEC);
	if (session->channel < 0)
		return "/dev/ppp";
	if (ioctl(session->channel, PPPIOCATTCHAN, &channel))
		return "PPPIOCATTCHAN";
	if (ioctl(session->unit, PPPIOCGUNIT, &unit))
		return "PPPIOCGUNIT";
	if (ioctl(session->channel, PPPIOCCONNECT, &unit))
		return "PPPIOCCONNECT";

	return NULL;
}

/* The socket first: it loads the modules that make /dev/ppp. */
const char *session_open(struct session *session,
			 const struct session_request *request)
{
	const char *failed = connect_peer(session, request);

	if (failed)
		return failed;
	session->unit = open("/dev/ppp", O_RDWR | O_CLOEXEC);
	if (session->unit < 0)
		return "/dev/ppp";
	failed = add_device(session, request);
	if (failed)
		return failed;

	return join(session);
}

/* The way out of the session first. */
void session_close(struct session *session)
{
	close(session->channel);
	close(session->unit);
	close(session->socket);
}
