/* SPDX-License-Identifier: GPL-2.0-only */
/* What the flowmap tool's files share. */
#ifndef FLOWMAP_H
#define FLOWMAP_H

#include <net/if.h>
#include <stdbool.h>
#include <linux/types.h>

#include "stats.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/**
 * struct flowmap_dev - a network device and the XDP program on it
 * @name: of the device
 * @ifindex: of the device
 * @prog_id: of the program, 0 where there is none
 * @prog_fd: of the program, -1 where there is none; see xdp_close()
 * @ours: the program is flowmap's
 * @prog_name: of the program
 */
struct flowmap_dev {
	char	name[IF_NAMESIZE];
	int	ifindex;
	__u32	prog_id;
	int	prog_fd;
	bool	ours;
	char	prog_name[16];
};

/* How the XDP program asks for flows; any: by the map where there is one. */
enum flowmap_door {
	FLOWMAP_DOOR_ANY,
	FLOWMAP_DOOR_KFUNC,
	FLOWMAP_DOOR_MAP,
};

/* Prints one line on stderr, the cause and then the remedy, and returns -1. */
[[gnu::format(printf, 2, 3)]]
int fail(const char *remedy, const char *cause, ...);

/* All of these return 0, or -1 after fail(). */
int xdp_init(bool verbose);
int xdp_query(struct flowmap_dev *dev, const char *name);
int xdp_attach(char **names, int count, enum flowmap_door door);
int xdp_detach(char **names, int count);
int xdp_read_stats(const struct flowmap_dev *dev, struct flowmap_stats *sum);
int show_stats(bool json, char **names, int count);
int show_flows(bool json);
int allow_set(char **names, int count, bool allow);
int allow_show(bool json);
int flowtable_add(char **args, int count, bool counter, bool offload);

void xdp_close(struct flowmap_dev *dev);

/* A JSON string; a member of an object, a number where @value is one. */
void json_string(const char *s);
void json_member(bool first, const char *name, const char *value);

#endif /* FLOWMAP_H */
