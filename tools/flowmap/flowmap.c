// SPDX-License-Identifier: GPL-2.0-only
/* flowmap: puts the XDP fast path on devices and shows what it does there. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "flowmap.h"

#define VERSION		"0.1"
#define SEE_HELP	"see 'flowmap help'"

struct options {
	bool json;
	bool verbose;
	bool counter;
	bool offload;
	enum flowmap_door door;
	__u32 given;		/* OPTION() of those that were */
};

#define OPTION(letter)	(1U << ((letter) - 'a'))
#define OPTIONS_OF_ALL	(OPTION('h') | OPTION('j') | OPTION('v'))

struct command {
	const char *name;
	const char *args;
	const char *help;
	int min_args;
	int max_args;
	__u32 options;		/* besides OPTIONS_OF_ALL */
	bool needs_bpf;
	int (*run)(const struct options *opt, char **args, int count);
};

int fail(const char *remedy, const char *cause, ...)
{
	va_list args;

	fputs("flowmap: ", stderr);
	va_start(args, cause);
	vfprintf(stderr, cause, args);
	va_end(args);
	fprintf(stderr, ": %s\n", remedy);

	return -1;
}

static void json_names(const char *what, char **names, int count)
{
	int i;

	printf("{\"%s\":[", what);
	for (i = 0; i < count; i++) {
		fputs(i ? "," : "", stdout);
		json_string(names[i]);
	}
	puts("]}");
}

/* What a command returns that did something to @names. */
static int done(const struct options *opt, int err, const char *what,
		char **names, int count)
{
	if (!err && opt->json)
		json_names(what, names, count);

	return err;
}

static int cmd_attach(const struct options *opt, char **args, int count)
{
	return done(opt, xdp_attach(args, count, opt->door), "attached", args,
		    count);
}

static int cmd_detach(const struct options *opt, char **args, int count)
{
	return done(opt, xdp_detach(args, count), "detached", args, count);
}

static int cmd_stats(const struct options *opt, char **args, int count)
{
	return show_stats(opt->json, args, count);
}

static int cmd_flows(const struct options *opt, char **args, int count)
{
	return show_flows(opt->json);
}

static int cmd_allow(const struct options *opt, char **args, int count)
{
	if (!count)
		return allow_show(opt->json);

	return done(opt, allow_set(args, count, true), "allowed", args, count);
}

static int cmd_deny(const struct options *opt, char **args, int count)
{
	return done(opt, allow_set(args, count, false), "denied", args, count);
}

static int cmd_snoop(const struct options *opt, char **args, int count)
{
	return done(opt, flowtable_add(args, count, opt->counter, opt->offload),
		    "made", &args[2], 1);
}

static int cmd_version(const struct options *opt, char **args, int count)
{
	printf(opt->json ? "{\"flowmap\":\"%s\",\"libbpf\":\"%s\"}\n" :
	       "flowmap %s, libbpf %s\n", VERSION, libbpf_version_string());

	return 0;
}

static int cmd_help(const struct options *opt, char **args, int count);

static const struct command commands[] = {
	{
		.name = "attach", .args = "[-d kfunc|map] DEV...",
		.help = "put the fast path on devices",
		.min_args = 1, .max_args = INT_MAX, .options = OPTION('d'),
		.needs_bpf = true, .run = cmd_attach,
	}, {
		.name = "detach", .args = "DEV...",
		.help = "take the fast path off devices",
		.min_args = 1, .max_args = INT_MAX,
		.needs_bpf = true, .run = cmd_detach,
	}, {
		.name = "stats", .args = "[DEV...]",
		.help = "packets by what became of them",
		.max_args = INT_MAX,
		.needs_bpf = true, .run = cmd_stats,
	}, {
		.name = "flows", .args = "",
		.help = "flows that the fast path knows",
		.run = cmd_flows,
	}, {
		.name = "allow", .args = "[DEV...]",
		.help = "skip chains, filters and qdiscs of devices; list these",
		.max_args = INT_MAX,
		.run = cmd_allow,
	}, {
		.name = "deny", .args = "DEV...",
		.help = "no longer skip them",
		.min_args = 1, .max_args = INT_MAX,
		.run = cmd_deny,
	}, {
		.name = "snoop", .args = "[-c] [-o] FAMILY TABLE NAME DEV...",
		.help = "make a flowtable that tells of its flows; -c counts, -o offloads",
		.min_args = 4, .max_args = INT_MAX,
		.options = OPTION('c') | OPTION('o'), .run = cmd_snoop,
	}, {
		.name = "version", .args = "",
		.help = "versions of this tool and of libbpf",
		.run = cmd_version,
	}, {
		.name = "help", .args = "",
		.help = "this text",
		.run = cmd_help,
	},
};

static int cmd_help(const struct options *opt, char **args, int count)
{
	size_t i;

	fputs(opt->json ? "{" :
	      "flowmap COMMAND [-j|--json] [-v|--verbose]\n", stdout);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (opt->json)
			json_member(!i, commands[i].name, commands[i].help);
		else
			printf("  %-8s %-34s %s\n", commands[i].name,
			       commands[i].args, commands[i].help);
	}
	fputs(opt->json ? "}\n" : "", stdout);

	return 0;
}

static int parse_door(enum flowmap_door *door, const char *name)
{
	if (!strcmp(name, "kfunc"))
		*door = FLOWMAP_DOOR_KFUNC;
	else if (!strcmp(name, "map"))
		*door = FLOWMAP_DOOR_MAP;
	else
		return fail("give kfunc or map", "unknown door '%s'", name);

	return 0;
}

static int parse_options(struct options *opt, int argc, char **argv)
{
	static const struct option names[] = {
		{ "counter", no_argument, NULL, 'c' },
		{ "door", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "offload", no_argument, NULL, 'o' },
		{ "verbose", no_argument, NULL, 'v' },
		{}
	};
	static const char letters[] = ":cd:hjov";
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		if (c >= 'a')
			opt->given |= OPTION(c);
		switch (c) {
		case 'c':
			opt->counter = true;
			break;
		case 'd':
			if (parse_door(&opt->door, optarg))
				return -1;
			break;
		case 'h':
			break;
		case 'j':
			opt->json = true;
			break;
		case 'o':
			opt->offload = true;
			break;
		case 'v':
			opt->verbose = true;
			break;
		case ':':
			return fail(SEE_HELP, "option '%s' needs a value",
				    argv[optind - 1]);
		default:
			return optopt && !strchr(letters, optopt) ?
			       fail(SEE_HELP, "unknown option '-%c'", optopt) :
			       fail(SEE_HELP, "unknown option '%s'",
				    argv[optind - 1]);
		}
	}

	return 0;
}

static int run(const struct command *cmd, const struct options *opt,
	       char **args, int count)
{
	if (opt->given & ~(cmd->options | OPTIONS_OF_ALL))
		return fail(SEE_HELP, "%s: takes no such option", cmd->name);
	if (count < cmd->min_args)
		return fail(SEE_HELP, "%s: needs %s", cmd->name, cmd->args);
	if (count > cmd->max_args)
		return fail(SEE_HELP, "%s: takes no argument", cmd->name);
	if (cmd->needs_bpf && xdp_init(opt->verbose))
		return -1;

	return cmd->run(opt, args, count);
}

int main(int argc, char **argv)
{
	struct options opt = {};
	const char *name;
	size_t i;
	int err;

	if (parse_options(&opt, argc, argv))
		return EXIT_FAILURE;

	if (opt.given & OPTION('h'))
		argc = optind;
	name = optind < argc ? argv[optind++] : "help";
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			break;

	err = i < ARRAY_SIZE(commands) ?
	      run(&commands[i], &opt, argv + optind, argc - optind) :
	      fail(SEE_HELP, "unknown command '%s'", name);
	if (!err && (fflush(stdout) || ferror(stdout)))
		err = fail(errno == ENOSPC ? "make room for it" :
					     "see where it goes",
			   "cannot write all output: %s",
			   strerror(errno));

	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
