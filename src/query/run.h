/* run.h: a question put to a store, in a process of its own that reads the store and writes nowhere. */
#pragma once

#include "query/show.h"

enum {
	QUERY_DONE = 0,
	QUERY_FAILED = 1,
	QUERY_USAGE = 2,
	QUERY_INTERRUPTED = 130,
};

struct query {
	const char *store; /* the folder */
	const char *sql;   /* one SELECT; NULL: ask */
	bool rules;        /* which allow rules were met; of `ask` only its times */
	struct ask ask;    /* its times also narrow what --sql sees, by whole partitions */
	const struct show_type *show;
	bool coverage; /* also how complete the answer is, with the ledger */
	bool wide;     /* do not fit a table into the terminal */
};

/* Answer on `out`, complaints on standard error; everything of `out` is written when it returns. Blocks;
 * SIGINT and SIGTERM end the query. Answers an exit status. */
int query_run(const struct query *query, FILE *out);
