/* keeper.h: a small process that parses nothing and keeps the roles running: the processes that do parse what
 * strangers sent. It is forked before there are threads, so it can fork a role again at any time; when a role
 * dies it does, a little later each time. When the collector dies its roles go at once, and so does the
 * folder that a collector without a store buffers in. */
#pragma once

#include <sys/types.h>

#include "base/log.h"
#include "daemon/board.h"

struct keeper_options {
	struct board *board;
	int (*run[ROLE_COUNT])(void *arg); /* in the role's process: its exit status, 0 = the work is done */
	void *arg;
	const char *scratch; /* removed when all has ended; NULL: none */
	const struct logger *log;
};

struct keeper {
	pid_t pid; /* 0: not running */
	int go;
};

/* The roles that the board wants begin with keeper_go. ERR_SYSTEM. */
MUST_CHECK enum status keeper_start(struct keeper *keeper, const struct keeper_options *options,
				    struct error *err);
void keeper_go(struct keeper *keeper);

/* True once it has ended; then the pid is gone. */
bool keeper_ended(struct keeper *keeper);

/* Wait until all roles have ended by themselves, for at most `seconds`, then end them. True: by themselves.
 */
bool keeper_finish(struct keeper *keeper, unsigned seconds);
