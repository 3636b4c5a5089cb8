// SPDX-License-Identifier: GPL-2.0-only
/*
 * Usage: fuzzer [-s SEED] [-c FIRST] [-n CONFIGURATIONS] [-p PACKETS] [-t SECONDS]
 *		 [-k SECONDS] [-r PACKET[:FIELD...],...] [-x]
 *
 * See fuzz.h. Configurations of a seed, from the first one on, as many or as long
 * as is said, each with so many packets. With -r, only the first one, and of its
 * packets only these, with those fields as they are by default. -k is how long
 * making a failure small may take. With -x there is no XDP on either router: what
 * differs then is the kernel's or the test's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define SETTLE_US	50000

/* More often than a flowtable does by itself. */
#define COLLECT_SECONDS	0.5

/* What a veth puts into the first page of a frame. */
#define ONE_PAGE	3500

/* Of what the flowtable forwards, XDP forwards so many percent. */
#define SHARE		99

/* Of so many configurations of a class, the flowtable forwards something. */
#define MANY		5

struct totals {
	uint64_t	configs;
	uint64_t	packets;
	uint64_t	by_flowtable;
	uint64_t	by_xdp;
};

static struct totals totals[CLASS_MAX];

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("fuzz: ", stdout);
	vprintf(fmt, args);
	putchar('\n');
	exit(EXIT_FAILURE);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static bool same(const struct out *out)
{
	unsigned int i;

	if (out->taken[SOFT] != out->taken[FAST] ||
	    out->count[SOFT] != out->count[FAST])
		return false;
	for (i = 0; i < out->count[SOFT]; i++) {
		const struct frame *a = &out->frame[SOFT][i];
		const struct frame *b = &out->frame[FAST][i];

		if (a->port != b->port || a->len != b->len ||
		    memcmp(a->bytes, b->bytes, a->len))
			return false;
	}

	return true;
}

/* Where the first frames that differ do so. */
static void print_first(FILE *log, const struct out *out)
{
	unsigned int i, j;

	for (i = 0; i < out->count[SOFT] && i < out->count[FAST]; i++) {
		const struct frame *a = &out->frame[SOFT][i];
		const struct frame *b = &out->frame[FAST][i];

		for (j = 0; j < a->len && j < b->len; j++) {
			if (a->bytes[j] == b->bytes[j])
				continue;
			fprintf(log, "# frame %u, byte %u: %02x and %02x\n",
				i, j, a->bytes[j], b->bytes[j]);
			return;
		}
	}
}

static void print_frames(FILE *log, const struct out *out)
{
	unsigned int router, i, j;

	for (router = 0; router < ROUTERS; router++) {
		fprintf(log, "# %s: %s, %u frames left\n", net_name(router),
			out->taken[router] ? "taken" : "not taken",
			out->count[router]);
		for (i = 0; i < out->count[router]; i++) {
			const struct frame *frame = &out->frame[router][i];

			fprintf(log, "#   port %u, %u bytes: ", frame->port,
				frame->len);
			for (j = 0; j < frame->len && j < 128; j++)
				fprintf(log, "%02x", frame->bytes[j]);
			fputs(frame->len > 128 ? "...\n" : "\n", log);
		}
	}
	print_first(log, out);
}

/* Before 6.3, XDP redirects no frame in fragments, which one of more than a page is. */
static bool is_in_reach(const struct frame *frame)
{
	static int major, minor;
	struct utsname uts;

	if (!major && (uname(&uts) || sscanf(uts.release, "%d.%d", &major, &minor) != 2))
		die("uname: %s", strerror(errno));

	return frame->len <= ONE_PAGE || major > 6 || (major == 6 && minor >= 3);
}

/* Did the flowtable forward it, which leaves no mark? */
static bool is_by_flowtable(const struct out *out)
{
	const struct frame *frame = &out->frame[SOFT][0];
	const uint8_t *at;
	uint8_t tos, proto;
	uint16_t type;

	if (out->count[SOFT] != 1 || !is_in_reach(frame))
		return false;

	at = frame->bytes + frame_network(frame, &type);
	if (type == 0x0800) {
		tos = at[1];
		proto = at[9];
	} else if (type == 0x86dd) {
		tos = at[0] << 4 | at[1] >> 4;
		proto = at[6];
	} else {
		return false;
	}

	return tos >> 2 != 0x2e && (proto == 6 || proto == 17);
}

/* How much went by the flowtable, and how much by XDP, while XDP was free to take it. */
struct share {
	uint64_t	since;
	uint64_t	by_flowtable;
	uint64_t	by_xdp;
};

static void count_share(const struct condition *now, struct share *share)
{
	uint64_t forwarded = xdp_forwarded();

	if (!now->chain && !now->detached)
		share->by_xdp += forwarded - share->since;
	share->since = forwarded;
}

/*
 * A port that goes down at the first router has the kernel collect at both, and
 * only then goes down at the second.
 */
static void happen(const struct config *config, const struct packet *event,
		   struct condition *now, struct share *share)
{
	count_share(now, share);
	net_collect();
	event_run(config, event, now);
}

static void collect_in_time(double *last)
{
	if (now() - *last < COLLECT_SECONDS)
		return;
	net_collect();
	*last = now();
}

/*
 * Return: 0 if both routers did the same; else after how many packets they did
 * not, and says on @log what they did.
 */
static size_t run(const struct config *config, const struct packet *packets,
		  size_t count, struct totals *total, FILE *log)
{
	static struct frame frame;
	static struct out out;
	struct condition now = {};
	struct share share = {};
	double collected = 0;
	unsigned int lost;
	bool by_flowtable;
	size_t i;

	net_setup(config);
	share.since = xdp_forwarded();
	memset(out.count, 0, sizeof(out.count));
	wire_collect(&out);
	for (i = 0; i < count; i++) {
		collect_in_time(&collected);
		if (packets[i].event) {
			happen(config, &packets[i], &now, &share);
			continue;
		}
		if (now.down & 1U << config->flow[packets[i].flow].port[packets[i].dir])
			continue;
		memset(out.count, 0, sizeof(out.count));
		packet_build(config, &packets[i], &frame);
		out.taken[SOFT] = wire_send(SOFT, &frame);
		out.taken[FAST] = wire_send(FAST, &frame);
		wire_collect(&out);
		if (!same(&out)) {
			usleep(SETTLE_US);
			wire_collect(&out);
		}
		if (!same(&out)) {
			fprintf(log, "# at packet %u\n", packets[i].number);
			print_frames(log, &out);
			return i + 1;
		}
		by_flowtable = is_by_flowtable(&out);
		share.by_flowtable += !now.chain && !now.detached && by_flowtable;
		/*
		 * It may have ended its flow, and put in another for the same
		 * connection.  Of two flows with one tuple, a table that is just
		 * being resized finds the one or the other: the first has to go.
		 */
		if (!by_flowtable)
			net_collect();
	}
	lost = wire_lost();
	if (lost)
		die("the test lost %u frames", lost);
	total->configs++;
	total->packets += count;
	count_share(&now, &share);
	if (config_allows_xdp(config) && !xdp_is_disabled()) {
		total->by_flowtable += share.by_flowtable;
		total->by_xdp += share.by_xdp;
	}

	return conntrack_same(log) && net_same(config, log) ? 0 : count;
}

/* --- a failure, made small ---------------------------------------------------- */

static bool fails(const struct config *config, const struct packet *packets,
		  size_t count)
{
	struct totals ignored = {};
	FILE *log = fopen("/dev/null", "w");
	bool failed = run(config, packets, count, &ignored, log);

	fclose(log);

	return failed;
}

/* Leave out ever smaller runs of packets, as long as it fails. */
static size_t drop_packets(const struct config *config, struct packet *packets,
			   size_t count, double until)
{
	struct packet *fewer = calloc(count, sizeof(*fewer));
	size_t step, at;

	for (step = (count + 1) / 2; step; step /= 2) {
		for (at = 0; at < count && now() < until;) {
			size_t drop = step < count - at ? step : count - at;

			memcpy(fewer, packets, at * sizeof(*fewer));
			memcpy(fewer + at, packets + at + drop,
			       (count - at - drop) * sizeof(*fewer));
			if (fails(config, fewer, count - drop)) {
				count -= drop;
				memcpy(packets, fewer, count * sizeof(*fewer));
			} else {
				at += drop;
			}
		}
	}
	free(fewer);

	return count;
}

static void reset_fields(const struct config *config, struct packet *packets,
			 size_t count, double until)
{
	size_t i;
	int f;

	for (i = 0; i < count; i++) {
		for (f = 0; f < FIELD_MAX && now() < until; f++) {
			int64_t value = packets[i].field[f];

			if (value == field_preset(f))
				continue;
			packets[i].field[f] = field_preset(f);
			if (!fails(config, packets, count))
				packets[i].field[f] = value;
		}
	}
}

static void print_config(const struct config *config)
{
	printf("make fuzz KERNEL=%s SEED=%" PRIu64 " CONFIG=%u",
	       getenv("FLOWMAP_KERNEL") ?: "6.12", config->seed, config->number);
}

/* What replays it: the packets' numbers, and the fields that are not as the seed made them. */
static void print_replay(const struct config *config, const struct packet *packets,
			 size_t count, const struct packet *made)
{
	size_t i;
	int f;

	print_config(config);
	fputs(" PACKET=", stdout);
	for (i = 0; i < count; i++) {
		printf("%s%u", i ? "," : "", packets[i].number);
		for (f = 0; f < FIELD_MAX; f++)
			if (packets[i].field[f] != made[packets[i].number].field[f])
				printf(":%s", field_name(f));
	}
	putchar('\n');
}

/* What differs once more, to be read.  Returns whether it did. */
static bool report(const struct config *config, const struct packet *packets,
		   size_t count, const struct packet *made)
{
	struct totals ignored = {};
	size_t i;

	config_print(config, stdout);
	for (i = 0; i < count; i++)
		packet_print(config, &packets[i], stdout);
	if (run(config, packets, count, &ignored, stdout)) {
		fputs("FAIL: the routers differ: ", stdout);
		print_replay(config, packets, count, made);
		return true;
	}

	puts("# they do the same");
	return false;
}

/* --- what the command line asks for ------------------------------------------- */

struct options {
	uint64_t	seed;
	uint32_t	first;
	uint32_t	configs;
	uint32_t	packets;
	unsigned int	seconds;
	unsigned int	shrink_seconds;
	char		*replay;
};

static void fuzz_one(const struct options *opt, uint32_t number, double begin,
		     bool *failed)
{
	struct packet *made = calloc(opt->packets, sizeof(*made));
	struct packet *packets = calloc(opt->packets, sizeof(*packets));
	struct config config;
	unsigned int again;
	double until;
	size_t count;

	config_make(&config, opt->seed, number);
	packets_make(&config, made, opt->packets);
	memcpy(packets, made, opt->packets * sizeof(*made));
	count = run(&config, packets, opt->packets, &totals[config.class], stdout);
	if (!count)
		goto out;

	printf("# found after %.0f s: seed %" PRIu64 ", configuration %u, packet %u\n",
	       now() - begin, opt->seed, number, packets[count - 1].number);
	/*
	 * What never comes again is rather the machine's than the routers': one
	 * that is emulated can stop for longer than a timer of the kernel waits.
	 */
	again = fails(&config, packets, count) + fails(&config, packets, count);
	*failed |= again > 0;
	if (again < 2) {
		fputs(again ? "FAIL: the routers differ, but only at times: " :
		      "# the routers differed once, in three runs: ", stdout);
		print_config(&config);
		putchar('\n');
		goto out;
	}
	until = now() + opt->shrink_seconds;
	count = drop_packets(&config, packets, count, until);
	reset_fields(&config, packets, count, until);
	report(&config, packets, count, made);
out:
	free(packets);
	free(made);
}

static void reset_field(struct packet *packet, const char *name)
{
	int f;

	for (f = 0; f < FIELD_MAX; f++) {
		if (!strcmp(field_name(f), name)) {
			packet->field[f] = field_preset(f);
			return;
		}
	}
	die("no field '%s'", name);
}

/* NUMBER[:FIELD...],...  Returns whether the routers differ. */
static bool replay(const struct options *opt)
{
	char *rest = opt->replay, *one, *name;
	struct packet *made = NULL, *packets = NULL;
	struct config config;
	uint32_t number;
	size_t count = 0;
	bool differ;

	config_make(&config, opt->seed, opt->first);
	while ((one = strsep(&rest, ","))) {
		number = strtoul(strsep(&one, ":"), NULL, 0);
		made = realloc(made, (number + 1) * sizeof(*made));
		packets_make(&config, made, number + 1);
		packets = realloc(packets, (count + 1) * sizeof(*packets));
		packets[count] = made[number];
		while ((name = strsep(&one, ":")))
			reset_field(&packets[count], name);
		count++;
	}
	differ = report(&config, packets, count, made);
	free(packets);
	free(made);

	return differ;
}

static void print_totals(const struct totals *total)
{
	printf("%" PRIu64 " configurations, %" PRIu64 " packets", total->configs,
	       total->packets);
}

static bool judge(const struct options *opt, double seconds)
{
	struct totals all = {};
	bool good = true;
	int class;

	for (class = 0; class < CLASS_MAX; class++) {
		const struct totals *total = &totals[class];
		bool less = total->by_xdp * 100 < total->by_flowtable * SHARE ||
			    (!total->by_flowtable && total->configs >= MANY);

		if (!total->configs)
			continue;
		all.configs += total->configs;
		all.packets += total->packets;
		printf("%s: class %s: ", less ? "FAIL" : "ok", class_name(class));
		print_totals(total);
		printf(", %" PRIu64 " by the flowtable, %" PRIu64 " by XDP\n",
		       total->by_flowtable, total->by_xdp);
		good = good && !less;
	}
	printf("# seed %" PRIu64 ", from configuration %u on: ", opt->seed,
	       opt->first);
	print_totals(&all);
	printf(" in %.0f s\n", seconds);

	return good && all.configs;
}

static void parse(struct options *opt, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "s:c:n:p:t:r:k:x")) != -1) {
		switch (c) {
		case 's':
			opt->seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			opt->first = strtoul(optarg, NULL, 0);
			break;
		case 'n':
			opt->configs = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			opt->packets = strtoul(optarg, NULL, 0);
			break;
		case 't':
			opt->seconds = strtoul(optarg, NULL, 0);
			break;
		case 'k':
			opt->shrink_seconds = strtoul(optarg, NULL, 0);
			break;
		case 'r':
			opt->replay = optarg;
			break;
		case 'x':
			xdp_disable();
			break;
		default:
			die("see the top of main.c");
		}
	}
}

int main(int argc, char **argv)
{
	struct options opt = {
		.seed = 1, .configs = UINT32_MAX, .packets = 1000,
		.seconds = UINT32_MAX, .shrink_seconds = 120,
	};
	double begin, end;
	bool failed = false;
	uint32_t number;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&opt, argc, argv);
	net_init();
	conntrack_init();
	if (opt.replay)
		return replay(&opt) ? EXIT_FAILURE : EXIT_SUCCESS;

	begin = now();
	end = begin + opt.seconds;
	for (number = opt.first; !failed && number - opt.first < opt.configs &&
	     now() < end; number++)
		fuzz_one(&opt, number, begin, &failed);
	if (!judge(&opt, now() - begin))
		failed = true;

	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
