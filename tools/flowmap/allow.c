// SPDX-License-Identifier: GPL-2.0-only
/* Devices whose chains, filters and qdiscs the fast path may skip. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "flowmap.h"

#define ALLOW_FILE	"/proc/net/nf_flowmap_allow"

static FILE *open_allow(const char *mode)
{
	FILE *file = fopen(ALLOW_FILE, mode);

	if (!file && errno == EACCES)
		fail("run it as root", "missing capability to write "
		     ALLOW_FILE);
	else if (!file)
		fail("modprobe nf_flow_table_bpf_flowmap",
		     "the module is not loaded (no " ALLOW_FILE ")");

	return file;
}

static int allow_one(const char *name, bool allow)
{
	FILE *file = open_allow("w");
	int err;

	if (!file)
		return -1;

	fprintf(file, "%c%s", allow ? '+' : '-', name);
	err = fclose(file) ? errno : 0;
	if (err == ENODEV)
		return fail("see 'ip link'", "%s: no such device", name);
	if (err == EPERM)
		return fail("run it as root",
			    "missing capability CAP_NET_ADMIN");
	if (err)
		return fail("see 'dmesg'", "%s: %s", name, strerror(err));

	return 0;
}

int allow_set(char **names, int count, bool allow)
{
	int i;

	for (i = 0; i < count; i++)
		if (!if_nametoindex(names[i]))
			return fail("see 'ip link'", "%s: no such device",
				    names[i]);
	for (i = 0; i < count; i++)
		if (allow_one(names[i], allow))
			return -1;

	return 0;
}

int allow_show(bool json)
{
	FILE *file = open_allow("r");
	char name[IF_NAMESIZE];
	bool first = true;

	if (!file)
		return -1;

	fputs(json ? "{\"allowed\":[" : "", stdout);
	while (fscanf(file, "%15s", name) == 1) {
		if (json) {
			fputs(first ? "" : ",", stdout);
			json_string(name);
		} else {
			puts(name);
		}
		first = false;
	}
	fputs(json ? "]}\n" : "", stdout);
	fclose(file);

	return 0;
}
