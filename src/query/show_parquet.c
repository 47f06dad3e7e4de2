/* Parquet: row groups of some megabytes, notes as key-value metadata. Types follow the values: integers
 * INT64, floats DOUBLE, booleans BOOLEAN, times TIMESTAMP in microseconds (UTC), all else text. */
#include <stdlib.h>

#include "parquet/octets.h"
#include "parquet/parquet.h"
#include "query/show.h"

enum { GROUP_OCTETS = 4 << 20, GROUP_ROWS = 100000, SMALL_MAX = 512 };

/* One column of the row group that is being gathered. */
struct show_values {
	enum parquet_type type;
	struct octets values; /* as parquet.h has them, but of a text only its length */
	struct octets texts;  /* one behind the other */
	uint64_t valid[(GROUP_ROWS + 63) / 64];
};

struct show_file {
	struct parquet *parquet;
	struct show_values *columns;
	struct parquet_values *group;
	uint32_t rows;
	size_t held; /* octets */
};

static enum status put(void *arg, const void *data, size_t length, struct error *err)
{
	struct show *s = arg;

	(void)err;
	text_put(&s->text, data, length);
	return s->failed ? ERR_SYSTEM : OK;
}

static void release(struct show *s)
{
	struct show_file *f = s->file;

	s->file = NULL;
	if (!f)
		return;
	for (uint32_t i = 0; f->columns && i < s->count; i++) {
		octets_fini(&f->columns[i].values);
		octets_fini(&f->columns[i].texts);
	}
	parquet_free(f->parquet);
	free(f->columns);
	free(f->group);
	free(f);
}

static void give_up(struct show *s)
{
	s->failed = true;
	release(s);
}

static void begin(struct show *s)
{
	const struct parquet_sink sink = {.arg = s, .put = put};
	struct parquet_column *columns = calloc(s->count + 1, sizeof *columns);
	struct show_file *f = s->file = calloc(1, sizeof *f);

	for (uint32_t i = 0; columns && i < s->count; i++)
		columns[i] = (struct parquet_column){s->columns[i].name, PARQUET_NOTHING};
	if (f) {
		f->columns = calloc(s->count + 1, sizeof *f->columns);
		f->group = calloc(s->count + 1, sizeof *f->group);
	}
	for (uint32_t i = 0; f && f->columns && i < s->count; i++)
		f->columns[i].type = PARQUET_NOTHING;
	if (!columns || !f || !f->columns || !f->group ||
	    parquet_new(&f->parquet, &sink, "the answer", columns, s->count, NULL) != OK)
		give_up(s);
	free(columns);
}

static enum parquet_type type_of(enum cell_kind kind)
{
	switch (kind) {
	case CELL_UNSIGNED: return PARQUET_UNSIGNED64;
	case CELL_SIGNED:
	case CELL_BIG: return PARQUET_SIGNED64;
	case CELL_REAL: return PARQUET_DOUBLE;
	case CELL_BOOLEAN: return PARQUET_BOOLEAN;
	case CELL_WALL: return PARQUET_INSTANT_US;
	default: return PARQUET_TEXT;
	}
}

static int64_t microseconds(const struct cell *c)
{
	return c->digits == 9   ? c->i / 1000
	       : c->digits == 6 ? c->i
	       : c->digits == 3 ? c->i * 1000
				: c->i * 1000000;
}

static size_t width_of(enum parquet_type type)
{
	return type == PARQUET_TEXT ? sizeof(uint32_t) : parquet_width(type);
}

static void put_text(struct show_values *c, const struct cell *cell)
{
	const size_t before = c->texts.used;
	char small[SMALL_MAX];
	struct text t = {.data = small, .capacity = sizeof small};

	if (cell->kind == CELL_TEXT) {
		octets_put(&c->texts, cell->text.data, cell->text.length);
	} else {
		cell_print(&t, cell);
		octets_put(&c->texts, t.data, t.used);
	}
	const uint32_t length = (uint32_t)(c->texts.used - before);
	octets_put(&c->values, &length, sizeof length);
}

/* False: the column cannot hold it; then it is not there. */
static bool put_value(struct show_values *c, const struct cell *cell)
{
	int64_t number;

	switch (c->type) {
	case PARQUET_UNSIGNED64:
	case PARQUET_SIGNED64:
	case PARQUET_INSTANT_US:
		if (cell->kind == CELL_BIG && (cell->big > INT64_MAX || cell->big < INT64_MIN))
			return false;
		number = cell->kind == CELL_WALL  ? microseconds(cell)
			 : cell->kind == CELL_BIG ? (int64_t)cell->big
						  : cell->i;
		octets_put(&c->values, &number, sizeof number);
		return true;
	case PARQUET_DOUBLE: octets_put(&c->values, &cell->real, sizeof cell->real); return true;
	case PARQUET_BOOLEAN: octets_put(&c->values, cell->yes ? "\1" : "", 1); return true;
	default: put_text(c, cell); return true;
	}
}

/* Something stands in the places of rows without a value. */
static void put_gap(struct show_values *c, uint32_t rows)
{
	const size_t length = rows * width_of(c->type);
	uint8_t *to = length ? octets_room(&c->values, length) : NULL;

	if (!to)
		return;
	memset(to, 0, length);
	c->values.used += length;
}

/* Lengths become texts, which lie where they lie now. */
static void point_to_texts(struct show_values *c, uint32_t rows)
{
	struct octets texts = {0};
	size_t at = 0;

	for (uint32_t i = 0; i < rows; i++) {
		uint32_t length;

		memcpy(&length, c->values.data + i * sizeof length, sizeof length);
		const union parquet_text t = parquet_text(length ? c->texts.data + at : NULL, length);
		octets_put(&texts, &t, sizeof t);
		at += length;
	}
	texts.failed |= c->values.failed;
	octets_fini(&c->values);
	c->values = texts;
}

static void end_group(struct show *s)
{
	struct show_file *f = s->file;
	bool failed = false;

	if (f->rows == 0)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		struct show_values *c = &f->columns[i];

		failed |= c->values.failed || c->texts.failed;
		if (!failed && c->type == PARQUET_TEXT)
			point_to_texts(c, f->rows);
		failed |= c->values.failed;
		f->group[i] = (struct parquet_values){.data = c->values.data, .valid = c->valid};
	}
	if (failed || parquet_group(f->parquet, f->group, f->rows, NULL) != OK) {
		give_up(s);
		return;
	}
	for (uint32_t i = 0; i < s->count; i++) {
		f->columns[i].values.used = f->columns[i].texts.used = 0;
		memset(f->columns[i].valid, 0, sizeof f->columns[i].valid);
	}
	f->rows = 0;
	f->held = 0;
}

static void row(struct show *s, const struct cell *cells)
{
	struct show_file *f = s->file;

	if (!f)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		struct show_values *c = &f->columns[i];
		const size_t before = c->values.used + c->texts.used;

		if (cells[i].kind != CELL_NULL && c->type == PARQUET_NOTHING) {
			c->type = type_of((enum cell_kind)cells[i].kind);
			parquet_settle(f->parquet, i, c->type);
			put_gap(c, f->rows);
		}
		if (cells[i].kind != CELL_NULL && put_value(c, &cells[i]))
			c->valid[f->rows / 64] |= UINT64_C(1) << f->rows % 64;
		else
			put_gap(c, 1);
		f->held += c->values.used + c->texts.used - before + 1;
	}
	f->rows++;
	if (f->held >= GROUP_OCTETS || f->rows == GROUP_ROWS)
		end_group(s);
}

static void end(struct show *s)
{
	if (s->file)
		end_group(s);
	if (!s->file)
		return;
	for (const struct show_note *n = s->notes; n && n->name; n++)
		parquet_note(s->file->parquet, n->name, n->text);
	if (parquet_end(s->file->parquet, NULL) != OK)
		s->failed = true;
	release(s);
}

const struct show_type show_parquet = {.name = "parquet", .begin = begin, .row = row, .end = end};
