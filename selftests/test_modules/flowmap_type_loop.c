// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers a map type and takes it back, as often as it is told, while user
 * space makes maps of it. Each registration has memory of its own, which is
 * freed with it: whoever uses a type that has gone is found by KASAN.
 */
#include <linux/bpf.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

static unsigned int loops = 10000;
module_param(loops, uint, 0444);
MODULE_PARM_DESC(loops, "how often to register");

static unsigned int busy;
module_param(busy, uint, 0444);
MODULE_PARM_DESC(busy, "how often a type had maps when it should go");

static atomic_t maps = ATOMIC_INIT(0);

static struct bpf_map *loop_alloc(union bpf_attr *attr)
{
	struct bpf_map *map = bpf_map_area_alloc(sizeof(*map), NUMA_NO_NODE);

	if (!map)
		return ERR_PTR(-ENOMEM);

	bpf_map_init_from_attr(map, attr);
	atomic_inc(&maps);

	return map;
}

static void loop_free(struct bpf_map *map)
{
	atomic_dec(&maps);
	bpf_map_area_free(map);
}

static void *loop_lookup(struct bpf_map *map, void *key)
{
	return NULL;
}

static int loop_next(struct bpf_map *map, void *key, void *next)
{
	return -ENOENT;
}

static long loop_update(struct bpf_map *map, void *key, void *value, u64 flags)
{
	return -EOPNOTSUPP;
}

static long loop_delete(struct bpf_map *map, void *key)
{
	return -ENOENT;
}

static u64 loop_mem_usage(const struct bpf_map *map)
{
	return sizeof(*map);
}

static const struct bpf_map_ops loop_ops = {
	.map_alloc		= loop_alloc,
	.map_free		= loop_free,
	.map_lookup_elem	= loop_lookup,
	.map_get_next_key	= loop_next,
	.map_update_elem	= loop_update,
	.map_delete_elem	= loop_delete,
	.map_mem_usage		= loop_mem_usage,
};

static int __init loop_once(void)
{
	struct bpf_modular_map_type *type;
	int err;

	type = kzalloc(sizeof(*type), GFP_KERNEL);
	if (!type)
		return -ENOMEM;

	type->type = BPF_MAP_TYPE_MODULAR_END - 1;
	type->name = "loop";
	type->ops = &loop_ops;
	type->owner = THIS_MODULE;
	err = bpf_map_register_type(type);
	if (err)
		goto out;

	/* Now and then somebody makes a map of it. */
	usleep_range(10, 20);
	while ((err = bpf_map_unregister_type(type)) == -EBUSY) {
		busy++;
		cond_resched();
	}
	WARN_ON(err);
out:
	kfree(type);
	return err;
}

static int __init loop_init(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < loops && !err; i++)
		err = loop_once();

	return err;
}

static void __exit loop_exit(void)
{
	WARN_ON(atomic_read(&maps));
}

module_init(loop_init);
module_exit(loop_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: a map type that comes and goes");
