/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests' programs have in common. */
#ifndef FLOWMAP_TEST_PROGRAM_H
#define FLOWMAP_TEST_PROGRAM_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

struct command {
	const char *name;
	const char *args;	/* for people */
	int count;		/* of arguments */
	bool more;		/* and any number of others */
	int (*run)(char **args);
};

/* Return: what the command that @argv names returns, or EXIT_FAILURE. */
static inline int run_command(const struct command *commands, size_t count,
			      int argc, char **argv)
{
	const struct command *command;

	for (command = commands; command < commands + count; command++)
		if ((argc - 2 == command->count ||
		     (argc - 2 > command->count && command->more)) &&
		    !strcmp(argv[1], command->name))
			return command->run(argv + 2);

	for (command = commands; command < commands + count; command++)
		fprintf(stderr, "Usage: %s %s %s\n", argv[0], command->name,
			command->args);

	return EXIT_FAILURE;
}

/* Ones' complement: add @data to @sum. */
static inline uint32_t csum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : bytes[i] << 8;

	return sum;
}

/* Return: the checksum, in network byte order. */
static inline uint16_t csum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);

	return htons(~sum);
}

#endif /* FLOWMAP_TEST_PROGRAM_H */
