/* duck.h: DuckDB's C library, with errors as ours. */
#pragma once

#include <duckdb.h>

#include "base/error.h"

struct duck {
	duckdb_database database;
	duckdb_connection connection;
};

/* An engine in memory, one thread, that reads and writes files under `folder` and nowhere else. ERR_SYSTEM.
 */
MUST_CHECK enum status duck_open(struct duck *out, const char *folder, struct error *err);
void duck_close(struct duck *duck);

/* Run statements; the rows are thrown away. ERR_SYSTEM with DuckDB's text, its first line; `what` stands in
 * front. */
MUST_CHECK enum status duck_run(duckdb_connection connection, const char *sql, const char *what,
				struct error *err);

/* As duck_run, with the rows: duckdb_destroy_result is the caller's on OK. */
MUST_CHECK enum status duck_ask(duckdb_connection connection, const char *sql, duckdb_result *out,
				const char *what, struct error *err);

/* As duck_ask, with rows that are made as they are fetched. */
MUST_CHECK enum status duck_stream(duckdb_connection connection, const char *sql, duckdb_result *out,
				   const char *what, struct error *err);

/* A streamed result gives no more chunks: OK: those were all. ERR_SYSTEM: it broke off. */
MUST_CHECK enum status duck_ended(duckdb_result *result, const char *what, struct error *err);
