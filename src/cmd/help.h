/* help.h: what stands around every command: options by table, --help. */
#pragma once

#include "cmd/command.h"

/* Answer --help, or run the command. */
int command_run(const struct command *command, int argc, char **argv);
