/* Parts that are sums: cubes, the largest groups, values of a word. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ie/value.h"
#include "query/part.h"
#include "query/result.h"
#include "query/select.h"

enum { STEPS_MOST = 120, TOP_MOST = 1000 };

const char *part_format(uint8_t format)
{
	static const char *const names[] = {
		[CELL_PLAIN] = "plain",         [CELL_ADDRESS] = "address",   [CELL_IPV4] = "address",
		[CELL_IPV6] = "address",        [CELL_PROTOCOL] = "protocol", [CELL_FLAGS] = "flags",
		[CELL_DIRECTION] = "direction", [CELL_OCTETS] = "octets",     [CELL_COUNT] = "count",
		[CELL_DURATION] = "duration",   [CELL_TIME] = "time",         [CELL_YES] = "yes"};

	return format < sizeof names / sizeof names[0] && names[format] ? names[format] : "plain";
}

static void put_columns(struct reply *r, const struct ask_column *columns, uint32_t count)
{
	reply_name(r, "columns", false);
	text_char(&r->text, '[');
	for (uint32_t i = 0; i < count; i++) {
		text_string(&r->text, i ? ",[" : "[");
		value_print_string(&r->text, span_of(columns[i].name, strlen(columns[i].name)));
		text_string(&r->text, ",\"");
		text_string(&r->text, part_format(columns[i].format));
		text_string(&r->text, "\"]");
	}
	text_char(&r->text, ']');
}

void part_rows_begin(const struct part *p, const struct ask_column *columns, uint32_t count)
{
	struct reply *r = p->reply;

	reply_name(r, "limit", true);
	text_signed(&r->text, p->ask.limit);
	put_columns(r, columns, count);
	reply_name(r, "rows", false);
	text_char(&r->text, '[');
}

void part_rows_end(const struct part *p, uint64_t rows)
{
	text_char(&p->reply->text, ']');
	reply_number(p->reply, "count", (int64_t)rows);
	text_char(&p->reply->text, '}');
}

enum status part_rows(const struct part *p, duckdb_result *result, const struct ask_column *columns,
		      uint32_t count)
{
	uint64_t rows = 0;

	part_rows_begin(p, columns, count);
	const enum status s = reply_put_rows(p->reply, result, columns, count, &rows, p->err);
	part_rows_end(p, rows);
	return s;
}

/* A tally that can be asked. */
static bool is_summed(const struct part *p)
{
	return p->at >= 0 && p->reply->pass->tallies[p->at].status == OK;
}

/* Cubes. */

static enum status want_cube(struct part *p)
{
	const struct question *q = p->reply->question;
	const char *by = question_get(q, p->name, "by");
	const int64_t most = part_number(p, "steps", STEPS_MOST, 1, 1000);
	enum status s = OK;

	p->chart = (struct chart){.values = part_number(p, "n", 8, 1, CHART_VALUES_MAX)};
	part_ask(p, &p->chart.ask);
	if (by && *by)
		s = part_keys(p, "by", "", CHART_KEYS, &p->chart.ask);
	if (question_yes(q, p->name, "time"))
		p->chart.step_ms = chart_step(p->chart.ask.from_ms, p->chart.ask.to_ms, most);
	p->at = s == OK ? pass_cube(p->reply->pass, &p->chart) : -1;
	return s;
}

static void put_sums(struct text *t, const cube_sum sums[4])
{
	for (unsigned i = 0; i < 4; i++) {
		const struct cell c = {.kind = CELL_BIG, .big = (int128)sums[i]};

		text_char(t, ',');
		show_cell_json(t, &c);
	}
	text_char(t, ']');
}

/* A value of a key that is one column or two, of which either may be nowhere. */
static struct cell value_of(const struct tally *t, enum cell_format format, uint32_t group)
{
	static const struct cell none = {.kind = CELL_NULL};
	const bool first = t->columns[0][0] >= 0, second = t->columns[0][1] >= 0;
	const struct cell one = first ? groups_key(t->groups, group, 0) : none;
	const struct cell two = second ? groups_key(t->groups, group, first) : none;

	return cell_join(format, &one, &two);
}

static void put_cube_key(const struct part *p, const struct cube *c, unsigned i)
{
	const struct tally *t = &p->reply->pass->tallies[c->tally[i]];
	const struct ask_key *k = &p->chart.ask.keys[i];
	struct reply *r = p->reply;

	text_string(&r->text, i ? "," : "");
	reply_name(r, "name", true);
	value_print_string(&r->text, span_of(k->name, strlen(k->name)));
	reply_string(r, "format", part_format((uint8_t)ask_key_format(k)));
	reply_name(r, "values", false);
	text_char(&r->text, '[');
	for (uint32_t n = 0; n < c->count[i]; n++) {
		const struct groups_sums g = groups_sums_of(t->groups, c->ranked[i][n]);
		const struct cell value = value_of(t, ask_key_format(k), c->ranked[i][n]);

		text_string(&r->text, n ? ",[" : "[");
		show_cell_json(&r->text, &value);
		put_sums(&r->text,
			 (const cube_sum[]){(cube_sum)g.octets[1] << 64 | g.octets[0],
					    (cube_sum)g.packets[1] << 64 | g.packets[0], g.flows, g.denied});
	}
	text_string(&r->text, "]}");
}

static void put_cube_cells(const struct part *p, const struct cube *c)
{
	struct text *t = &p->reply->text;
	bool first = true;

	reply_name(p->reply, "cells", false);
	text_char(t, '[');
	for (size_t at = 0; at < c->cell_count; at++) {
		const struct cube_cell *cell = &c->cells[at];
		uint32_t values[CHART_KEYS];
		size_t left = at;

		if (!cell->flows)
			continue;
		for (unsigned k = p->chart.ask.key_count; k-- > 0; left /= c->count[k] + 1)
			values[k] = (uint32_t)(left % (c->count[k] + 1));
		text_string(t, first ? "[" : ",[");
		first = false;
		if (c->time >= 0)
			text_signed(t, (c->first_step + (int64_t)left) * p->chart.step_ms);
		for (unsigned k = 0; k < p->chart.ask.key_count; k++) {
			text_put(t, ",", k || c->time >= 0);
			if (values[k] < c->count[k])
				text_unsigned(t, values[k]);
			else
				text_string(t, "null");
		}
		if (c->time < 0 && p->chart.ask.key_count == 0)
			text_string(t, "null");
		put_sums(t, (const cube_sum[]){cell->octets, cell->packets, cell->flows, cell->denied});
	}
	text_char(t, ']');
}

/* The same by DuckDB: what a pass has no room or no type for. */
static enum status put_key_duck(const struct part *p, unsigned i)
{
	struct reply *r = p->reply;
	struct ask_column columns[5];
	duckdb_result result;
	enum status s = chart_rank(&r->engine, r->store, &p->chart, i, p->err);

	if (s == OK)
		s = chart_values(&r->engine, &p->chart, i, columns, &result, p->err);
	if (s != OK)
		return s;
	text_string(&r->text, i ? "," : "");
	reply_name(r, "name", true);
	value_print_string(&r->text, span_of(columns[0].name, strlen(columns[0].name)));
	reply_string(r, "format", part_format(columns[0].format));
	s = reply_rows(r, "values", &result, columns, 5, p->err);
	text_char(&r->text, '}');
	return s;
}

static enum status put_cells_duck(const struct part *p)
{
	struct reply *r = p->reply;
	struct ask_column columns[CHART_KEYS + 5];
	duckdb_result result;
	uint32_t count;
	const enum status s = chart_cells(&r->engine, r->store, &p->chart, columns, &count, &result, p->err);

	return s == OK ? reply_rows(r, "cells", &result, columns, count, p->err) : s;
}

static enum status put_cube(struct part *p)
{
	struct reply *r = p->reply;
	const struct cube *c = p->at >= 0 ? r->pass->cubes[p->at] : NULL;
	enum status s = OK;

	if (c && c->state != CUBE_DONE)
		c = NULL;
	reply_name(r, "step", true);
	text_signed(&r->text, p->chart.step_ms);
	reply_name(r, "keys", false);
	text_char(&r->text, '[');
	for (unsigned i = 0; s == OK && i < p->chart.ask.key_count; i++) {
		if (c)
			put_cube_key(p, c, i);
		else
			s = put_key_duck(p, i);
	}
	text_char(&r->text, ']');
	if (s == OK && c)
		put_cube_cells(p, c);
	else if (s == OK)
		s = put_cells_duck(p);
	text_char(&r->text, '}');
	return s;
}

/* The largest groups. */

static enum status want_top(struct part *p)
{
	part_ask(p, &p->ask);
	p->ask.grouped = true;
	p->ask.limit = part_number(p, "n", 20, 1, TOP_MOST);
	const enum status s = part_keys(p, "by", "src", ASK_KEYS_MAX, &p->ask);
	p->at = s == OK ? pass_tally(p->reply->pass, p->ask.keys, p->ask.key_count, false) : -1;
	return s;
}

static enum status put_top(struct part *p)
{
	struct reply *r = p->reply;
	struct ask_column columns[ASK_COLUMNS_MAX];
	duckdb_result result;
	uint32_t count = 0;
	char function[24];
	struct sql sql;
	enum status s;

	if (!is_summed(p)) {
		s = select_ask(&r->engine, r->store, &p->ask, NULL, &result, columns, &count, p->err);
		return s == OK ? part_rows(p, &result, columns, count) : s;
	}
	snprintf(function, sizeof function, "tally_%d", p->at);
	sql_init(&sql);
	s = pass_register(r->pass, p->at, p->err);
	if (s == OK && ask_groups_sql(&p->ask, r->schema, function, &sql, columns, &count) != OK)
		s = error_set(p->err, ERR_MEMORY, "no memory");
	if (s == OK)
		s = engine_select(&r->engine, sql.text, &result, p->err);
	sql_fini(&sql);
	return s == OK ? part_rows(p, &result, columns, count) : s;
}

/* Values of a word that begin as the user did, the most frequent first. */

static enum status want_complete(struct part *p)
{
	part_ask(p, &p->ask);
	const enum status s = part_keys(p, "word", "src", 1, &p->ask);
	p->at = s == OK ? pass_tally(p->reply->pass, p->ask.keys, 1, false) : -1;
	return s;
}

/* Half of the key, as a column of the tally or as SQL over the records. */
static void put_half(const struct part *p, struct sql *sql, unsigned half)
{
	if (!is_summed(p))
		ask_key_sql(sql, &p->ask.keys[0], half, p->reply->schema);
	else if (p->reply->pass->tallies[p->at].columns[0][half] >= 0)
		sql_put(sql, half ? "w0" : "k0");
	else
		sql_put(sql, "NULL");
}

static void complete_sql(const struct part *p, struct sql *sql)
{
	const char *prefix = question_get(p->reply->question, p->name, "prefix");
	const enum cell_format format = ask_key_format(&p->ask.keys[0]);

	sql_put(sql, "SELECT v, n FROM (SELECT ");
	sql_put(sql, format == CELL_ADDRESS || format == CELL_IPV4 ? "address_text(" : "CAST(");
	put_half(p, sql, 0);
	if (format == CELL_ADDRESS) {
		sql_put(sql, ", ");
		put_half(p, sql, 1);
		sql_put(sql, ")");
	} else {
		sql_put(sql, format == CELL_IPV4 ? ", NULL)" : " AS VARCHAR)");
	}
	if (is_summed(p)) {
		sql_format(sql, " AS v, sum(flows)::BIGINT AS n FROM tally_%d()", p->at);
	} else {
		sql_put(sql, " AS v, count(*) AS n FROM flows");
		ask_where(&p->ask, p->reply->schema, sql);
	}
	sql_put(sql, " GROUP BY v) WHERE v IS NOT NULL AND starts_with(lower(v), lower(");
	sql_text(sql, prefix ? prefix : "");
	sql_put(sql, ")) ORDER BY n DESC, v LIMIT 12");
}

static enum status put_complete(struct part *p)
{
	struct reply *r = p->reply;
	enum status s = is_summed(p) ? pass_register(r->pass, p->at, p->err) : OK;
	struct sql sql;

	sql_init(&sql);
	complete_sql(p, &sql);
	reply_name(r, "word", true);
	value_print_string(&r->text, span_of(p->ask.keys[0].name, strlen(p->ask.keys[0].name)));
	if (s == OK)
		s = reply_select(r, "values", &sql, !is_summed(p), p->err);
	text_char(&r->text, '}');
	sql_fini(&sql);
	return s;
}

const struct part_type part_cube = {.name = "cube", .want = want_cube, .put = put_cube};
const struct part_type part_top = {.name = "top", .want = want_top, .put = put_top};
const struct part_type part_complete = {.name = "complete", .want = want_complete, .put = put_complete};
