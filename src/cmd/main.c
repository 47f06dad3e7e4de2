/* weir: main is a table look-up. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/help.h"

static const struct command *const commands[] = {
	&command_probe, &command_collect,
#ifdef WEIR_QUERY
	&command_query,
#endif
	&command_dump,  &command_check,   &command_policy, &command_demo, NULL,
};

static void print_commands(FILE *out)
{
	fprintf(out,
		"weir %s: meters the flows inside an encrypted overlay and exports them as IPFIX\n\n"
		"usage: weir COMMAND [OPTION]…\n\n",
		WEIR_VERSION);
	for (size_t i = 0; commands[i]; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n'weir COMMAND --help' tells about one command.\n");
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
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return command_run(commands[i], argc - 1, argv + 1);
	fprintf(stderr, "weir: no command '%s'; 'weir --help' lists them\n", argv[1]);
	return EXIT_WRONG_USAGE;
}
