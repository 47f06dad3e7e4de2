#include "query/parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "ie/value.h"
#include "query/part.h"
#include "query/result.h"

enum { PARTS_MAX = 12, MANY_RECORDS = 1000000, HOUR_MS = 3600000 };

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

enum status reply_put_rows(struct reply *r, duckdb_result *result, const struct ask_column *asked,
			   uint32_t count, uint64_t *rows, struct error *err)
{
	struct result_sink sink = {.type = &show_rows, .out = r->out};

	text_flush(&r->text);
	const enum status s = result_show(&sink, result, asked, count, err);
	*rows = sink.rows;
	duckdb_destroy_result(result);
	return s;
}

enum status reply_rows(struct reply *r, const char *name, duckdb_result *result,
		       const struct ask_column *asked, uint32_t count, struct error *err)
{
	uint64_t rows;

	reply_name(r, name, false);
	text_char(&r->text, '[');
	const enum status s = reply_put_rows(r, result, asked, count, &rows, err);
	text_char(&r->text, ']');
	return s;
}

enum status reply_run(struct reply *r, const struct sql *statement, bool records, duckdb_result *result,
		      struct error *err)
{
	struct sql sql;
	enum status s;

	sql_init(&sql);
	sql.failed = statement->failed;
	if (records)
		store_flows(r->store, &sql, statement->text ? statement->text : "");
	sql_put(&sql, statement->text ? statement->text : "");
	s = sql.failed ? error_set(err, ERR_MEMORY, "no memory")
		       : engine_select(&r->engine, sql.text, result, err);
	sql_fini(&sql);
	return s;
}

enum status reply_select(struct reply *r, const char *name, const struct sql *sql, bool records,
			 struct error *err)
{
	duckdb_result result;
	const enum status s = reply_run(r, sql, records, &result, err);

	return s == OK ? reply_rows(r, name, &result, NULL, 0, err) : s;
}

/* Words of parts. */

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

void part_ask(const struct part *p, struct ask *ask)
{
	const struct scope *s = &p->reply->scope;

	*ask = (struct ask){
		.filter = s->filter, .from_ms = s->from_ms, .to_ms = s->to_ms, .order = order_of(p)};
}

int64_t part_number(const struct part *p, const char *name, int64_t usual, int64_t least, int64_t most)
{
	return question_number(p->reply->question, p->name, name, usual, least, most);
}

enum status part_keys(const struct part *p, const char *word, const char *usual, uint32_t most,
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

/* What parts there are, and the paths that are one part. */
static const struct part_type *const types[] = {
	&part_cube, &part_top, &part_list, &part_raw, &part_complete, &part_counters, &part_rules,
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
		if (strlen(types[i]->name) == length && strncmp(types[i]->name, name, length) == 0)
			return types[i];
	return NULL;
}

static bool read_type(struct part *p, const char *type)
{
	p->type = type_named(type, strlen(type));
	if (p->type)
		return true;
	*p->which = "part";
	*p->wrong = (struct filter_error){0};
	snprintf(p->wrong->text, sizeof p->wrong->text,
		 "'%.40s' seen; NAME:cube, :top, :list, :raw, :complete, :counters or :rules expected", type);
	return false;
}

/* "part" stands once for each part: NAME:TYPE. */
static enum status read_parts(struct reply *r, const char **which, struct filter_error *wrong)
{
	const struct question *q = r->question;

	for (unsigned i = 0; i < q->count && r->part_count < PARTS_MAX; i++) {
		const char *value = q->words[i].value, *colon = strchr(value, ':');
		struct part *p = &r->parts[r->part_count];

		if (strcmp(q->words[i].name, "part") != 0)
			continue;
		*p = (struct part){.reply = r, .at = -1, .which = which, .wrong = wrong};
		snprintf(p->name, sizeof p->name, "%.*s", (int)(colon ? colon - value : 0), value);
		if (!read_type(p, colon ? colon + 1 : value))
			return ERR_USAGE;
		r->part_count++;
	}
	for (unsigned i = 0; i < PATHS && r->part_count < PARTS_MAX; i++)
		if (strcmp(paths[i].path, q->path) == 0) {
			struct part *p = &r->parts[r->part_count++];

			*p = (struct part){.reply = r, .at = -1, .which = which, .wrong = wrong};
			p->type = type_named(paths[i].type, strlen(paths[i].type));
		}
	return OK;
}

/* One reading of the records for all parts and the totals. */
enum status reply_sum(struct reply *r, struct error *err)
{
	const struct store_coverage *c = &r->coverage;
	const bool open_before = c->first_ms >= r->scope.from_ms && c->received_first_ms >= r->scope.from_ms;
	const bool open_behind = c->last_ms < r->scope.to_ms && c->received_last_ms < r->scope.to_ms;
	/* Records that all are within the window need not be asked for their times. */
	const struct ask window = {.filter = r->scope.filter,
				   .from_ms = open_before ? 0 : r->scope.from_ms,
				   .to_ms = open_behind ? 0 : r->scope.to_ms};
	enum status s = pass_new(&r->pass, &r->engine, r->store, &window, c->records + c->tail_records, err);

	if (s == OK)
		r->pass->by_database = r->by_database;
	for (unsigned i = 0; s == OK && i < r->part_count; i++) {
		r->parts[i].err = err;
		if (r->parts[i].type->want)
			s = r->parts[i].type->want(&r->parts[i]);
	}
	return s == OK ? pass_run(r->pass, err) : s;
}

static enum status put_parts(struct reply *r)
{
	enum status s = OK;

	for (unsigned i = 0; s == OK && i < r->part_count; i++) {
		struct part *p = &r->parts[i];

		reply_name(r, p->name[0] ? p->name : "answer", i == 0);
		s = p->type->put(p);
	}
	text_string(&r->text, r->part_count ? "}" : "{}");
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

static void put_left_out(struct reply *r)
{
	if (!r->left_out)
		return;
	reply_name(r, "left_out", false);
	reply_name(r, "records", true);
	text_unsigned(&r->text, r->left_out);
	reply_number(r, "from", r->asked_from_ms);
	reply_number(r, "to", r->scope.from_ms);
	text_char(&r->text, '}');
}

/* Of all threads of the process, which was made for this answer. */
static int64_t cpu_ms(void)
{
	struct timespec t = {0};

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS;
}

enum status reply_answer(struct reply *r, struct error *err)
{
	const struct mono_ns begin = mono_now();
	enum status s = reply_sum(r, err);

	if (s != OK)
		return s;
	reply_name(r, "window", true);
	reply_name(r, "from", true);
	text_signed(&r->text, r->scope.from_ms);
	reply_number(r, "to", r->scope.to_ms);
	reply_number(r, "now", r->scope.now_ms);
	text_char(&r->text, '}');
	put_left_out(r);
	put_filter(r);
	s = reply_ledger(r, err);
	reply_name(r, "parts", false);
	if (s == OK)
		s = put_parts(r);
	reply_number(r, "took_ms", (mono_now().ns - begin.ns) / NS_PER_MS);
	reply_number(r, "cpu_ms", cpu_ms());
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

/* The views cost as much as a small question: only those get them that name them. */
static enum status attach(struct reply *r, struct error *err)
{
	const duckdb_connection connection = r->engine.connection;
	const bool whole = strcmp(r->question->path, "export") == 0;
	bool views = whole;
	enum status s;

	for (unsigned i = 0; i < r->part_count; i++)
		views |= r->parts[i].type->views;
	s = views ? store_attach(r->store, connection, r->scope.from_ms, r->scope.to_ms, &r->coverage, err)
		  : store_attach_parts(r->store, connection, r->scope.from_ms, r->scope.to_ms, &r->coverage,
				       err);
	if (s == OK && !views)
		s = store_attach_ledger(r->store, connection, err);
	return s;
}

static enum status settle(struct reply *r, struct error *err)
{
	const bool whole = strcmp(r->question->path, "export") == 0;

	return engine_settle(&r->engine, r->coverage.records + r->coverage.tail_records >= MANY_RECORDS,
			     !whole, err);
}

static void close_window(struct reply *r)
{
	struct scope *s = &r->scope;

	if (!s->to_ms) {
		s->to_ms = s->now_ms;
		if (!s->from_ms && r->coverage.last_ms >= s->to_ms)
			s->to_ms = r->coverage.last_ms + 1;
	}
	if (!s->from_ms)
		s->from_ms = r->coverage.first_ms > 0 && r->coverage.first_ms < s->to_ms
				     ? r->coverage.first_ms
				     : s->to_ms - HOUR_MS;
}

/* A window of more records than can be read while somebody waits begins later, and the answer says so. */
static void shorten_window(struct reply *r)
{
	uint64_t left_out;
	const int64_t begin = store_begin(r->store, REPLY_RECORDS, &left_out);

	r->asked_from_ms = r->scope.from_ms;
	if (begin <= r->scope.from_ms || begin >= r->scope.to_ms || question_yes(r->question, "", "whole"))
		return;
	r->scope.from_ms = begin;
	r->left_out = left_out;
}

enum status reply_open(struct reply *r, const struct question *q, const char *store, FILE *out,
		       const char **which, struct filter_error *wrong, struct error *err)
{
	enum status s;

	r->question = q;
	r->out = out;
	r->text = (struct text){
		.data = r->buffer, .capacity = sizeof r->buffer, .flush = to_file, .flush_arg = r};
	r->parts = calloc(PARTS_MAX, sizeof *r->parts);
	if (!r->parts)
		return error_set(err, ERR_MEMORY, "no memory");
	s = scope_read(&r->scope, q, which, wrong);
	if (s == OK)
		s = read_parts(r, which, wrong);
	if (s == OK)
		s = store_open(&r->store, store, err);
	if (s == OK && !r->engine.connection)
		s = engine_open(&r->engine, store, err);
	if (s == OK)
		s = attach(r, err);
	if (s != OK)
		return s;
	close_window(r);
	if (strcmp(q->path, "export") != 0)
		shorten_window(r);
	if (r->left_out) /* anew, without the partitions that are before it */
		s = attach(r, err);
	r->schema = store_columns(r->store);
	return s == OK ? settle(r, err) : s;
}

void reply_close(struct reply *r)
{
	pass_free(r->pass);
	free(r->parts);
	scope_fini(&r->scope);
}
