/* Parquet files as parquet/reader.h reads them: values or an error. The first octet says what the others are:
 *   0  a file
 *   1  the pages of a column: struct pages_shape, and then its dictionary, definition levels and values, to
 *      which headers are put that fit
 *   2  a file of our writer: struct file_shape, and then patches of it, each an octet and three of where it
 * is. Without a patch it must be read as it was written. */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/span.h"
#include "parquet/chunk_read.h"
#include "parquet/octets.h"
#include "parquet/thrift.h"

enum { FOOTER_MOST = 1 << 20, ROWS_MAX = 12000, TEXT_MAX = 40, PATCH = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status get(void *arg, uint64_t at, void *to, size_t length, struct error *err)
{
	const struct octets *o = arg;

	(void)err;
	if (at > o->used || length > o->used - at)
		abort();
	memcpy(to, o->data + at, length);
	return OK;
}

static enum status put(void *arg, const void *data, size_t length, struct error *err)
{
	(void)err;
	octets_put(arg, data, length);
	return OK;
}

/* Everything that can be read is; the answer is only there so that it has to be. */
static uint64_t walk(const struct vector *v)
{
	const size_t width = parquet_width(v->type);
	uint64_t any = 0;

	for (uint32_t row = 0; row < v->rows; row++) {
		const uint32_t at = vector_at(v, row);
		const uint8_t *value = (const uint8_t *)v->data + at * width;
		const union parquet_text *text = (const void *)value;

		if (v->codes && at >= v->entries)
			abort();
		any += (uint64_t)value[0] + value[width - 1] + vector_has(v, row);
		if (v->type != PARQUET_TEXT && v->type != PARQUET_OCTETS)
			continue;
		for (uint32_t i = 0; i < text->near.length; i += 61)
			any += parquet_text_octets(text)[i];
		if (text->near.length)
			any += parquet_text_octets(text)[text->near.length - 1];
	}
	return any;
}

static void read_file(struct octets *o)
{
	const struct parquet_octets octets = {o, get, o->used};
	struct parquet_reader *r;
	struct page_memory *memory;
	struct error err;
	struct parquet_bounds b;
	struct vector v;

	if (parquet_reader_open(&r, &octets, FOOTER_MOST, "fuzz", &err) != OK)
		return;
	if (page_memory_new(&memory) != OK)
		abort();
	for (uint32_t g = 0; g < parquet_reader_groups(r) && g < 4; g++)
		for (uint32_t c = 0; c < parquet_reader_columns(r) && c < 64; c++) {
			parquet_reader_bounds(r, g, c, &b);
			if (b.nulls > parquet_reader_rows(r, g))
				abort();
			if (parquet_reader_entries(r, g, c, memory, &v, &err) == OK)
				(void)walk(&v);
			if (parquet_reader_read(r, g, c, memory, &v, &err) == OK)
				(void)walk(&v);
		}
	page_memory_free(memory);
	parquet_reader_close(r);
}

/* Pages. */

struct pages_shape {
	uint8_t type;
	uint8_t how; /* bits: 1 there is a dictionary, 2 values are compressed, 4 and 8 which encoding */
	uint16_t rows, nulls, entries;
	uint16_t dictionary, levels; /* octets */
};

static struct span take(struct span *from, size_t length)
{
	const struct span taken = span_of(from->data, length < from->length ? length : from->length);

	from->data += taken.length;
	from->length -= taken.length;
	return taken;
}

static void put_header(struct octets *o, const struct pages_shape *s, bool data, size_t unpacked,
		       size_t packed, size_t levels)
{
	static const uint8_t encodings[] = {PLAIN, RLE_DICTIONARY, DELTA_BINARY_PACKED, RLE};
	struct thrift t = {.out = o};

	thrift_open(&t);
	thrift_number(&t, 1, THRIFT_I32, data ? PAGE_DATA_V2 : PAGE_DICTIONARY);
	thrift_number(&t, 2, THRIFT_I32, (int64_t)unpacked);
	thrift_number(&t, 3, THRIFT_I32, (int64_t)packed);
	thrift_open_field(&t, data ? 8 : 7);
	thrift_number(&t, 1, THRIFT_I32, data ? s->rows : s->entries);
	thrift_number(&t, 2, THRIFT_I32, data ? s->nulls : 0);
	if (data) {
		thrift_number(&t, 3, THRIFT_I32, s->rows);
		thrift_number(&t, 4, THRIFT_I32, encodings[s->how / 4 % 4]);
		thrift_number(&t, 5, THRIFT_I32, (int64_t)levels);
		thrift_number(&t, 6, THRIFT_I32, 0);
		thrift_bool(&t, 7, s->how & 2);
	}
	thrift_close(&t);
	thrift_close(&t);
}

static struct span compress(uint8_t *to, size_t room, struct span from)
{
	const size_t n = ZSTD_compress(to, room, from.data, from.length, 1);

	if (ZSTD_isError(n))
		abort();
	return span_of(to, n);
}

static void read_pages(struct span input)
{
	struct pages_shape s = {0};
	struct octets o = {0};
	struct footer_chunk c = {0};
	struct page_memory *memory;
	const char *fault = NULL;
	struct vector v;

	if (input.length < sizeof s)
		return;
	memcpy(&s, take(&input, sizeof s).data, sizeof s);
	s.rows = (uint16_t)(s.rows % ROWS_MAX + 1);
	s.nulls %= s.rows;
	const struct span dictionary = take(&input, s.how & 1 ? s.dictionary : 0);
	const struct span levels = take(&input, s.levels);
	const size_t room = ZSTD_compressBound(input.length + dictionary.length);
	uint8_t *packed = malloc(room);
	if (!packed || page_memory_new(&memory) != OK)
		abort();
	if (s.how & 1) {
		const struct span content = compress(packed, room, dictionary);

		put_header(&o, &s, false, dictionary.length, content.length, 0);
		octets_put(&o, content.data, content.length);
		c.data = (uint32_t)o.used;
	}
	const struct span content = s.how & 2 ? compress(packed, room, input) : input;
	put_header(&o, &s, true, levels.length + input.length, levels.length + content.length, levels.length);
	octets_put(&o, levels.data, levels.length);
	octets_put(&o, content.data, content.length);
	c.length = (uint32_t)o.used;
	c.nulls = s.nulls;
	uint8_t *pages = pages_room(memory, c.length);
	const struct chunk_pages all = {pages, &c, (enum parquet_type)(s.type % PARQUET_NOTHING), s.rows};
	memcpy(pages, o.data, c.length);
	if (chunk_decode(&v, memory, &all, &fault) == OK)
		(void)walk(&v);
	else if (!fault)
		abort();
	page_memory_free(memory);
	octets_fini(&o);
	free(packed);
}

/* Files of the writer. */

struct file_shape {
	uint8_t type;
	uint8_t bits; /* of a value; of a text: the length at most */
	uint16_t rows;
	uint8_t step; /* that values grow by */
	uint8_t gaps; /* rows one after the other that have none, as often as those that have */
	uint16_t random;
};

struct column {
	enum parquet_type type;
	uint32_t rows;
	uint8_t *values;
	uint64_t *valid;
	uint8_t (*texts)[TEXT_MAX];
};

static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 16 ^ *state << 32;
}

static void make_column(struct column *c, const struct file_shape *s)
{
	const size_t width = parquet_width(c->type);
	uint64_t random = s->random;

	for (uint32_t i = 0; i < c->rows; i++) {
		const uint64_t n = (draw(&random) >> (63 - s->bits % 64)) + (uint64_t)s->step * i;
		uint8_t *to = c->values + i * width;
		const bool gap = s->gaps && i / s->gaps % 2;

		c->valid[i / 64] |= (uint64_t)!gap << i % 64;
		if (c->type == PARQUET_TEXT || c->type == PARQUET_OCTETS) {
			const uint64_t little = htole64(n);

			memcpy(c->texts[i], &little, sizeof little);
			const union parquet_text t = parquet_text(c->texts[i], s->bits % TEXT_MAX);
			memcpy(to, &t, sizeof t);
		} else if (c->type == PARQUET_BOOLEAN) {
			*to = n & 1;
		} else {
			memcpy(to, &n, width < 8 ? width : 8);
		}
	}
}

static void write_file(struct octets *o, const struct column *c)
{
	const struct parquet_sink sink = {.arg = o, .put = put};
	const struct parquet_column column = {"column", c->type};
	const struct parquet_values values = {c->values, c->valid};
	struct parquet *p;

	if (parquet_new(&p, &sink, "fuzz", &column, 1, NULL) != OK ||
	    parquet_group(p, &values, c->rows, NULL) != OK || parquet_end(p, NULL) != OK)
		abort();
	parquet_free(p);
}

/* As it was written. */
static void compare(struct octets *o, const struct column *c)
{
	const struct parquet_octets octets = {o, get, o->used};
	const size_t width = parquet_width(c->type);
	struct parquet_reader *r;
	struct page_memory *memory;
	struct vector v;

	if (parquet_reader_open(&r, &octets, FOOTER_MOST, "fuzz", NULL) != OK ||
	    page_memory_new(&memory) != OK || parquet_reader_read(r, 0, 0, memory, &v, NULL) != OK)
		abort();
	for (uint32_t i = 0; i < c->rows; i++) {
		const uint8_t *mine = c->values + i * width;
		const uint8_t *theirs = (const uint8_t *)v.data + vector_at(&v, i) * width;
		const union parquet_text *a = (const void *)mine, *b = (const void *)theirs;

		if (vector_has(&v, i) != (c->valid[i / 64] >> i % 64 & 1))
			abort();
		if (!vector_has(&v, i))
			continue;
		if (c->type != PARQUET_TEXT && c->type != PARQUET_OCTETS) {
			if (memcmp(mine, theirs, width) != 0)
				abort();
		} else if (a->near.length != b->near.length ||
			   memcmp(parquet_text_octets(a), parquet_text_octets(b), a->near.length) != 0) {
			abort();
		}
	}
	page_memory_free(memory);
	parquet_reader_close(r);
}

static void read_written(struct span input)
{
	struct file_shape s = {0};
	struct octets o = {0};

	if (input.length < sizeof s)
		return;
	memcpy(&s, take(&input, sizeof s).data, sizeof s);
	struct column c = {.type = (enum parquet_type)(s.type % PARQUET_NOTHING),
			   .rows = s.rows % ROWS_MAX + 1u};
	c.values = calloc(c.rows, parquet_width(c.type));
	c.valid = calloc(c.rows / 64 + 1, sizeof *c.valid);
	c.texts = calloc(c.rows, sizeof *c.texts);
	if (!c.values || !c.valid || !c.texts)
		abort();
	make_column(&c, &s);
	write_file(&o, &c);
	if (input.length < PATCH)
		compare(&o, &c);
	for (; input.length >= PATCH; (void)take(&input, PATCH)) {
		const size_t at =
			(size_t)input.data[1] | (size_t)input.data[2] << 8 | (size_t)input.data[3] << 16;

		o.data[at % o.used] = input.data[0];
	}
	read_file(&o);
	free(c.values);
	free(c.valid);
	free(c.texts);
	octets_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of(data, size);
	struct octets o = {0};

	if (size == 0)
		return 0;
	switch (take(&input, 1).data[0] % 3) {
	case 0:
		octets_put(&o, input.data, input.length);
		read_file(&o);
		octets_fini(&o);
		break;
	case 1: read_pages(input); break;
	default: read_written(input); break;
	}
	return 0;
}
