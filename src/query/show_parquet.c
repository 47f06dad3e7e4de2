/* Parquet, plainly encoded: every column optional, row groups of some megabytes, notes as key-value metadata.
 * Types follow the values: integers INT64, floats DOUBLE, booleans BOOLEAN, times TIMESTAMP in microseconds,
 * all else text. */
#include <stdlib.h>

#include "query/show.h"
#include "query/thrift.h"

enum { GROUP_OCTETS = 4 << 20, GROUP_ROWS = 100000, SMALL_MAX = 512 };

/* Numbers of the format. */
enum { TYPE_BOOLEAN = 0, TYPE_INT64 = 2, TYPE_DOUBLE = 5, TYPE_BYTES = 6, TYPE_NONE = -1 };
enum { CONVERTED_UTF8 = 0, CONVERTED_MICROSECONDS = 10, CONVERTED_UINT64 = 14, CONVERTED_NONE = -1 };
enum { ENCODING_PLAIN = 0, ENCODING_RLE = 3 };

struct parquet_column {
	int type, converted;  /* TYPE_NONE: no value yet */
	struct octets levels; /* 1 where there is a value */
	struct octets values;
};

/* A column of a row group that is written. */
struct parquet_chunk {
	uint64_t at, length, values;
};

struct parquet {
	struct parquet_column *columns;
	struct parquet_chunk *chunks; /* of all groups, column by column */
	uint64_t *group_rows;
	uint32_t groups, room;
	uint64_t offset, rows, all_rows, held;
	bool failed;
};

static void put(struct show *s, const void *data, size_t length)
{
	text_put(&s->text, data, length);
	s->parquet->offset += length;
}

static void begin(struct show *s)
{
	s->parquet = calloc(1, sizeof *s->parquet);
	if (s->parquet && !(s->parquet->columns = calloc(s->count + 1, sizeof *s->parquet->columns))) {
		free(s->parquet);
		s->parquet = NULL;
	}
	if (!s->parquet) {
		s->failed = true;
		return;
	}
	for (uint32_t i = 0; i < s->count; i++)
		s->parquet->columns[i].type = TYPE_NONE;
	put(s, "PAR1", 4);
}

static void settle(struct parquet_column *c, enum cell_kind kind)
{
	c->converted = CONVERTED_NONE;
	switch (kind) {
	case CELL_UNSIGNED:
		c->type = TYPE_INT64;
		c->converted = CONVERTED_UINT64;
		break;
	case CELL_SIGNED:
	case CELL_BIG: c->type = TYPE_INT64; break;
	case CELL_REAL: c->type = TYPE_DOUBLE; break;
	case CELL_BOOLEAN: c->type = TYPE_BOOLEAN; break;
	case CELL_WALL:
		c->type = TYPE_INT64;
		c->converted = CONVERTED_MICROSECONDS;
		break;
	default: c->type = TYPE_BYTES; c->converted = CONVERTED_UTF8;
	}
}

static int64_t microseconds(const struct cell *c)
{
	return c->digits == 9   ? c->i / 1000
	       : c->digits == 6 ? c->i
	       : c->digits == 3 ? c->i * 1000
				: c->i * 1000000;
}

static void put_text(struct octets *out, const struct cell *c)
{
	char small[SMALL_MAX];
	struct text t = {.data = small, .capacity = sizeof small};

	if (c->kind == CELL_TEXT) {
		octets_le32(out, (uint32_t)c->text.length);
		octets_put(out, c->text.data, c->text.length);
		return;
	}
	cell_print(&t, c);
	octets_le32(out, (uint32_t)t.used);
	octets_put(out, t.data, t.used);
}

/* False: the column cannot hold it; then it is not there. */
static bool put_value(struct parquet_column *c, const struct cell *cell)
{
	uint64_t bits;

	switch (c->type) {
	case TYPE_INT64:
		if (cell->kind == CELL_BIG && (cell->big > INT64_MAX || cell->big < INT64_MIN))
			return false;
		octets_le64(&c->values, cell->kind == CELL_WALL  ? (uint64_t)microseconds(cell)
					: cell->kind == CELL_BIG ? (uint64_t)cell->big
								 : cell->u);
		return true;
	case TYPE_DOUBLE:
		memcpy(&bits, &cell->real, sizeof bits);
		octets_le64(&c->values, bits);
		return true;
	case TYPE_BOOLEAN: octets_put(&c->values, cell->yes ? "\1" : "", 1); return true;
	default: put_text(&c->values, cell); return true;
	}
}

/* Booleans are eight an octet. */
static void pack(struct octets *values)
{
	size_t used = 0;

	for (size_t i = 0; i < values->used; i++) {
		const uint8_t bit = (uint8_t)(values->data[i] << (i % 8));

		values->data[used] = i % 8 ? (uint8_t)(values->data[used] | bit) : bit;
		used += i % 8 == 7 || i + 1 == values->used;
	}
	values->used = used;
}

/* Runs of equal levels. */
static void put_levels(struct octets *out, const struct octets *levels)
{
	struct octets runs = {0};

	for (size_t i = 0, n; i < levels->used; i += n) {
		for (n = 1; i + n < levels->used && levels->data[i + n] == levels->data[i]; n++)
			;
		octets_varint(&runs, (uint64_t)n << 1);
		octets_put(&runs, levels->data + i, 1);
	}
	octets_le32(out, (uint32_t)runs.used);
	octets_put(out, runs.data, runs.used);
	out->failed |= runs.failed;
	octets_fini(&runs);
}

static void put_chunk(struct show *s, struct parquet_column *c, struct parquet_chunk *chunk)
{
	struct octets body = {0}, head = {0};
	struct thrift t = {.out = &head};

	chunk->at = s->parquet->offset;
	chunk->values = c->levels.used;
	if (c->type == TYPE_BOOLEAN)
		pack(&c->values);
	put_levels(&body, &c->levels);
	octets_put(&body, c->values.data, c->values.used);
	thrift_i32(&t, 1, 0);
	thrift_i32(&t, 2, (int32_t)body.used);
	thrift_i32(&t, 3, (int32_t)body.used);
	thrift_open(&t, 5);
	thrift_i32(&t, 1, (int32_t)c->levels.used);
	thrift_i32(&t, 2, ENCODING_PLAIN);
	thrift_i32(&t, 3, ENCODING_RLE);
	thrift_i32(&t, 4, ENCODING_RLE);
	thrift_close(&t);
	thrift_end(&t);
	put(s, head.data, head.used);
	put(s, body.data, body.used);
	chunk->length = s->parquet->offset - chunk->at;
	s->parquet->failed |= body.failed || head.failed || c->values.failed || c->levels.failed;
	octets_fini(&body);
	octets_fini(&head);
	c->levels.used = c->values.used = 0;
}

static void end_group(struct show *s)
{
	struct parquet *p = s->parquet;

	if (p->rows == 0)
		return;
	if (p->groups == p->room) {
		const uint32_t room = p->room ? 2 * p->room : 16;
		struct parquet_chunk *chunks =
			realloc(p->chunks, (size_t)room * (s->count + 1) * sizeof *chunks);
		uint64_t *rows = chunks ? realloc(p->group_rows, room * sizeof *rows) : NULL;

		p->chunks = chunks ? chunks : p->chunks;
		p->group_rows = rows ? rows : p->group_rows;
		if (!rows) {
			p->failed = true;
			return;
		}
		p->room = room;
	}
	for (uint32_t i = 0; i < s->count; i++)
		put_chunk(s, &p->columns[i], &p->chunks[(size_t)p->groups * s->count + i]);
	p->group_rows[p->groups++] = p->rows;
	p->all_rows += p->rows;
	p->rows = p->held = 0;
}

static void row(struct show *s, const struct cell *cells)
{
	struct parquet *p = s->parquet;

	if (!p || p->failed)
		return;
	for (uint32_t i = 0; i < s->count; i++) {
		struct parquet_column *c = &p->columns[i];
		const size_t before = c->values.used;
		bool there = cells[i].kind != CELL_NULL;

		if (there && c->type == TYPE_NONE)
			settle(c, (enum cell_kind)cells[i].kind);
		there = there && put_value(c, &cells[i]);
		octets_put(&c->levels, there ? "\1" : "", 1);
		p->held += c->values.used - before + 1;
		p->failed |= c->values.failed || c->levels.failed;
	}
	p->rows++;
	if (p->held >= GROUP_OCTETS || p->rows == GROUP_ROWS)
		end_group(s);
}

static void put_schema(struct thrift *t, const struct show *s)
{
	thrift_list(t, 2, THRIFT_STRUCT, s->count + 1);
	thrift_element(t);
	thrift_string(t, 4, "weir", 4);
	thrift_i32(t, 5, (int32_t)s->count);
	thrift_close(t);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct parquet_column *c = &s->parquet->columns[i];
		const bool none = c->type == TYPE_NONE;

		thrift_element(t);
		thrift_i32(t, 1, none ? TYPE_BYTES : c->type);
		thrift_i32(t, 3, 1); /* optional */
		thrift_string(t, 4, s->columns[i].name, strlen(s->columns[i].name));
		if (none || c->converted != CONVERTED_NONE)
			thrift_i32(t, 6, none ? CONVERTED_UTF8 : c->converted);
		thrift_close(t);
	}
}

static void put_group(struct thrift *t, const struct show *s, uint32_t group)
{
	const struct parquet *p = s->parquet;
	uint64_t octets = 0;

	thrift_element(t);
	thrift_list(t, 1, THRIFT_STRUCT, s->count);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct parquet_chunk *c = &p->chunks[(size_t)group * s->count + i];
		const int type = p->columns[i].type;

		octets += c->length;
		thrift_element(t);
		thrift_i64(t, 2, (int64_t)c->at);
		thrift_open(t, 3);
		thrift_i32(t, 1, type == TYPE_NONE ? TYPE_BYTES : type);
		thrift_list(t, 2, THRIFT_I32, 2);
		octets_zigzag(t->out, ENCODING_PLAIN);
		octets_zigzag(t->out, ENCODING_RLE);
		thrift_list(t, 3, THRIFT_BINARY, 1);
		octets_varint(t->out, strlen(s->columns[i].name));
		octets_put(t->out, s->columns[i].name, strlen(s->columns[i].name));
		thrift_i32(t, 4, 0); /* not compressed */
		thrift_i64(t, 5, (int64_t)c->values);
		thrift_i64(t, 6, (int64_t)c->length);
		thrift_i64(t, 7, (int64_t)c->length);
		thrift_i64(t, 9, (int64_t)c->at);
		thrift_close(t);
		thrift_close(t);
	}
	thrift_i64(t, 2, (int64_t)octets);
	thrift_i64(t, 3, (int64_t)p->group_rows[group]);
	thrift_close(t);
}

static void put_notes(struct thrift *t, const struct show *s)
{
	uint32_t count = 0;

	while (s->notes && s->notes[count].name)
		count++;
	if (count)
		thrift_list(t, 5, THRIFT_STRUCT, count);
	for (uint32_t i = 0; i < count; i++) {
		thrift_element(t);
		thrift_string(t, 1, s->notes[i].name, strlen(s->notes[i].name));
		thrift_string(t, 2, s->notes[i].text, strlen(s->notes[i].text));
		thrift_close(t);
	}
	thrift_string(t, 6, "weir " WEIR_VERSION, strlen("weir " WEIR_VERSION));
}

static void end(struct show *s)
{
	struct parquet *p = s->parquet;
	struct octets footer = {0};
	struct thrift t = {.out = &footer};

	if (!p)
		return;
	end_group(s);
	thrift_i32(&t, 1, 1);
	put_schema(&t, s);
	thrift_i64(&t, 3, (int64_t)p->all_rows);
	thrift_list(&t, 4, THRIFT_STRUCT, p->groups);
	for (uint32_t i = 0; i < p->groups; i++)
		put_group(&t, s, i);
	put_notes(&t, s);
	thrift_end(&t);
	const uint32_t length = (uint32_t)footer.used;
	octets_le32(&footer, length);
	octets_put(&footer, "PAR1", 4);
	put(s, footer.data, footer.used);
	s->failed |= p->failed || footer.failed;
	octets_fini(&footer);
	for (uint32_t i = 0; i < s->count; i++) {
		octets_fini(&p->columns[i].levels);
		octets_fini(&p->columns[i].values);
	}
	free(p->columns);
	free(p->chunks);
	free(p->group_rows);
	free(p);
	s->parquet = NULL;
}

const struct show_type show_parquet = {.name = "parquet", .begin = begin, .row = row, .end = end};
