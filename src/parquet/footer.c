#include "parquet/footer.h"

#include <stdlib.h>
#include <string.h>

#include "parquet/thrift_read.h"

enum {
	CHUNK_LEAST = 12, /* octets of the footer that describe a chunk or a column: less is not possible */
	NAME_LEAST = 6,
};

static const char ours[] = "weir ";

struct parsing {
	struct footer *f;
	struct thrift_reader r;
	uint64_t pages, rows;
	enum status status; /* why it ended; OK: r.bad says whether it did */
	const char *fault;
	bool is_ours;
};

/* The first fault counts; nothing is read after it. */
static void fail(struct parsing *p, enum status status, const char *fault)
{
	if (p->status == OK) {
		p->status = status;
		p->fault = fault;
	}
	p->r.at = p->r.end;
	p->r.bad = true;
}

static void *array(struct parsing *p, size_t count, size_t size)
{
	void *memory = calloc(count + 1, size);

	if (!memory)
		fail(p, ERR_MEMORY, "no memory for its footer");
	return memory;
}

/* The schema. */

struct element {
	int64_t physical, octets, repetition, children, converted;
	unsigned logical, unit;
	bool utc;
	struct span name;
};

/* A structure of which only one field is there: its id, and the field itself is open. */
static unsigned open_union(struct parsing *p, unsigned type)
{
	struct thrift_field f = {0};

	if (!thrift_get_struct(&p->r, type) || !thrift_next(&p->r, &f) || !thrift_get_struct(&p->r, f.type)) {
		fail(p, ERR_FORMAT, "its schema");
		return 0;
	}
	return f.id;
}

static void close_struct(struct parsing *p)
{
	struct thrift_field f = {0};

	while (thrift_next(&p->r, &f))
		thrift_skip(&p->r, f.type);
}

static void parse_logical(struct parsing *p, struct element *e, unsigned type)
{
	struct thrift_field f = {0};

	e->logical = open_union(p, type);
	while (thrift_next(&p->r, &f))
		if (e->logical == LOGICAL_TIMESTAMP && f.id == 1) {
			e->utc = thrift_get_bool(&p->r, f.type);
		} else if (e->logical == LOGICAL_TIMESTAMP && f.id == 2) {
			e->unit = open_union(p, f.type);
			close_struct(p);
			close_struct(p);
		} else {
			thrift_skip(&p->r, f.type);
		}
	close_struct(p);
}

static void parse_element(struct parsing *p, struct element *e)
{
	struct thrift_field f = {0};

	*e = (struct element){.physical = -1, .repetition = -1, .converted = NO_CONVERTED};
	while (thrift_next(&p->r, &f))
		switch (f.id) {
		case 1: e->physical = thrift_get_number(&p->r, f.type); break;
		case 2: e->octets = thrift_get_number(&p->r, f.type); break;
		case 3: e->repetition = thrift_get_number(&p->r, f.type); break;
		case 4: e->name = thrift_get_binary(&p->r, f.type); break;
		case 5: e->children = thrift_get_number(&p->r, f.type); break;
		case 6: e->converted = thrift_get_number(&p->r, f.type); break;
		case 10: parse_logical(p, e, f.type); break;
		default: thrift_skip(&p->r, f.type); break;
		}
}

/* PARQUET_TYPE_COUNT: none that we write. */
static enum parquet_type type_of(const struct element *e)
{
	for (unsigned i = 0; i < PARQUET_NOTHING; i++) {
		const struct type *t = &parquet_types[i];

		if (e->physical == t->physical && e->converted == t->converted && e->logical == t->logical &&
		    e->unit == t->unit && !e->utc && e->octets == (t->shape == SHAPE_FIXED ? t->octets : 0))
			return (enum parquet_type)i;
	}
	return PARQUET_TYPE_COUNT;
}

static void parse_column(struct parsing *p, uint32_t column)
{
	struct footer *f = p->f;
	struct element e;

	parse_element(p, &e);
	if (p->r.bad)
		return;
	if (e.children || e.repetition != OPTIONAL || type_of(&e) == PARQUET_TYPE_COUNT) {
		fail(p, ERR_UNSUPPORTED, "a column of another type than we write");
		return;
	}
	if (!e.name.data || memchr(e.name.data, 0, e.name.length)) {
		fail(p, ERR_FORMAT, "a column's name");
		return;
	}
	f->types[column] = type_of(&e);
	f->columns[column] = strndup((const char *)e.name.data, e.name.length);
	if (!f->columns[column])
		fail(p, ERR_MEMORY, "no memory for its footer");
	f->names[column] = (struct footer_name){f->columns[column], column};
}

static int compare_names(const void *a, const void *b)
{
	const struct footer_name *one = a, *other = b;
	const int c = strcmp(one->name, other->name);

	return c ? c : (one->column > other->column) - (one->column < other->column);
}

static void parse_schema(struct parsing *p, unsigned type)
{
	const size_t count = thrift_get_list(&p->r, type, THRIFT_STRUCT);
	struct footer *f = p->f;
	struct element root;

	if (count == 0 || count > UINT32_MAX || f->types ||
	    count - 1 > (size_t)(p->r.end - p->r.at) / NAME_LEAST) {
		fail(p, ERR_FORMAT, "its schema");
		return;
	}
	parse_element(p, &root);
	if (root.children != (int64_t)count - 1) {
		fail(p, ERR_UNSUPPORTED, "columns within columns");
		return;
	}
	f->types = array(p, count, sizeof *f->types);
	f->names = array(p, count, sizeof *f->names);
	f->columns = array(p, count, sizeof *f->columns);
	f->column_count = p->r.bad ? 0 : (uint32_t)count - 1;
	for (uint32_t i = 0; i < f->column_count && !p->r.bad; i++)
		parse_column(p, i);
	if (!p->r.bad)
		qsort(f->names, f->column_count, sizeof *f->names, compare_names);
}

/* Chunks. */

struct described {
	int64_t physical, codec, values, length, data, dictionary, nulls;
	struct span least, greatest;
};

static void parse_statistics(struct parsing *p, struct described *d, unsigned type)
{
	struct thrift_field f = {0};

	if (!thrift_get_struct(&p->r, type))
		return;
	while (thrift_next(&p->r, &f))
		switch (f.id) {
		case 3: d->nulls = thrift_get_number(&p->r, f.type); break;
		case 5: d->greatest = thrift_get_binary(&p->r, f.type); break;
		case 6: d->least = thrift_get_binary(&p->r, f.type); break;
		default: thrift_skip(&p->r, f.type); break;
		}
}

static void parse_description(struct parsing *p, struct described *d, unsigned type)
{
	struct thrift_field f = {0};

	if (!thrift_get_struct(&p->r, type))
		return;
	while (thrift_next(&p->r, &f))
		switch (f.id) {
		case 1: d->physical = thrift_get_number(&p->r, f.type); break;
		case 4: d->codec = thrift_get_number(&p->r, f.type); break;
		case 5: d->values = thrift_get_number(&p->r, f.type); break;
		case 7: d->length = thrift_get_number(&p->r, f.type); break;
		case 9: d->data = thrift_get_number(&p->r, f.type); break;
		case 11: d->dictionary = thrift_get_number(&p->r, f.type); break;
		case 12: parse_statistics(p, d, f.type); break;
		default: thrift_skip(&p->r, f.type); break;
		}
}

/* False: it is none of the type. */
static bool bound(uint64_t *out, const struct type *t, struct span octets)
{
	const unsigned above = 64 - 8u * t->memory;
	uint64_t n = 0, fitting;

	if (octets.length != t->octets)
		return false;
	for (unsigned i = t->octets; i-- > 0;)
		n = n << 8 | octets.data[i];
	if (t->is_signed) {
		n = t->octets == 4 ? (uint64_t)(int64_t)(int32_t)(uint32_t)n : n;
		fitting = (uint64_t)((int64_t)(n << above) >> above);
	} else {
		fitting = n << above >> above;
	}
	*out = n;
	return n == fitting;
}

static void put_bounds(struct parsing *p, struct footer_chunk *c, const struct type *t,
		       const struct described *d)
{
	const uint64_t turn = t->is_signed ? UINT64_C(1) << 63 : 0;

	if (t->shape != SHAPE_NUMBER || !d->least.data || !d->greatest.data)
		return;
	c->bounded = bound(&c->least, t, d->least) && bound(&c->greatest, t, d->greatest) &&
		     (c->least ^ turn) <= (c->greatest ^ turn);
	if (!c->bounded)
		fail(p, ERR_FORMAT, "the bounds of a column");
}

static void put_chunk(struct parsing *p, struct footer_chunk *c, const struct type *t,
		      const struct described *d)
{
	const bool has_dictionary = d->dictionary >= 0;
	const int64_t at = has_dictionary ? d->dictionary : d->data;

	if (d->physical != t->physical || d->values < 1 || d->values > GROUP_ROWS_MAX || d->nulls < 0 ||
	    d->nulls > d->values || at < 4 || d->data < at || (has_dictionary && d->data == at) ||
	    d->length < 1 || d->length > UINT32_MAX || d->data - at >= d->length || (uint64_t)at > p->pages ||
	    (uint64_t)d->length > p->pages - (uint64_t)at) {
		fail(p, ERR_FORMAT, "what it says of a column's pages");
		return;
	}
	if (d->codec != CODEC_ZSTD) {
		fail(p, ERR_UNSUPPORTED, "another compression than zstd");
		return;
	}
	c->at = (uint64_t)at;
	c->length = (uint32_t)d->length;
	c->data = (uint32_t)(d->data - at);
	c->nulls = (uint32_t)d->nulls;
	put_bounds(p, c, t, d);
}

/* *rows: of the first column; the others have as many. */
static void parse_chunk(struct parsing *p, struct footer_chunk *c, const struct type *t, int64_t *rows)
{
	struct described d = {.physical = -1, .codec = -1, .data = -1, .dictionary = -1, .nulls = -1};
	struct thrift_field f = {0};

	while (thrift_next(&p->r, &f))
		if (f.id == 3)
			parse_description(p, &d, f.type);
		else
			thrift_skip(&p->r, f.type);
	if (p->r.bad)
		return;
	put_chunk(p, c, t, &d);
	if (*rows >= 0 && d.values != *rows)
		fail(p, ERR_FORMAT, "columns of different length");
	*rows = d.values;
}

static void parse_group(struct parsing *p, uint32_t group)
{
	struct footer *footer = p->f;
	struct footer_chunk *chunks = footer->chunks + (size_t)group * footer->column_count;
	int64_t rows = -1, said = -1;
	struct thrift_field f = {0};

	while (thrift_next(&p->r, &f)) {
		if (f.id == 3) {
			said = thrift_get_number(&p->r, f.type);
		} else if (f.id == 1) {
			if (thrift_get_list(&p->r, f.type, THRIFT_STRUCT) != footer->column_count)
				fail(p, ERR_FORMAT, "a row group without all columns");
			for (uint32_t i = 0; i < footer->column_count && !p->r.bad; i++)
				parse_chunk(p, &chunks[i], &parquet_types[footer->types[i]], &rows);
		} else {
			thrift_skip(&p->r, f.type);
		}
	}
	if (p->r.bad)
		return;
	if (said < 1 || said > GROUP_ROWS_MAX || (footer->column_count && rows != said))
		fail(p, ERR_FORMAT, "the rows of a row group");
	else
		footer->rows[group] = (uint32_t)said;
}

static void parse_groups(struct parsing *p, unsigned type)
{
	const size_t count = thrift_get_list(&p->r, type, THRIFT_STRUCT);
	const size_t left = (size_t)(p->r.end - p->r.at);
	struct footer *f = p->f;

	/* An array that a few octets have made large is none. */
	if (!f->types || f->rows || count > UINT32_MAX ||
	    (f->column_count && count > left / CHUNK_LEAST / f->column_count)) {
		fail(p, ERR_FORMAT, "its row groups");
		return;
	}
	f->rows = array(p, count, sizeof *f->rows);
	f->chunks = array(p, count * f->column_count, sizeof *f->chunks);
	f->group_count = p->r.bad ? 0 : (uint32_t)count;
	for (uint32_t i = 0; i < f->group_count && !p->r.bad; i++)
		parse_group(p, i);
}

static bool is_ours(struct span writer)
{
	return writer.length >= sizeof ours - 1 && memcmp(writer.data, ours, sizeof ours - 1) == 0;
}

/* Whether somebody else has written it: then it may well be another way round than ours. */
static bool is_foreign(const void *data, size_t length)
{
	struct thrift_reader r = thrift_read(data, length);
	struct thrift_field f = {0};

	while (thrift_next(&r, &f)) {
		if (f.id != 6) {
			thrift_skip(&r, f.type);
			continue;
		}
		const struct span writer = thrift_get_binary(&r, f.type);
		return !r.bad && !is_ours(writer);
	}
	return !r.bad;
}

static void parse_all(struct parsing *p)
{
	struct thrift_field f = {0};
	uint64_t sum = 0;

	while (thrift_next(&p->r, &f))
		switch (f.id) {
		case 2: parse_schema(p, f.type); break;
		case 3: p->rows = (uint64_t)thrift_get_number(&p->r, f.type); break;
		case 4: parse_groups(p, f.type); break;
		case 6: p->is_ours = is_ours(thrift_get_binary(&p->r, f.type)); break;
		default: thrift_skip(&p->r, f.type); break;
		}
	for (uint32_t i = 0; i < p->f->group_count; i++)
		sum += p->f->rows[i];
	if (p->r.bad || !p->f->rows || sum != p->rows)
		fail(p, ERR_FORMAT, "its footer is damaged");
	else if (!p->is_ours)
		fail(p, ERR_UNSUPPORTED, "of another writer");
}

enum status footer_parse(struct footer *f, const void *data, size_t length, uint64_t pages,
			 const char **fault)
{
	struct parsing p = {.f = f, .r = thrift_read(data, length), .pages = pages};

	*f = (struct footer){0};
	parse_all(&p);
	if (p.status != OK && p.status != ERR_MEMORY && is_foreign(data, length)) {
		p.status = ERR_UNSUPPORTED;
		p.fault = "of another writer";
	}
	*fault = p.fault;
	return p.status;
}

void footer_fini(struct footer *f)
{
	for (uint32_t i = 0; i < f->column_count; i++)
		free(f->columns[i]);
	free(f->columns);
	free(f->names);
	free(f->types);
	free(f->rows);
	free(f->chunks);
	*f = (struct footer){0};
}
