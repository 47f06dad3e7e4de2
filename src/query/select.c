#include "query/select.h"

#include "query/group.h"

/* `statement` over the records of the store. */
static enum status run(struct engine *engine, const struct store *store, const struct sql *statement,
		       duckdb_result *out, struct error *err)
{
	struct sql sql;
	enum status s;

	sql_init(&sql);
	store_flows(store, &sql, statement->text ? statement->text : "");
	sql_put(&sql, statement->text ? statement->text : "");
	s = sql.failed ? error_set(err, ERR_MEMORY, "no memory") : engine_select(engine, sql.text, out, err);
	sql_fini(&sql);
	return s;
}

/* ERR_UNSUPPORTED, ERR_LIMIT: not this way. */
static enum status sum_up(struct engine *engine, const struct store *store, const struct ask *ask,
			  const atomic_bool *stop, struct error *err)
{
	struct groups *groups;
	struct sql sql;
	duckdb_result rows;
	enum status s;

	sql_init(&sql);
	s = ask_rows_sql(ask, store_columns(store), &sql) == OK ? OK
								: error_set(err, ERR_MEMORY, "no memory");
	if (s == OK)
		s = run(engine, store, &sql, &rows, err);
	sql_fini(&sql);
	if (s != OK)
		return s;
	s = groups_collect(&groups, &rows, stop, err);
	duckdb_destroy_result(&rows);
	return s == OK ? groups_register(groups, engine->connection, "groups", err) : s;
}

enum status select_ask(struct engine *engine, const struct store *store, const struct ask *ask,
		       const atomic_bool *stop, duckdb_result *out, struct ask_column *columns,
		       uint32_t *column_count, struct error *err)
{
	const struct schema *schema = store_columns(store);
	enum status s = ask->grouped ? sum_up(engine, store, ask, stop, err) : ERR_UNSUPPORTED;
	struct sql sql;

	if (s != OK && s != ERR_UNSUPPORTED && s != ERR_LIMIT)
		return s;
	sql_init(&sql);
	if ((s == OK ? ask_groups_sql(ask, schema, "groups", &sql, columns, column_count)
		     : ask_sql(ask, schema, &sql, columns, column_count)) != OK) {
		sql_fini(&sql);
		return error_set(err, ERR_MEMORY, "no memory");
	}
	s = s == OK ? engine_select(engine, sql.text, out, err) : run(engine, store, &sql, out, err);
	sql_fini(&sql);
	return s;
}
