// SPDX-License-Identifier: GPL-2.0-only
/* What the flowmap tool prints, for people and as JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flowmap.h"

#define FLOWS_FILE	"/proc/net/nf_flowmap"
#define TABLE_FILE	"/proc/net/stat/nf_flowmap"
#define MAX_FIELDS	24

static const struct {
	const char *name;
	const char *meaning;
} reasons[] = {
#define REASON(symbol, name, meaning) \
	[FLOWMAP_##symbol] = { name, meaning },
	FLOWMAP_REASONS(REASON)
#undef REASON
};

void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if ((unsigned char)*s < ' ')
			printf("\\u%04x", *s);
		else
			putchar(*s);
	}
	putchar('"');
}

static bool is_number(const char *s)
{
	return *s && !s[strspn(s, "0123456789")];
}

void json_member(bool first, const char *name, const char *value)
{
	fputs(first ? "" : ",", stdout);
	json_string(name);
	putchar(':');
	if (is_number(value))
		fputs(value, stdout);
	else
		json_string(value);
}

/* The devices that @dev shares its program with, itself first. */
static void print_devices(bool json, const struct flowmap_dev *dev, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (dev[i].prog_id != dev->prog_id)
			continue;
		if (!json) {
			printf("%s%s", i ? ", " : "", dev[i].name);
			continue;
		}
		printf("%s{\"name\":", i ? "," : "");
		json_string(dev[i].name);
		putchar('}');
	}
}

static void print_counts(bool json, const struct flowmap_stats *sum)
{
	int i;

	for (i = 0; i < FLOWMAP_REASON_MAX; i++) {
		if (json)
			printf("%s\"%s\":%llu", i ? "," : "", reasons[i].name,
			       sum->count[i]);
		else if (sum->count[i] || i == FLOWMAP_FORWARDED)
			printf("  %12llu  %-10s %s\n", sum->count[i],
			       reasons[i].name, reasons[i].meaning);
	}
}

static int print_program(bool json, const struct flowmap_dev *dev, int count)
{
	struct flowmap_stats sum;

	if (xdp_read_stats(dev, &sum))
		return -1;

	if (json)
		printf("{\"id\":%u,\"devices\":[", dev->prog_id);
	print_devices(json, dev, count);
	fputs(json ? "],\"packets\":{" : ":\n", stdout);
	print_counts(json, &sum);
	fputs(json ? "}}" : "", stdout);

	return 0;
}

static bool seen_before(const struct flowmap_dev *devs, int i)
{
	int j;

	for (j = 0; j < i; j++)
		if (devs[j].prog_id == devs[i].prog_id)
			return true;

	return false;
}

/* What the kernel counts for all programs of this netns; lines "name value". */
static void print_table(bool json)
{
	FILE *file = fopen(TABLE_FILE, "r");
	char name[64], value[32];
	bool first = true;

	fputs(json ? ",\"table\":{" : "table:\n", stdout);
	while (file && fscanf(file, "%63s %31s", name, value) == 2) {
		if (json)
			json_member(first, name, value);
		else if (strcmp(value, "0"))
			printf("  %12s  %s\n", value, name);
		first = false;
	}
	fputs(json ? "}" : "", stdout);
	if (file)
		fclose(file);
}

static int print_stats(bool json, const struct flowmap_dev *devs, int count)
{
	int err = 0;
	int i;

	fputs(json ? "{\"programs\":[" : "", stdout);
	for (i = 0; i < count && !err; i++) {
		if (seen_before(devs, i))
			continue;
		fputs(json && i ? "," : "", stdout);
		err = print_program(json, &devs[i], count - i);
	}
	fputs(json ? "]" : "", stdout);
	print_table(json);
	fputs(json ? "}\n" : "", stdout);

	return err;
}

static int stats_named(struct flowmap_dev *devs, char **names, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		if (xdp_query(&devs[i], names[i]))
			return -1;
		if (!devs[i].ours)
			return fail("'flowmap attach' it",
				    "%s: flowmap is not attached", names[i]);
	}

	return count;
}

/* A device that goes away while we look is none of ours. */
static int stats_all(struct flowmap_dev *devs, const struct if_nameindex *all)
{
	int count = 0;

	for (; all->if_index; all++) {
		if (!if_nametoindex(all->if_name))
			continue;
		if (xdp_query(&devs[count], all->if_name))
			return -1;
		if (devs[count].ours)
			count++;
		else
			xdp_close(&devs[count]);
	}

	return count ? count :
	       fail("'flowmap attach DEV...'", "attached to no device");
}

int show_stats(bool json, char **names, int count)
{
	struct if_nameindex *all = if_nameindex();
	struct flowmap_dev *devs;
	int max = count;

	while (!count && all && all[max].if_index)
		max++;

	devs = calloc(max + 1, sizeof(*devs));
	if (!all || !devs)
		return fail("free some", "out of memory");

	count = count ? stats_named(devs, names, count) : stats_all(devs, all);
	if (count > 0)
		count = print_stats(json, devs, count);
	free(devs);
	if_freenameindex(all);

	return count;
}

/* One line of FLOWS_FILE, cut into its fields; the first two have no name. */
struct flow {
	const char *name[MAX_FIELDS];
	const char *value[MAX_FIELDS];
	int count;
};

static void flow_parse(struct flow *flow, char *line)
{
	static const char * const unnamed[] = { "family", "proto" };
	char *word, *equals;
	int i = 0;

	for (word = strtok(line, "\n "); word && i < MAX_FIELDS;
	     word = strtok(NULL, "\n "), i++) {
		equals = strchr(word, '=');
		if (equals)
			*equals = '\0';
		flow->name[i] = equals ? word : i < 2 ? unnamed[i] : "flag";
		flow->value[i] = equals ? equals + 1 : word;
	}
	flow->count = i;
}

static const char *flow_get(const struct flow *flow, const char *name)
{
	int i;

	for (i = 0; i < flow->count; i++)
		if (!strcmp(flow->name[i], name))
			return flow->value[i];

	return "";
}

static bool flow_may_repeat(const char *name)
{
	return !strcmp(name, "encap") || !strcmp(name, "stack");
}

/* Every value of a field that may repeat. */
static void flow_print_all(const struct flow *flow, const char *name,
			   const char *before)
{
	int i;

	for (i = 0; i < flow->count; i++)
		if (!strcmp(flow->name[i], name))
			printf("%s%s", before, flow->value[i]);
}

static void flow_json_all(const struct flow *flow, const char *name)
{
	bool first = true;
	int i;

	printf(",\"%s\":[", name);
	for (i = 0; i < flow->count; i++) {
		if (strcmp(flow->name[i], name))
			continue;
		fputs(first ? "" : ",", stdout);
		json_string(flow->value[i]);
		first = false;
	}
	putchar(']');
}

static void flow_json(const struct flow *flow, bool first)
{
	int i;

	fputs(first ? "{" : ",\n {", stdout);
	for (i = 0; i < flow->count; i++)
		if (!flow_may_repeat(flow->name[i]))
			json_member(!i, flow->name[i], flow->value[i]);
	flow_json_all(flow, "encap");
	flow_json_all(flow, "stack");
	putchar('}');
}

static const char *flow_dev(const struct flow *flow, const char *field,
			    char *name)
{
	const char *index = flow_get(flow, field);

	return if_indextoname(atoi(index), name) ?: index;
}

static void print_end(const struct flow *flow, const char *addr,
		      const char *port)
{
	addr = flow_get(flow, addr);
	printf(strchr(addr, ':') ? "[%s]:%s" : "%s:%s", addr,
	       flow_get(flow, port));
}

static void flow_print(const struct flow *flow)
{
	bool nat = !strcmp(flow_get(flow, "nat"), "1");
	char in[IF_NAMESIZE], out[IF_NAMESIZE];

	printf("%10s %12s  %s ", flow_get(flow, "packets"),
	       flow_get(flow, "bytes"), flow_get(flow, "proto"));
	print_end(flow, "src", "sport");
	fputs(" > ", stdout);
	print_end(flow, "dst", "dport");
	printf("  %s > %s  %s%s mtu %s", flow_dev(flow, "iif", in),
	       flow_dev(flow, "oif", out), flow_get(flow, "dir"),
	       nat ? " nat" : "", flow_get(flow, "mtu"));
	flow_print_all(flow, "encap", " encap ");
	flow_print_all(flow, "stack", " on the stack for ");
	putchar('\n');
}

int show_flows(bool json)
{
	FILE *file = fopen(FLOWS_FILE, "r");
	struct flow flow;
	bool first = true;
	char line[1024];
	int err;

	if (!file && errno == EACCES)
		return fail("run it as root", "missing capability to read "
			    FLOWS_FILE);
	if (!file)
		return fail("modprobe nf_flow_table_bpf_flowmap",
			    "the module is not loaded (no " FLOWS_FILE ")");

	fputs(json ? "[" : "   packets        bytes  flow\n", stdout);
	while (fgets(line, sizeof(line), file)) {
		flow_parse(&flow, line);
		if (json)
			flow_json(&flow, first);
		else
			flow_print(&flow);
		first = false;
	}
	fputs(json ? "]\n" : "", stdout);
	err = ferror(file) ? fail("try again", "cannot read " FLOWS_FILE) : 0;
	fclose(file);

	return err;
}
