#include "parquet/chunk_read.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "parquet/dictionary.h"
#include "parquet/pack.h"
#include "parquet/page.h"
#include "parquet/unpack.h"

enum {
	ALIGNED = 16,
	HEADERS = 2048,        /* octets of two pages' headers, at most */
	BLOCK_LEAST = 4,       /* octets of a block of zstd */
	BLOCK_MOST = 128 << 10 /* and what becomes of it, at most */
};

struct room {
	uint8_t *data;
	size_t size;
};

struct page_memory {
	ZSTD_DCtx *zstd;
	struct room pages;          /* as they are in the file */
	struct room entries, texts; /* of the dictionary: its page, and what `data` points to */
	struct room values, data;   /* likewise of the data page */
	struct room codes, valid;
	struct room blank; /* always 0 */
};

struct decoding {
	struct page_memory *memory;
	const struct chunk_pages *of;
	const struct type *type;
	const char **fault;
};

enum status page_memory_new(struct page_memory **out)
{
	struct page_memory *m = calloc(1, sizeof *m);

	if (m && !(m->zstd = ZSTD_createDCtx())) {
		free(m);
		m = NULL;
	}
	*out = m;
	return m ? OK : ERR_MEMORY;
}

void page_memory_free(struct page_memory *m)
{
	if (!m)
		return;
	free(m->pages.data);
	free(m->entries.data);
	free(m->texts.data);
	free(m->values.data);
	free(m->data.data);
	free(m->codes.data);
	free(m->valid.data);
	free(m->blank.data);
	ZSTD_freeDCtx(m->zstd);
	free(m);
}

/* So many octets, and UNPACK_SLACK more; what was there is lost. */
static uint8_t *make_room(struct room *r, size_t octets)
{
	const size_t need = octets + UNPACK_SLACK, more = need + need / 8;

	if (r->size >= need)
		return r->data;
	free(r->data);
	r->data = malloc(more);
	r->size = r->data ? more : 0;
	return r->data;
}

uint32_t chunk_most(enum parquet_type type, uint32_t rows)
{
	const struct type *t = &parquet_types[type];

	if (t->shape == SHAPE_TEXT)
		return UINT32_MAX;
	return (uint32_t)(HEADERS + ZSTD_compressBound((size_t)DICTIONARY_MOST * t->octets) +
			  hybrid_room(rows, 1) + delta_room(rows, t->octets));
}

uint8_t *pages_room(struct page_memory *memory, uint32_t length)
{
	const size_t before = (size_t)-length % ALIGNED;
	uint8_t *to = make_room(&memory->pages, before + length);

	if (!to)
		return NULL;
	memset(to + before + length, 0, UNPACK_SLACK);
	return to + before;
}

enum status vector_blank(struct vector *out, struct page_memory *memory, enum parquet_type type,
			 uint32_t rows)
{
	const size_t data = (size_t)rows * parquet_width(type), bits = rows / 8 + sizeof(uint64_t);
	const size_t need = data > bits ? data : bits;

	if (memory->blank.size < need) {
		free(memory->blank.data);
		memory->blank.data = calloc(1, need);
		memory->blank.size = memory->blank.data ? need : 0;
	}
	*out = (struct vector){.type = type,
			       .rows = rows,
			       .valid = (const void *)memory->blank.data,
			       .data = memory->blank.data};
	return memory->blank.data ? OK : ERR_MEMORY;
}

static enum status fail(const struct decoding *d, enum status s, const char *fault)
{
	*d->fault = fault;
	return s;
}

/* What zstd has made of so many octets. */
static enum status unpack(const struct decoding *d, struct room *room, const uint8_t *from, size_t packed,
			  size_t length)
{
	uint8_t *to;

	if (ZSTD_getFrameContentSize(from, packed) != length ||
	    length > (packed / BLOCK_LEAST + 1) * BLOCK_MOST)
		return fail(d, ERR_FORMAT, "a compressed page is of another length than it says");
	to = make_room(room, length);
	if (!to)
		return fail(d, ERR_MEMORY, "no memory for a page");
	if (ZSTD_decompressDCtx(d->memory->zstd, to, length, from, packed) != length)
		return fail(d, ERR_FORMAT, "a compressed page is damaged");
	memset(to + length, 0, UNPACK_SLACK);
	return OK;
}

/* PLAIN. */

/* Whether so many values can have so many octets. */
static bool plain_fits(const struct type *t, size_t count, size_t octets)
{
	switch ((enum shape)t->shape) {
	case SHAPE_BITS: return octets == (count + 7) / 8;
	case SHAPE_TEXT: return octets >= 4 * count;
	case SHAPE_NUMBER:
	case SHAPE_RAW:
	case SHAPE_FIXED:
	default: return octets == count * t->octets;
	}
}

/* As parquet_text, but faster: UNPACK_SLACK octets behind it can be read. */
static union parquet_text text_at(const uint8_t *from, uint32_t length)
{
	union parquet_text t;
	uint64_t low, high;

	t.near.length = length;
	if (length > PARQUET_NEAR) {
		memcpy(t.far.first, from, sizeof t.far.first);
		t.far.octets = from;
		return t;
	}
	low = length < 8 ? (UINT64_C(1) << 8 * length) - 1 : UINT64_MAX;
	high = length > 8 ? (UINT64_C(1) << 8 * (length - 8)) - 1 : 0;
	low = htole64(little64(from) & low);
	high = htole64(little64(from + sizeof low) & high);
	memcpy(t.near.octets, &low, sizeof low);
	memcpy(t.near.octets + sizeof low, &high, PARQUET_NEAR - sizeof low);
	return t;
}

static bool get_texts(union parquet_text *out, size_t count, const uint8_t *from, size_t octets)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t length;

		if (octets < sizeof length)
			return false;
		memcpy(&length, from, sizeof length);
		length = le32toh(length);
		from += sizeof length;
		octets -= sizeof length;
		if (length > octets)
			return false;
		out[i] = text_at(from, length);
		from += length;
		octets -= length;
	}
	return octets == 0;
}

static struct number_form form_of(const struct type *t)
{
	return (struct number_form){t->octets, t->memory, t->is_signed};
}

/* Values one after the other. *out is where they stand: `from` itself when they are there already, else
 * `room`, which then has space for `rows`. */
static enum status get_plain(const struct decoding *d, struct room *room, uint8_t **out, size_t count,
			     size_t rows, uint8_t *from, size_t octets)
{
	const struct type *t = d->type;
	bool good = true;

	if (!plain_fits(t, count, octets))
		return fail(d, ERR_FORMAT, "a page is of another length than its values");
	*out = t->octets == t->memory ? from : make_room(room, rows * t->memory);
	if (!*out)
		return fail(d, ERR_MEMORY, "no memory for its values");
	if (t->shape == SHAPE_BITS)
		bits_get(*out, count, from);
	else if (t->shape == SHAPE_TEXT)
		good = get_texts((void *)*out, count, from, octets);
	else
		good = plain_get(*out, count, form_of(t), from);
	return good ? OK : fail(d, ERR_FORMAT, "a value that its type has not");
}

/* The dictionary. */

static enum status get_entries(const struct decoding *d, struct vector *out)
{
	const struct footer_chunk *c = d->of->chunk;
	struct page_memory *m = d->memory;
	uint8_t *entries = NULL;
	struct page p;
	enum status s;

	if (!page_parse(&p, d->of->pages, c->data) || p.type != PAGE_DICTIONARY ||
	    p.content + p.packed != d->of->pages + c->data || d->type->shape == SHAPE_BITS)
		return fail(d, ERR_FORMAT, "the header of its dictionary");
	if (p.encoding != PLAIN)
		return fail(d, ERR_UNSUPPORTED, "another encoding of its dictionary");
	if (p.values < 1 || p.values > DICTIONARY_MOST ||
	    !plain_fits(d->type, (size_t)p.values, (size_t)p.unpacked) ||
	    p.unpacked > DICTIONARY_OCTETS + 4 * p.values)
		return fail(d, ERR_FORMAT, "the length of its dictionary");
	s = unpack(d, &m->entries, p.content, (size_t)p.packed, (size_t)p.unpacked);
	if (s == OK)
		s = get_plain(d, &m->texts, &entries, (size_t)p.values, (size_t)p.values, m->entries.data,
			      (size_t)p.unpacked);
	out->data = entries;
	out->entries = (uint32_t)p.values;
	return s;
}

enum status chunk_entries(struct vector *out, struct page_memory *memory, const struct chunk_pages *pages,
			  const char **fault)
{
	const struct decoding d = {memory, pages, &parquet_types[pages->type], fault};
	enum status s;

	*out = (struct vector){.type = pages->type};
	s = get_entries(&d, out);
	out->rows = out->entries;
	out->entries = 0;
	return s;
}

/* The data page. */

/* Where it is said which rows have a value, and what follows it. */
static enum status get_levels(const struct decoding *d, const struct page *p, struct vector *out)
{
	const uint32_t rows = d->of->rows, nulls = d->of->chunk->nulls;
	uint64_t *valid = (void *)make_room(&d->memory->valid, ((size_t)rows + 63) / 64 * sizeof *valid);
	uint32_t ones;

	if (!valid)
		return fail(d, ERR_MEMORY, "no memory for its values");
	if (!levels_get(valid, rows, p->content, (size_t)p->levels, &ones) || ones != rows - nulls)
		return fail(d, ERR_FORMAT, "which rows have a value");
	out->valid = nulls ? valid : NULL;
	return OK;
}

static enum status get_codes(const struct decoding *d, struct vector *out, const uint8_t *from, size_t octets)
{
	const uint32_t rows = d->of->rows, count = rows - d->of->chunk->nulls;
	uint16_t *codes = (void *)make_room(&d->memory->codes, ((size_t)rows + CODES_MORE) * sizeof *codes);

	if (!codes)
		return fail(d, ERR_MEMORY, "no memory for its values");
	if (octets == 0 || !codes_get(codes, count, from[0], out->entries, from + 1, octets - 1))
		return fail(d, ERR_FORMAT, "the codes of its dictionary");
	if (out->valid)
		rows_spread(codes, codes, sizeof *codes, count, out->valid, rows);
	out->codes = codes;
	return OK;
}

static enum status get_deltas(const struct decoding *d, uint8_t **out, size_t count, const uint8_t *from,
			      size_t octets)
{
	const size_t room = d->of->rows + (size_t)UNPACK_MORE;

	*out = make_room(&d->memory->data, room * d->type->memory);
	if (!*out)
		return fail(d, ERR_MEMORY, "no memory for its values");
	return delta_get(*out, count, form_of(d->type), from, octets)
		       ? OK
		       : fail(d, ERR_FORMAT, "the differences of its values");
}

static enum status get_values(const struct decoding *d, const struct page *p, struct vector *out,
			      uint8_t *from, size_t octets)
{
	const uint32_t rows = d->of->rows, count = rows - d->of->chunk->nulls;
	const unsigned width = d->type->memory;
	uint8_t *values = NULL, *to;
	enum status s;

	if (p->encoding == RLE_DICTIONARY)
		return get_codes(d, out, from, octets);
	s = p->encoding == PLAIN ? get_plain(d, &d->memory->data, &values, count, rows, from, octets)
				 : get_deltas(d, &values, count, from, octets);
	out->data = values;
	if (s != OK || !out->valid)
		return s;
	to = values == from ? make_room(&d->memory->data, (size_t)rows * width) : values;
	if (!to)
		return fail(d, ERR_MEMORY, "no memory for its values");
	rows_spread(to, values, width, count, out->valid, rows);
	out->data = to;
	return OK;
}

/* Octets that values of this encoding can have, before compression. */
static size_t values_most(const struct decoding *d, const struct page *p)
{
	const size_t count = d->of->rows;

	if (p->encoding == RLE_DICTIONARY)
		return 1 + hybrid_room(count, CODE_BITS);
	if (p->encoding == DELTA_BINARY_PACKED)
		return delta_room(count, d->type->octets);
	return d->type->shape == SHAPE_TEXT ? INT32_MAX : count * (d->type->octets + 1u);
}

static enum status check_page(const struct decoding *d, const struct page *p)
{
	const struct footer_chunk *c = d->of->chunk;
	const bool has_codes = p->encoding == RLE_DICTIONARY, has_entries = c->data > 0;

	if (p->type != PAGE_DATA_V2 || p->content + p->packed != d->of->pages + c->length ||
	    p->values != d->of->rows || p->rows != d->of->rows || p->nulls != c->nulls || p->levels < 0 ||
	    p->levels > p->packed || p->levels > p->unpacked || p->repetitions != 0 ||
	    (!p->compressed && p->packed != p->unpacked))
		return fail(d, ERR_FORMAT, "the header of its page");
	if (p->encoding != PLAIN && !has_codes &&
	    (p->encoding != DELTA_BINARY_PACKED || d->type->shape != SHAPE_NUMBER))
		return fail(d, ERR_UNSUPPORTED, "another encoding than we write");
	if (has_codes != has_entries)
		return fail(d, ERR_FORMAT, "a dictionary that does not belong to its page");
	if ((size_t)(p->unpacked - p->levels) > values_most(d, p))
		return fail(d, ERR_FORMAT, "a page is of another length than its values");
	return OK;
}

static enum status get_data(const struct decoding *d, struct vector *out)
{
	const struct footer_chunk *c = d->of->chunk;
	struct room *pages = &d->memory->pages;
	struct page p;
	enum status s;

	if (!page_parse(&p, d->of->pages + c->data, c->length - c->data))
		return fail(d, ERR_FORMAT, "the header of its page");
	s = check_page(d, &p);
	if (s == OK)
		s = get_levels(d, &p, out);
	if (s != OK)
		return s;
	const size_t packed = (size_t)(p.packed - p.levels), length = (size_t)(p.unpacked - p.levels);
	/* The memory's own pages: numbers may stay there. */
	uint8_t *from = pages->data + (p.content + p.levels - pages->data);
	if (p.compressed) {
		s = unpack(d, &d->memory->values, from, packed, length);
		from = d->memory->values.data;
	}
	return s == OK ? get_values(d, &p, out, from, length) : s;
}

enum status chunk_decode(struct vector *out, struct page_memory *memory, const struct chunk_pages *pages,
			 const char **fault)
{
	const struct decoding d = {memory, pages, &parquet_types[pages->type], fault};
	enum status s = OK;

	*out = (struct vector){.type = pages->type, .rows = pages->rows};
	if (pages->chunk->data)
		s = get_entries(&d, out);
	return s == OK ? get_data(&d, out) : s;
}
