/* export.h: an answer as a file: CSV, JSON Lines or Parquet that says itself what was asked, how complete it
 * is, and the SQL that gives the same rows again (weir query --sql). */
#pragma once

#include "query/parts.h"

/* Words: format (csv, json, parquet), and either `by` (sums, all groups) or `columns` (records, all of them).
 * ERR_USAGE: *which and *wrong. Nothing is written to `out` before the statement runs. */
struct export_head {
	const char *type; /* Content-Type */
	char file[64];    /* a name for it */
};

MUST_CHECK enum status export_begin(struct export_head *head, const struct reply *r, const char **which,
				    struct filter_error *wrong);
MUST_CHECK enum status export_answer(struct reply *r, const char **which, struct filter_error *wrong,
				     struct error *err);
