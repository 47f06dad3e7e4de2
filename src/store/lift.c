#include "store/lift.h"

#include <stdlib.h>
#include <string.h>

#include "store/cursor.h"
#include "store/duck.h"
#include "store/sql.h"

/* One column of the batch. */
struct watch {
	bool same; /* as far as it is known */
	bool seen;
	uint8_t type, kind; /* of the field that it is made from */
	uint32_t plan;      /* number + 1 of the last that had it */
	uint32_t plans;     /* that have it */
	struct span value;  /* the first record's octets */
};

/* Columns of every record's own are told apart by run. */

static void watch_base(struct watch *w, const struct rows *r)
{
	const struct run *one = &r->runs[0];
	const struct origin *mine = one->origin;
	const uint16_t template = r->plans[one->plan].plan->template->id;

	for (unsigned i = BASE_EXPORTER_ADDRESS; i < BASE_COLUMN_COUNT; i++)
		w[i].same = true;
	for (uint32_t i = 1; i < r->run_count; i++) {
		const struct run *run = &r->runs[i];
		const struct origin *o = run->origin;

		w[BASE_TEMPLATE].same &= r->plans[run->plan].plan->template->id == template;
		if (o == mine)
			continue;
		w[BASE_EXPORTER_ADDRESS].same &= strcmp(o->address, mine->address) == 0;
		w[BASE_EXPORTER_PORT].same &= o->port == mine->port;
		w[BASE_SESSION_NUMBER].same &= o->number == mine->number;
		w[BASE_DOMAIN].same &= o->domain == mine->domain;
	}
}

/* Fields: every template has to have one of the same type for the column, and nothing else that makes it. */

static bool may_be_lifted(const struct plan_field *f)
{
	switch ((enum column_kind)f->kind) {
	case COLUMN_FLOAT32:
	case COLUMN_FLOAT64:
	case COLUMN_TIME_MS:
	case COLUMN_TIME_US:
	case COLUMN_TIME_NS: return false;
	default: return !f->list;
	}
}

static void note_plan(struct watch *w, const struct rows_plan *slot, uint32_t number)
{
	for (uint32_t i = 0; i < slot->plan->column_count; i++) {
		const struct plan_field *f = &slot->plan->fields[i];

		if (slot->derived[i] >= 0)
			w[slot->derived[i]].same = false;
		if (slot->columns[i] < BASE_COLUMN_COUNT)
			continue;

		struct watch *at = &w[slot->columns[i]];
		if (number == 0) {
			at->type = f->type;
			at->kind = f->kind;
		}
		at->same &= may_be_lifted(f) && at->type == f->type && at->kind == f->kind &&
			    at->plan != number + 1;
		at->plan = number + 1;
		at->plans++;
	}
}

static uint32_t watch_fields(struct watch *w, const struct rows *r)
{
	uint32_t left = 0;

	for (uint32_t i = BASE_COLUMN_COUNT; i < r->schema.count; i++)
		w[i].same = true;
	for (uint32_t i = 0; i < r->plan_count; i++)
		note_plan(w, &r->plans[i], i);
	for (uint32_t i = BASE_COLUMN_COUNT; i < r->schema.count; i++) {
		w[i].same &= w[i].plans == r->plan_count;
		left += w[i].same;
	}
	return left;
}

/* A value that goes through a conversion without being counted as a fault, and is a text without end. */
static bool is_sound(const struct watch *w)
{
	struct value v;

	value_decode(&v, (enum ie_type)w->type, w->value);
	return v.kind != VALUE_WRONG && (w->kind != COLUMN_STRING || !v.octets.length ||
					 !memchr(v.octets.data, '\0', v.octets.length));
}

static bool all_have(const struct piece *p, uint32_t field, struct span value)
{
	const struct template *t = p->slot->plan->template;

	if (!t->variable && t->fields[field].length != value.length)
		return false;
	for (uint32_t i = 0; i < p->count; i++) {
		const struct span o = piece_field(p, field, i);

		if (o.length != value.length || (o.length && memcmp(o.data, value.data, o.length) != 0))
			return false;
	}
	return true;
}

/* The piece's records against what was seen before; how many columns are still the same. */
static uint32_t watch_piece(struct watch *w, const struct piece *p, uint32_t left)
{
	const struct plan *plan = p->slot->plan;

	for (uint32_t i = 0; i < plan->column_count; i++) {
		const int32_t column = p->slot->columns[i];
		struct watch *at = column >= BASE_COLUMN_COUNT ? &w[column] : NULL;

		if (!at || !at->same)
			continue;
		if (!at->seen) {
			at->seen = true;
			at->value = piece_field(p, i, 0);
			at->same = is_sound(at);
		}
		at->same = at->same && all_have(p, i, at->value);
		left -= !at->same;
	}
	return left;
}

static enum status watch_records(struct watch *w, struct rows *r)
{
	uint32_t left = watch_fields(w, r);
	struct cursor *c = left ? malloc(sizeof *c) : NULL;
	struct piece piece;
	enum status s = OK;

	if (!left)
		return OK;
	if (!c)
		return ERR_MEMORY;
	s = cursor_init(c, r);
	while (s == OK && left && cursor_next(c, PIECE_MAX, &piece))
		left = watch_piece(w, &piece, left);
	cursor_fini(c);
	free(c);
	return s;
}

/* The first record's values as text, by the conversions that all records go through. */

static enum status take_texts(struct constants *out, struct watch *w, const struct rows *r,
			      duckdb_data_chunk chunk)
{
	enum status s = OK;
	idx_t at = 0;

	for (uint32_t i = 0; s != ERR_MEMORY && i < r->schema.count; i++) {
		char text[LIFT_TEXT + 1];

		if (!w[i].same)
			continue;
		duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, at++);
		uint64_t *validity = duckdb_vector_get_validity(vector);
		duckdb_string_t *value = duckdb_vector_get_data(vector);
		const uint32_t length = duckdb_string_t_length(*value);

		w[i].same = (!validity || duckdb_validity_row_is_valid(validity, 0)) && length <= LIFT_TEXT;
		if (!w[i].same)
			continue;
		memcpy(text, duckdb_string_t_data(value), length);
		text[length] = '\0';
		s = constants_put(out, r->schema.columns[i].name, text);
		w[i].same = s == OK;
	}
	return s == ERR_MEMORY ? s : OK;
}

static enum status read_texts(struct constants *out, struct watch *w, const struct rows *r,
			      duckdb_connection connection, const char *function, struct error *err)
{
	uint32_t asked = 0;
	duckdb_result result;
	struct sql sql;
	enum status s;

	sql_init(&sql);
	for (uint32_t i = 0; i < r->schema.count; i++) {
		if (!w[i].same)
			continue;
		sql_put(&sql, asked++ ? ", CAST(" : "SELECT CAST(");
		sql_name(&sql, r->schema.columns[i].name);
		sql_put(&sql, " AS VARCHAR)");
	}
	sql_format(&sql, " FROM %s() LIMIT 1", function);
	s = asked == 0   ? END
	    : sql.failed ? error_set(err, ERR_MEMORY, "columns of one value: no memory")
			 : duck_ask(connection, sql.text, &result, "columns of one value", err);
	sql_fini(&sql);
	if (s != OK)
		return s == END ? OK : s;

	duckdb_data_chunk chunk = duckdb_fetch_chunk(result);
	s = chunk && duckdb_data_chunk_get_size(chunk)
		    ? take_texts(out, w, r, chunk)
		    : error_set(err, ERR_SYSTEM, "columns of one value: no record");
	duckdb_destroy_data_chunk(&chunk);
	duckdb_destroy_result(&result);
	return s;
}

enum status lift_constants(struct constants *out, struct rows *r, duckdb_connection connection,
			   const char *function, struct error *err)
{
	struct watch *w = calloc(r->schema.count + 1, sizeof *w);
	enum status s = w ? OK : ERR_MEMORY;

	if (s == OK && r->run_count) {
		watch_base(w, r);
		s = watch_records(w, r);
		if (s == OK)
			s = read_texts(out, w, r, connection, function, err);
	}
	free(w);
	return s == ERR_MEMORY ? error_set(err, ERR_MEMORY, "columns of one value: no memory") : s;
}
