// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bridge on a packet's way out: what br_dev_xmit() and br_forward() do to a
 * packet of this machine, for a destination that the bridge knows.
 */
#include <linux/etherdevice.h>
#include <linux/if_bridge.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/netfilter_bridge.h>

#include "nf_flow_table_snoop_internal.h"

#define SNOOP_BR_PORT_BITS	10

/*
 * How struct net_bridge_port of net/bridge/br_private.h begins, 6.1 to 6.12.  No
 * header declares it, so it is believed only where it fits: the pointers, and an
 * identifier that is made of priority and number.
 */
struct snoop_br_port {
	void			*br;
	struct net_device	*dev;
	netdevice_tracker	tracker;
	struct list_head	list;
	unsigned long		flags;
#ifdef CONFIG_BRIDGE_VLAN_FILTERING
	void			*vlans;
#endif
	void			*backup;
	struct compat_backup_nhid nhid;
	u8			priority;
	u8			state;
	u16			number;
	u8			pending[2];
	u16			id;
};

/* Does the bridge send out of @port, a port of @dev, what it was not told to flood? */
static bool snoop_br_port_sends(const struct net_device *dev,
				const struct net_device *port)
{
	const struct snoop_br_port *p;

	if (!netif_is_bridge_port(port))
		return false;

	p = rcu_dereference(port->rx_handler_data);
	if (!p || p->dev != port || p->br != netdev_priv(dev) ||
	    p->id != (u16)(p->priority << SNOOP_BR_PORT_BITS |
			   (p->number & (BIT(SNOOP_BR_PORT_BITS) - 1))))
		return false;

	return READ_ONCE(p->state) == BR_STATE_FORWARDING &&
	       !(READ_ONCE(p->flags) & BR_VLAN_TUNNEL);
}

/*
 * The bridge module's, taken when they are needed first, so that we do not need
 * the module.  A bridge that is seen under RCU keeps the module's code; when
 * that goes, so do these.
 */
static typeof(br_mst_enabled) *snoop_br_mst_enabled __read_mostly;
static typeof(br_vlan_get_info_rcu) *snoop_br_vlan_get_info __read_mostly;

static int snoop_br_event(struct notifier_block *nb, unsigned long event,
			  void *data)
{
	struct module *module = data;

	if (event == MODULE_STATE_GOING && !strcmp(module->name, "bridge")) {
		WRITE_ONCE(snoop_br_mst_enabled, NULL);
		WRITE_ONCE(snoop_br_vlan_get_info, NULL);
	}

	return NOTIFY_DONE;
}

static struct notifier_block snoop_br_notifier = {
	.notifier_call	= snoop_br_event,
};

/* Who asks at the same time learns the same. */
static bool snoop_br_learn(void)
{
	typeof(br_vlan_get_info_rcu) *vlan_get_info;
	typeof(br_mst_enabled) *mst_enabled;

	if (READ_ONCE(snoop_br_mst_enabled) &&
	    READ_ONCE(snoop_br_vlan_get_info))
		return true;

	mst_enabled = symbol_get(br_mst_enabled);
	if (!mst_enabled)
		return false;

	vlan_get_info = symbol_get(br_vlan_get_info_rcu);
	if (vlan_get_info) {
		WRITE_ONCE(snoop_br_vlan_get_info, vlan_get_info);
		WRITE_ONCE(snoop_br_mst_enabled, mst_enabled);
		symbol_put(br_vlan_get_info_rcu);
	}
	symbol_put(br_mst_enabled);

	return vlan_get_info;
}

/* Has @dev states of spanning trees for each VLAN, which we do not see? */
static bool snoop_br_has_mst(const struct net_device *dev)
{
	return READ_ONCE(snoop_br_mst_enabled)(dev);
}

/* Does @dev take frames of its own of this VLAN? 0: it does not filter. */
static bool snoop_br_has_vlan(const struct net_device *dev, u16 vid)
{
	struct bridge_vlan_info info;

	return !vid ||
	       (!READ_ONCE(snoop_br_vlan_get_info)(dev, vid, &info) &&
		info.flags & BRIDGE_VLAN_INFO_BRENTRY);
}

/* Do chains of the family bridge, or br_netfilter, see what it sends? */
static bool snoop_br_hooks(const struct net *net)
{
#ifdef CONFIG_NETFILTER_FAMILY_BRIDGE
	return rcu_access_pointer(net->nf.hooks_bridge[NF_BR_LOCAL_OUT]) ||
	       rcu_access_pointer(net->nf.hooks_bridge[NF_BR_POST_ROUTING]);
#else
	return false;
#endif
}

/* Return: whether the outermost tag of @frame was there. */
static bool snoop_frame_tag(const struct snoop_frame *frame,
			    struct net_device_path_ctx *ctx)
{
	const struct vlan_ethhdr *veth = (const struct vlan_ethhdr *)frame->l2;

	if (!eth_type_vlan(veth->h_vlan_proto))
		return false;

	ctx->vlan[0].id = ntohs(veth->h_vlan_TCI) & VLAN_VID_MASK;
	ctx->vlan[0].proto = veth->h_vlan_proto;
	ctx->num_vlans = 1;

	return true;
}

/*
 * Return: the port that the destination of the frame is behind, with the tags
 * that leave there in @way; NULL where XDP cannot do the same.
 */
struct net_device *snoop_bridge_below(struct net_device *dev,
				      struct snoop_way *way,
				      struct snoop_upper *upper)
{
	struct snoop_frame *frame = &way->frame;
	struct net_device_path_ctx ctx = { .dev = dev };
	struct net_device_path path = {};
	const struct net_device *port;
	bool tagged;

	/* A tag that a VLAN device told the bridge apart is not counted. */
	upper->header = frame->l2_len;
	tagged = snoop_frame_tag(frame, &ctx);
	if (tagged && vlan_hw_offload_capable(dev->features, ctx.vlan[0].proto))
		upper->header -= VLAN_HLEN;

	/* br_dev_xmit() floods those, whatever the FDB says. */
	if (is_multicast_ether_addr(frame->l2))
		return NULL;

	ether_addr_copy(ctx.daddr, frame->l2);
	if (!snoop_br_learn() || snoop_br_has_mst(dev) ||
	    dev->netdev_ops->ndo_fill_forward_path(&ctx, &path) < 0 ||
	    path.type != DEV_PATH_BRIDGE ||
	    !snoop_br_has_vlan(dev, path.bridge.vlan_id))
		return NULL;

	port = ctx.dev;
	if (!snoop_br_port_sends(dev, port))
		return NULL;
	if (snoop_br_hooks(way->id.port->net) && !snoop_dev_is_allowed(dev))
		way->block |= NF_SNOOP_OUT_CHAIN;

	switch (path.bridge.vlan_mode) {
	case DEV_PATH_BR_VLAN_KEEP:
		break;
	case DEV_PATH_BR_VLAN_TAG:
		if (!snoop_frame_push(frame, path.bridge.vlan_proto,
				      path.bridge.vlan_id))
			return NULL;
		break;
	case DEV_PATH_BR_VLAN_UNTAG:
		if (!tagged)
			return NULL;
		snoop_frame_pop(frame);
		break;
	default:
		return NULL;
	}
	/* see is_skb_forwardable() */
	snoop_frame_limit(frame, port, VLAN_HLEN);

	return (struct net_device *)port;
}

int snoop_bridge_init(void)
{
	return register_module_notifier(&snoop_br_notifier);
}

void snoop_bridge_exit(void)
{
	unregister_module_notifier(&snoop_br_notifier);
}
