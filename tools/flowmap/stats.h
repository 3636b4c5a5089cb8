/* SPDX-License-Identifier: GPL-2.0-only */
/* What the XDP program counts: one counter for each verdict and its reason. */
#ifndef FLOWMAP_STATS_H
#define FLOWMAP_STATS_H

/* X(symbol, name, what it means) */
#define FLOWMAP_REASONS(X)						\
	X(FORWARDED, "forwarded", "sent out by XDP")			\
	X(NO_FLOW, "no_flow", "no flow that XDP may forward")		\
	X(NOT_IP, "not_ip", "neither IPv4 nor IPv6")			\
	X(TRUNCATED, "truncated", "shorter than its headers")		\
	X(FRAGMENT, "fragment", "IPv4 fragment")			\
	X(OPTIONS, "options", "IPv4 options")				\
	X(PROTOCOL, "protocol", "neither TCP nor UDP, or an IPv6 extension header") \
	X(TTL, "ttl", "TTL or hop limit at its end")			\
	X(TCP_BEGIN, "tcp_begin", "TCP SYN or SYN-ACK")				\
	X(TCP_END, "tcp_end", "TCP FIN or RST")				\
	X(MTU, "mtu", "longer than the MTU on the way out")		\
	X(HEADROOM, "headroom", "no room for the link-layer header that leaves")

enum flowmap_reason {
#define FLOWMAP_REASON_ENUM(symbol, name, meaning) FLOWMAP_##symbol,
	FLOWMAP_REASONS(FLOWMAP_REASON_ENUM)
#undef FLOWMAP_REASON_ENUM
	FLOWMAP_REASON_MAX,
};

/* The one value of the per-CPU array "flowmap_stats". */
struct flowmap_stats {
	unsigned long long count[FLOWMAP_REASON_MAX];
};

#endif /* FLOWMAP_STATS_H */
