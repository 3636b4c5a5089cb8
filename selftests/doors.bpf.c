// SPDX-License-Identifier: GPL-2.0-only
/* One lookup by each door, XDP and tc, kfunc and map; two maps. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <linux/netfilter/nf_flowmap.h>

#include "doors.h"

struct flows {
	__uint(type, BPF_MAP_TYPE_FLOWMAP);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1000);
	__type(key, struct nf_flowmap_key);
	__type(value, struct nf_flowmap_value);
};

struct flows flows_a SEC(".maps");
struct flows flows_b SEC(".maps");

/* Question and answer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct doors_io);
} io SEC(".maps");

const __u8 *bpf_xdp_flowmap_lookup(struct xdp_md *ctx, const void *key,
				   __u32 key__sz,
				   const __u32 rdonly_buf_size) __ksym;
const __u8 *bpf_skb_flowmap_lookup(struct __sk_buff *ctx, const void *key,
				   __u32 key__sz,
				   const __u32 rdonly_buf_size) __ksym;

static __always_inline struct doors_io *question(struct nf_flowmap_key *key)
{
	struct doors_io *found;
	__u32 zero = 0;

	found = bpf_map_lookup_elem(&io, &zero);
	if (found)
		*key = found->key;

	return found;
}

static __always_inline void answer(struct doors_io *found,
				   const struct nf_flowmap_value *value)
{
	found->found = !!value;
	if (value)
		found->value = *value;
}

SEC("xdp")
int xdp_map(struct xdp_md *ctx)
{
	struct nf_flowmap_key key;
	struct doors_io *found = question(&key);

	if (found)
		answer(found, bpf_map_lookup_elem(&flows_a, &key));

	return XDP_PASS;
}

SEC("xdp")
int xdp_kfunc(struct xdp_md *ctx)
{
	struct nf_flowmap_key key;
	struct doors_io *found = question(&key);

	if (found)
		answer(found, (const void *)
		       bpf_xdp_flowmap_lookup(ctx, &key, sizeof(key),
					      sizeof(struct nf_flowmap_value)));

	return XDP_PASS;
}

SEC("tc")
int tc_map(struct __sk_buff *ctx)
{
	struct nf_flowmap_key key;
	struct doors_io *found = question(&key);

	if (found)
		answer(found, bpf_map_lookup_elem(&flows_b, &key));

	return TC_ACT_OK;
}

SEC("tc")
int tc_kfunc(struct __sk_buff *ctx)
{
	struct nf_flowmap_key key;
	struct doors_io *found = question(&key);

	if (found)
		answer(found, (const void *)
		       bpf_skb_flowmap_lookup(ctx, &key, sizeof(key),
					      sizeof(struct nf_flowmap_value)));

	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
