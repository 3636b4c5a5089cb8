/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86's nop with an address that nobody else gives it: bench.c executes them, and
 * count.c looks for their bytes, which are these and the address.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

#define MARK_BEGIN	0x01004d46
#define MARK_END	0x02004d46
#define MARK_OPCODE	"\x0f\x1f\x80"	/* nopl MARK(%rax) */

#endif /* BENCH_MARK_H */
