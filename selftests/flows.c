// SPDX-License-Identifier: GPL-2.0-only
/*
 * A map of flows, as user space has it: makes one as the test wants it, walks
 * it, deletes from it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/netfilter/nf_flowmap.h>

#include "program.h"

enum field {
	TYPE, KEY, VALUE, MAX, FLAGS, EXTRA, FIELDS
};

/* What "name=value" sets. */
static struct {
	const char *name;
	uint64_t value;
} fields[FIELDS] = {
	[TYPE]	= { "type", BPF_MAP_TYPE_FLOWMAP },
	[KEY]	= { "key", sizeof(struct nf_flowmap_key) },
	[VALUE]	= { "value", sizeof(struct nf_flowmap_value) },
	[MAX]	= { "max", 1024 },
	[FLAGS]	= { "flags", BPF_F_RDONLY_PROG },
	[EXTRA]	= { "extra", 0 },
};

static int usage(void)
{
	fputs("flows: create|hold [FIELD=VALUE]... | loop COUNT [FIELD=VALUE]...\n"
	      "flows: pin PATH [FIELD=VALUE]... | inner PATH [FIELD=VALUE]...\n"
	      "flows: count|delete|update|lookup PATH\n", stderr);
	return EXIT_FAILURE;
}

/* Prints the error as the kernel's documentation names it. */
static int failed(void)
{
	puts(strerrorname_np(errno));
	return EXIT_FAILURE;
}

static bool parse(char **args)
{
	size_t i, len;

	for (; *args; args++) {
		for (i = 0; i < FIELDS; i++) {
			len = strlen(fields[i].name);
			if (!strncmp(*args, fields[i].name, len) &&
			    (*args)[len] == '=')
				break;
		}
		if (i == FIELDS)
			return false;
		fields[i].value = strtoull(*args + len + 1, NULL, 0);
	}

	return true;
}

static int create(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts,
		    .map_flags = fields[FLAGS].value,
		    .map_extra = fields[EXTRA].value);

	return bpf_map_create(fields[TYPE].value, "flows", fields[KEY].value,
			      fields[VALUE].value, fields[MAX].value, &opts);
}

/* A map in a map: nothing else holds the inner one. */
static int create_outer(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int inner = create(), outer;
	__u32 zero = 0;

	if (inner < 0)
		return inner;

	opts.inner_map_fd = inner;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer",
			       sizeof(zero), sizeof(zero), 1, &opts);
	if (outer >= 0 && bpf_map_update_elem(outer, &zero, &inner, 0))
		return -1;
	close(inner);

	return outer;
}

/* How many could be made, one after the other, while others come and go. */
static int loop(long count)
{
	long made = 0;
	int fd;

	while (count--) {
		fd = create();
		if (fd < 0 && errno != EINVAL)
			return failed();
		if (fd >= 0) {
			made++;
			close(fd);
		}
	}
	printf("%ld\n", made);

	return EXIT_SUCCESS;
}

/* Walks to the end; with @delete, deletes each on the way. */
static int walk(int fd, bool delete)
{
	struct nf_flowmap_key key, next;
	struct nf_flowmap_value value;
	long count = 0, values = 0;
	void *from = NULL;

	while (!bpf_map_get_next_key(fd, from, &next)) {
		count++;
		values += !bpf_map_lookup_elem(fd, &next, &value);
		if (delete && bpf_map_delete_elem(fd, &next) && errno != ENOENT)
			return failed();
		key = next;
		from = delete ? NULL : &key;
	}
	if (errno != ENOENT)
		return failed();
	printf("%ld keys %ld values\n", count, values);

	return EXIT_SUCCESS;
}

static int first(int fd, bool update)
{
	struct nf_flowmap_value value = {};
	struct nf_flowmap_key key;

	if (bpf_map_get_next_key(fd, NULL, &key) ||
	    (update ? bpf_map_update_elem(fd, &key, &value, BPF_ANY) :
		      bpf_map_lookup_elem(fd, &key, &value)))
		return failed();
	printf("out %u mtu %u\n", value.ifindex, value.mtu);

	return EXIT_SUCCESS;
}

static int run_on(const char *what, const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return failed();
	if (!strcmp(what, "count"))
		return walk(fd, false);
	if (!strcmp(what, "delete"))
		return walk(fd, true);

	return first(fd, !strcmp(what, "update"));
}

int main(int argc, char **argv)
{
	static const char * const on[] = {
		"count", "delete", "update", "lookup",
	};
	const char *what = argc > 1 ? argv[1] : "";
	bool outer = !strcmp(what, "inner"), plain;
	size_t i;
	int fd;

	for (i = 0; argc == 3 && i < ARRAY_SIZE(on); i++)
		if (!strcmp(what, on[i]))
			return run_on(what, argv[2]);

	plain = !strcmp(what, "create") || !strcmp(what, "hold");
	if (!plain && (argc < 3 || (strcmp(what, "loop") && strcmp(what, "pin") && !outer)))
		return usage();
	if (!parse(argv + (plain ? 2 : 3)))
		return usage();
	if (!strcmp(what, "loop"))
		return loop(atol(argv[2]));

	fd = outer ? create_outer() : create();
	if (fd < 0 || (!plain && bpf_obj_pin(fd, argv[2])))
		return failed();
	puts("OK");
	fflush(stdout);
	if (!strcmp(what, "hold"))
		pause();

	return EXIT_SUCCESS;
}
