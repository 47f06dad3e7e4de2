/* command.h: one subcommand is one file and one row in commands[] (main.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Exit status of every command. */
enum { EXIT_DONE = 0, EXIT_RUN_FAILED = 1, EXIT_WRONG_USAGE = 2 };

/* One option; --help, the parser and the test of the man page read this table. */
struct command_option {
	char letter;          /* 0: no short form */
	const char *name;     /* long form without dashes */
	const char *argument; /* "FILE"; NULL: takes none */
	const char *help;     /* one line; says the unit and the default */
};

struct invocation;

struct command {
	const char *name;
	const char *summary;                  /* one line */
	const char *synopsis;                 /* after "weir NAME": "[-p PROFILE] [-i IFACE]…" */
	const char *notes;                    /* after the options in --help; NULL: none */
	const struct command_option *options; /* ends with a row whose name is NULL */
	int (*run)(struct invocation *invocation);
};

/* The arguments of one run of one command. */
struct invocation {
	const struct command *command;
	int argc; /* argv[0] is the command's name */
	char **argv;
	int next; /* private to command_next */
};

/* The next option as an index into command->options, its argument in *value (NULL when it takes none).
 * -1: no more options; *value is the first operand or NULL, the rest by command_operand.
 * -2: wrong usage; standard error has said what. --help is answered before run is called. */
int command_next(struct invocation *invocation, const char **value);
const char *command_operand(struct invocation *invocation);

/* A folder as it was given, from the root on: DuckDB does not find its way from "." or "..". As it is when it
 * does not fit. */
enum { FOLDER_MAX = 1024 };
const char *command_folder(char out[FOLDER_MAX], const char *given);

/* For commands whose operands are the words of one text, as a filter is, with options between them in any
 * order: take() gets each option's value, *words the operands with a space between them (malloc; NULL: none).
 * take() answers false when the value is wrong, and says in *expected what is right. 0, or the status to end
 * with. */
int command_read_words(struct invocation *invocation,
		       bool (*take)(void *to, int option, const char *value, const char **expected), void *to,
		       char **words);

/* Say on standard error what is wrong and how to get help; answers EXIT_WRONG_USAGE. */
int command_usage_error(const struct invocation *invocation, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Of commands in modules: main says them without loading one. */
#define SUMMARY_COLLECT "receive IPFIX, store it, count what is lost"
#define SUMMARY_QUERY   "ask the store"
#define SUMMARY_TOP     "who talks now and what is refused, in a terminal"

extern const struct command command_check, command_collect, command_demo, command_dump, command_policy,
	command_probe, command_query, command_top;
