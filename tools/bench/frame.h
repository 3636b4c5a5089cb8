/* SPDX-License-Identifier: GPL-2.0-only */
/* What the measuring program and its BPF programs share. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

/* The shortest frame, which has room for TCP over IPv4; and one with room for IPv6. */
#define FRAME_SHORT	60
#define FRAME_LONG	80

/*
 * What the sender takes off the front of its page.  A page whose frame began
 * elsewhere when it came back costs bpf_prog_test_run() more, see reset_ctx() of the
 * kernel: that must not be the business of a router that takes off a tag.
 */
#define FRAME_MOVE	2

/* A power of two. */
#define FRAME_ROOM	128

/* Packets that are sent before the receivers have their turn. */
#define BATCH_SIZE	64

#endif /* BENCH_FRAME_H */
