#include "parquet/reader.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "parquet/chunk_read.h"

enum {
	AT_ONCE = 64 << 10, /* octets at the end of a file: mostly its footer is among them */
	TAIL = 8,           /* the footer's length, and the magic */
	SMALL = 4096,       /* octets of a dictionary that are always worth reading by themselves; */
	SHARE = 8           /* or this part of its column */
};

struct parquet_reader {
	struct parquet_octets octets;
	struct footer footer;
	char *name;
};

static const char magic[4] = "PAR1";

/* The last octets of the file: `want` of them, or those there are. */
static enum status read_end(const struct parquet_reader *r, size_t want, uint8_t **out, size_t *length,
			    struct error *err)
{
	const size_t n = r->octets.length < want ? (size_t)r->octets.length : want;

	*length = n;
	*out = malloc(n + 1);
	if (!*out)
		return error_set(err, ERR_MEMORY, "%s: no memory for its footer", r->name);
	return r->octets.read(r->octets.arg, r->octets.length - n, *out, n, err);
}

/* How long the footer is. */
static enum status measure(const struct parquet_reader *r, const uint8_t *end, size_t length, size_t most,
			   size_t *footer, struct error *err)
{
	uint32_t said;

	memcpy(&said, end + length - TAIL, sizeof said);
	*footer = le32toh(said);
	if (memcmp(end + length - sizeof magic, magic, sizeof magic) != 0)
		return error_set(err, ERR_FORMAT, "%s: not a Parquet file", r->name);
	if (*footer > r->octets.length - TAIL - sizeof magic)
		return error_set(err, ERR_FORMAT, "%s: a footer of %zu octets in a file of %llu", r->name,
				 *footer, (unsigned long long)r->octets.length);
	if (*footer > most)
		return error_set(err, ERR_LIMIT, "%s: a footer of %zu octets, allowed are %zu", r->name,
				 *footer, most);
	return OK;
}

static enum status read_footer(struct parquet_reader *r, size_t most, struct error *err)
{
	const char *fault = NULL;
	uint8_t *end = NULL;
	size_t length = 0, footer = 0;
	enum status s;

	if (r->octets.length < TAIL + sizeof magic)
		return error_set(err, ERR_FORMAT, "%s: not a Parquet file", r->name);
	s = read_end(r, AT_ONCE, &end, &length, err);
	if (s == OK)
		s = measure(r, end, length, most, &footer, err);
	if (s == OK && footer + TAIL > length) {
		free(end);
		s = read_end(r, footer + TAIL, &end, &length, err);
	}
	if (s == OK) {
		s = footer_parse(&r->footer, end + length - TAIL - footer, footer,
				 r->octets.length - TAIL - footer, &fault);
		if (s != OK)
			error_set(err, s, "%s: %s", r->name, fault);
	}
	free(end);
	return s;
}

enum status parquet_reader_open(struct parquet_reader **out, const struct parquet_octets *octets,
				size_t footer_most, const char *name, struct error *err)
{
	struct parquet_reader *r = calloc(1, sizeof *r);
	enum status s;

	*out = NULL;
	if (!r || !(r->name = strdup(name))) {
		free(r);
		return error_set(err, ERR_MEMORY, "%s: no memory for its footer", name);
	}
	r->octets = *octets;
	s = read_footer(r, footer_most, err);
	if (s == OK)
		*out = r;
	else
		parquet_reader_close(r);
	return s;
}

void parquet_reader_close(struct parquet_reader *reader)
{
	if (!reader)
		return;
	footer_fini(&reader->footer);
	free(reader->name);
	free(reader);
}

uint32_t parquet_reader_columns(const struct parquet_reader *reader)
{
	return reader->footer.column_count;
}

uint32_t parquet_reader_groups(const struct parquet_reader *reader)
{
	return reader->footer.group_count;
}

uint32_t parquet_reader_rows(const struct parquet_reader *reader, uint32_t group)
{
	return reader->footer.rows[group];
}

int32_t parquet_reader_column(const struct parquet_reader *reader, const char *name)
{
	const struct footer *f = &reader->footer;
	uint32_t low = 0, high = f->column_count;

	while (low < high) { /* the first that is not before it */
		const uint32_t middle = low + (high - low) / 2;

		if (strcmp(f->names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == f->column_count || strcmp(f->names[low].name, name) != 0)
		return -1;
	return (int32_t)f->names[low].column;
}

enum parquet_type parquet_reader_type(const struct parquet_reader *reader, uint32_t column)
{
	return reader->footer.types[column];
}

static const struct footer_chunk *chunk_of(const struct parquet_reader *r, uint32_t group, uint32_t column)
{
	return &r->footer.chunks[(size_t)group * r->footer.column_count + column];
}

void parquet_reader_bounds(const struct parquet_reader *reader, uint32_t group, uint32_t column,
			   struct parquet_bounds *out)
{
	const struct footer_chunk *c = chunk_of(reader, group, column);

	*out = (struct parquet_bounds){.nulls = c->nulls, .bounded = c->bounded};
	out->least.u = c->least;
	out->greatest.u = c->greatest;
}

/* Pages. */

static enum status name_fault(const struct parquet_reader *r, uint32_t group, uint32_t column, enum status s,
			      const char *fault, struct error *err)
{
	if (s == OK || s == END)
		return s;
	return error_set(err, s, "%s: column %s in row group %u: %s", r->name, r->footer.columns[column],
			 group, fault);
}

/* The first `length` octets of a chunk. They end where any number is aligned, and so do numbers that are
 * there as they are. */
static enum status read_pages(const struct parquet_reader *r, const struct footer_chunk *c, uint32_t length,
			      struct page_memory *memory, const uint8_t **pages, struct error *err)
{
	uint8_t *to = pages_room(memory, length);

	if (!to)
		return error_set(err, ERR_MEMORY, "%s: no memory for %u octets of pages", r->name, length);
	*pages = to;
	return r->octets.read(r->octets.arg, c->at, to, length, err);
}

enum status parquet_reader_read(const struct parquet_reader *reader, uint32_t group, uint32_t column,
				struct page_memory *memory, struct vector *out, struct error *err)
{
	const struct footer_chunk *c = chunk_of(reader, group, column);
	const enum parquet_type type = reader->footer.types[column];
	const uint32_t rows = reader->footer.rows[group];
	const char *fault = "no memory";
	const uint8_t *pages = NULL;
	enum status s;

	if (c->nulls == rows)
		return name_fault(reader, group, column, vector_blank(out, memory, type, rows), fault, err);
	if (c->length > chunk_most(type, rows))
		return name_fault(reader, group, column, ERR_FORMAT, "more octets than its rows can have",
				  err);
	s = read_pages(reader, c, c->length, memory, &pages, err);
	if (s != OK)
		return s;
	s = chunk_decode(out, memory, &(struct chunk_pages){pages, c, type, rows}, &fault);
	return name_fault(reader, group, column, s, fault, err);
}

enum status parquet_reader_entries(const struct parquet_reader *reader, uint32_t group, uint32_t column,
				   struct page_memory *memory, struct vector *out, struct error *err)
{
	const struct footer_chunk *c = chunk_of(reader, group, column);
	const enum parquet_type type = reader->footer.types[column];
	const uint32_t rows = reader->footer.rows[group];
	const char *fault = NULL;
	const uint8_t *pages = NULL;
	enum status s;

	if (c->nulls == rows || c->data == 0 || (c->data > SMALL && c->data > c->length / SHARE))
		return END;
	if (c->data > chunk_most(type, rows))
		return name_fault(reader, group, column, ERR_FORMAT, "more octets than its rows can have",
				  err);
	s = read_pages(reader, c, c->data, memory, &pages, err);
	if (s != OK)
		return s;
	s = chunk_entries(out, memory, &(struct chunk_pages){pages, c, type, rows}, &fault);
	return name_fault(reader, group, column, s, fault, err);
}
