// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program on the router with XDP. The tool loads it; from then on this
 * process keeps it, and puts it on the devices of each configuration.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "fuzz.h"
#include "stats.h"

#define MAPS_MAX	16

static int program = -1, stats = -1;
static bool is_disabled;

void xdp_disable(void)
{
	is_disabled = true;
}

bool xdp_is_disabled(void)
{
	return is_disabled;
}

static void find_stats(void)
{
	struct bpf_map_info map;
	uint32_t ids[MAPS_MAX], len, i;
	struct bpf_prog_info info = {
		.nr_map_ids = MAPS_MAX,
		.map_ids = (unsigned long)ids,
	};
	int fd;

	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(program, &info, &len))
		die("the XDP program: %s", strerror(errno));
	for (i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		memset(&map, 0, sizeof(map));
		len = sizeof(map);
		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &map, &len))
			die("a map of the XDP program: %s", strerror(errno));
		if (!strcmp(map.name, "flowmap_stats"))
			stats = fd;
		else
			close(fd);
	}
	if (stats < 0)
		die("the XDP program counts nothing");
}

static void load(void)
{
	static const char * const argv[] = {
		"flowmap", "attach", "p0", "p1", "p2", NULL
	};
	uint32_t id;

	if (run_program(FAST, "", argv))
		die("flowmap does not attach");
	if (bpf_xdp_query_id(net_ifindex(0), 0, &id))
		die("no XDP program: %s", strerror(errno));
	program = bpf_prog_get_fd_by_id(id);
	if (program < 0)
		die("the XDP program: %s", strerror(errno));
	find_stats();
}

void xdp_attach(void)
{
	int port, err;

	if (is_disabled)
		return;

	net_enter(FAST);
	if (program < 0) {
		load();
		return;
	}
	for (port = 0; port < PORTS_MAX; port++) {
		err = bpf_xdp_attach(net_ifindex(port), program,
				     XDP_FLAGS_DRV_MODE, NULL);
		if (err)
			die("p%d takes no XDP program: %s", port, strerror(-err));
	}
}

void xdp_detach(void)
{
	int port;

	if (is_disabled)
		return;

	net_enter(FAST);
	for (port = 0; port < PORTS_MAX; port++)
		bpf_xdp_detach(net_ifindex(port), XDP_FLAGS_DRV_MODE, NULL);
}

/* Packets that the program has sent on so far. */
uint64_t xdp_forwarded(void)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	struct flowmap_stats *values;
	uint64_t sum = 0;
	uint32_t zero = 0;

	if (is_disabled)
		return 0;
	values = calloc(cpus, sizeof(*values));
	if (!values || bpf_map_lookup_elem(stats, &zero, values))
		die("what XDP counted: %s", strerror(errno));
	for (cpu = 0; cpu < cpus; cpu++)
		sum += values[cpu].count[FLOWMAP_FORWARDED];
	free(values);

	return sum;
}
