/* weir check: what a profile resolves to, or what is wrong with it. */
#include <stdio.h>

#include "cmd/command.h"
#include "config/settings.h"
#include "daemon/device.h"

static const struct command_option options[] = {{0}};

static int run(struct invocation *invocation)
{
	const char *path, *more;
	struct selection *selection;
	struct settings settings;
	struct error err;

	if (command_next(invocation, &path) == -2)
		return EXIT_WRONG_USAGE;
	if (path)
		command_operand(invocation);
	more = command_operand(invocation);
	if (more)
		return command_usage_error(invocation, "one profile at a time; '%s' is one too many", more);

	settings_init(&settings);
	if (settings_load(&settings, path ? path : PROFILE_DEFAULT_PATH, &err) != OK) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_WRONG_USAGE;
	}
	/* What only a compiler of filters can say. */
	if (device_selection(&selection, &settings, NULL, &err) != OK) {
		fprintf(stderr, "%s: FlowMetadata.Selection: %s\n", path ? path : PROFILE_DEFAULT_PATH,
			err.text);
		return EXIT_WRONG_USAGE;
	}
	selection_free(selection);
	settings_print(&settings, stdout);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_RUN_FAILED;
}

const struct command command_check = {
	.name = "check",
	.summary = "say what a profile resolves to, or what is wrong with it",
	.synopsis = "[PROFILE]",
	.notes = "PROFILE is a file, '-' is standard input; without it " PROFILE_DEFAULT_PATH " is read.\n"
		 "Exit status: 0 the profile is good, 2 it is not.",
	.options = options,
	.run = run,
};
