#include "store/duck.h"

#include <stdlib.h>
#include <string.h>

#include "store/sql.h"

static enum status refused(struct error *err, const char *what, const char *text)
{
	const size_t line = text ? strcspn(text, "\n") : 0;

	return error_set(err, ERR_SYSTEM, "%s: DuckDB: %.*s", what, (int)(line < 400 ? line : 400),
			 text ? text : "no reason given");
}

enum status duck_ask(duckdb_connection connection, const char *sql, duckdb_result *out, const char *what,
		     struct error *err)
{
	if (duckdb_query(connection, sql, out) == DuckDBSuccess)
		return OK;

	const enum status s = refused(err, what, duckdb_result_error(out));
	duckdb_destroy_result(out);
	return s;
}

enum status duck_stream(duckdb_connection connection, const char *sql, duckdb_result *out, const char *what,
			struct error *err)
{
	duckdb_prepared_statement statement = NULL;
	duckdb_pending_result pending = NULL;
	enum status s = OK;

	if (duckdb_prepare(connection, sql, &statement) != DuckDBSuccess) {
		s = refused(err, what, duckdb_prepare_error(statement));
	} else if (duckdb_pending_prepared_streaming(statement, &pending) != DuckDBSuccess) {
		s = refused(err, what, duckdb_pending_error(pending));
	} else if (duckdb_execute_pending(pending, out) != DuckDBSuccess) {
		s = refused(err, what, duckdb_result_error(out));
		duckdb_destroy_result(out);
	}
	duckdb_destroy_pending(&pending);
	duckdb_destroy_prepare(&statement);
	return s;
}

enum status duck_ended(duckdb_result *result, const char *what, struct error *err)
{
	const char *text = duckdb_result_error(result);

	return text ? refused(err, what, text) : OK;
}

enum status duck_run(duckdb_connection connection, const char *sql, const char *what, struct error *err)
{
	duckdb_result result;
	const enum status s = duck_ask(connection, sql, &result, what, err);

	if (s == OK)
		duckdb_destroy_result(&result);
	return s;
}

/* Nothing outside the folder, no extensions, nothing remembered: in this order, the last word locks. */
static enum status confine(duckdb_connection connection, const char *folder, struct error *err)
{
	struct sql sql;
	enum status s = ERR_MEMORY;

	sql_init(&sql);
	sql_put(&sql, "SET temp_directory=''; SET allowed_directories=[");
	sql_text(&sql, folder);
	sql_put(&sql, "]; SET enable_external_access=false; SET preserve_insertion_order=false;"
		      "SET enable_progress_bar=false; SET lock_configuration=true");
	if (!sql.failed)
		s = duck_run(connection, sql.text, "store engine", err);
	sql_fini(&sql);
	return s;
}

enum status duck_open(struct duck *out, const char *folder, struct error *err)
{
	duckdb_config config = NULL;
	char *why = NULL;

	*out = (struct duck){0};
	if (duckdb_create_config(&config) != DuckDBSuccess ||
	    duckdb_set_config(config, "threads", "1") != DuckDBSuccess) {
		duckdb_destroy_config(&config);
		return error_set(err, ERR_SYSTEM, "store engine: DuckDB takes no configuration");
	}

	const duckdb_state opened = duckdb_open_ext(NULL, &out->database, config, &why);
	duckdb_destroy_config(&config);
	if (opened != DuckDBSuccess) {
		(void)error_set(err, ERR_SYSTEM, "store engine: DuckDB: %s", why ? why : "does not open");
		duckdb_free(why);
		return ERR_SYSTEM;
	}
	if (duckdb_connect(out->database, &out->connection) != DuckDBSuccess) {
		duck_close(out);
		return error_set(err, ERR_SYSTEM, "store engine: DuckDB gives no connection");
	}

	const enum status s = confine(out->connection, folder, err);
	if (s != OK)
		duck_close(out);
	return s;
}

void duck_close(struct duck *duck)
{
	duckdb_disconnect(&duck->connection);
	duckdb_close(&duck->database);
	*duck = (struct duck){0};
}
