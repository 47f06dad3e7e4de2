/* weir: main is a table look-up. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/help.h"

/* A command is linked in, or it is the symbol of that name in a module that is loaded when it is asked for.
 */
struct entry {
	const char *name, *summary;
	const struct command *command; /* NULL: in the module */
	const char *module, *symbol;
};

#define IN_MODULE(command, text)                                                                             \
	{                                                                                                    \
		.name = #command, .summary = text, .module = "weir-" #command ".so",                         \
		.symbol = "command_" #command                                                                \
	}

static const struct entry commands[] = {
	{.command = &command_probe},     IN_MODULE(collect, SUMMARY_COLLECT),
#ifdef WEIR_QUERY
	IN_MODULE(query, SUMMARY_QUERY),
#endif
#ifdef WEIR_TOP
	IN_MODULE(top, SUMMARY_TOP),
#endif
	{.command = &command_dump},      {.command = &command_check},
	{.command = &command_policy},    {.command = &command_demo},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const char *name_of(const struct entry *e)
{
	return e->command ? e->command->name : e->name;
}

static void print_commands(FILE *out)
{
	fprintf(out,
		"weir %s: meters the flows inside an encrypted overlay and exports them as IPFIX\n\n"
		"usage: weir COMMAND [OPTION]…\n\n",
		WEIR_VERSION);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", name_of(&commands[i]),
			commands[i].command ? commands[i].command->summary : commands[i].summary);
	fprintf(out, "\n'weir COMMAND --help' tells about one command.\n");
}

/* A module's own libraries are looked at before ours: DuckDB's symbols are many thousands, and each would be
 * sought in all of main's libraries first, which costs 7 ms. Sanitizers have to stand in front of all others.
 */
#ifdef WEIR_SANITIZED
enum { HOW = RTLD_LAZY | RTLD_LOCAL };
#else
enum { HOW = RTLD_LAZY | RTLD_LOCAL | RTLD_DEEPBIND };
#endif

/* Where all is to be bound at load (LD_BIND_NOW), a library that the module would load itself, once it is
 * needed, has to be there before. */
static void *load(const char *name)
{
	void *module = dlopen(name, HOW);

	if (!module && getenv("LD_BIND_NOW") && dlopen("libduckdb.so", (HOW & ~RTLD_LOCAL) | RTLD_GLOBAL))
		module = dlopen(name, HOW);
	return module;
}

/* The module is found where the program's run path points: beside it in a build tree, else in LIBDIR/weir. It
 * stays until the process ends. */
static int run_entry(const struct entry *e, int argc, char **argv)
{
	const struct command *command = e->command;

	if (!command) {
		void *module = load(e->module);

		command = module ? dlsym(module, e->symbol) : NULL;
		if (!command) {
			fprintf(stderr, "weir %s: %s\n", e->name, dlerror());
			return EXIT_RUN_FAILED;
		}
	}
	return command_run(command, argc, argv);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_commands(stderr);
		return EXIT_WRONG_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_commands(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("weir %s\n", WEIR_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], name_of(&commands[i])) == 0)
			return run_entry(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "weir: no command '%s'; 'weir --help' lists them\n", argv[1]);
	return EXIT_WRONG_USAGE;
}
