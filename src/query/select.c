#include "query/select.h"

#include "query/group.h"

enum { FIRST_RECORDS = 1 << 20, TIMES_MORE = 8 };

/* `statement` over the records of the store, or of a part of it. */
static enum status run(struct engine *engine, const struct store *store, const struct store_newest *part,
		       const struct sql *statement, duckdb_result *out, struct error *err)
{
	struct sql sql;
	enum status s;

	sql_init(&sql);
	store_flows_of(store, part, &sql, statement->text ? statement->text : "");
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
		s = run(engine, store, NULL, &sql, &rows, err);
	sql_fini(&sql);
	if (s != OK)
		return s;
	s = groups_collect(&groups, &rows, stop, err);
	duckdb_destroy_result(&rows);
	return s == OK ? groups_register(groups, engine->connection, "groups", err) : s;
}

static enum status count_newest(struct engine *engine, const struct store *store, const struct ask *ask,
				const struct store_newest *part, uint64_t *count, struct error *err)
{
	duckdb_data_chunk chunk = NULL;
	duckdb_result result;
	struct sql sql;
	enum status s;

	sql_init(&sql);
	*count = 0;
	s = ask_newest_sql(ask, store_columns(store), part->behind_ms, &sql) == OK
		    ? run(engine, store, part, &sql, &result, err)
		    : error_set(err, ERR_MEMORY, "no memory");
	sql_fini(&sql);
	if (s != OK)
		return s;
	if ((chunk = duckdb_fetch_chunk(result)) && duckdb_data_chunk_get_size(chunk))
		*count = ((uint64_t *)duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0)))[0];
	duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return OK;
}

/* The newest records are in the newest partitions, if these have as many as are asked for that are newer than
 * all others. What is rare is looked for in vain; that costs a small part of looking everywhere. */
static enum status find_newest(struct engine *engine, const struct store *store, const struct ask *ask,
			       struct store_newest *part, bool *is_part, struct error *err)
{
	const uint64_t asked = ask_newest(ask);
	enum status s = OK;

	for (uint64_t records = FIRST_RECORDS; asked && s == OK && !*is_part; records *= TIMES_MORE) {
		uint64_t count;

		if (!store_newest(store, records, part))
			return OK;
		s = count_newest(engine, store, ask, part, &count, err);
		*is_part = s == OK && count >= asked;
	}
	return s;
}

enum status select_ask(struct engine *engine, const struct store *store, const struct ask *ask,
		       const atomic_bool *stop, duckdb_result *out, struct ask_column *columns,
		       uint32_t *column_count, struct error *err)
{
	const struct schema *schema = store_columns(store);
	enum status s = ask->grouped ? sum_up(engine, store, ask, stop, err) : ERR_UNSUPPORTED;
	struct store_newest part;
	bool is_part = false;
	struct sql sql;

	if (s == ERR_UNSUPPORTED && !ask->grouped) {
		const enum status found = find_newest(engine, store, ask, &part, &is_part, err);

		if (found != OK)
			return found;
	}
	if (s != OK && s != ERR_UNSUPPORTED && s != ERR_LIMIT)
		return s;
	sql_init(&sql);
	if ((s == OK ? ask_groups_sql(ask, schema, "groups", &sql, columns, column_count)
		     : ask_sql(ask, schema, &sql, columns, column_count)) != OK) {
		sql_fini(&sql);
		return error_set(err, ERR_MEMORY, "no memory");
	}
	s = s == OK ? engine_select(engine, sql.text, out, err)
		    : run(engine, store, is_part ? &part : NULL, &sql, out, err);
	sql_fini(&sql);
	return s;
}
