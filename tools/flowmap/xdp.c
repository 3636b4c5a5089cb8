// SPDX-License-Identifier: GPL-2.0-only
/* Attaching flowmap's XDP program to devices, and finding it there again. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_flowmap.h>

#include "flowmap.h"
#include "flowmap.skel.h"

#define PROG_NAME	"flowmap_xdp"
#define MAP_NAME	"flowmap_stats"
#define MAX_MAPS	16

#define TRY_AGAIN	"try again"

#define FLOWTABLE	"nf_flow_table"
#define MODULE		"nf_flow_table_bpf_flowmap"

/* The kernel's own word for what is not supported; libc has no name for it. */
#define KERNEL_ENOTSUPP	524

static bool verbose;
static bool kfunc_missing;
static char extack[128];

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* Errors reach us as numbers; what libbpf prints says which error it is. */
static int print_libbpf(enum libbpf_print_level level, const char *fmt,
			va_list args)
{
	static const char netlink[] = "libbpf: Kernel error message: ";
	static const char kfunc[] = "libbpf: extern (func ksym) ";
	va_list copy;

	if (starts_with(fmt, netlink)) {
		va_copy(copy, args);
		vsnprintf(extack, sizeof(extack), fmt + strlen(netlink), copy);
		va_end(copy);
		extack[strcspn(extack, "\n")] = '\0';
	}
	if (level == LIBBPF_WARN && starts_with(fmt, kfunc))
		kfunc_missing = true;

	return verbose ? vfprintf(stderr, fmt, args) : 0;
}

static int fail_capability(const char *capability)
{
	return fail("run it as root on the host", "missing capability %s",
		    capability);
}

int xdp_init(bool be_verbose)
{
	__u32 id;

	verbose = be_verbose;
	libbpf_set_print(print_libbpf);

	if (!bpf_prog_get_next_id(0, &id) || errno == ENOENT)
		return 0;
	if (errno == EPERM)
		return fail_capability("CAP_SYS_ADMIN");

	return fail("use one with CONFIG_BPF_SYSCALL=y",
		    "this kernel has no BPF (%s)", strerror(errno));
}

static int map_open(const char *dev, __u32 id, struct bpf_map_info *info)
{
	__u32 len = sizeof(*info);
	int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return fail(TRY_AGAIN, "%s: cannot open BPF map %u: %s", dev,
			    id, strerror(errno));

	memset(info, 0, len);
	if (!bpf_obj_get_info_by_fd(fd, info, &len))
		return fd;

	fail(TRY_AGAIN, "%s: cannot query BPF map %u: %s", dev, id,
	     strerror(errno));
	close(fd);
	return -1;
}

static int prog_query(struct flowmap_dev *dev)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	dev->prog_fd = bpf_prog_get_fd_by_id(dev->prog_id);
	if (dev->prog_fd < 0)
		return errno == EPERM ? fail_capability("CAP_SYS_ADMIN") :
		       fail(TRY_AGAIN, "%s: cannot open BPF program %u: %s",
			    dev->name, dev->prog_id, strerror(errno));

	if (bpf_obj_get_info_by_fd(dev->prog_fd, &info, &len)) {
		fail(TRY_AGAIN, "%s: cannot query BPF program %u: %s",
		     dev->name, dev->prog_id, strerror(errno));
		xdp_close(dev);
		return -1;
	}

	snprintf(dev->prog_name, sizeof(dev->prog_name), "%s", info.name);
	dev->ours = starts_with(info.name, PROG_NAME);

	return 0;
}

int xdp_query(struct flowmap_dev *dev, const char *name)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	memset(dev, 0, sizeof(*dev));
	dev->prog_fd = -1;

	snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->ifindex = if_nametoindex(name);
	if (!dev->ifindex)
		return fail("see 'ip link'",
			    "no device '%s' in this network namespace", name);

	if (bpf_xdp_query(dev->ifindex, 0, &opts))
		return fail(TRY_AGAIN, "%s: cannot query its XDP program: %s",
			    name, strerror(errno));

	dev->prog_id = opts.drv_prog_id ?: opts.skb_prog_id ?: opts.prog_id;

	return dev->prog_id ? prog_query(dev) : 0;
}

void xdp_close(struct flowmap_dev *dev)
{
	if (dev->prog_fd >= 0)
		close(dev->prog_fd);
	dev->prog_fd = -1;
}

static bool file_mentions(const char *path, const char *what)
{
	FILE *file = fopen(path, "r");
	bool found = false;
	char line[4096];

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, what);
	if (file)
		fclose(file);

	return found;
}

/* True only where the list of the kernel's modules is there and has none. */
static bool without_flowtables(void)
{
	static const char * const lists[] = {
		"modules.dep", "modules.builtin",
	};
	struct utsname uts;
	char path[256];
	size_t i;

	if (!access("/sys/module/" FLOWTABLE, F_OK) || uname(&uts))
		return false;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		snprintf(path, sizeof(path), "/lib/modules/%s/%s", uts.release,
			 lists[i]);
		if (access(path, R_OK) ||
		    file_mentions(path, "/" FLOWTABLE ".ko"))
			return false;
	}

	return true;
}

static int check_kernel(void)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return fail("use one with CONFIG_DEBUG_INFO_BTF=y",
			    "this kernel has no BTF (/sys/kernel/btf/vmlinux)");
	if (access("/sys/module/" MODULE, F_OK) && without_flowtables())
		return fail("use one with CONFIG_NF_FLOW_TABLE",
			    "this kernel has no flowtables");
	if (access("/sys/module/" MODULE, F_OK))
		return fail("modprobe " MODULE, "the module is not loaded");
	if (access("/sys/kernel/btf/" MODULE, R_OK))
		return fail("build it again with 'make modules'",
			    "the module " MODULE " was built without BTF");

	return 0;
}

static int fail_load(int err)
{
	if (kfunc_missing)
		return fail("load the module built with this tool",
			    "the module " MODULE " is another version's");
	if (err == EPERM)
		return fail_capability("CAP_BPF or CAP_NET_ADMIN");
	if (err == KERNEL_ENOTSUPP)
		return fail("sysctl -w net.core.bpf_jit_enable=1",
			    "the kernel's BPF JIT is off");

	return fail("see what -v prints",
		    "the kernel refuses the XDP program: %s", strerror(err));
}

static int fail_attach(const struct flowmap_dev *dev, int err)
{
	const char *why = extack[0] ? extack : strerror(err);

	if (err == EPERM)
		return fail_capability("CAP_NET_ADMIN");
	if (err == EBUSY || err == EEXIST)
		return fail("detach it",
			    "%s: an XDP program is already attached",
			    dev->name);
	if (err == EOPNOTSUPP)
		return fail("leave it to the flowtable",
			    "%s: its driver cannot run the XDP program (%s)",
			    dev->name, why);

	return fail("nothing is attached",
		    "%s: cannot attach the XDP program: %s", dev->name, why);
}

static int fail_detach(const struct flowmap_dev *dev, int err)
{
	if (err == EPERM)
		return fail_capability("CAP_NET_ADMIN");

	return fail(TRY_AGAIN, "%s: cannot detach: %s", dev->name,
		    extack[0] ? extack : strerror(err));
}

/* Does the module offer a map type?  The bound is none: maps of a namespace share the smallest. */
static bool has_map_type(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RDONLY_PROG);
	int fd = bpf_map_create(BPF_MAP_TYPE_FLOWMAP, "flowmap_probe",
				sizeof(struct nf_flowmap_key),
				sizeof(struct nf_flowmap_value), UINT32_MAX,
				&opts);

	if (fd < 0)
		return false;

	close(fd);
	return true;
}

/* One of the two programs, and the map only where its door is taken. */
static struct bpf_program *choose_door(struct flowmap_bpf *skel, bool map)
{
	bpf_map__set_autocreate(skel->maps.flowmap_flows, map);
	bpf_program__set_autoload(skel->progs.flowmap_xdp_map, map);
	bpf_program__set_autoload(skel->progs.flowmap_xdp, !map);

	return map ? skel->progs.flowmap_xdp_map : skel->progs.flowmap_xdp;
}

/* Whoever replaced the program in the meantime keeps theirs. */
static int detach_one(const struct flowmap_dev *dev, int prog_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = prog_fd);

	return bpf_xdp_detach(dev->ifindex, XDP_FLAGS_DRV_MODE, &opts);
}

/*
 * In the driver only.  Generic XDP comes after GRO: what that merged, with a
 * checksum left for the device to finish, would be sent on as it is.
 */
static int attach_one(const struct flowmap_dev *dev, int prog_fd)
{
	const __u32 flags = XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_DRV_MODE;

	return bpf_xdp_attach(dev->ifindex, prog_fd, flags, NULL);
}

static int attach_all(const struct flowmap_dev *devs, int count, int prog_fd)
{
	int err, i;

	for (i = 0; i < count; i++) {
		extack[0] = '\0';
		err = attach_one(&devs[i], prog_fd);
		if (err) {
			fail_attach(&devs[i], -err);
			while (i--)
				detach_one(&devs[i], prog_fd);
			return -1;
		}
	}

	return 0;
}

static int load_and_attach(const struct flowmap_dev *devs, int count,
			   enum flowmap_door door)
{
	struct bpf_program *prog;
	struct flowmap_bpf *skel;
	bool map;
	int err;

	if (check_kernel())
		return -1;

	map = door != FLOWMAP_DOOR_KFUNC && has_map_type();
	if (door == FLOWMAP_DOOR_MAP && !map)
		return fail("take the door kfunc, or a kernel with patches/",
			    "this kernel has no map types of modules");

	skel = flowmap_bpf__open();
	if (!skel)
		return fail("see what -v prints",
			    "cannot open the XDP program: %s", strerror(errno));

	prog = choose_door(skel, map);
	err = flowmap_bpf__load(skel);
	if (err)
		err = fail_load(-err);
	else
		err = attach_all(devs, count, bpf_program__fd(prog));
	flowmap_bpf__destroy(skel);

	return err;
}

static int detach_all(const struct flowmap_dev *devs, int count,
		      enum flowmap_door door)
{
	int err, i;

	for (i = 0; i < count; i++) {
		extack[0] = '\0';
		err = detach_one(&devs[i], devs[i].prog_fd);
		if (err) {
			fail_detach(&devs[i], -err);
			while (i--)
				attach_one(&devs[i], devs[i].prog_fd);
			return -1;
		}
	}

	return 0;
}

static int check_free(const struct flowmap_dev *dev)
{
	if (dev->ours)
		return fail("'flowmap detach' it first",
			    "%s: flowmap is already attached", dev->name);
	if (dev->prog_id)
		return fail("detach it first",
			    "%s: another XDP program is attached ('%s', id %u)",
			    dev->name, dev->prog_name, dev->prog_id);

	return 0;
}

static int check_ours(const struct flowmap_dev *dev)
{
	if (!dev->prog_id)
		return fail("nothing to detach",
			    "%s: no XDP program is attached", dev->name);
	if (!dev->ours)
		return fail("detach it with the tool that attached it",
			    "%s: another XDP program is attached ('%s', id %u)",
			    dev->name, dev->prog_name, dev->prog_id);

	return 0;
}

/* By a name that it has had already, or by another. */
static int check_once(const struct flowmap_dev *devs, int last)
{
	int i;

	for (i = 0; i < last; i++)
		if (devs[i].ifindex == devs[last].ifindex)
			return fail("name it once", "%s: is named twice",
				    devs[last].name);

	return 0;
}

/* Acts on no device unless each of them passes the check. */
static int for_devices(char **names, int count, enum flowmap_door door,
		       int (*check)(const struct flowmap_dev *dev),
		       int (*act)(const struct flowmap_dev *devs, int count,
				  enum flowmap_door door))
{
	struct flowmap_dev *devs = calloc(count, sizeof(*devs));
	int err = devs ? 0 : fail("free some", "out of memory");
	int i;

	for (i = 0; i < count && !err; i++) {
		err = xdp_query(&devs[i], names[i]) ?: check_once(devs, i) ?:
		      check(&devs[i]);
	}
	if (!err)
		err = act(devs, count, door);

	while (i--)
		xdp_close(&devs[i]);
	free(devs);

	return err;
}

int xdp_attach(char **names, int count, enum flowmap_door door)
{
	return for_devices(names, count, door, check_free, load_and_attach);
}

int xdp_detach(char **names, int count)
{
	return for_devices(names, count, FLOWMAP_DOOR_ANY, check_ours,
			   detach_all);
}

static int sum_cpus(const struct flowmap_dev *dev, int map_fd,
		    struct flowmap_stats *sum)
{
	int cpus = libbpf_num_possible_cpus();
	struct flowmap_stats *values;
	__u32 zero = 0;
	int cpu, i;

	values = cpus > 0 ? calloc(cpus, sizeof(*values)) : NULL;
	if (!values)
		return fail("free some", "out of memory");

	if (bpf_map_lookup_elem(map_fd, &zero, values)) {
		free(values);
		return fail(TRY_AGAIN, "%s: cannot read its counters: %s",
			    dev->name, strerror(errno));
	}

	memset(sum, 0, sizeof(*sum));
	for (cpu = 0; cpu < cpus; cpu++)
		for (i = 0; i < FLOWMAP_REASON_MAX; i++)
			sum->count[i] += values[cpu].count[i];
	free(values);

	return 0;
}

/* Returns a file descriptor, or -1 after fail(). */
static int stats_open(const struct flowmap_dev *dev)
{
	__u32 ids[MAX_MAPS], len, i;
	struct bpf_prog_info info = {
		.nr_map_ids = MAX_MAPS,
		.map_ids = (unsigned long)ids,
	};
	struct bpf_map_info map;
	int fd;

	len = sizeof(info);
	if (bpf_obj_get_info_by_fd(dev->prog_fd, &info, &len))
		return fail(TRY_AGAIN, "%s: cannot query its XDP program: %s",
			    dev->name, strerror(errno));

	for (i = 0; i < info.nr_map_ids && i < MAX_MAPS; i++) {
		fd = map_open(dev->name, ids[i], &map);
		if (fd < 0)
			return -1;
		if (!strcmp(map.name, MAP_NAME) &&
		    map.value_size == sizeof(struct flowmap_stats))
			return fd;
		close(fd);
	}

	return fail("detach it and attach it again",
		    "%s: its XDP program is another version's", dev->name);
}

int xdp_read_stats(const struct flowmap_dev *dev, struct flowmap_stats *sum)
{
	int fd = stats_open(dev);
	int err;

	if (fd < 0)
		return -1;

	err = sum_cpus(dev, fd, sum);
	close(fd);

	return err;
}
