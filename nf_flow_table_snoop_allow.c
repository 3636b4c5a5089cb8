// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/nf_flowmap_allow: devices whose chains, filters and qdiscs XDP may
 * skip, because the administrator of the netns says so.  Reading lists them;
 * "+NAME" adds one and "-NAME" takes it away, as does the device's end.
 */
#include <linux/capability.h>
#include <linux/netdevice.h>
#include <linux/proc_fs.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <linux/seq_file_net.h>
#include <linux/string.h>
#include <linux/user_namespace.h>

#include "nf_flow_table_snoop_internal.h"

#define SNOOP_ALLOW_NAME	"nf_flowmap_allow"

/* Context: RCU read lock. */
bool snoop_dev_is_allowed(const struct net_device *dev)
{
	return xa_load(&snoop_net(dev_net(dev))->allowed, dev->ifindex);
}

static int snoop_allow_show(struct seq_file *seq, void *v)
{
	struct net *net = seq_file_single_net(seq);
	struct net_device *dev;
	unsigned long ifindex;
	void *entry;

	rcu_read_lock();
	xa_for_each(&snoop_net(net)->allowed, ifindex, entry) {
		dev = dev_get_by_index_rcu(net, ifindex);
		if (dev)
			seq_printf(seq, "%s\n", dev->name);
	}
	rcu_read_unlock();

	return 0;
}

/* RTNL keeps the device, so that its end comes after what is stored for it. */
static int snoop_allow_set(struct net *net, const char *name, bool allow)
{
	struct xarray *allowed = &snoop_net(net)->allowed;
	struct net_device *dev;
	int err = 0;

	rtnl_lock();
	dev = __dev_get_by_name(net, name);
	if (!dev)
		err = -ENODEV;
	else if (allow)
		err = xa_err(xa_store(allowed, dev->ifindex, xa_mk_value(1),
				      GFP_KERNEL));
	else
		xa_erase(allowed, dev->ifindex);
	rtnl_unlock();

	return err;
}

static int snoop_allow_write(struct file *file, char *buf, size_t size)
{
	struct net *net = seq_file_single_net(file->private_data);
	char *word = strim(buf);

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (*word != '+' && *word != '-')
		return -EINVAL;

	return snoop_allow_set(net, word + 1, *word == '+');
}

/* @dev goes, and another can have its number. */
void snoop_allow_forget(const struct net_device *dev)
{
	xa_erase(&snoop_net(dev_net(dev))->allowed, dev->ifindex);
}

int snoop_allow_net_init(struct net *net)
{
	xa_init(&snoop_net(net)->allowed);

	return proc_create_net_single_write(SNOOP_ALLOW_NAME, 0644,
					    net->proc_net, snoop_allow_show,
					    snoop_allow_write, NULL) ?
	       0 : -ENOMEM;
}

void snoop_allow_net_exit(struct net *net)
{
	remove_proc_entry(SNOOP_ALLOW_NAME, net->proc_net);
	xa_destroy(&snoop_net(net)->allowed);
}
