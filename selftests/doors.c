// SPDX-License-Identifier: GPL-2.0-only
/*
 * Usage: doors OBJECT ROUNDS DOOR...
 *
 * Asks for every flow of this network namespace by each of the doors, which are
 * programs of the object, turn by turn. All have to find it, with the same answer, and see what the
 * others counted. Prints how many doors, flows and lookups there were.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/netfilter/nf_flowmap.h>

#include "doors.h"

#define MAX_FLOWS	1000
#define PACKET_LEN	46

#define MAX_DOORS	8

static struct bpf_object *object;
static char **doors;
static int progs[MAX_DOORS], count, io;
static struct nf_flowmap_key keys[MAX_FLOWS];

[[gnu::noreturn, gnu::format(printf, 1, 2)]]
static void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("doors: ", stderr);
	vfprintf(stderr, fmt, args);
	fputs("\n", stderr);
	exit(EXIT_FAILURE);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, args) : 0;
}

static void load(const char *path)
{
	struct bpf_program *prog;
	int i;

	libbpf_set_print(quiet);
	object = bpf_object__open_file(path, NULL);
	if (!object)
		die("%s: %s", path, strerror(errno));

	bpf_object__for_each_program(prog, object)
		bpf_program__set_autoload(prog, false);
	for (i = 0; i < count; i++) {
		prog = bpf_object__find_program_by_name(object, doors[i]);
		if (!prog)
			die("no program %s", doors[i]);
		bpf_program__set_autoload(prog, true);
	}
	if (bpf_object__load(object))
		die("%s: refused", path);

	for (i = 0; i < count; i++)
		progs[i] = bpf_program__fd(bpf_object__find_program_by_name(object, doors[i]));
	io = bpf_object__find_map_fd_by_name(object, "io");
}

static size_t find_flows(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(object, name);
	void *from = NULL;
	size_t flows;

	for (flows = 0; flows < MAX_FLOWS; flows++) {
		if (bpf_map_get_next_key(fd, from, &keys[flows]))
			break;
		from = &keys[flows];
	}

	return flows;
}

static struct nf_flowmap_value ask(int door, const struct nf_flowmap_key *key)
{
	struct doors_io data = { .key = *key };
	unsigned char frame[64] = {};
	struct bpf_test_run_opts opts = {
		.sz = sizeof(opts),
		.data_in = frame,
		.data_size_in = sizeof(frame),
	};
	__u32 zero = 0;

	data.key.len = PACKET_LEN;
	if (bpf_map_update_elem(io, &zero, &data, BPF_ANY) ||
	    bpf_prog_test_run_opts(progs[door], &opts) ||
	    bpf_map_lookup_elem(io, &zero, &data))
		die("%s: %s", doors[door], strerror(errno));
	if (!data.found)
		die("%s: does not find the flow", doors[door]);

	return data.value;
}

/* Other packets may have been counted in between. */
static bool agree(const struct nf_flowmap_value *last,
		  const struct nf_flowmap_value *value)
{
	struct nf_flowmap_value same = *value;

	same.packets = last->packets;
	same.bytes = last->bytes;

	return value->packets > last->packets &&
	       value->bytes - last->bytes >= PACKET_LEN &&
	       !memcmp(last, &same, sizeof(same));
}

int main(int argc, char **argv)
{
	struct nf_flowmap_value value, last;
	long round, rounds;
	size_t flows, flow;
	bool first;
	int door;

	if (argc < 4 || argc > 3 + MAX_DOORS)
		die("doors OBJECT ROUNDS DOOR...");
	rounds = atol(argv[2]);
	doors = argv + 3;
	count = argc - 3;
	load(argv[1]);
	flows = find_flows("flows_a");
	if (flows != find_flows("flows_b"))
		die("the maps have not as many flows");

	for (flow = 0; flow < flows; flow++) {
		first = true;
		for (round = 0; round < rounds; round++) {
			for (door = 0; door < count; door++) {
				value = ask(door, &keys[flow]);
				if (!first && !agree(&last, &value))
					die("%s: another answer", doors[door]);
				last = value;
				first = false;
			}
		}
	}
	printf("%d doors, %zu flows, %lu lookups\n", count, flows,
	       rounds * count * flows);

	return EXIT_SUCCESS;
}
