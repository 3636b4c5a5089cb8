// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which of netfilter's hooks are flowtables.  A kernel with our series says so
 * (nf_flowtable_of_hook()); others have to be looked at closely.
 */
#include <linux/kallsyms.h>
#include <linux/module.h>

#include "nf_flow_table_snoop_internal.h"

/* The hook of inet flowtables, which no symbol is exported for. */
static typeof(nf_flow_offload_ip_hook) *snoop_inet_hook;

static bool snoop_learn_inet_hook(const struct nf_hook_entries *hooks, int i)
{
	nf_hookfn *hook = hooks->hooks[i].hook;
	static const char name[] = "nf_flow_offload_inet_hook";
	char symbol[64];

	if (READ_ONCE(snoop_inet_hook) ||
	    nf_hook_entries_get_hook_ops(hooks)[i]->hook_ops_type != NF_HOOK_OP_UNDEFINED)
		return false;

	snprintf(symbol, sizeof(symbol), "%ps", hook);
	if (strncmp(symbol, name, strlen(name)) ||
	    (symbol[strlen(name)] && symbol[strlen(name)] != ' '))
		return false;

	WRITE_ONCE(snoop_inet_hook, hook);
	return true;
}

static int snoop_module_event(struct notifier_block *nb, unsigned long event,
			      void *data)
{
	struct module *module = data;

	if (event == MODULE_STATE_GOING &&
	    !strcmp(module->name, "nf_flow_table_inet"))
		WRITE_ONCE(snoop_inet_hook, NULL);

	return NOTIFY_DONE;
}

static struct notifier_block snoop_module_notifier = {
	.notifier_call	= snoop_module_event,
};

static bool snoop_hook_is_flowtable(const struct nf_hook_entries *hooks, int i,
				    u8 l3proto)
{
	nf_hookfn *hook = hooks->hooks[i].hook;

	if (hook == READ_ONCE(snoop_inet_hook))
		return true;
	if (hook == nf_flow_offload_ip_hook)
		return l3proto != AF_INET6;
	if (hook == nf_flow_offload_ipv6_hook)
		return l3proto != AF_INET;

	return snoop_learn_inet_hook(hooks, i);
}

/*
 * Context: RCU read lock, which is also what keeps the flowtable.
 * Return: the flowtable of hook @i, if it takes packets of @l3proto (AF_UNSPEC:
 * of any), or NULL.
 */
struct nf_flowtable *snoop_hook_flowtable(const struct nf_hook_entries *hooks,
					  int i, u8 l3proto)
{
	if (!snoop_hook_is_flowtable(hooks, i, l3proto))
		return NULL;

	return hooks->hooks[i].priv;
}

int snoop_hook_init(void)
{
	return register_module_notifier(&snoop_module_notifier);
}

void snoop_hook_exit(void)
{
	unregister_module_notifier(&snoop_module_notifier);
}
