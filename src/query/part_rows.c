/* Parts that are rows: records, counters, rules. */
#include <inttypes.h>
#include <string.h>

#include "ie/value.h"
#include "query/part.h"
#include "query/plain.h"
#include "query/rules.h"

enum { LIST_MOST = 2000, LIST_DEEP = 1000000000 };

/* Lists of records: the reading that sums up finds the value at which the list ends. */

static enum status want_list(struct part *p)
{
	static const char usual[] =
		"start,duration,proto,src,srcport,dst,dstport,flags,dir,packets,octets,denied,denialRuleName,"
		"denialReason,exporter";

	part_ask(p, &p->ask);
	p->ask.limit = part_number(p, "limit", 100, 1, LIST_MOST);
	p->ask.offset = part_number(p, "offset", 0, 0, LIST_DEEP);
	p->ask.upwards = question_yes(p->reply->question, p->name, "up");
	const enum status s = part_keys(p, "columns", usual, ASK_KEYS_MAX, &p->ask);
	p->at = s == OK ? pass_edge(p->reply->pass, (enum ask_order)p->ask.order, p->ask.upwards,
				    p->ask.limit + p->ask.offset)
			: -1;
	return s;
}

/* Records at the edge or before it; of the times, those partitions that have such. */
static void over_records(const struct part *p, const struct sql *body, struct sql *out)
{
	const bool timed = p->ask.edged && p->ask.order != ORDER_OCTETS && p->ask.order != ORDER_PACKETS;
	const int64_t ms = p->ask.edge / 1000;

	store_flows_between(p->reply->store, out, body->text ? body->text : "",
			    timed && !p->ask.upwards ? ms : 0, timed && p->ask.upwards ? ms + 1 : 0);
	sql_put(out, body->text ? body->text : "");
	out->failed |= body->failed;
}

/* By a statement: what the columns alone do not answer. */
static enum status put_found(struct part *p, const struct sql *body, const struct ask_column *columns,
			     uint32_t count, uint64_t *rows)
{
	duckdb_result result;
	struct sql sql;
	enum status s;

	sql_init(&sql);
	over_records(p, body, &sql);
	s = sql.failed ? error_set(p->err, ERR_MEMORY, "no memory")
		       : engine_select(&p->reply->engine, sql.text, &result, p->err);
	sql_fini(&sql);
	return s == OK ? reply_put_rows(p->reply, &result, columns, count, rows, p->err) : s;
}

static enum status put_list(struct part *p)
{
	struct reply *r = p->reply;
	struct result_sink sink = {.type = &show_rows, .out = r->out};
	struct ask_column columns[ASK_COLUMNS_MAX];
	uint32_t count = 0;
	struct sql body;
	enum status s;

	p->ask.edged = pass_edge_at(r->pass, p->at, &p->ask.edge);
	sql_init(&body);
	s = ask_sql(&p->ask, r->schema, &body, columns, &count);
	if (s != OK) {
		sql_fini(&body);
		return error_set(p->err, s, "no memory");
	}
	part_rows_begin(p, columns, count);
	text_flush(&r->text);
	s = r->pass->by_database ? ERR_UNSUPPORTED
				 : plain_answer(r->store, &p->ask, r->pass->records, &sink, p->err);
	if (s == ERR_UNSUPPORTED || s == ERR_LIMIT)
		s = put_found(p, &body, columns, count, &sink.rows);
	part_rows_end(p, sink.rows);
	sql_fini(&body);
	return s;
}

/* Every column of the result, under its own name. Lets go of the result. */
static enum status put_whole(struct part *p, duckdb_result *result)
{
	struct reply *r = p->reply;
	const uint32_t count = (uint32_t)duckdb_column_count(result);

	text_string(&r->text, "{\"columns\":[");
	for (uint32_t i = 0; i < count; i++) {
		const char *name = duckdb_column_name(result, i);

		text_string(&r->text, i ? "," : "");
		value_print_string(&r->text, span_of(name ? name : "", strlen(name ? name : "")));
	}
	text_char(&r->text, ']');
	const enum status s = reply_rows(r, "rows", result, NULL, 0, p->err);

	text_char(&r->text, '}');
	return s;
}

/* Whole records, as objects of what is there. */
static enum status put_raw(struct part *p)
{
	struct reply *r = p->reply;
	struct ask ask;
	struct sql body, sql;
	duckdb_result result;
	enum status s = ERR_MEMORY;

	part_ask(p, &ask);
	sql_init(&body);
	sql_init(&sql);
	sql_put(&body, "SELECT ");
	for (uint32_t i = 0; i < r->schema->count; i++) {
		sql_put(&body, i ? ", " : "");
		sql_name(&body, r->schema->columns[i].name);
	}
	sql_put(&body, " FROM flows");
	ask_where(&ask, r->schema, &body);
	sql_format(&body, " LIMIT %" PRId64, part_number(p, "limit", 1, 1, 20));
	over_records(p, &body, &sql);
	sql_fini(&body);
	if (!sql.failed)
		s = engine_select(&r->engine, sql.text, &result, p->err);
	if (s == OK)
		s = put_whole(p, &result);
	sql_fini(&sql);
	return s;
}

static enum status put_counters(struct part *p)
{
	struct reply *r = p->reply;
	duckdb_result result;
	enum status s = engine_select(
		&r->engine,
		"SELECT exporterAddress, exporterPort, transport, sessionNumber, observationDomainId, "
		"counter, count FROM ledger ORDER BY ALL LIMIT 5000",
		&result, p->err);

	if (s != OK)
		return s;
	reply_name(r, "columns", true);
	text_string(&r->text,
		    "[\"exporter\",\"port\",\"transport\",\"session\",\"domain\",\"counter\",\"count\"]");
	s = reply_rows(r, "rows", &result, NULL, 0, p->err);
	text_char(&r->text, '}');
	return s;
}

/* Hits of rules that allow, where exporters tell of them. */
static enum status put_rules(struct part *p)
{
	struct reply *r = p->reply;
	enum status s;
	struct schema schema = {0};
	duckdb_result result;
	struct ask ask;
	struct sql sql;

	part_ask(p, &ask);
	sql_init(&sql);
	s = engine_columns(&r->engine, "options", &schema, p->err);
	if (s == OK && rules_sql(&ask, &schema, &sql) != OK)
		s = error_set(p->err, ERR_MEMORY, "no memory");
	if (s == OK)
		s = engine_select(&r->engine, sql.text, &result, p->err);
	if (s == OK)
		s = put_whole(p, &result);
	sql_fini(&sql);
	schema_fini(&schema);
	return s;
}

const struct part_type part_list = {.name = "list", .want = want_list, .put = put_list};
const struct part_type part_raw = {.name = "raw", .put = put_raw};
const struct part_type part_counters = {.name = "counters", .put = put_counters};
const struct part_type part_rules = {.name = "rules", .views = true, .put = put_rules};
