/* parts.h: an answer to the page: one JSON object with the window, sums, ledger, and each part that was asked
 * for. */
#pragma once

#include <stdio.h>

#include "ie/text.h"
#include "query/engine.h"
#include "query/question.h"
#include "store/store.h"

struct reply {
	const struct question *question;
	const char *store_path;
	struct scope scope;
	struct store *store;
	struct engine engine;
	struct store_coverage coverage;
	struct schema schema; /* of the view flows */
	uint64_t shown;       /* records that match */
	FILE *out;
	struct text text; /* to `out`; flushed before somebody else writes there */
	char buffer[8192];
};

/* Open the store and read the window. ERR_USAGE: *which and *wrong say what; else *err. Ends with
 * reply_close. */
MUST_CHECK enum status reply_open(struct reply *r, const struct question *q, const char *store, FILE *out,
				  const char **which, struct filter_error *wrong, struct error *err);
void reply_close(struct reply *r);

/* The whole object. When it fails after its first octet, ERR_…, and what was written is to be thrown away. */
MUST_CHECK enum status reply_answer(struct reply *r, const char **which, struct filter_error *wrong,
				    struct error *err);

/* Paths that are answered here, below /api/v1/. */
bool reply_knows(const char *path);

/* ledger_part.c: "totals":{…},"ledger":{…} */
MUST_CHECK enum status reply_ledger(struct reply *r, struct error *err);

/* For parts: pieces of JSON. */
void reply_name(struct reply *r, const char *name, bool first); /* ,"name": */
void reply_number(struct reply *r, const char *name, int64_t n);
void reply_string(struct reply *r, const char *name, const char *text);

/* Rows of a result as "name":[[…],…]; the result is destroyed. `asked` NULL: as they come. */
MUST_CHECK enum status reply_rows(struct reply *r, const char *name, duckdb_result *result,
				  const struct ask_column *asked, uint32_t count, uint64_t *rows,
				  struct error *err);

/* One statement of ours to reply_rows. */
MUST_CHECK enum status reply_select(struct reply *r, const char *name, const char *sql, struct error *err);
