/* result.h: a result of DuckDB's to a show. */
#pragma once

#include <stdatomic.h>

#include "query/show.h"

struct result_sink {
	const struct show_type *type;
	FILE *out;
	unsigned width;                /* of the terminal; 0: as wide as it gets */
	const atomic_bool *stop;       /* NULL: never */
	const struct show_note *notes; /* ends with a row without a name; NULL: none */
	uint64_t rows;                 /* set: that were shown */
};

/* `asked`: the columns, `count` of them; NULL: as they come. `result` stays the caller's. */
MUST_CHECK enum status result_show(struct result_sink *sink, duckdb_result *result,
				   const struct ask_column *asked, uint32_t count, struct error *err);

/* Whether a column of that type stands on the right of a table: numbers do. */
bool result_is_right(duckdb_type type, enum cell_format format);

/* Rows that come from elsewhere: begin a zeroed `show`, give it rows, end it. ERR_SYSTEM, ERR_PERMISSION: not
 * all could be written. */
void result_begin(const struct result_sink *sink, struct show *show, const struct show_column *columns,
		  uint32_t count);
MUST_CHECK enum status result_end(struct result_sink *sink, struct show *show, struct error *err);
