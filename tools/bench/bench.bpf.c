// SPDX-License-Identifier: GPL-2.0-only
/* The two ends of a measurement, and the least that XDP can do between them. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

__u32 ifindex;
unsigned char frame[FRAME_ROOM];
__u32 port_at, check_at;	/* in the frame */
__u32 port, flows;		/* the first of so many */
__u32 sum;			/* of all that the checksum covers but the port */
__u32 flow;
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

static __always_inline void write_field(__u32 at, __u16 value)
{
	*(__u16 *)(frame + (at & (FRAME_ROOM - 2))) = value;
}

/* Each flow has its turn. */
static __always_inline void next_flow(void)
{
	__be16 next = bpf_htons(port + flow);
	__u32 check = sum + next;

	write_field(port_at, next);
	write_field(check_at, ~(check + (check >> 16)) ?: 0xffff);
	if (++flow >= flows)
		flow = 0;
}

/* The page comes back as the last receiver left it: write all of it again. */
SEC("xdp")
int bench_send(struct xdp_md *ctx)
{
	void *data, *end;

	if (bpf_xdp_adjust_head(ctx, FRAME_MOVE))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + FRAME_SHORT > end)
		return XDP_ABORTED;
	take_time();
	next_flow();
	__builtin_memcpy(data, frame, FRAME_SHORT);
	if (data + FRAME_LONG <= end)
		__builtin_memcpy(data + FRAME_SHORT, frame + FRAME_SHORT,
				 FRAME_LONG - FRAME_SHORT);

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
