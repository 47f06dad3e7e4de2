#include "store/hearing_view.h"

#include "store/duck.h"

static duckdb_timestamp at(int64_t seconds)
{
	return (duckdb_timestamp){.micros = seconds * 1000000};
}

static bool put_who(duckdb_appender a, const struct voice *v)
{
	return duckdb_append_varchar(a, v->address) == DuckDBSuccess &&
	       duckdb_append_uint32(a, v->domain) == DuckDBSuccess;
}

static bool put_voice(duckdb_appender a, const struct hearing *h, uint32_t i)
{
	const struct voice *v = &h->voices[i];

	return put_who(a, v) && duckdb_append_timestamp(a, at(v->first_s)) == DuckDBSuccess &&
	       duckdb_append_timestamp(a, at(v->heard_s)) == DuckDBSuccess &&
	       duckdb_append_int64(a, voice_patience(v)) == DuckDBSuccess;
}

static bool put_gap(duckdb_appender a, const struct hearing *h, uint32_t i)
{
	const struct gap *g = &h->gaps[i];

	return put_who(a, &h->voices[g->voice]) &&
	       duckdb_append_varchar(a, gap_kind_names[g->kind]) == DuckDBSuccess &&
	       duckdb_append_timestamp(a, at(g->from_s)) == DuckDBSuccess &&
	       duckdb_append_timestamp(a, at(g->to_s)) == DuckDBSuccess &&
	       duckdb_append_uint64(a, g->records) == DuckDBSuccess;
}

static enum status fill(duckdb_connection connection, const char *table, const struct hearing *h,
			uint32_t count, bool (*put)(duckdb_appender, const struct hearing *, uint32_t),
			struct error *err)
{
	duckdb_appender a;
	bool good = true;

	if (duckdb_appender_create_ext(connection, "temp", "main", table, &a) != DuckDBSuccess)
		good = false;
	for (uint32_t i = 0; good && i < count; i++)
		good = put(a, h, i) && duckdb_appender_end_row(a) == DuckDBSuccess;
	good = duckdb_appender_destroy(&a) == DuckDBSuccess && good;
	return good ? OK : error_set(err, ERR_SYSTEM, "%s of the store: DuckDB takes no rows", table);
}

enum status hearing_view(const struct hearing *h, duckdb_connection connection, struct error *err)
{
	enum status s = duck_run(
		connection,
		"CREATE OR REPLACE TEMP TABLE heard_voices (exporterAddress VARCHAR, observationDomainId "
		"UINTEGER, firstTime TIMESTAMP, lastTime TIMESTAMP, patience BIGINT);"
		"CREATE OR REPLACE TEMP VIEW exporters AS SELECT * FROM heard_voices;"
		"CREATE OR REPLACE TEMP TABLE heard_gaps (exporterAddress VARCHAR, observationDomainId "
		"UINTEGER, kind VARCHAR, fromTime TIMESTAMP, toTime TIMESTAMP, records UBIGINT);"
		"CREATE OR REPLACE TEMP VIEW gaps AS SELECT * FROM heard_gaps",
		"gaps of the store", err);

	if (s == OK)
		s = fill(connection, "heard_voices", h, h->voice_count, put_voice, err);
	if (s == OK)
		s = fill(connection, "heard_gaps", h, h->gap_count, put_gap, err);
	return s;
}
