/* SPDX-License-Identifier: GPL-2.0-only */
/* What the measuring program and its BPF programs share. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

/* Ethernet, IPv4 and UDP headers and 18 bytes of data: the shortest frame. */
#define FRAME_SIZE	60

/* Packets that are sent before the receivers have their turn. */
#define BATCH_SIZE	64

#endif /* BENCH_FRAME_H */
