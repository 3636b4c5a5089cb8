// SPDX-License-Identifier: GPL-2.0-only
/* The two ends of a measurement, and the least that XDP can do between them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

__u32 ifindex;
unsigned char frame[FRAME_SIZE];
__u32 sent;
__u64 first, last;

/* The time at which each batch begins. */
static __always_inline void take_time(void)
{
	if (sent++ % BATCH_SIZE)
		return;

	last = bpf_ktime_get_ns();
	if (!first)
		first = last;
}

/* The page comes back as the last receiver left it: write all of it again. */
SEC("xdp")
int bench_send(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (data + FRAME_SIZE > end)
		return XDP_ABORTED;
	take_time();
	__builtin_memcpy(data, frame, FRAME_SIZE);

	return bpf_redirect(ifindex, 0);
}

SEC("xdp.frags")
int bench_redirect(struct xdp_md *ctx)
{
	return bpf_redirect(ifindex, 0);
}

SEC("xdp.frags")
int bench_sink(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
