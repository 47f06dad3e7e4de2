/* engine.h: DuckDB over one store, for questions alone. */
#pragma once

#include <duckdb.h>
#include <stdbool.h>

#include "base/error.h"
#include "store/column.h"

struct engine {
	duckdb_database database;
	duckdb_connection connection;
};

/* Load DuckDB's library where the program was linked without: most questions need none, and it costs more
 * than they do. Before anything else of DuckDB's is called. ERR_SYSTEM. */
MUST_CHECK enum status engine_load(struct error *err);

/* In memory, one thread, no files but those under `folder`, no temporary files, no extensions. ERR_SYSTEM. */
MUST_CHECK enum status engine_open(struct engine *out, const char *folder, struct error *err);

/* After the views are there: threads for `many` records, then no setting can be changed any more.
 * `any_order`: rows that no ORDER BY sorts may come in any order, which lets threads work without waiting for
 * each other. */
MUST_CHECK enum status engine_settle(struct engine *engine, bool many, bool any_order, struct error *err);

/* Names of a view's columns. */
MUST_CHECK enum status engine_columns(struct engine *engine, const char *view, struct schema *out,
				      struct error *err);

/* Run one statement, which must be a SELECT: all else is refused before it runs. Rows come as they are found.
 * Columns of types that cell_read does not take come as text. ERR_USAGE, ERR_SYSTEM; on OK the caller
 * destroys the result. */
MUST_CHECK enum status engine_select(struct engine *engine, const char *sql, duckdb_result *out,
				     struct error *err);

/* DuckDB's text as ours, one line. ERR_SYSTEM. */
enum status engine_error(struct error *err, const char *text);
