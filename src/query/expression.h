/* expression.h: the SQL of words.h and of the view's own columns (store/view.h), evaluated without a
 * database over columns in memory.
 *
 * It understands what those tables have and says ERR_UNSUPPORTED to all else, which DuckDB then answers. The
 * result is DuckDB's, value by value. */
#pragma once

#include "query/columns.h"

struct expression;

/* Parse; names stand in {} as in words.h, or in quotes. Columns are entered into `wanted`, those that the
 * schema has not are NULL. ERR_UNSUPPORTED, ERR_MEMORY. Caller owns *out; one can be used by one thread at a
 * time. */
MUST_CHECK enum status expression_new(struct expression **out, const char *sql, struct wanted *wanted);
MUST_CHECK enum status expression_column(struct expression **out, const char *name, struct wanted *wanted);
void expression_free(struct expression *expression);

/* Of which type its values are. Whole numbers that are computed are UNSIGNED64 or SIGNED64; times are TIME_US
 * as in the view (TIME_NS alone stays), also a bare column that counts milliseconds. NOTHING: no record can
 * have a value. */
enum parquet_type expression_type(const struct expression *expression);

/* No record can have a value. */
bool expression_is_null(const struct expression *expression);

/* Values of all rows (2^20 at most). *out lives until the expression's next evaluation, or the columns' next
 * rows. A bare column is handed through with its dictionary. False: no memory, or a column cannot be read. */
MUST_CHECK bool expression_run(struct expression *expression, const struct columns *columns,
			       struct vector *out);

/* Bounds of its values without reading: known for a column, for coalesce() of columns and epoch_ms() of
 * either. out->nulls is exact for a column; else it equals the rows when none can have a value, or says
 * nothing. */
void expression_bounds(const struct expression *expression, const struct columns *columns,
		       struct parquet_bounds *out);
