/* SPDX-License-Identifier: GPL-2.0-only */
/* What the measuring program and its BPF programs share. */
#ifndef COST_FRAME_H
#define COST_FRAME_H

/* Ethernet, IPv4 and UDP headers and 18 bytes of data: the shortest frame. */
#define FRAME_SIZE	60

#endif /* COST_FRAME_H */
