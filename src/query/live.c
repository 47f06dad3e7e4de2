#include "query/live.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "ie/value.h"
#include "query/result.h"
#include "store/follow.h"

enum { TICK_MS = 2000, AFTER_FAULT_MS = 2000, FAULTS_MAX = 5 };

struct live {
	const struct scope *scope;
	struct engine *engine;
	FILE *out;
	struct ask ask;
	uint64_t records, matched;
};

static void pause_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};

	nanosleep(&t, NULL);
}

static void put_string(FILE *out, const char *s)
{
	char buffer[2048];
	struct text t = {.data = buffer, .capacity = sizeof buffer};

	value_print_string(&t, span_of(s, strlen(s)));
	fwrite(t.data, 1, t.used, out);
}

static enum status count_matches(struct live *l, const struct schema *schema, uint64_t *out,
				 struct error *err)
{
	struct sql sql;
	duckdb_result result;
	enum status s = ERR_MEMORY;

	sql_init(&sql);
	sql_put(&sql, "SELECT count(*) FROM flows");
	ask_where(&l->ask, schema, &sql);
	if (!sql.failed)
		s = engine_select(l->engine, sql.text, &result, err);
	sql_fini(&sql);
	if (s != OK)
		return s;
	duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
	*out = 0;
	if (chunk && duckdb_data_chunk_get_size(chunk))
		*out = cell_read(duckdb_data_chunk_get_vector(chunk, 0), duckdb_column_type(&result, 0), 0).u;
	if (chunk)
		duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return OK;
}

static void put_columns(FILE *out, const struct ask_column *columns, uint32_t count)
{
	fputs("\"columns\":[", out);
	for (uint32_t i = 0; i < count; i++) {
		fputs(i ? "," : "", out);
		put_string(out, columns[i].name);
	}
	fputs("],", out);
}

/* What of the new records matches. */
static enum status send_flows(struct live *l, struct error *err)
{
	struct ask_column columns[ASK_COLUMNS_MAX];
	struct result_sink sink = {.type = &show_rows, .out = l->out};
	struct schema schema = {0};
	duckdb_result result;
	struct sql sql;
	uint32_t count = 0;
	uint64_t matched = 0;

	sql_init(&sql);
	enum status s = engine_columns(l->engine, "flows", &schema, err);
	if (s == OK)
		s = count_matches(l, &schema, &matched, err);
	if (s == OK && matched) {
		s = ask_sql(&l->ask, &schema, &sql, columns, &count);
		if (s == OK)
			s = engine_select(l->engine, sql.text, &result, err);
		if (s == OK) {
			l->matched += matched;
			fprintf(l->out, "event: flows\nid: %" PRIu64 "\ndata: {", l->matched);
			put_columns(l->out, columns, count);
			fputs("\"rows\":[", l->out);
			s = result_show(&sink, &result, columns, count, err);
			duckdb_destroy_result(&result);
			fprintf(l->out, "],\"matched\":%" PRIu64 ",\"sent\":%" PRIu64 "}\n\n", matched,
				sink.rows);
		}
	}
	sql_fini(&sql);
	schema_fini(&schema);
	return s;
}

static void send_tick(struct live *l)
{
	fprintf(l->out,
		"event: tick\ndata: {\"now\":%" PRId64 ",\"records\":%" PRIu64 ",\"matched\":%" PRIu64
		"}\n\n",
		wall_ms(wall_now()), l->records, l->matched);
	fflush(l->out);
}

static enum status follow(struct live *l, struct follow *f, struct error *err)
{
	struct mono_ns told = {0};

	for (;;) {
		const struct mono_ns begin = mono_now();
		uint64_t records;
		enum status s = follow_next(f, &records, err);

		if (s == OK && records) {
			l->records += records;
			s = send_flows(l, err);
		}
		if (s != OK)
			return s;
		if (records || begin.ns - told.ns > TICK_MS * NS_PER_MS) {
			send_tick(l);
			told = begin;
		}
		const int64_t spent = (mono_now().ns - begin.ns) / NS_PER_MS;
		pause_ms(spent < LIVE_EVERY_MS ? LIVE_EVERY_MS - spent : 10);
	}
}

void live_run(const struct question *q, const struct scope *scope, const char *store, struct engine *engine,
	      FILE *out)
{
	static const char usual[] =
		"start,duration,proto,src,srcport,dst,dstport,flags,dir,packets,octets,denied,denialRuleName,"
		"denialReason,exporter";
	const char *columns = question_get(q, "", "columns");
	struct live l = {.scope = scope, .engine = engine, .out = out};
	struct filter_error wrong;

	l.ask = (struct ask){.filter = scope->filter, .limit = LIVE_ROWS};
	if (ask_keys(&l.ask, columns && *columns ? columns : usual, false, &wrong) != OK &&
	    ask_keys(&l.ask, usual, false, &wrong) != OK)
		return;
	for (unsigned faults = 0; faults < FAULTS_MAX; faults++) {
		struct follow *f = NULL;
		struct error err = {0};
		enum status s = follow_open(&f, store, engine->connection, &err);

		if (s == OK)
			s = follow(&l, f, &err);
		/* The loader stays as long as the database: the engine may still name its rows. */
		fputs("event: lost\ndata: {\"text\":", out);
		put_string(out, err.text);
		fputs("}\n\n", out);
		fflush(out);
		pause_ms(AFTER_FAULT_MS);
	}
}
