#include "parquet/parquet.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "parquet/chunk.h"
#include "parquet/pack.h"
#include "parquet/thrift.h"

enum {
	WRITE_OCTETS = 1 << 20, /* that are gathered before they are written */
	ROWS_MAX = 1 << 20,
	BOUNDED_OCTETS = 4 << 20, /* of a footer; what is behind has no bounds, for readers load it whole */
};

/* Where the footer's octets say of which type a chunk without values is. */
struct unsettled {
	size_t at;
	uint32_t column;
};

struct parquet {
	struct parquet_sink sink;
	const char *name;
	struct parquet_column *columns;
	uint32_t column_count, group_count, note_count;
	uint64_t rows;
	uint64_t written; /* octets of the file */
	struct octets out;
	struct octets groups; /* what the footer says of them */
	struct octets unsettled, notes;
	struct scratch scratch;
};

static const char magic[4] = "PAR1";

union parquet_text parquet_text(const void *octets, size_t length)
{
	union parquet_text t;

	memset(&t, 0, sizeof t);
	t.near.length = (uint32_t)length;
	if (length <= PARQUET_NEAR) {
		if (length)
			memcpy(t.near.octets, octets, length);
		return t;
	}
	memcpy(t.far.first, octets, sizeof t.far.first);
	t.far.octets = octets;
	return t;
}

size_t parquet_width(enum parquet_type type)
{
	return parquet_types[type].memory;
}

static enum status flush(struct parquet *p, struct error *err)
{
	const enum status s = p->sink.put(p->sink.arg, p->out.data, p->out.used, err);

	p->written += p->out.used;
	p->out.used = 0;
	return s;
}

enum status parquet_new(struct parquet **out, const struct parquet_sink *sink, const char *name,
			const struct parquet_column *columns, uint32_t count, struct error *err)
{
	struct parquet *p = calloc(1, sizeof *p);

	*out = NULL;
	if (!p || scratch_init(&p->scratch) != OK || !(p->columns = calloc(count + 1, sizeof *columns))) {
		parquet_free(p);
		return error_set(err, ERR_MEMORY, "%s: no memory for %u columns", name, count);
	}
	p->sink = *sink;
	p->name = name;
	p->column_count = count;
	memcpy(p->columns, columns, count * sizeof *columns);
	octets_put(&p->out, magic, sizeof magic);
	*out = p;
	return OK;
}

void parquet_free(struct parquet *p)
{
	if (!p)
		return;
	scratch_fini(&p->scratch);
	octets_fini(&p->out);
	octets_fini(&p->groups);
	octets_fini(&p->unsettled);
	octets_fini(&p->notes);
	free(p->columns);
	free(p);
}

void parquet_settle(struct parquet *p, uint32_t column, enum parquet_type type)
{
	p->columns[column].type = type;
}

/* Row groups. */

static void describe_chunk(struct parquet *p, struct thrift *t, const struct chunk *c, uint32_t column,
			   uint64_t offset)
{
	const bool dictionary = c->encoding == RLE_DICTIONARY;
	const char *name = p->columns[column].name;

	thrift_open(t);
	thrift_number(t, 2, THRIFT_I64, 0);
	thrift_open_field(t, 3);
	if (p->columns[column].type == PARQUET_NOTHING) {
		const struct unsettled u = {p->groups.used + 1, column};

		octets_put(&p->unsettled, &u, sizeof u);
	}
	thrift_number(t, 1, THRIFT_I32, c->type->physical);
	thrift_list(t, 2, THRIFT_I32, dictionary ? 3 : 2);
	thrift_element_number(t, RLE);
	thrift_element_number(t, c->encoding);
	if (dictionary)
		thrift_element_number(t, PLAIN);
	thrift_list(t, 3, THRIFT_BINARY, 1);
	thrift_element_binary(t, name, strlen(name));
	thrift_number(t, 4, THRIFT_I32, CODEC_ZSTD);
	thrift_number(t, 5, THRIFT_I64, c->rows);
	thrift_number(t, 6, THRIFT_I64, (int64_t)c->unpacked);
	thrift_number(t, 7, THRIFT_I64, (int64_t)c->pages);
	thrift_number(t, 9, THRIFT_I64, (int64_t)(offset + c->data_page));
	if (dictionary)
		thrift_number(t, 11, THRIFT_I64, (int64_t)offset);
	thrift_open_field(t, 12);
	thrift_number(t, 3, THRIFT_I64, c->nulls);
	if (c->bounded && p->groups.used < BOUNDED_OCTETS) {
		thrift_binary(t, 5, c->greatest, c->greatest_length);
		thrift_binary(t, 6, c->least, c->least_length);
	}
	thrift_close(t);
	thrift_close(t);
	thrift_close(t);
}

enum status parquet_group(struct parquet *p, const struct parquet_values *values, uint32_t rows,
			  struct error *err)
{
	struct thrift t = {.out = &p->groups};
	uint64_t pages = 0, unpacked = 0;

	if (rows == 0 || rows > ROWS_MAX)
		return error_set(err, ERR_LIMIT, "%s: a row group of %u rows, allowed are 1 to %d", p->name,
				 rows, ROWS_MAX);
	thrift_open(&t);
	thrift_list(&t, 1, THRIFT_STRUCT, p->column_count);
	for (uint32_t i = 0; i < p->column_count; i++) {
		const uint64_t offset = p->written + p->out.used;
		struct chunk c;
		enum status s = chunk_encode(&c, &p->scratch, &p->out, p->columns[i].type, &values[i], rows);

		if (s != OK)
			return error_set(err, s, "%s: column %s: %s", p->name, p->columns[i].name,
					 s == ERR_LIMIT ? "2 GiB or more in a row group" : "no memory");
		describe_chunk(p, &t, &c, i, offset);
		pages += c.pages;
		unpacked += c.unpacked;
		if (p->out.used >= WRITE_OCTETS) {
			s = flush(p, err);
			if (s != OK)
				return s;
		}
	}
	thrift_number(&t, 2, THRIFT_I64, (int64_t)unpacked);
	thrift_number(&t, 3, THRIFT_I64, rows);
	thrift_number(&t, 6, THRIFT_I64, (int64_t)pages);
	thrift_close(&t);
	p->group_count++;
	p->rows += rows;
	return OK;
}

/* The footer. */

static void put_logical(struct thrift *t, const struct type *type)
{
	if (type->logical == LOGICAL_NONE)
		return;
	thrift_open_field(t, 10);
	thrift_open_field(t, type->logical);
	if (type->logical == LOGICAL_TIMESTAMP) {
		thrift_bool(t, 1, false); /* not adjusted to UTC: a time without zone, as DuckDB's are */
		thrift_open_field(t, 2);
		thrift_open_field(t, type->unit);
		thrift_close(t);
		thrift_close(t);
	}
	thrift_close(t);
	thrift_close(t);
}

static void put_schema(struct thrift *t, const struct parquet *p)
{
	thrift_list(t, 2, THRIFT_STRUCT, (size_t)p->column_count + 1);
	thrift_open(t);
	thrift_binary(t, 4, "weir", 4);
	thrift_number(t, 5, THRIFT_I32, p->column_count);
	thrift_close(t);
	for (uint32_t i = 0; i < p->column_count; i++) {
		const struct type *type = &parquet_types[p->columns[i].type];

		thrift_open(t);
		thrift_number(t, 1, THRIFT_I32, type->physical);
		if (type->shape == SHAPE_FIXED)
			thrift_number(t, 2, THRIFT_I32, type->octets);
		thrift_number(t, 3, THRIFT_I32, OPTIONAL);
		thrift_binary(t, 4, p->columns[i].name, strlen(p->columns[i].name));
		if (type->converted != NO_CONVERTED)
			thrift_number(t, 6, THRIFT_I32, type->converted);
		put_logical(t, type);
		thrift_close(t);
	}
}

/* Chunks without values are of the type that the column got after them: a number of one octet. */
static void settle_chunks(struct parquet *p)
{
	const struct unsettled *all = (const void *)p->unsettled.data;

	for (size_t i = 0; !p->groups.failed && i < p->unsettled.used / sizeof *all; i++)
		p->groups.data[all[i].at] =
			(uint8_t)zigzag(parquet_types[p->columns[all[i].column].type].physical);
}

void parquet_note(struct parquet *p, const char *name, const char *text)
{
	struct thrift t = {.out = &p->notes};

	p->note_count++;
	thrift_open(&t);
	thrift_binary(&t, 1, name, strlen(name));
	thrift_binary(&t, 2, text, strlen(text));
	thrift_close(&t);
}

enum status parquet_end(struct parquet *p, struct error *err)
{
	static const char writer[] = "weir " WEIR_VERSION;
	struct thrift t = {.out = &p->out};
	const size_t begun = p->out.used;

	thrift_open(&t);
	thrift_number(&t, 1, THRIFT_I32, 2);
	put_schema(&t, p);
	thrift_number(&t, 3, THRIFT_I64, (int64_t)p->rows);
	thrift_list(&t, 4, THRIFT_STRUCT, p->group_count);
	settle_chunks(p);
	octets_put(&p->out, p->groups.data, p->groups.used);
	if (p->note_count)
		thrift_list(&t, 5, THRIFT_STRUCT, p->note_count);
	octets_put(&p->out, p->notes.data, p->notes.used);
	thrift_binary(&t, 6, writer, sizeof writer - 1);
	thrift_list(&t, 7, THRIFT_STRUCT, p->column_count);
	for (uint32_t i = 0; i < p->column_count; i++) {
		thrift_open(&t); /* values are ordered as their type is */
		thrift_open_field(&t, 1);
		thrift_close(&t);
		thrift_close(&t);
	}
	thrift_close(&t);

	const uint32_t length = htole32((uint32_t)(p->out.used - begun));
	octets_put(&p->out, &length, sizeof length);
	octets_put(&p->out, magic, sizeof magic);
	if (p->out.failed || p->groups.failed || p->unsettled.failed || p->notes.failed)
		return error_set(err, ERR_MEMORY, "%s: no memory for its footer", p->name);
	return flush(p, err);
}
