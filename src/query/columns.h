/* columns.h: columns of records as expressions and filters ask for them, some rows at a time (a row group, a
 * piece of the journal's tail). */
#pragma once

#include "parquet/reader.h"
#include "query/words.h"

/* The columns that a question needs, numbered in the order in which they were asked for. */
enum { WANTED_MAX = 64 };

struct wanted {
	const struct schema *schema; /* all that there are, with their kinds; borrowed */
	struct column columns[WANTED_MAX];
	uint32_t count;
};

/* Its number. -1: there is no such column in the schema; -2: there is no room for one more. */
int32_t wanted_column(struct wanted *wanted, const char *name);

/* The rows at hand. */
struct columns {
	void *arg;
	uint32_t rows;
	uint64_t number; /* rows with a higher one come behind these, whoever looks at them first */
	/* A wanted column of these rows, of its kind's type (column_parquet_type) and without NULLs where it
	 * has none; it is read when it is asked for first, and stays until the next rows. NULL: it cannot be
	 * read, the question ends. */
	const struct vector *(*get)(void *arg, uint32_t column);
	/* What is known of it without reading. `nulls` equals `rows` when it is not there at all. */
	void (*bounds)(void *arg, uint32_t column, struct parquet_bounds *out);
	/* Values among which are all that the rows have, as rows of their own, until the column is asked for.
	 * NULL: not to be had for less than the column. */
	const struct vector *(*entries)(void *arg, uint32_t column);
};
