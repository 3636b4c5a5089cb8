// SPDX-License-Identifier: GPL-2.0-only
/* Making a flowtable with the flag "snoop", which Debian's nft has no word for. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <libnftnl/flowtable.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "flowmap.h"

/* Two messages, with as many devices as the kernel takes. */
#define BATCH_SIZE		16384
#define MAX_DEVICES		256

/* Ours, see patches/: "tell a snooper of the flows". */
#define FLOWTABLE_SNOOP		0x4

static const struct {
	const char *name;
	__u32 family;
} families[] = {
	{ "inet", NFPROTO_INET }, { "ip", NFPROTO_IPV4 },
	{ "ip6", NFPROTO_IPV6 },
};

static __u32 family_of(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(families); i++)
		if (!strcmp(name, families[i].name))
			return families[i].family;

	return NFPROTO_UNSPEC;
}

/* What nft's rules can say. */
static bool is_name(const char *name)
{
	if (isdigit((unsigned char)*name) || *name == '/' || *name == '-')
		return false;
	do {
		if (!isalnum((unsigned char)*name) &&
		    (!*name || !strchr("_./-", *name)))
			return false;
	} while (*++name);

	return true;
}

static int check_names(char **args, int count)
{
	int i, j;

	for (i = 1; i < count; i++) {
		if (strlen(args[i]) >= (i < 3 ? NFT_NAME_MAXLEN : IF_NAMESIZE))
			return fail("give a shorter one", "'%s' is too long",
				    args[i]);
		if (i < 3 && !is_name(args[i]))
			return fail("take letters, '_', '.', and behind these digits, '/', '-'",
				    "snoop: nft knows no such %s",
				    i == 1 ? "TABLE" : "NAME");
		for (j = 3; j < i; j++)
			if (!strcmp(args[j], args[i]))
				return fail("name it once", "%s: is named twice",
					    args[i]);
	}

	return 0;
}

static int put_table(struct mnl_nlmsg_batch *batch, __u32 family,
		     const char *name, __u32 seq)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct nlmsghdr *nlh;

	if (!table)
		return -1;

	nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
	nlh = nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch),
				    NFT_MSG_NEWTABLE, family, NLM_F_CREATE, seq);
	nftnl_table_nlmsg_build_payload(nlh, table);
	nftnl_table_free(table);
	mnl_nlmsg_batch_next(batch);

	return 0;
}

/* @args: table, name, devices, NULL.  As nft makes it with "hook ingress priority filter". */
static int put_flowtable(struct mnl_nlmsg_batch *batch, __u32 family,
			 char **args, __u32 flags, __u32 seq)
{
	struct nftnl_flowtable *flowtable = nftnl_flowtable_alloc();
	struct nlmsghdr *nlh;

	if (!flowtable ||
	    nftnl_flowtable_set_data(flowtable, NFTNL_FLOWTABLE_DEVICES,
				     &args[2], 0)) {
		nftnl_flowtable_free(flowtable);
		return -1;
	}

	nftnl_flowtable_set_str(flowtable, NFTNL_FLOWTABLE_TABLE, args[0]);
	nftnl_flowtable_set_str(flowtable, NFTNL_FLOWTABLE_NAME, args[1]);
	nftnl_flowtable_set_u32(flowtable, NFTNL_FLOWTABLE_HOOKNUM,
				NF_NETDEV_INGRESS);
	nftnl_flowtable_set_u32(flowtable, NFTNL_FLOWTABLE_PRIO, 0);
	nftnl_flowtable_set_u32(flowtable, NFTNL_FLOWTABLE_FLAGS, flags);

	nlh = nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch),
				    NFT_MSG_NEWFLOWTABLE, family,
				    NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, seq);
	nftnl_flowtable_nlmsg_build_payload(nlh, flowtable);
	nftnl_flowtable_free(flowtable);
	mnl_nlmsg_batch_next(batch);

	return 0;
}

/* Returns 0 or an errno, the kernel's first. */
static int talk(struct mnl_nlmsg_batch *batch, __u32 seq)
{
	struct mnl_socket *sock = mnl_socket_open(NETLINK_NETFILTER);
	char answer[BATCH_SIZE];
	ssize_t len;
	int err;

	if (!sock)
		return errno;

	err = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID);
	if (!err && mnl_socket_sendto(sock, mnl_nlmsg_batch_head(batch),
				      mnl_nlmsg_batch_size(batch)) < 0)
		err = -1;

	/* The acknowledgment of the flowtable, or an error of any message. */
	while (err >= 0) {
		len = mnl_socket_recvfrom(sock, answer, sizeof(answer));
		err = len < 0 ? -1 :
		      mnl_cb_run(answer, len, 0, mnl_socket_get_portid(sock),
				 NULL, NULL);
		if (err == MNL_CB_STOP)
			break;
	}
	err = err < 0 ? errno : 0;
	mnl_socket_close(sock);

	return err;
}

static int fail_add(const char *name, bool offload, int err)
{
	switch (err) {
	case EPERM:
		return fail("run it as root", "missing capability CAP_NET_ADMIN");
	case EEXIST:
		return fail("delete that, or take another name or device",
			    "flowtable '%s' exists, or another of its table has a device of it",
			    name);
	case ENOENT:
	case ENODEV:
		return fail("see 'ip link'", "flowtable '%s': no such device",
			    name);
	case EOPNOTSUPP:
		if (offload)
			return fail("see if it works without -o, or with other devices",
				    "flowtable '%s' cannot be offloaded, or this kernel's do not tell of flows",
				    name);
		return fail("use one with patches/, or a flowtable of nft's",
			    "this kernel's flowtables do not tell of flows");
	}

	return fail("nothing was made", "flowtable '%s': %s", name,
		    strerror(err));
}

/* @args: family, table, name, devices. */
int flowtable_add(char **args, int count, bool counter, bool offload)
{
	__u32 flags = FLOWTABLE_SNOOP | (counter ? NFT_FLOWTABLE_COUNTER : 0) |
		      (offload ? NFT_FLOWTABLE_HW_OFFLOAD : 0);
	__u32 family = family_of(args[0]), seq = time(NULL);
	char buffer[2 * BATCH_SIZE];
	struct mnl_nlmsg_batch *batch;
	int err = ENOMEM;

	if (!family)
		return fail("give inet, ip or ip6", "unknown family '%s'", args[0]);
	if (count - 3 > MAX_DEVICES)
		return fail("name fewer", "more than %d devices", MAX_DEVICES);
	if (check_names(args, count))
		return -1;

	batch = mnl_nlmsg_batch_start(buffer, BATCH_SIZE);
	if (!batch)
		return fail_add(args[2], offload, err);

	nftnl_batch_begin(mnl_nlmsg_batch_current(batch), seq);
	mnl_nlmsg_batch_next(batch);
	if (!put_table(batch, family, args[1], seq) &&
	    !put_flowtable(batch, family, &args[1], flags, seq)) {
		nftnl_batch_end(mnl_nlmsg_batch_current(batch), seq);
		mnl_nlmsg_batch_next(batch);
		err = talk(batch, seq);
	}
	mnl_nlmsg_batch_stop(batch);

	return err ? fail_add(args[2], offload, err) : 0;
}
