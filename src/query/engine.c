#include "query/engine.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "query/cell.h"
#include "store/duck.h"
#include "store/sql.h"

enum { THREADS_MAX = 8 };

enum status engine_error(struct error *err, const char *text)
{
	char line[400];
	size_t n = 0;

	for (; text && *text && n < sizeof line - 1; text++) {
		if (strncmp(text, "\n\nLINE", 6) == 0) /* it repeats the statement */
			break;
		line[n++] = isspace((unsigned char)*text) ? ' ' : *text;
	}
	while (n && line[n - 1] == ' ')
		n--;
	return error_set(err, ERR_SYSTEM, "%.*s", (int)n, line);
}

/* DuckDB finds its own symbols first, many thousands; sanitizers have to stand in front of all others. */
#ifdef WEIR_SANITIZED
enum { HOW = RTLD_LAZY | RTLD_GLOBAL };
#else
enum { HOW = RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND };
#endif

enum status engine_load(struct error *err)
{
	if (dlopen("libduckdb.so", HOW))
		return OK;
	return error_set(err, ERR_SYSTEM, "query engine: %s", dlerror());
}

/* In this order: the folder for temporary files cannot be set behind the third, and the last comes in
 * engine_settle. */
static enum status confine(struct engine *e, const char *folder, struct error *err)
{
	struct sql sql;
	enum status s = ERR_MEMORY;

	sql_init(&sql);
	sql_put(&sql, "SET temp_directory=''; SET allowed_directories=[");
	sql_text(&sql, folder);
	sql_put(&sql, "]; SET enable_external_access=false; SET enable_progress_bar=false; SET "
		      "parquet_metadata_cache=true");
	if (!sql.failed)
		s = duck_run(e->connection, sql.text, "query engine", err);
	sql_fini(&sql);
	return s;
}

/* Both are given, so DuckDB does not go and look for cgroups, which the sandbox refuses. */
static bool configure(duckdb_config config)
{
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	const unsigned long long octets =
		pages > 0 && page > 0 ? (unsigned long long)pages * (unsigned long long)page : 1ull << 31;
	char half[32];

	snprintf(half, sizeof half, "%lluMB", octets / 2000000);
	return duckdb_set_config(config, "threads", "1") == DuckDBSuccess &&
	       duckdb_set_config(config, "memory_limit", half) == DuckDBSuccess;
}

enum status engine_open(struct engine *e, const char *folder, struct error *err)
{
	duckdb_config config = NULL;
	char *why = NULL;

	*e = (struct engine){0};
	if (duckdb_create_config(&config) != DuckDBSuccess || !configure(config)) {
		duckdb_destroy_config(&config);
		return error_set(err, ERR_SYSTEM, "query engine: DuckDB takes no configuration");
	}
	const duckdb_state opened = duckdb_open_ext(NULL, &e->database, config, &why);
	duckdb_destroy_config(&config);
	if (opened != DuckDBSuccess) {
		(void)error_set(err, ERR_SYSTEM, "query engine: DuckDB: %s", why ? why : "does not open");
		duckdb_free(why);
		return ERR_SYSTEM;
	}
	if (duckdb_connect(e->database, &e->connection) != DuckDBSuccess)
		return error_set(err, ERR_SYSTEM, "query engine: DuckDB gives no connection");
	return confine(e, folder, err);
}

enum status engine_settle(struct engine *e, bool many, bool any_order, struct error *err)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);
	char sql[160], threads[32] = "";

	if (many && cores > 1)
		snprintf(threads, sizeof threads, "SET threads=%ld; ",
			 cores < THREADS_MAX ? cores : THREADS_MAX);
	snprintf(sql, sizeof sql, "%s%sSET lock_configuration=true", threads,
		 any_order ? "SET preserve_insertion_order=false; " : "");
	return duck_run(e->connection, sql, "query engine", err);
}

/* One statement of our own or of the user, prepared; refused when it is not one SELECT. */
static enum status prepare(struct engine *e, const char *sql, duckdb_prepared_statement *out,
			   struct error *err)
{
	duckdb_extracted_statements statements = NULL;
	const idx_t count = duckdb_extract_statements(e->connection, sql, &statements);
	enum status s = OK;

	*out = NULL;
	if (count == 0) {
		const char *why = duckdb_extract_statements_error(statements);

		s = why ? engine_error(err, why)
			: error_set(err, ERR_USAGE, "no statement seen; one SELECT is allowed");
	} else if (count > 1)
		s = error_set(err, ERR_USAGE, "%llu statements seen; one SELECT is allowed",
			      (unsigned long long)count);
	else if (duckdb_prepare_extracted_statement(e->connection, statements, 0, out) != DuckDBSuccess)
		s = engine_error(err, duckdb_prepare_error(*out));
	else if (duckdb_prepared_statement_type(*out) != DUCKDB_STATEMENT_TYPE_SELECT)
		s = error_set(err, ERR_USAGE, "a statement that is not a SELECT seen; one SELECT is allowed");
	duckdb_destroy_extracted(&statements);
	if (s != OK)
		duckdb_destroy_prepare(out);
	return s;
}

enum status engine_columns(struct engine *e, const char *view, struct schema *out, struct error *err)
{
	char sql[64];
	duckdb_prepared_statement statement;
	enum status s;

	snprintf(sql, sizeof sql, "SELECT * FROM %s", view);
	s = prepare(e, sql, &statement, err);
	if (s != OK)
		return s;
	const idx_t count = duckdb_prepared_statement_column_count(statement);
	for (idx_t i = 0; i < count; i++) {
		const char *name = duckdb_prepared_statement_column_name(statement, i);

		if (name)
			(void)schema_add(out, name, COLUMN_BLOB, UINT32_MAX); /* the view has the types */
		duckdb_free((void *)(uintptr_t)name);
	}
	duckdb_destroy_prepare(&statement);
	return OK;
}

/* The statement around `length` octets of the user's that casts what cell_read does not take. NULL: no
 * memory. */
static char *casting(duckdb_prepared_statement statement, const char *user, size_t length)
{
	const idx_t count = duckdb_prepared_statement_column_count(statement);
	char *inner = strndup(user, length);
	struct sql sql;

	sql_init(&sql);
	sql_put(&sql, "SELECT ");
	for (idx_t i = 0; i < count; i++) {
		const bool readable = cell_readable(duckdb_prepared_statement_column_type(statement, i));
		const char *name = duckdb_prepared_statement_column_name(statement, i);

		sql_format(&sql, "%s#%llu%s AS ", i ? ", " : "", (unsigned long long)i + 1,
			   readable ? "" : "::VARCHAR");
		sql_name(&sql, name ? name : "");
		duckdb_free((void *)(uintptr_t)name);
	}
	sql_put(&sql, " FROM (");
	sql_put(&sql, inner ? inner : "");
	sql_put(&sql, "\n)"); /* behind a comment too */
	if (inner && !sql.failed) {
		free(inner);
		return sql.text;
	}
	free(inner);
	sql_fini(&sql);
	return NULL;
}

static bool all_readable(duckdb_prepared_statement statement)
{
	const idx_t count = duckdb_prepared_statement_column_count(statement);

	for (idx_t i = 0; i < count; i++)
		if (!cell_readable(duckdb_prepared_statement_column_type(statement, i)))
			return false;
	return true;
}

/* Put the casts around a statement that needs them. Where it ends only DuckDB knows: at its end, or at one of
 * its last semicolons, which may as well stand in a comment. */
static enum status cast_columns(struct engine *e, const char *sql, duckdb_prepared_statement *statement,
				struct error *err)
{
	enum { TRIES = 8 };
	size_t length = strlen(sql);
	enum status s = OK;

	if (all_readable(*statement))
		return OK;
	for (unsigned i = 0; i < TRIES; i++) {
		duckdb_prepared_statement wrapped = NULL;
		char *text = casting(*statement, sql, length);

		s = text ? prepare(e, text, &wrapped, err) : error_set(err, ERR_MEMORY, "no memory");
		free(text);
		if (s == OK) {
			duckdb_destroy_prepare(statement);
			*statement = wrapped;
			return OK;
		}
		while (length && sql[length - 1] != ';')
			length--;
		if (length == 0)
			break;
		length--;
	}
	return s;
}

enum status engine_select(struct engine *e, const char *sql, duckdb_result *out, struct error *err)
{
	duckdb_prepared_statement statement;
	duckdb_pending_result pending = NULL;
	enum status s = prepare(e, sql, &statement, err);

	if (s != OK)
		return s;
	s = cast_columns(e, sql, &statement, err);
	if (s != OK) {
		duckdb_destroy_prepare(&statement);
		return s;
	}
	if (duckdb_nparams(statement) != 0)
		s = error_set(err, ERR_USAGE, "a parameter seen; there is nothing to fill in");
	else if (duckdb_pending_prepared_streaming(statement, &pending) != DuckDBSuccess)
		s = engine_error(err, duckdb_pending_error(pending));
	else if (duckdb_execute_pending(pending, out) != DuckDBSuccess) {
		s = engine_error(err, duckdb_result_error(out));
		duckdb_destroy_result(out);
	}
	duckdb_destroy_pending(&pending);
	duckdb_destroy_prepare(&statement);
	return s;
}
