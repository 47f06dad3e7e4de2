#include "query/chart.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/duck.h"

int64_t chart_step(int64_t from_ms, int64_t to_ms, int64_t most)
{
	static const int64_t steps_s[] = {1,   2,    5,    10,   15,    30,    60,    120,   300,    600,
					  900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800};
	const int64_t span = to_ms - from_ms;

	for (size_t i = 0; i < sizeof steps_s / sizeof steps_s[0]; i++)
		if (span / (steps_s[i] * 1000) <= most)
			return steps_s[i] * 1000;
	return (span / most / 86400000 + 1) * 86400000;
}

static bool is_pair(const struct ask_key *k)
{
	return ask_key_format(k) == CELL_ADDRESS;
}

static const char *measure(const struct ask *ask)
{
	return ask->order == ORDER_PACKETS ? "s_packets" : ask->order == ORDER_FLOWS ? "s_flows" : "s_octets";
}

static void sums(struct sql *sql, const struct schema *schema)
{
	word_sql(sql,
		 "coalesce(sum({octetDeltaCount}), 0) AS s_octets, coalesce(sum({packetDeltaCount}), 0) AS "
		 "s_packets, count(*) AS s_flows, count(*) FILTER (WHERE {denied}) AS s_denied",
		 schema);
}

/* The statement `body` over the records of the store, behind what `out` has. */
static void over_records(struct sql *out, const struct store *store, struct sql *body)
{
	store_flows(store, out, body->text ? body->text : "");
	sql_put(out, body->text ? body->text : "");
	out->failed |= body->failed;
	sql_fini(body);
}

enum status chart_rank(struct engine *e, const struct store *store, const struct chart *c, unsigned i,
		       struct error *err)
{
	const struct schema *schema = store_columns(store);
	const struct ask_key *k = &c->ask.keys[i];
	enum status s = ERR_MEMORY;
	struct sql sql, all;

	sql_init(&all);
	sql_init(&sql);
	sql_put(&sql, "SELECT row_number() OVER () - 1 AS i, * FROM (SELECT ");
	ask_key_sql(&sql, k, 0, schema);
	sql_put(&sql, " AS k, ");
	if (is_pair(k))
		ask_key_sql(&sql, k, 1, schema);
	else
		sql_put(&sql, "NULL");
	sql_put(&sql, " AS w, ");
	sums(&sql, schema);
	sql_put(&sql, " FROM flows");
	ask_where(&c->ask, schema, &sql);
	sql_format(&sql, " GROUP BY k, w ORDER BY %s DESC, k, w LIMIT %" PRId64 ")", measure(&c->ask),
		   c->values);
	sql_format(&all, "CREATE OR REPLACE TEMP TABLE rank_%u AS ", i);
	over_records(&all, store, &sql);
	if (!all.failed)
		s = duck_run(e->connection, all.text, "largest values", err);
	sql_fini(&all);
	return s;
}

static const struct ask_column sum_columns[] = {
	{"octets", CELL_OCTETS}, {"packets", CELL_COUNT}, {"flows", CELL_COUNT}, {"denied", CELL_COUNT}};

enum status chart_values(struct engine *e, const struct chart *c, unsigned i, struct ask_column *columns,
			 duckdb_result *out, struct error *err)
{
	const struct ask_key *k = &c->ask.keys[i];
	char sql[160];

	snprintf(columns[0].name, sizeof columns[0].name, "%s", k->name);
	columns[0].format = (uint8_t)ask_key_format(k);
	memcpy(columns + 1, sum_columns, sizeof sum_columns);
	snprintf(sql, sizeof sql,
		 "SELECT k%s, s_octets, s_packets, s_flows, s_denied FROM rank_%u ORDER BY i",
		 is_pair(k) ? ", w" : "", i);
	return engine_select(e, sql, out, err);
}

static void join(struct sql *sql, const struct chart *c, unsigned i, const struct schema *schema)
{
	const struct ask_key *k = &c->ask.keys[i];

	sql_format(sql, " LEFT JOIN rank_%u r%u ON (", i, i);
	ask_key_sql(sql, k, 0, schema);
	sql_format(sql, ") IS NOT DISTINCT FROM r%u.k", i);
	if (is_pair(k)) {
		sql_put(sql, " AND (");
		ask_key_sql(sql, k, 1, schema);
		sql_format(sql, ") IS NOT DISTINCT FROM r%u.w", i);
	}
}

enum status chart_cells(struct engine *e, const struct store *store, const struct chart *c,
			struct ask_column *columns, uint32_t *count, duckdb_result *out, struct error *err)
{
	const struct schema *schema = store_columns(store);
	enum status s = ERR_MEMORY;
	struct sql sql, all;

	*count = 0;
	sql_init(&all);
	sql_init(&sql);
	sql_put(&sql, "SELECT ");
	if (c->step_ms) {
		columns[(*count)++] = (struct ask_column){"time", CELL_PLAIN};
		word_sql(&sql, "(greatest(epoch_ms(coalesce({flowStart}, {receiveTime})), ", schema);
		sql_format(&sql, "%" PRId64 ") // %" PRId64 ") * %" PRId64 " AS t, ", c->ask.from_ms,
			   c->step_ms, c->step_ms);
	}
	for (unsigned i = 0; i < c->ask.key_count; i++) {
		struct ask_column *column = &columns[(*count)++];

		snprintf(column->name, sizeof column->name, "%s", c->ask.keys[i].name);
		column->format = CELL_PLAIN;
		sql_format(&sql, "r%u.i AS i%u, ", i, i);
	}
	memcpy(columns + *count, sum_columns, sizeof sum_columns);
	*count += 4;
	sums(&sql, schema);
	sql_put(&sql, " FROM flows");
	for (unsigned i = 0; i < c->ask.key_count; i++)
		join(&sql, c, i, schema);
	ask_where(&c->ask, schema, &sql);
	sql_put(&sql, " GROUP BY ALL ORDER BY ALL");
	over_records(&all, store, &sql);
	if (!all.failed)
		s = engine_select(e, all.text, out, err);
	sql_fini(&all);
	return s;
}
