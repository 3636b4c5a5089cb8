// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin for QEMU: how often each instruction of the guest's kernel runs
 * between two marks, and how many cache lines it is the first to touch there.
 *
 * The marks are instructions that do nothing, as bench.c executes them.
 * What lies between is written to OUT/1, OUT/2 and so on, a line for each
 * instruction: its address, how often it ran, and its cache lines.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"
#include "plugin.h"

int qemu_plugin_version = 1;

#define CACHE_LINE_SHIFT	6
#define KERNEL_SPACE		(1ULL << 63)

/* What is known of one address; in a chain of those with the same hash. */
struct place {
	struct place	*next;
	uint64_t	address;
	uint64_t	ran;
	uint64_t	lines;
	uint64_t	window;		/* of a cache line: touched in this one */
};

#define CHAINS	(1 << 18)

static struct place *insns[CHAINS], *lines[CHAINS];
static const char *out;
static uint64_t window;
static bool inside;

static struct place *place_of(struct place **chains, uint64_t address)
{
	struct place **chain, *place;

	chain = &chains[(address * 0x9e3779b97f4a7c15) >> 46];
	for (place = *chain; place; place = place->next)
		if (place->address == address)
			return place;

	place = calloc(1, sizeof(*place));
	if (!place)
		abort();
	place->address = address;
	place->next = *chain;
	*chain = place;

	return place;
}

static void begin(unsigned int cpu, void *data)
{
	struct place *place;
	size_t i;

	(void)cpu;
	(void)data;
	for (i = 0; i < CHAINS; i++) {
		for (place = insns[i]; place; place = place->next) {
			place->ran = 0;
			place->lines = 0;
		}
	}
	window++;
	inside = true;
}

static void end(unsigned int cpu, void *data)
{
	struct place *place;
	char path[4096];
	FILE *file;
	size_t i;

	(void)cpu;
	(void)data;
	inside = false;
	snprintf(path, sizeof(path), "%s/%" PRIu64, out, window);
	file = fopen(path, "w");
	if (!file) {
		fprintf(stderr, "count: cannot write %s\n", path);
		exit(EXIT_FAILURE);
	}
	for (i = 0; i < CHAINS; i++)
		for (place = insns[i]; place; place = place->next)
			if (place->ran)
				fprintf(file, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n",
					place->address, place->ran, place->lines);
	fclose(file);
}

static void touch(unsigned int cpu, qemu_plugin_meminfo_t info,
		  uint64_t address, void *data)
{
	struct place *insn = data, *line;

	(void)cpu;
	(void)info;
	if (!inside)
		return;

	line = place_of(lines, address >> CACHE_LINE_SHIFT);
	if (line->window == window)
		return;
	line->window = window;
	insn->lines++;
}

static bool is_mark(const struct qemu_plugin_insn *insn, uint32_t mark)
{
	const size_t opcode = sizeof(MARK_OPCODE) - 1;
	const char *bytes = qemu_plugin_insn_data(insn);

	return qemu_plugin_insn_size(insn) == opcode + sizeof(mark) &&
	       !memcmp(bytes, MARK_OPCODE, opcode) &&
	       !memcmp(bytes + opcode, &mark, sizeof(mark));
}

static void watch(struct qemu_plugin_insn *insn)
{
	uint64_t address = qemu_plugin_insn_vaddr(insn);
	struct place *place;

	if (is_mark(insn, MARK_BEGIN))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, begin,
						       QEMU_PLUGIN_CB_NO_REGS,
						       NULL);
	if (is_mark(insn, MARK_END))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, end,
						       QEMU_PLUGIN_CB_NO_REGS,
						       NULL);
	if (address < KERNEL_SPACE)
		return;

	place = place_of(insns, address);
	qemu_plugin_register_vcpu_insn_exec_inline(insn,
						   QEMU_PLUGIN_INLINE_ADD_U64,
						   &place->ran, 1);
	qemu_plugin_register_vcpu_mem_cb(insn, touch, QEMU_PLUGIN_CB_NO_REGS,
					 QEMU_PLUGIN_MEM_RW, place);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i;

	(void)id;
	for (i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		watch(qemu_plugin_tb_get_insn(tb, i));
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info,
			int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fputs("count: give out=DIR\n", stderr);
		return -1;
	}
	out = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);

	return 0;
}
