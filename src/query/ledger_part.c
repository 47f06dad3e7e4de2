/* The sums of an answer, and its ledger: seen = shown + filtered + lost, in records, with what is not counted
 * in records beside it. */
#include <inttypes.h>
#include <string.h>

#include "query/cell.h"
#include "query/coverage.h"
#include "query/parts.h"

struct sums {
	int128 octets, packets;
	uint64_t flows, denied, window;
};

static int128 big(const struct cell *c)
{
	return c->kind == CELL_BIG ? c->big : c->kind == CELL_NULL ? 0 : (int128)c->u;
}

/* One row of numbers. */
static enum status one_row(struct reply *r, const char *sql, struct cell *cells, unsigned count,
			   struct error *err)
{
	duckdb_result result;
	const enum status s = engine_select(&r->engine, sql, &result, err);
	duckdb_data_chunk chunk;

	if (s != OK)
		return s;
	memset(cells, 0, count * sizeof *cells);
	chunk = duckdb_fetch_chunk(result);
	if (chunk && duckdb_data_chunk_get_size(chunk) > 0)
		for (unsigned i = 0; i < count; i++)
			cells[i] = cell_read(duckdb_data_chunk_get_vector(chunk, i),
					     duckdb_column_type(&result, i), 0);
	if (chunk)
		duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return OK;
}

static enum status sum_up(struct reply *r, struct sums *out, struct error *err)
{
	const struct ask window = {.from_ms = r->scope.from_ms, .to_ms = r->scope.to_ms};
	struct cell cells[5];
	enum status s = ERR_MEMORY;
	struct sql sql;

	sql_init(&sql);
	word_sql(&sql,
		 "SELECT sum(o) FILTER (WHERE f), sum(p) FILTER (WHERE f), count(*) FILTER (WHERE f), "
		 "count(*) "
		 "FILTER (WHERE f AND d), count(*) FROM (SELECT {octetDeltaCount} AS o, {packetDeltaCount} "
		 "AS p, "
		 "{denied} AS d, ",
		 &r->schema);
	if (r->scope.filter)
		filter_sql(&sql, r->scope.filter, &r->schema);
	else
		sql_put(&sql, "true");
	sql_put(&sql, " AS f FROM flows");
	ask_where(&window, &r->schema, &sql);
	sql_put(&sql, ")");
	if (!sql.failed)
		s = one_row(r, sql.text, cells, 5, err);
	sql_fini(&sql);
	if (s == OK)
		*out = (struct sums){.octets = big(&cells[0]),
				     .packets = big(&cells[1]),
				     .flows = (uint64_t)big(&cells[2]),
				     .denied = (uint64_t)big(&cells[3]),
				     .window = (uint64_t)big(&cells[4])};
	return s;
}

static void put_big(struct reply *r, const char *name, int128 n, bool first)
{
	const struct cell c = {.kind = CELL_BIG, .big = n};

	reply_name(r, name, first);
	cell_print(&r->text, &c);
}

/* What an empty chart needs to say why. */
static enum status put_clock(struct reply *r, struct error *err)
{
	struct cell cells[3];
	char sql[400];
	const int64_t from = r->scope.from_ms, to = r->scope.to_ms;

	snprintf(sql, sizeof sql,
		 "SELECT count(*), coalesce(cast(median(epoch(receiveTime) - epoch(exportTime)) AS BIGINT), "
		 "0), "
		 "coalesce(max(epoch_ms(receiveTime)), 0) FROM flows WHERE receiveTime >= "
		 "make_timestamp(%" PRId64 ") AND receiveTime < make_timestamp(%" PRId64 ")",
		 from * 1000, to * 1000);
	const enum status s = one_row(r, sql, cells, 3, err);
	if (s != OK)
		return s;
	put_big(r, "received", big(&cells[0]), false);
	put_big(r, "skew_s", cells[1].kind == CELL_NULL ? 0 : cells[1].i, false);
	put_big(r, "received_last", big(&cells[2]), false);
	return OK;
}

static enum status put_heard(struct reply *r, struct error *err)
{
	const int64_t from = r->scope.from_ms * 1000, to = r->scope.to_ms * 1000;
	char sql[700];

	snprintf(sql, sizeof sql,
		 "SELECT exporterAddress, observationDomainId, kind, epoch_ms(fromTime), epoch_ms(toTime), "
		 "records FROM "
		 "gaps WHERE toTime >= make_timestamp(%" PRId64
		 ") AND CASE kind WHEN 'lost' THEN toTime ELSE fromTime END "
		 "< make_timestamp(%" PRId64
		 ") UNION ALL SELECT exporterAddress, observationDomainId, 'unheard', "
		 "epoch_ms(lastTime), %" PRId64
		 ", 0 FROM exporters WHERE patience > 0 AND lastTime + to_seconds(patience) "
		 "< make_timestamp(%" PRId64 ") AND lastTime < make_timestamp(%" PRId64
		 ") ORDER BY 4 LIMIT 2000",
		 from, to, r->scope.now_ms, r->scope.now_ms * 1000, to);
	const enum status s = reply_select(r, "gaps", sql, err);
	return s == OK ? reply_select(r, "exporters",
				      "SELECT exporterAddress, observationDomainId, epoch_ms(firstTime), "
				      "epoch_ms(lastTime), patience FROM exporters ORDER BY 1, 2 LIMIT 500",
				      err)
		       : s;
}

static enum status lost_in_window(struct reply *r, uint64_t *out, struct error *err)
{
	char sql[300];
	struct cell cell;

	snprintf(sql, sizeof sql,
		 "SELECT sum(records) FROM gaps WHERE kind = 'lost' AND toTime >= make_timestamp(%" PRId64
		 ") AND toTime < make_timestamp(%" PRId64 ")",
		 r->scope.from_ms * 1000, r->scope.to_ms * 1000);
	const enum status s = one_row(r, sql, &cell, 1, err);
	if (s == OK)
		*out = (uint64_t)big(&cell);
	return s;
}

enum status reply_ledger(struct reply *r, struct error *err)
{
	struct sums sums;
	uint64_t lost = 0;
	enum status s = sum_up(r, &sums, err);

	if (s == OK)
		s = lost_in_window(r, &lost, err);
	if (s != OK)
		return s;
	r->shown = sums.flows;
	reply_name(r, "totals", false);
	put_big(r, "octets", sums.octets, true);
	put_big(r, "packets", sums.packets, false);
	put_big(r, "flows", (int128)sums.flows, false);
	put_big(r, "denied", (int128)sums.denied, false);
	text_char(&r->text, '}');
	reply_name(r, "ledger", false);
	put_big(r, "seen", (int128)(sums.window + lost), true);
	reply_name(r, "terms", false);
	put_big(r, "shown", (int128)sums.flows, true);
	put_big(r, "filtered", (int128)(sums.window - sums.flows), false);
	put_big(r, "lost", (int128)lost, false);
	text_char(&r->text, '}');
	s = put_clock(r, err);
	if (s == OK)
		s = put_heard(r, err);
	if (s != OK)
		return s;
	reply_name(r, "coverage", false);
	coverage_json(&r->text, &r->coverage);
	reply_string(r, "damaged", store_quarantine_text(r->store));
	text_char(&r->text, '}');
	return OK;
}
