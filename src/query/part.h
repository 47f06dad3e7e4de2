/* part.h: the parts of an answer (parts.h). A part says what it wants summed up, then one reading serves all
 * of them, then each is written. */
#pragma once

#include "query/cube.h"
#include "query/parts.h"

struct part {
	struct reply *reply;
	char name[32]; /* in front of its words; "" for the only one */
	const struct part_type *type;
	struct ask ask;
	struct chart chart;
	int at; /* its tally, cube or edge in reply->pass; -1: DuckDB does it */
	const char **which;
	struct filter_error *wrong;
	struct error *err;
};

struct part_type {
	const char *name;
	bool views;                          /* asks the views of the store */
	enum status (*want)(struct part *p); /* NULL: nothing is summed up */
	enum status (*put)(struct part *p);
};

extern const struct part_type part_cube, part_top, part_complete, part_list, part_raw, part_counters,
	part_rules;

/* What its words say. part_keys: ERR_USAGE with *p->which, *p->wrong. */
void part_ask(const struct part *p, struct ask *out);
MUST_CHECK enum status part_keys(const struct part *p, const char *word, const char *usual, uint32_t most,
				 struct ask *ask);
int64_t part_number(const struct part *p, const char *name, int64_t usual, int64_t least, int64_t most);

/* Pieces of JSON: "columns":[[name, format], …], and {"limit":…,"columns":…,"rows":…,"count":…}, of a result
 * which is destroyed. */
const char *part_format(uint8_t format);
MUST_CHECK enum status part_rows(const struct part *p, duckdb_result *result,
				 const struct ask_column *columns, uint32_t count);

/* What stands around the rows. */
void part_rows_begin(const struct part *p, const struct ask_column *columns, uint32_t count);
void part_rows_end(const struct part *p, uint64_t rows);
