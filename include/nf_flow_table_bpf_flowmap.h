/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _NF_FLOW_TABLE_BPF_FLOWMAP_H
#define _NF_FLOW_TABLE_BPF_FLOWMAP_H

#include <linux/types.h>

struct __sk_buff;
struct nf_flowmap_key;
struct xdp_md;

/* Called by BPF programs only. */
const u8 *bpf_xdp_flowmap_lookup(struct xdp_md *ctx,
				 const void *key,
				 u32 key__sz, const u32 rdonly_buf_size);
const u8 *bpf_skb_flowmap_lookup(struct __sk_buff *ctx,
				 const void *key,
				 u32 key__sz, const u32 rdonly_buf_size);

#endif /* _NF_FLOW_TABLE_BPF_FLOWMAP_H */
