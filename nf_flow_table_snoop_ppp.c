// SPDX-License-Identifier: GPL-2.0-only
/*
 * PPP over Ethernet on a packet's way out.  Whether PPP would do more to a
 * packet than to put its headers before it is known to its driver alone, in a
 * structure that no header declares.  What is declared here is believed only
 * where it fits: the driver's own pointers, which stand behind everything that
 * is read, have to be where they are expected.  Where they are not, packets
 * stay on the stack.
 *
 * Context of all that is here: BH disabled, RCU read lock.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_pppox.h>
#include <linux/netdevice.h>
#include <linux/ppp_defs.h>
#include <linux/ppp-ioctl.h>
#include <linux/skbuff.h>
#include <linux/wait.h>
#include <net/rtnetlink.h>

#include "nf_flow_table_snoop_internal.h"

#define SNOOP_PPP_INTERFACE	1
#define SNOOP_PPP_PROTOCOLS	6
#define SNOOP_PPP_IP		0
#define SNOOP_PPP_IPV6		1

/* struct ppp of drivers/net/ppp/ppp_generic.c, 6.1 to 6.12 */
struct snoop_ppp {
	struct {
		int			kind;
		struct sk_buff_head	queues[2];
		wait_queue_head_t	wait;
		refcount_t		refs;
		int			numbers[3];
	} file;
	void			*owner;
	struct list_head	channels;
	int			n_channels;
	spinlock_t		locks[2];	/* the driver's */
	void __percpu		*recursion;
	int			mru;
	unsigned int		flags;
	unsigned int		xstate;
	unsigned int		rstate;
	int			debug;
	void			*vj;
	enum NPmode		npmode[SNOOP_PPP_PROTOCOLS];
	void			*pending;
	void			*compressor;
	void			*compressor_state;
	void			*decompressor[2];
	unsigned long		last_xmit;
	unsigned long		last_recv;
	struct net_device	*dev;
	int			closing;
#ifdef CONFIG_PPP_MULTILINK
	u32			multilink[5];
	struct sk_buff_head	multilink_queue;
#endif
#ifdef CONFIG_PPP_FILTER
	void			*pass_filter;
	void			*active_filter;
#endif
	struct net		*net;
};

/* Return: what PPP keeps for @dev; NULL where it is not what we think. */
static struct snoop_ppp *snoop_ppp(const struct net_device *dev)
{
	struct snoop_ppp *ppp = netdev_priv(dev);

	if (dev->type != ARPHRD_PPP || !dev->rtnl_link_ops ||
	    strcmp(dev->rtnl_link_ops->kind, "ppp") ||
	    ppp->file.kind != SNOOP_PPP_INTERFACE ||
	    READ_ONCE(ppp->dev) != dev || READ_ONCE(ppp->net) != dev_net(dev))
		return NULL;

	return ppp;
}

static bool snoop_ppp_filters(const struct snoop_ppp *ppp)
{
#ifdef CONFIG_PPP_FILTER
	return READ_ONCE(ppp->pass_filter) || READ_ONCE(ppp->active_filter);
#else
	return false;
#endif
}

/* Would PPP put its headers before a packet, and no more; see ppp_send_frame()? */
static bool snoop_ppp_is_plain(const struct net_device *dev, bool ip4)
{
	const struct snoop_ppp *ppp = snoop_ppp(dev);
	unsigned int flags;

	if (!ppp || READ_ONCE(ppp->closing) || snoop_ppp_filters(ppp))
		return false;

	flags = READ_ONCE(ppp->flags);
	if (flags & (SC_LOOP_TRAFFIC | SC_MULTILINK) ||
	    (ip4 && flags & SC_COMP_TCP && READ_ONCE(ppp->vj)) ||
	    (READ_ONCE(ppp->xstate) & SC_COMP_RUN &&
	     READ_ONCE(ppp->compressor_state)))
		return false;

	return READ_ONCE(ppp->npmode[ip4 ? SNOOP_PPP_IP : SNOOP_PPP_IPV6]) ==
	       NPMODE_PASS;
}

/*
 * As ppp_start_xmit() and __pppoe_xmit() do.
 *
 * Return: the device of the session; NULL where XDP cannot do the same.
 */
struct net_device *snoop_ppp_below(struct net_device *dev,
				   struct snoop_way *way)
{
	struct snoop_frame *frame = &way->frame;
	struct pppoe_hdr *pppoe = (struct pppoe_hdr *)(frame->l2 + ETH_HLEN);
	struct ethhdr *eth = (struct ethhdr *)frame->l2;
	struct net_device_path_ctx ctx = { .dev = dev };
	struct net_device_path path = {};
	bool ip4 = way->id.proto == htons(ETH_P_IP);

	/* Below a VLAN device there is only Ethernet. */
	if (frame->l2_len != ETH_HLEN || !snoop_ppp(dev) ||
	    dev->netdev_ops->ndo_fill_forward_path(&ctx, &path) < 0 ||
	    path.type != DEV_PATH_PPPOE)
		return NULL;

	if (!snoop_ppp_is_plain(dev, ip4))
		way->block |= NF_SNOOP_OUT_PPP;

	ether_addr_copy(eth->h_dest, path.encap.h_dest);
	ether_addr_copy(eth->h_source, ctx.dev->dev_addr);
	eth->h_proto = htons(ETH_P_PPP_SES);
	pppoe->ver = 1;
	pppoe->type = 1;
	pppoe->sid = htons(path.encap.id);
	put_unaligned_be16(ip4 ? PPP_IP : PPP_IPV6, pppoe + 1);
	frame->l2_len += PPPOE_SES_HLEN;
	frame->l2_flags |= NF_FLOWMAP_F_PPPOE;

	return (struct net_device *)ctx.dev;
}

/* A daemon that hangs up idle lines asks when the last packet was sent. */
void snoop_ppp_sent(const struct net_device *dev)
{
	struct snoop_ppp *ppp = snoop_ppp(dev);

	if (ppp)
		WRITE_ONCE(ppp->last_xmit, jiffies);
}
