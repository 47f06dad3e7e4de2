/* parts.h: an answer to the page: one JSON object with the window, sums, ledger, and each part that was asked
 * for. */
#pragma once

#include <stdio.h>

#include "ie/text.h"
#include "query/engine.h"
#include "query/question.h"
#include "store/store.h"

/* A window with more records than this begins later than asked, at a time of which all records are read; the
 * answer says what it left out, and "whole=1" asks for all the same. */
enum { REPLY_RECORDS = 3000000 };

struct pass;
struct part;

struct reply {
	const struct question *question;
	struct scope scope;
	struct store *store;
	struct engine engine;
	struct store_coverage coverage;
	const struct schema *schema; /* columns of flows that there are */
	struct part *parts;
	unsigned part_count;
	struct pass *pass;
	bool by_database;      /* sums too: for tests */
	uint64_t left_out;     /* records before the window that were asked for too */
	int64_t asked_from_ms; /* where the window would have begun */
	FILE *out;
	struct text text; /* to `out`; flushed before somebody else writes there */
	char buffer[8192];
};

/* Open the store and read the window. ERR_USAGE: *which and *wrong say what; else *err. Ends with
 * reply_close. */
MUST_CHECK enum status reply_open(struct reply *r, const struct question *q, const char *store, FILE *out,
				  const char **which, struct filter_error *wrong, struct error *err);
void reply_close(struct reply *r);

/* One reading of the records for all parts and the ledger; reply_answer does it itself. ERR_USAGE: as at
 * reply_open. */
MUST_CHECK enum status reply_sum(struct reply *r, struct error *err);

/* The whole object. ERR_USAGE: as at reply_open. When it fails, what was written is to be thrown away. */
MUST_CHECK enum status reply_answer(struct reply *r, struct error *err);

/* Paths that are answered here, below /api/v1/. */
bool reply_knows(const char *path);

/* ledger_part.c, behind reply_sum: "totals":{…},"ledger":{…} */
MUST_CHECK enum status reply_ledger(struct reply *r, struct error *err);

/* For parts: pieces of JSON. */
void reply_name(struct reply *r, const char *name, bool first); /* ,"name": */
void reply_number(struct reply *r, const char *name, int64_t n);
void reply_string(struct reply *r, const char *name, const char *text);

/* Rows of a result as […],…; the result is destroyed. `asked` NULL: as they come. */
MUST_CHECK enum status reply_put_rows(struct reply *r, duckdb_result *result, const struct ask_column *asked,
				      uint32_t count, uint64_t *rows, struct error *err);

/* The same as "name":[[…],…] */
MUST_CHECK enum status reply_rows(struct reply *r, const char *name, duckdb_result *result,
				  const struct ask_column *asked, uint32_t count, struct error *err);

/* One statement of ours, and it to reply_rows. `records`: it reads "flows", and names their columns in
 * quotes. */
MUST_CHECK enum status reply_run(struct reply *r, const struct sql *statement, bool records,
				 duckdb_result *result, struct error *err);
MUST_CHECK enum status reply_select(struct reply *r, const char *name, const struct sql *statement,
				    bool records, struct error *err);
