// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that takes flows by ndo_flow_offload and knows nothing of tc, and a
 * driver with indirect blocks that comes late: it is asked about whatever the core
 * has noted down of other devices' flowtables until then.
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/flow_offload.h>

static struct net_device *flow_dev;

static unsigned int asked;
module_param(asked, uint, 0444);
MODULE_PARM_DESC(asked, "how often the driver was asked about a flowtable");

static int flow_dev_block(struct net_device *dev, struct Qdisc *sch, void *priv,
			  enum tc_setup_type type, void *type_data, void *data,
			  void (*cleanup)(struct flow_block_cb *block_cb))
{
	if (type == TC_SETUP_FT)
		asked++;

	return -EOPNOTSUPP;
}

static void flow_dev_block_release(void *priv)
{
}

static int flow_dev_come(const char *value, const struct kernel_param *param)
{
	int err;

	err = flow_indr_dev_register(flow_dev_block, NULL);
	if (err)
		return err;

	flow_indr_dev_unregister(flow_dev_block, NULL, flow_dev_block_release);

	return 0;
}

static const struct kernel_param_ops flow_dev_come_ops = {
	.set	= flow_dev_come,
};

module_param_cb(come, &flow_dev_come_ops, NULL, 0200);
MODULE_PARM_DESC(come, "write to it: the driver comes, and goes again");

static netdev_tx_t flow_dev_xmit(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

static int flow_dev_offload(struct net_device *dev,
			    enum flow_offload_command command,
			    const struct flow_offload *flow,
			    struct flow_stats *stats)
{
	return 0;
}

static const struct net_device_ops flow_dev_ops = {
	.ndo_start_xmit		= flow_dev_xmit,
	.ndo_flow_offload	= flow_dev_offload,
};

static int __init flow_dev_init(void)
{
	int err;

	flow_dev = alloc_etherdev(0);
	if (!flow_dev)
		return -ENOMEM;

	strscpy(flow_dev->name, "flowdev%d", sizeof(flow_dev->name));
	flow_dev->netdev_ops = &flow_dev_ops;
	eth_hw_addr_random(flow_dev);
	err = register_netdev(flow_dev);
	if (err)
		free_netdev(flow_dev);

	return err;
}

static void __exit flow_dev_exit(void)
{
	unregister_netdev(flow_dev);
	free_netdev(flow_dev);
}

module_init(flow_dev_init);
module_exit(flow_dev_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: a device with ndo_flow_offload alone, and an indirect driver");
