#include "query/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "ie/value.h"
#include "query/chart.h"
#include "query/result.h"
#include "query/rules.h"

enum { PARTS_MAX = 12, STEPS_MOST = 120, LIST_MOST = 2000, TOP_MOST = 1000, MANY_RECORDS = 1000000 };

/* Pieces. */

void reply_name(struct reply *r, const char *name, bool first)
{
	text_char(&r->text, first ? '{' : ',');
	value_print_string(&r->text, span_of(name, strlen(name)));
	text_char(&r->text, ':');
}

void reply_number(struct reply *r, const char *name, int64_t n)
{
	reply_name(r, name, false);
	text_signed(&r->text, n);
}

void reply_string(struct reply *r, const char *name, const char *text)
{
	reply_name(r, name, false);
	value_print_string(&r->text, span_of(text, strlen(text)));
}

enum status reply_rows(struct reply *r, const char *name, duckdb_result *result,
		       const struct ask_column *asked, uint32_t count, uint64_t *rows, struct error *err)
{
	struct result_sink sink = {.type = &show_rows, .out = r->out};

	reply_name(r, name, false);
	text_char(&r->text, '[');
	text_flush(&r->text);
	const enum status s = result_show(&sink, result, asked, count, err);
	text_char(&r->text, ']');
	if (rows)
		*rows = sink.rows;
	duckdb_destroy_result(result);
	return s;
}

enum status reply_select(struct reply *r, const char *name, const char *sql, struct error *err)
{
	duckdb_result result;
	const enum status s = engine_select(&r->engine, sql, &result, err);

	return s == OK ? reply_rows(r, name, &result, NULL, 0, NULL, err) : s;
}

static const char *format_name(uint8_t format)
{
	static const char *const names[] = {
		[CELL_PLAIN] = "plain",         [CELL_ADDRESS] = "address",   [CELL_IPV4] = "address",
		[CELL_IPV6] = "address",        [CELL_PROTOCOL] = "protocol", [CELL_FLAGS] = "flags",
		[CELL_DIRECTION] = "direction", [CELL_OCTETS] = "octets",     [CELL_COUNT] = "count",
		[CELL_DURATION] = "duration",   [CELL_TIME] = "time",         [CELL_YES] = "yes"};

	return format < sizeof names / sizeof names[0] && names[format] ? names[format] : "plain";
}

static void put_columns(struct reply *r, const char *name, const struct ask_column *columns, uint32_t count)
{
	reply_name(r, name, false);
	text_char(&r->text, '[');
	for (uint32_t i = 0; i < count; i++) {
		text_string(&r->text, i ? ",[" : "[");
		value_print_string(&r->text, span_of(columns[i].name, strlen(columns[i].name)));
		text_string(&r->text, ",\"");
		text_string(&r->text, format_name(columns[i].format));
		text_string(&r->text, "\"]");
	}
	text_char(&r->text, ']');
}

/* Parts. */

struct part {
	struct reply *reply;
	const char *name; /* in front of its words; "" for the only one */
	const char **which;
	struct filter_error *wrong;
	struct error *err;
};

static uint8_t order_of(const struct part *p)
{
	const char *order = question_get(p->reply->question, p->name, "order");

	if (!order)
		return ORDER_DEFAULT;
	return strcmp(order, "packets") == 0 ? ORDER_PACKETS
	       : strcmp(order, "flows") == 0 ? ORDER_FLOWS
	       : strcmp(order, "time") == 0  ? ORDER_TIME
					     : ORDER_OCTETS;
}

static void ask_of(const struct part *p, struct ask *ask)
{
	const struct scope *s = &p->reply->scope;

	*ask = (struct ask){
		.filter = s->filter, .from_ms = s->from_ms, .to_ms = s->to_ms, .order = order_of(p)};
}

static enum status keys_of(const struct part *p, const char *word, const char *usual, uint32_t most,
			   struct ask *ask)
{
	const char *text = question_get(p->reply->question, p->name, word);
	enum status s;

	*p->which = word;
	s = ask_keys(ask, text && *text ? text : usual, false, p->wrong);
	if (s == OK && ask->key_count > most) {
		*p->wrong = (struct filter_error){.length = strlen(text ? text : usual)};
		snprintf(p->wrong->text, sizeof p->wrong->text, "%u words seen; at most %u expected",
			 ask->key_count, most);
		s = ERR_USAGE;
	}
	return s;
}

static enum status put_cube_key(const struct part *p, const struct chart *c, unsigned i)
{
	struct reply *r = p->reply;
	struct ask_column columns[5];
	duckdb_result result;
	enum status s = chart_rank(&r->engine, c, i, &r->schema, p->err);

	if (s == OK)
		s = chart_values(&r->engine, c, i, columns, &result, p->err);
	if (s != OK)
		return s;
	text_string(&r->text, i ? "," : "");
	reply_name(r, "name", true);
	value_print_string(&r->text, span_of(columns[0].name, strlen(columns[0].name)));
	reply_string(r, "format", format_name(columns[0].format));
	s = reply_rows(r, "values", &result, columns, 5, NULL, p->err);
	text_char(&r->text, '}');
	return s;
}

static enum status put_cube(const struct part *p)
{
	struct reply *r = p->reply;
	const struct question *q = r->question;
	const char *by = question_get(q, p->name, "by");
	struct ask_column columns[CHART_KEYS + 5];
	struct chart c = {.values = question_number(q, p->name, "n", 8, 1, CHART_VALUES_MAX)};
	const int64_t most = question_number(q, p->name, "steps", STEPS_MOST, 1, 1000);
	duckdb_result result;
	uint32_t count;
	enum status s = OK;

	ask_of(p, &c.ask);
	if (by && *by)
		s = keys_of(p, "by", "", CHART_KEYS, &c.ask);
	if (question_yes(q, p->name, "time"))
		c.step_ms = chart_step(c.ask.from_ms, c.ask.to_ms, most);
	if (s != OK)
		return s;
	reply_name(r, "step", true);
	text_signed(&r->text, c.step_ms);
	reply_name(r, "keys", false);
	text_char(&r->text, '[');
	for (unsigned i = 0; s == OK && i < c.ask.key_count; i++)
		s = put_cube_key(p, &c, i);
	text_char(&r->text, ']');
	if (s == OK)
		s = chart_cells(&r->engine, &c, &r->schema, columns, &count, &result, p->err);
	if (s == OK)
		s = reply_rows(r, "cells", &result, columns, count, NULL, p->err);
	text_char(&r->text, '}');
	return s;
}

static enum status put_asked(const struct part *p, const struct ask *ask)
{
	struct reply *r = p->reply;
	struct ask_column columns[ASK_COLUMNS_MAX];
	duckdb_result result;
	uint32_t count = 0;
	uint64_t rows = 0;
	struct sql sql;
	enum status s;

	sql_init(&sql);
	s = ask_sql(ask, &r->schema, &sql, columns, &count);
	if (s == OK)
		s = engine_select(&r->engine, sql.text, &result, p->err);
	else
		(void)error_set(p->err, s, "no memory");
	if (s == OK) {
		reply_name(r, "limit", true);
		text_signed(&r->text, ask->limit);
		put_columns(r, "columns", columns, count);
		s = reply_rows(r, "rows", &result, columns, count, &rows, p->err);
		reply_number(r, "count", (int64_t)rows);
		text_char(&r->text, '}');
	}
	sql_fini(&sql);
	return s;
}

static enum status put_top(const struct part *p)
{
	struct ask ask;

	ask_of(p, &ask);
	ask.grouped = true;
	ask.limit = question_number(p->reply->question, p->name, "n", 20, 1, TOP_MOST);
	const enum status s = keys_of(p, "by", "src", ASK_KEYS_MAX, &ask);
	return s == OK ? put_asked(p, &ask) : s;
}

static enum status put_list(const struct part *p)
{
	static const char usual[] =
		"start,duration,proto,src,srcport,dst,dstport,flags,dir,packets,octets,denied,denialRuleName,"
		"denialReason,exporter";
	const struct question *q = p->reply->question;
	struct ask ask;

	ask_of(p, &ask);
	ask.limit = question_number(q, p->name, "limit", 100, 1, LIST_MOST);
	ask.offset = question_number(q, p->name, "offset", 0, 0, INT64_MAX / 2);
	ask.upwards = question_yes(q, p->name, "up");
	const enum status s = keys_of(p, "columns", usual, ASK_KEYS_MAX, &ask);
	return s == OK ? put_asked(p, &ask) : s;
}

/* Every column of the result, under its own name. Lets go of the result. */
static enum status put_whole(const struct part *p, duckdb_result *result)
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
	const enum status s = reply_rows(r, "rows", result, NULL, 0, NULL, p->err);

	text_char(&r->text, '}');
	return s;
}

/* Whole records, as objects of what is there. */
static enum status put_raw(const struct part *p)
{
	struct reply *r = p->reply;
	struct ask ask;
	struct sql sql;
	duckdb_result result;
	enum status s = ERR_MEMORY;

	ask_of(p, &ask);
	sql_init(&sql);
	sql_put(&sql, "SELECT * FROM flows");
	ask_where(&ask, &r->schema, &sql);
	sql_format(&sql, " LIMIT %" PRId64, question_number(r->question, p->name, "limit", 1, 1, 20));
	if (!sql.failed)
		s = engine_select(&r->engine, sql.text, &result, p->err);
	if (s == OK)
		s = put_whole(p, &result);
	sql_fini(&sql);
	return s;
}

/* Values of a word that begin as the user did, the most frequent first. */
static enum status put_complete(const struct part *p)
{
	struct reply *r = p->reply;
	const char *prefix = question_get(r->question, p->name, "prefix");
	struct ask ask;
	struct sql sql;
	enum status s;

	ask_of(p, &ask);
	s = keys_of(p, "word", "src", 1, &ask);
	if (s != OK)
		return s;
	sql_init(&sql);
	sql_put(&sql, "SELECT v, n FROM (SELECT ");
	if (ask_key_format(&ask.keys[0]) == CELL_ADDRESS) {
		sql_put(&sql, "address_text(");
		ask_key_sql(&sql, &ask.keys[0], 0, &r->schema);
		sql_put(&sql, ", ");
		ask_key_sql(&sql, &ask.keys[0], 1, &r->schema);
		sql_put(&sql, ")");
	} else if (ask_key_format(&ask.keys[0]) == CELL_IPV4) {
		sql_put(&sql, "address_text(");
		ask_key_sql(&sql, &ask.keys[0], 0, &r->schema);
		sql_put(&sql, ", NULL)");
	} else {
		sql_put(&sql, "CAST(");
		ask_key_sql(&sql, &ask.keys[0], 0, &r->schema);
		sql_put(&sql, " AS VARCHAR)");
	}
	sql_put(&sql, " AS v, count(*) AS n FROM flows");
	ask_where(&ask, &r->schema, &sql);
	sql_put(&sql, " GROUP BY v) WHERE v IS NOT NULL AND starts_with(lower(v), lower(");
	sql_text(&sql, prefix ? prefix : "");
	sql_put(&sql, ")) ORDER BY n DESC, v LIMIT 12");
	reply_name(r, "word", true);
	value_print_string(&r->text, span_of(ask.keys[0].name, strlen(ask.keys[0].name)));
	s = sql.failed ? ERR_MEMORY : reply_select(r, "values", sql.text, p->err);
	text_char(&r->text, '}');
	sql_fini(&sql);
	return s;
}

static enum status put_counters(const struct part *p)
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
	s = reply_rows(r, "rows", &result, NULL, 0, NULL, p->err);
	text_char(&r->text, '}');
	return s;
}

/* Hits of rules that allow, where exporters tell of them. */
static enum status put_rules(const struct part *p)
{
	struct reply *r = p->reply;
	enum status s;
	struct schema schema = {0};
	duckdb_result result;
	struct ask ask;
	struct sql sql;

	ask_of(p, &ask);
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

/* What parts there are, and the paths that are one part. */
static const struct part_type {
	const char *name;
	enum status (*put)(const struct part *p);
} types[] = {
	{"cube", put_cube},         {"top", put_top},           {"list", put_list},   {"raw", put_raw},
	{"complete", put_complete}, {"counters", put_counters}, {"rules", put_rules},
};
enum { TYPES = sizeof types / sizeof types[0] };

static const struct {
	const char *path, *type;
} paths[] = {
	{"flows", "list"},         {"record", "raw"},  {"top", "top"},           {"timeline", "cube"},
	{"matrix", "cube"},        {"denied", "list"}, {"complete", "complete"}, {"coverage", "counters"},
	{"exporters", "counters"}, {"rules", "rules"},
};
enum { PATHS = sizeof paths / sizeof paths[0] };

bool reply_knows(const char *path)
{
	for (unsigned i = 0; i < PATHS; i++)
		if (strcmp(paths[i].path, path) == 0)
			return true;
	return strcmp(path, "view") == 0 || strcmp(path, "export") == 0;
}

static const struct part_type *type_named(const char *name, size_t length)
{
	for (unsigned i = 0; i < TYPES; i++)
		if (strlen(types[i].name) == length && strncmp(types[i].name, name, length) == 0)
			return &types[i];
	return NULL;
}

static enum status put_part(struct part *p, const char *name, const char *type, bool first)
{
	const struct part_type *t = type_named(type, strlen(type));

	if (!t) {
		*p->which = "part";
		*p->wrong = (struct filter_error){0};
		snprintf(
			p->wrong->text, sizeof p->wrong->text,
			"'%.40s' seen; NAME:cube, :top, :list, :raw, :complete, :counters or :rules expected",
			type);
		return ERR_USAGE;
	}
	reply_name(p->reply, name, first);
	return t->put(p);
}

/* "part" stands once for each part: NAME:TYPE. */
static enum status put_parts(struct part *p)
{
	const struct question *q = p->reply->question;
	enum status s = OK;
	char name[32];
	unsigned put = 0;

	for (unsigned i = 0; s == OK && i < q->count; i++) {
		const char *value = q->words[i].value, *colon = strchr(value, ':');

		if (strcmp(q->words[i].name, "part") != 0 || put == PARTS_MAX)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)(colon ? colon - value : 0), value);
		p->name = name;
		s = put_part(p, name, colon ? colon + 1 : value, put++ == 0);
	}
	for (unsigned i = 0; s == OK && i < PATHS; i++)
		if (strcmp(paths[i].path, q->path) == 0) {
			p->name = "";
			s = put_part(p, "answer", paths[i].type, put++ == 0);
		}
	text_string(&p->reply->text, put ? "}" : "{}");
	return s;
}

static void put_filter(struct reply *r)
{
	struct sql printed;

	sql_init(&printed);
	if (r->scope.filter)
		filter_print(&printed, r->scope.filter);
	reply_string(r, "filter", printed.text ? printed.text : "");
	sql_fini(&printed);
}

enum status reply_answer(struct reply *r, const char **which, struct filter_error *wrong, struct error *err)
{
	struct part p = {.reply = r, .which = which, .wrong = wrong, .err = err};
	const struct mono_ns begin = mono_now();
	enum status s;

	reply_name(r, "window", true);
	reply_name(r, "from", true);
	text_signed(&r->text, r->scope.from_ms);
	reply_number(r, "to", r->scope.to_ms);
	reply_number(r, "now", r->scope.now_ms);
	text_char(&r->text, '}');
	put_filter(r);
	s = reply_ledger(r, err);
	reply_name(r, "parts", false);
	if (s == OK)
		s = put_parts(&p);
	reply_number(r, "took_ms", (mono_now().ns - begin.ns) / NS_PER_MS);
	text_string(&r->text, "}\n");
	text_flush(&r->text);
	return s;
}

/* Opening. */

static void to_file(void *arg, const char *data, size_t length)
{
	struct reply *r = arg;

	fwrite(data, 1, length, r->out);
}

enum status reply_open(struct reply *r, const struct question *q, const char *store, FILE *out,
		       const char **which, struct filter_error *wrong, struct error *err)
{
	enum status s;

	r->question = q;
	r->store_path = store;
	r->out = out;
	r->text = (struct text){
		.data = r->buffer, .capacity = sizeof r->buffer, .flush = to_file, .flush_arg = r};
	s = scope_read(&r->scope, q, which, wrong);
	if (s == OK)
		s = store_open(&r->store, store, err);
	if (s == OK && !r->engine.connection)
		s = engine_open(&r->engine, store, err);
	if (s == OK)
		s = store_attach(r->store, r->engine.connection, r->scope.from_ms, r->scope.to_ms,
				 &r->coverage, err);
	if (s == OK)
		s = engine_settle(&r->engine, r->coverage.records + r->coverage.tail_records >= MANY_RECORDS,
				  false, err);
	if (s == OK)
		s = engine_columns(&r->engine, "flows", &r->schema, err);
	if (s != OK)
		return s;
	if (!r->scope.to_ms) {
		r->scope.to_ms = r->scope.now_ms;
		if (!r->scope.from_ms && r->coverage.last_ms >= r->scope.to_ms)
			r->scope.to_ms = r->coverage.last_ms + 1;
	}
	if (!r->scope.from_ms)
		r->scope.from_ms = r->coverage.first_ms > 0 && r->coverage.first_ms < r->scope.to_ms
					   ? r->coverage.first_ms
					   : r->scope.to_ms - 3600000;
	return OK;
}

void reply_close(struct reply *r)
{
	scope_fini(&r->scope);
	schema_fini(&r->schema);
}
