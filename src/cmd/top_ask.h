/* top_ask.h: questions to the store, one at a time, each answered by a process of its own (query/worker.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum { TOP_WORDS = 24, TOP_ANSWER_MAX = 32 << 20 };

struct top_question {
	const char *words[TOP_WORDS][2]; /* name and value; borrowed while top_ask runs */
	unsigned count;
};

struct top_asker {
	const char *store;
	int requests; /* -1: no process is ready */
	pid_t pid;
	int answer; /* descriptor to wait for; -1: nothing is asked */
	char *octets;
	size_t used, room;
};

void top_asker_init(struct top_asker *asker, const char *store);
void top_asker_fini(struct top_asker *asker);

/* Have a process ready. ERR_SYSTEM. */
MUST_CHECK enum status top_asker_ready(struct top_asker *asker, struct error *err);

/* Put a question; an older one is given up. ERR_SYSTEM. */
MUST_CHECK enum status top_ask(struct top_asker *asker, const struct top_question *question,
			       struct error *err);

/* What has come. AGAIN: not all of it. OK: *out is the caller's. ERR_USAGE, ERR_SYSTEM: the answer is a
 * complaint, or none. */
MUST_CHECK enum status top_hear(struct top_asker *asker, json_t **out, struct error *err);
