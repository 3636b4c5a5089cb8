/* SPDX-License-Identifier: GPL-2.0-only */
/* Between doors.c and its programs. */
#ifndef DOORS_H
#define DOORS_H

struct doors_io {
	struct nf_flowmap_key	key;
	struct nf_flowmap_value	value;
	__u32			found;
};

#endif /* DOORS_H */
