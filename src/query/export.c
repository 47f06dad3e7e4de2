#include "query/export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ie/value.h"
#include "query/coverage.h"
#include "query/result.h"

static const struct {
	const char *name, *type;
} formats[] = {{"csv", "text/csv; charset=utf-8"},
	       {"json", "application/x-ndjson; charset=utf-8"},
	       {"parquet", "application/vnd.apache.parquet"}};

static const char *format_of(const struct reply *r)
{
	const char *format = question_get(r->question, "", "format");

	return format && *format ? format : "csv";
}

enum status export_begin(struct export_head *head, const struct reply *r, const char **which,
			 struct filter_error *wrong)
{
	const char *format = format_of(r);
	const time_t seconds = (time_t)(r->scope.from_ms / 1000);
	struct tm tm;

	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(formats[i].name, format) == 0) {
			const size_t n = strftime(head->file, sizeof head->file, "weir-%Y%m%dT%H%M%SZ.",
						  gmtime_r(&seconds, &tm));

			head->type = formats[i].type;
			snprintf(head->file + n, sizeof head->file - n, "%s", format);
			return OK;
		}
	*which = "format";
	*wrong = (struct filter_error){.length = strlen(format)};
	snprintf(wrong->text, sizeof wrong->text, "'%.40s' seen; csv, json or parquet expected", format);
	return ERR_USAGE;
}

/* Around the statement: addresses as text, times as times, names of columns as they were asked for. */
static void wrap(struct sql *out, const struct ask_column *columns, uint32_t count, uint32_t keys,
		 const char *inner, bool grouped)
{
	sql_put(out, "SELECT ");
	for (uint32_t i = 0; i < count; i++) {
		sql_put(out, i ? ", " : "");
		if (i >= keys)
			sql_format(out, "%s", columns[i].name);
		else if (columns[i].format == CELL_ADDRESS)
			sql_format(out, "address_text(k%u, w%u)", i, i);
		else if (columns[i].format == CELL_IPV4)
			sql_format(out, "address_text(k%u, NULL)", i);
		else if (columns[i].format == CELL_IPV6)
			sql_format(out, "address_text(NULL, k%u)", i);
		else if (columns[i].format == CELL_TIME)
			sql_format(out, "make_timestamp(k%u * 1000)", i);
		else
			sql_format(out, "k%u", i);
		sql_put(out, " AS ");
		sql_name(out, columns[i].name);
	}
	sql_put(out, " FROM (");
	sql_put(out, inner);
	sql_put(out, grouped ? ")" : ") ORDER BY ALL");
}

static enum status statement(struct reply *r, struct sql *out, const char **which, struct filter_error *wrong,
			     struct error *err)
{
	const char *by = question_get(r->question, "", "by"),
		   *list = question_get(r->question, "", "columns");
	const char *order = question_get(r->question, "", "order");
	struct ask ask = {.filter = r->scope.filter,
			  .from_ms = r->scope.from_ms,
			  .to_ms = r->scope.to_ms,
			  .grouped = by && *by,
			  .limit = -1};
	struct ask_column columns[ASK_COLUMNS_MAX];
	struct sql inner;
	uint32_t count = 0;
	enum status s = OK;

	if (order && strcmp(order, "flows") == 0)
		ask.order = ORDER_FLOWS;
	else if (order && strcmp(order, "packets") == 0)
		ask.order = ORDER_PACKETS;
	*which = ask.grouped ? "by" : "columns";
	if (ask.grouped || (list && *list))
		s = ask_keys(&ask, ask.grouped ? by : list, ask.grouped, wrong);
	else
		ask_default_keys(&ask);
	if (s != OK)
		return s;
	sql_init(&inner);
	s = ask_sql(&ask, r->schema, &inner, columns, &count);
	if (s == OK)
		wrap(out, columns, count, ask.key_count, inner.text, ask.grouped);
	sql_fini(&inner);
	return s == OK && !out->failed ? OK : error_set(err, ERR_MEMORY, "no memory");
}

/* A time as people write it, into a note. */
static void put_time(struct sql *out, int64_t ms)
{
	char buffer[TEXT_PIECE_MAX];
	struct text t = {.data = buffer, .capacity = sizeof buffer};

	value_print_time(&t, ms / 1000, (uint32_t)(ms % 1000) * 1000000, 3);
	sql_format(out, "%.*s", (int)t.used - 2, buffer + 1);
}

/* The ledger as reply_ledger writes it, into memory. */
static char *ledger_text(struct reply *r, struct error *err)
{
	char *text = NULL, *whole = NULL;
	size_t length = 0;
	FILE *before = r->out;
	bool good;

	r->out = open_memstream(&text, &length);
	if (!r->out) {
		r->out = before;
		return NULL;
	}
	good = reply_sum(r, err) == OK && reply_ledger(r, err) == OK;
	text_flush(&r->text);
	good = fclose(r->out) == 0 && good;
	r->out = before;
	if (!good) {
		free(text);
		return NULL;
	}
	if (text && length) /* it begins with a comma, as a member does */
		text[0] = '{';
	return text && asprintf(&whole, "%s}", text) >= 0 ? (free(text), whole) : (free(text), NULL);
}

enum status export_answer(struct reply *r, const char **which, struct filter_error *wrong, struct error *err)
{
	struct sql sql, window, filter;
	struct result_sink sink = {.type = show_type_named(format_of(r)), .out = r->out};
	duckdb_result result;
	char *ledger = NULL;

	sql_init(&sql);
	sql_init(&window);
	sql_init(&filter);
	enum status s = statement(r, &sql, which, wrong, err);
	if (s == OK && !(ledger = ledger_text(r, err)))
		s = ERR_MEMORY;
	if (s == OK) {
		put_time(&window, r->scope.from_ms);
		sql_put(&window, " to ");
		put_time(&window, r->scope.to_ms);
		sql_put(&filter, "");
		if (r->scope.filter)
			filter_print(&filter, r->scope.filter);
		const struct show_note notes[] = {{"weir", WEIR_VERSION},
						  {"window", window.text ? window.text : ""},
						  {"filter", filter.text ? filter.text : ""},
						  {"ledger", ledger},
						  {"policy", "not known"},
						  {"limit", "none: every row that matches"},
						  {"sql", sql.text},
						  {NULL, NULL}};

		sink.notes = notes;
		s = engine_select(&r->engine, sql.text, &result, err);
		if (s == OK) {
			s = result_show(&sink, &result, NULL, 0, err);
			duckdb_destroy_result(&result);
		}
	}
	free(ledger);
	sql_fini(&sql);
	sql_fini(&window);
	sql_fini(&filter);
	return s;
}
