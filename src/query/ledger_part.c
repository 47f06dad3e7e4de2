/* The sums of an answer, and its ledger: seen = shown + filtered + lost, in records, with what is not counted
 * in records beside it. */
#include <inttypes.h>
#include <string.h>

#include "query/cell.h"
#include "query/coverage.h"
#include "query/part.h"

struct sums {
	int128 octets, packets;
	uint64_t flows, denied, window;
};

static int128 big(const struct cell *c)
{
	return c->kind == CELL_BIG ? c->big : c->kind == CELL_NULL ? 0 : (int128)c->u;
}

/* One row of numbers. */
static enum status one_row(struct reply *r, const struct sql *sql, bool records, struct cell *cells,
			   unsigned count, struct error *err)
{
	duckdb_result result;
	const enum status s = reply_run(r, sql, records, &result, err);
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

/* Of a reading that was made for the parts; what a filter leaves out is counted besides. */
static enum status sum_up(struct reply *r, struct sums *out, struct error *err)
{
	const struct groups_sums *t = &r->pass->totals;
	const struct ask window = {.from_ms = r->pass->window.from_ms, .to_ms = r->pass->window.to_ms};
	struct cell cell;
	struct sql sql;

	*out = (struct sums){.octets = (int128)t->octets[1] * ((int128)1 << 64) + t->octets[0],
			     .packets = (int128)t->packets[1] * ((int128)1 << 64) + t->packets[0],
			     .flows = t->flows,
			     .denied = t->denied,
			     .window = t->flows};
	if (!r->scope.filter)
		return OK;
	sql_init(&sql);
	sql_put(&sql, "SELECT count(*) FROM flows");
	ask_where(&window, r->schema, &sql);
	const enum status s = one_row(r, &sql, true, &cell, 1, err);
	sql_fini(&sql);
	out->window = (uint64_t)big(&cell);
	return s;
}

static void put_big(struct reply *r, const char *name, int128 n, bool first)
{
	const struct cell c = {.kind = CELL_BIG, .big = n};

	reply_name(r, name, first);
	cell_print(&r->text, &c);
}

/* What an empty chart needs to say why; zero where there are records. */
static enum status put_clock(struct reply *r, const struct sums *sums, struct error *err)
{
	struct cell cells[3] = {{0}};
	const int64_t from = r->scope.from_ms, to = r->scope.to_ms;
	enum status s = OK;
	struct sql sql;

	if (sums->window == 0) {
		sql_init(&sql);
		word_sql(&sql,
			 "SELECT count(*), coalesce(cast(median(epoch({receiveTime}) - epoch({exportTime})) "
			 "AS "
			 "BIGINT), 0), coalesce(max(epoch_ms({receiveTime})), 0) FROM flows WHERE "
			 "{receiveTime} ",
			 r->schema);
		sql_put(&sql, ">= ");
		sql_format(&sql, "make_timestamp(%" PRId64 ") AND ", from * 1000);
		word_sql(&sql, "{receiveTime} < ", r->schema);
		sql_format(&sql, "make_timestamp(%" PRId64 ")", to * 1000);
		s = one_row(r, &sql, true, cells, 3, err);
		sql_fini(&sql);
	}
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
	struct sql sql;

	sql_init(&sql);
	sql_format(&sql,
		   "SELECT exporterAddress, observationDomainId, kind, epoch_ms(fromTime), epoch_ms(toTime), "
		   "records FROM "
		   "gaps WHERE toTime >= make_timestamp(%" PRId64
		   ") AND CASE kind WHEN 'lost' THEN toTime ELSE fromTime END "
		   "< make_timestamp(%" PRId64 ")",
		   from, to);
	sql_format(&sql,
		   " UNION ALL SELECT exporterAddress, observationDomainId, 'unheard', "
		   "epoch_ms(lastTime), %" PRId64
		   ", 0 FROM exporters WHERE patience > 0 AND lastTime + to_seconds(patience) "
		   "< make_timestamp(%" PRId64 ") AND lastTime < make_timestamp(%" PRId64
		   ") ORDER BY 4 LIMIT 2000",
		   r->scope.now_ms, r->scope.now_ms * 1000, to);
	enum status s = reply_select(r, "gaps", &sql, false, err);
	sql_fini(&sql);
	sql_init(&sql);
	sql_put(&sql, "SELECT exporterAddress, observationDomainId, epoch_ms(firstTime), epoch_ms(lastTime), "
		      "patience FROM exporters ORDER BY 1, 2 LIMIT 500");
	if (s == OK)
		s = reply_select(r, "exporters", &sql, false, err);
	sql_fini(&sql);
	return s;
}

static enum status lost_in_window(struct reply *r, uint64_t *out, struct error *err)
{
	struct cell cell;
	struct sql sql;

	sql_init(&sql);
	sql_format(&sql,
		   "SELECT sum(records) FROM gaps WHERE kind = 'lost' AND toTime >= make_timestamp(%" PRId64
		   ") AND toTime < make_timestamp(%" PRId64 ")",
		   r->scope.from_ms * 1000, r->scope.to_ms * 1000);
	const enum status s = one_row(r, &sql, false, &cell, 1, err);
	sql_fini(&sql);
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
	s = put_clock(r, &sums, err);
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
