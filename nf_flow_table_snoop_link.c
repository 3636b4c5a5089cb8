// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that a packet passes above the one that receives it and above the one
 * that sends it, and what each does to the frame: VLAN devices and bonds here;
 * PPP over Ethernet and bridges in files of their own.
 *
 * Context of all that is here: BH disabled, RCU read lock.
 */
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <net/bonding.h>

#include "nf_flow_table_snoop_internal.h"

/* Return: whether there was room for the tag. */
bool snoop_frame_push(struct snoop_frame *frame, __be16 proto, u16 tci)
{
	struct vlan_ethhdr *veth = (struct vlan_ethhdr *)frame->l2;

	if (frame->l2_len + VLAN_HLEN > sizeof(frame->l2))
		return false;

	memmove(frame->l2 + 2 * ETH_ALEN + VLAN_HLEN, frame->l2 + 2 * ETH_ALEN,
		frame->l2_len - 2 * ETH_ALEN);
	veth->h_vlan_proto = proto;
	veth->h_vlan_TCI = htons(tci);
	frame->l2_len += VLAN_HLEN;

	return true;
}

/* Take the outermost tag off, which is there. */
void snoop_frame_pop(struct snoop_frame *frame)
{
	frame->l2_len -= VLAN_HLEN;
	memmove(frame->l2 + 2 * ETH_ALEN, frame->l2 + 2 * ETH_ALEN + VLAN_HLEN,
		frame->l2_len - 2 * ETH_ALEN);
	memset(frame->l2 + frame->l2_len, 0, VLAN_HLEN);
}

/* @dev takes frames of no more than its MTU, its header and @more. */
void snoop_frame_limit(struct snoop_frame *frame, const struct net_device *dev,
		       unsigned int more)
{
	int room = READ_ONCE(dev->mtu) + dev->hard_header_len + more -
		   frame->l2_len;

	frame->room = clamp_t(int, room, 0, frame->room);
}

#if IS_ENABLED(CONFIG_VLAN_8021Q)

/*
 * As vlan_dev_hard_header() and vlan_dev_hard_start_xmit() do to a packet of no
 * priority.  A device that is told to leave the tag in the header does so, and
 * counts it, where it is the first; below another one it would put its tag
 * inside.
 */
static struct net_device *snoop_vlan_below(struct net_device *dev, bool first,
					   struct snoop_frame *frame,
					   struct snoop_upper *upper)
{
	const struct vlan_dev_priv *vlan = vlan_dev_priv(dev);
	bool in_header = !(READ_ONCE(vlan->flags) & VLAN_FLAG_REORDER_HDR);
	u16 tci = vlan->vlan_id | vlan_dev_get_egress_qos_mask(dev, 0);

	if (in_header && !first)
		return NULL;

	upper->header = frame->l2_len + (in_header ? VLAN_HLEN : 0);
	if (!snoop_frame_push(frame, vlan->vlan_proto, tci))
		return NULL;

	return vlan->real_dev;
}

static void snoop_vlan_count(const struct net_device *dev, u32 len, bool tx)
{
	struct vlan_pcpu_stats *stats;

	stats = this_cpu_ptr(vlan_dev_priv(dev)->vlan_pcpu_stats);
	u64_stats_update_begin(&stats->syncp);
	u64_stats_inc(tx ? &stats->tx_packets : &stats->rx_packets);
	u64_stats_add(tx ? &stats->tx_bytes : &stats->rx_bytes, len);
	u64_stats_update_end(&stats->syncp);
}

/* The VLAN device of @dev that takes the outermost tag of @rung. */
static const struct net_device *snoop_vlan_above(const struct snoop_rung *rung)
{
	u16 tci = rung->encap[0].id, vid = tci & VLAN_VID_MASK;
	const struct net_device *vlan_dev;

	if (!eth_type_vlan(rung->encap[0].proto))
		return NULL;

	vlan_dev = __vlan_find_dev_deep_rcu((struct net_device *)rung->dev,
					    rung->encap[0].proto, vid);

	/* It may have been found on a bond, which is the next. */
	return vlan_dev && vlan_dev_priv(vlan_dev)->real_dev == rung->dev ?
	       vlan_dev : NULL;
}

/*
 * As vlan_do_receive() would.  A tag that stays in the header, and a priority,
 * which might leave by another VLAN, are the stack's.
 */
static bool snoop_vlan_takes(const struct net_device *dev, u16 tci)
{
	const struct vlan_dev_priv *vlan = vlan_dev_priv(dev);

	return READ_ONCE(vlan->flags) & VLAN_FLAG_REORDER_HDR &&
	       !vlan->ingress_priority_map[tci >> VLAN_PRIO_SHIFT];
}

#else

static const struct net_device *snoop_vlan_above(const struct snoop_rung *rung)
{
	return NULL;
}

static bool snoop_vlan_takes(const struct net_device *dev, u16 tci)
{
	return false;
}

static struct net_device *snoop_vlan_below(struct net_device *dev, bool first,
					   struct snoop_frame *frame,
					   struct snoop_upper *upper)
{
	return NULL;
}

static void snoop_vlan_count(const struct net_device *dev, u32 len, bool tx)
{
}

#endif

/* Does @dev send frames by way of another device that snoop_below() knows? */
bool snoop_is_upper(const struct net_device *dev)
{
	return is_vlan_dev(dev) || netif_is_bridge_master(dev) ||
	       dev->type == ARPHRD_PPP;
}

/*
 * Return: the device below @dev, an upper device, with what @dev puts before
 * the frame in @way; NULL where XDP cannot do the same.
 */
struct net_device *snoop_below(struct net_device *dev, struct snoop_way *way)
{
	struct snoop_frame *frame = &way->frame;
	bool first = !way->uppers;
	struct snoop_upper *upper;

	if (way->uppers == SNOOP_UPPER_MAX)
		return NULL;

	upper = &way->upper[way->uppers++];
	upper->dev = dev;
	upper->header = 0;
	if (netif_is_bridge_master(dev))
		return snoop_bridge_below(dev, way, upper);
	if (!is_vlan_dev(dev))
		return snoop_ppp_below(dev, way);

	if (frame->l2_flags & NF_FLOWMAP_F_PPPOE)
		first = way->uppers == 2;

	return snoop_vlan_below(dev, first, frame, upper);
}

bool snoop_dev_is_tap(const struct net_device *dev)
{
	return dev->rtnl_link_ops && !strcmp(dev->rtnl_link_ops->kind, "tun");
}

/*
 * The bond that @dev is an active part of.  One with an ARP monitor has to see what
 * its parts receive, or takes them for dead; see bond_rcv_validate().
 */
static const struct net_device *snoop_bond_above(const struct net_device *dev)
{
	struct slave *slave;

	if (!netif_is_bond_slave(dev))
		return NULL;

	slave = bond_slave_get_rcu(dev);

	if (!slave || bond_is_slave_inactive(slave) ||
	    READ_ONCE(slave->bond->params.arp_interval))
		return NULL;

	return slave->bond->dev;
}

/*
 * One step up with a packet that no flowtable of @rung's device has taken, as
 * __netif_receive_skb_core() goes another round.
 *
 * Return: false at the end of the way, or where only the stack can go on.
 */
bool snoop_climb(struct snoop_rung *rung)
{
	const struct net_device *dev = snoop_vlan_above(rung);

	if (dev) {
		if (!snoop_vlan_takes(dev, rung->encap[0].id))
			return false;
		rung->encap[0] = rung->encap[1];
		memset(&rung->encap[1], 0, sizeof(rung->encap[1]));
	} else {
		dev = snoop_bond_above(rung->dev);
	}
	if (!dev || !netif_running(dev) ||
	    !net_eq(dev_net(dev), dev_net(rung->dev)))
		return false;

	rung->dev = dev;

	return true;
}

/* What stands before IP in a packet that @rung's device counts. */
u32 snoop_climb_header(const struct snoop_rung *rung)
{
	switch (rung->encap[0].proto) {
	case htons(ETH_P_8021Q):
	case htons(ETH_P_8021AD):
		return VLAN_HLEN;
	case htons(ETH_P_PPP_SES):
		return PPPOE_SES_HLEN;
	}

	return 0;
}

static void snoop_tstats_count(const struct net_device *dev, u32 len)
{
	struct pcpu_sw_netstats *tstats;

	/* PPP of older kernels counts in memory of its own. */
	if (!dev->tstats)
		return;

	tstats = this_cpu_ptr(dev->tstats);
	u64_stats_update_begin(&tstats->syncp);
	u64_stats_inc(&tstats->tx_packets);
	u64_stats_add(&tstats->tx_bytes, len);
	u64_stats_update_end(&tstats->syncp);
}

/*
 * A packet of @len bytes from IP on passes upper devices.  Of those above the
 * device that received it VLAN devices alone count.
 */
void snoop_uppers_count(const struct snoop_passage *rx,
			const struct snoop_passage *tx, u32 len)
{
	const struct snoop_upper *upper;
	const struct net_device *dev;

	for (upper = rx->upper; (dev = READ_ONCE(upper->dev)); upper++)
		snoop_vlan_count(dev, len + READ_ONCE(upper->header), false);

	for (upper = tx->upper; (dev = READ_ONCE(upper->dev)); upper++) {
		u32 size = len + READ_ONCE(upper->header);

		if (is_vlan_dev(dev)) {
			snoop_vlan_count(dev, size, true);
		} else {
			snoop_tstats_count(dev, size);
			snoop_ppp_sent(dev);
		}
	}
}

/*
 * Who scans again mostly writes the same.  A device that is not running may be
 * about to go, and is not entered: one that is running now cannot have been
 * forgotten before this RCU read-side section ends, because
 * unregister_netdevice_many_notify() closes it and waits before it tells.
 */
void snoop_passage_set(struct snoop_passage *passage,
		       const struct snoop_upper *upper, u32 uppers)
{
	u32 i;

	for (i = 0; i < uppers; i++) {
		struct net_device *dev = upper[i].dev;

		WRITE_ONCE(passage->upper[i].header, upper[i].header);
		WRITE_ONCE(passage->upper[i].dev,
			   netif_running(dev) ? dev : NULL);
	}
	WRITE_ONCE(passage->upper[uppers].dev, NULL);
}

/* What stands behind @dev is not counted any more; the way there ends as well. */
void snoop_passage_forget(struct snoop_passage *passage,
			  const struct net_device *dev)
{
	u32 i;

	for (i = 0; i < SNOOP_UPPER_MAX; i++)
		if (READ_ONCE(passage->upper[i].dev) == dev)
			WRITE_ONCE(passage->upper[i].dev, NULL);
}
