/* A pass by a statement of DuckDB's: what the columns alone do not answer. */
#include "query/conveyor.h"
#include "query/pass.h"

static void put_column(struct sql *sql, const struct pass_column *c)
{
	if (!c->needed)
		sql_put(sql, "NULL::TINYINT"); /* it keeps its place */
	else if (c->type == DUCKDB_TYPE_INVALID)
		sql_put(sql, c->sql);
	else
		sql_format(sql, "CAST(%s AS %s)", c->sql,
			   c->type == DUCKDB_TYPE_UBIGINT ? "UBIGINT" : "TIMESTAMP");
}

static enum status open_records(struct pass *p, duckdb_result *out, struct error *err)
{
	struct sql body, sql;
	enum status s;

	sql_init(&body);
	sql_init(&sql);
	sql_put(&body, "SELECT ");
	for (unsigned i = 0; i < p->column_count; i++) {
		put_column(&body, &p->columns[i]);
		sql_format(&body, " AS c%u, ", i);
	}
	word_sql(&body,
		 "CAST({octetDeltaCount} AS UBIGINT), CAST({packetDeltaCount} AS UBIGINT), {denied} FROM "
		 "flows",
		 p->schema);
	ask_where(&p->window, p->schema, &body);
	if (!body.failed) {
		store_flows(p->store, &sql, body.text);
		sql_put(&sql, body.text);
	}
	s = body.failed || sql.failed ? error_set(err, ERR_MEMORY, "no memory")
				      : engine_select(p->engine, sql.text, out, err);
	sql_fini(&sql);
	sql_fini(&body);
	return s;
}

struct statement {
	struct pass *pass;
	pass_take *take;
};

static struct groups_values values_of(duckdb_data_chunk chunk, idx_t column)
{
	duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);

	return (struct groups_values){duckdb_vector_get_data(vector), duckdb_vector_get_validity(vector)};
}

static enum status take_chunk(void *arg, duckdb_data_chunk chunk)
{
	const struct statement *s = arg;
	const unsigned columns = s->pass->column_count;
	struct pass_rows rows = {.count = (uint32_t)duckdb_data_chunk_get_size(chunk),
				 .octets = values_of(chunk, columns),
				 .packets = values_of(chunk, columns + 1),
				 .denied = values_of(chunk, columns + 2)};

	for (unsigned i = 0; i < columns; i++)
		rows.columns[i] = values_of(chunk, i);
	s->take(s->pass, &rows);
	return OK;
}

enum status pass_statement(struct pass *p, pass_take *to, bool first, struct error *err)
{
	duckdb_type types[PASS_COLUMNS];
	duckdb_result result;
	enum status s = duckdb_vector_size() > GROUPS_STEP
				? error_set(err, ERR_SYSTEM, "query engine: DuckDB's chunks are too large")
				: open_records(p, &result, err);

	if (s != OK)
		return s;
	for (unsigned i = 0; i < p->column_count; i++)
		types[i] = duckdb_column_type(&result, i);
	if (first)
		pass_open(p, types);
	s = conveyor_run(&result, take_chunk, &(struct statement){p, to}, NULL, err);
	duckdb_destroy_result(&result);
	return s;
}
