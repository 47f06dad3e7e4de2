#include "parquet/chunk.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "parquet/pack.h"
#include "parquet/thrift.h"

enum {
	LEVEL = 1,                         /* of zstd */
	SAMPLE = 16384,                    /* octets of a page that are tried first */
	PAGE_MOST = INT32_MAX - (1 << 20), /* octets: what a page's header can say, less its levels */
};

enum status scratch_init(struct scratch *b)
{
	*b = (struct scratch){.dictionary = calloc(1, sizeof *b->dictionary), .zstd = ZSTD_createCCtx()};
	if (b->dictionary && b->zstd)
		return OK;
	scratch_fini(b);
	return ERR_MEMORY;
}

void scratch_fini(struct scratch *b)
{
	if (b->dictionary)
		free(b->dictionary->index);
	free(b->dictionary);
	free(b->numbers);
	free(b->texts);
	octets_fini(&b->levels);
	octets_fini(&b->entries);
	octets_fini(&b->values);
	octets_fini(&b->packed);
	ZSTD_freeCCtx(b->zstd);
	*b = (struct scratch){0};
}

/* Memory for so many. NULL: none, and what there was is still there. */
static void *grow(void *memory, size_t *room, size_t count, size_t size)
{
	if (count <= *room)
		return memory;
	void *more = realloc(memory, count * size);
	if (more)
		*room = count;
	return more;
}

/* The values that are there, without gaps. */

static bool is_valid(const struct parquet_values *v, uint32_t row)
{
	return !v->valid || (v->valid[row / 64] >> row % 64 & 1);
}

#define GATHER(type)                                                                                         \
	do {                                                                                                 \
		const type *from = v->data;                                                                  \
		if (!v->valid)                                                                               \
			for (uint32_t i = 0; i < rows; i++)                                                  \
				out[i] = (uint64_t)(int64_t)from[i];                                         \
		else                                                                                         \
			for (uint32_t i = 0; i < rows; i++)                                                  \
				if (is_valid(v, i))                                                          \
					out[n++] = (uint64_t)(int64_t)from[i];                               \
	} while (0)

static void gather_numbers(uint64_t *out, const struct type *t, const struct parquet_values *v, uint32_t rows)
{
	size_t n = 0;

	switch (t->memory * 2 + t->is_signed) { /* octets, and whether there is a sign */
	case 2: GATHER(uint8_t); break;
	case 3: GATHER(int8_t); break;
	case 4: GATHER(uint16_t); break;
	case 5: GATHER(int16_t); break;
	case 8: GATHER(uint32_t); break;
	case 9: GATHER(int32_t); break;
	case 16: GATHER(uint64_t); break;
	default: GATHER(int64_t); break;
	}
}

static void gather_texts(union parquet_text *out, const struct type *t, const struct parquet_values *v,
			 uint32_t rows)
{
	size_t n = 0;

	for (uint32_t i = 0; i < rows; i++)
		if (is_valid(v, i))
			out[n++] = t->shape == SHAPE_TEXT
					   ? ((const union parquet_text *)v->data)[i]
					   : parquet_text((const uint8_t *)v->data + (size_t)i * t->octets,
							  t->octets);
}

static uint32_t count_nulls(const struct parquet_values *v, uint32_t rows)
{
	uint32_t valid = 0;

	if (!v->valid)
		return 0;
	for (uint32_t i = 0; i < rows / 64; i++)
		valid += (uint32_t)__builtin_popcountll(v->valid[i]);
	if (rows % 64)
		valid += (uint32_t)__builtin_popcountll(v->valid[rows / 64] << (64 - rows % 64));
	return rows - valid;
}

/* 1 where there is a value; mostly all are there, or none. */
static void put_levels(struct scratch *b, const struct parquet_values *v, uint32_t rows, uint32_t nulls)
{
	uint16_t *level = b->dictionary->index; /* not in use yet */
	uint8_t *to = octets_room(&b->levels, hybrid_room(rows, 1));

	if (!to)
		return;
	if (nulls == 0 || nulls == rows) {
		to = varint_put(to, (uint64_t)rows << 1);
		*to++ = nulls == 0;
	} else {
		for (uint32_t i = 0; i < rows; i++)
			level[i] = is_valid(v, i);
		to = hybrid_put(to, level, rows, 1);
	}
	b->levels.used = (size_t)(to - b->levels.data);
}

/* PLAIN. */

static void put_number(struct octets *o, uint64_t number, unsigned octets)
{
	const uint64_t little = htole64(number);

	octets_put(o, &little, octets);
}

static void put_plain_numbers(struct octets *o, const uint64_t *numbers, size_t count, unsigned octets)
{
	uint8_t *to = octets_room(o, count * octets);

	if (!to)
		return;
	for (size_t i = 0; octets == 4 && i < count; i++) {
		const uint32_t little = htole32((uint32_t)numbers[i]);

		memcpy(to + 4 * i, &little, sizeof little);
	}
	for (size_t i = 0; octets == 8 && i < count; i++) {
		const uint64_t little = htole64(numbers[i]);

		memcpy(to + 8 * i, &little, sizeof little);
	}
	o->used += count * octets;
}

static uint64_t text_octets(const union parquet_text *texts, size_t count)
{
	uint64_t octets = 0;

	for (size_t i = 0; i < count; i++)
		octets += texts[i].near.length;
	return octets;
}

static void put_plain_texts(struct octets *o, const union parquet_text *texts, size_t count, bool lengths)
{
	for (size_t i = 0; i < count; i++) {
		if (lengths)
			put_number(o, texts[i].near.length, 4);
		octets_put(o, parquet_text_octets(&texts[i]), texts[i].near.length);
	}
}

static void put_bits(struct octets *o, const struct parquet_values *v, uint32_t rows)
{
	const uint8_t *from = v->data;
	unsigned bits = 0, have = 0;

	for (uint32_t i = 0; i <= rows; i++) {
		if (have == 8 || (i == rows && have)) {
			const uint8_t octet = (uint8_t)bits;

			octets_put(o, &octet, 1);
			bits = have = 0;
		}
		if (i < rows && is_valid(v, i))
			bits |= (unsigned)(from[i] != 0) << have++;
	}
}

/* Least and greatest. */

static void bound_numbers(struct chunk *c, const uint64_t *numbers, size_t count, uint64_t *least,
			  uint64_t *range)
{
	/* Signed numbers sort as unsigned ones when the highest bit is turned. */
	const uint64_t turn = c->type->is_signed ? UINT64_C(1) << 63 : 0;
	uint64_t low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < count; i++) {
		const uint64_t n = numbers[i] ^ turn;

		low = n < low ? n : low;
		high = n > high ? n : high;
	}
	*least = low ^ turn;
	*range = high - low;
	if (!c->type->ordered)
		return;
	low = htole64(low ^ turn);
	high = htole64(high ^ turn);
	c->bounded = true;
	c->least_length = c->greatest_length = c->type->octets;
	memcpy(c->least, &low, c->type->octets);
	memcpy(c->greatest, &high, c->type->octets);
}

static int compare(const union parquet_text *a, const union parquet_text *b)
{
	const size_t length = a->near.length < b->near.length ? a->near.length : b->near.length;
	const int c = memcmp(parquet_text_octets(a), parquet_text_octets(b), length);

	return c ? c : (a->near.length > b->near.length) - (a->near.length < b->near.length);
}

static void bound_texts(struct chunk *c, const union parquet_text *texts, size_t count)
{
	const union parquet_text *least = texts, *greatest = texts;

	if (!c->type->ordered || count == 0)
		return;
	for (size_t i = 1; i < count; i++) {
		if (compare(&texts[i], least) < 0)
			least = &texts[i];
		if (compare(&texts[i], greatest) > 0)
			greatest = &texts[i];
	}
	if (least->near.length > PARQUET_BOUND || greatest->near.length > PARQUET_BOUND)
		return;
	c->bounded = true;
	c->least_length = (uint8_t)least->near.length;
	c->greatest_length = (uint8_t)greatest->near.length;
	memcpy(c->least, parquet_text_octets(least), c->least_length);
	memcpy(c->greatest, parquet_text_octets(greatest), c->greatest_length);
}

/* Values. */

static void put_index(struct chunk *c, struct scratch *b, size_t count)
{
	/* No bits at all would do for one value; not every reader takes that. */
	const unsigned width = b->dictionary->count > 1 ? bits_of(b->dictionary->count - 1) : 1;
	uint8_t *to = octets_room(&b->values, 1 + hybrid_room(count, width));

	c->encoding = RLE_DICTIONARY;
	if (!to)
		return;
	*to = (uint8_t)width;
	b->values.used = (size_t)(hybrid_put(to + 1, b->dictionary->index, count, width) - b->values.data);
}

static void put_numbers(struct chunk *c, struct scratch *b, size_t count)
{
	const unsigned octets = c->type->octets;
	uint64_t least, range;

	bound_numbers(c, b->numbers, count, &least, &range);
	if (dictionary_numbers(b->dictionary, b->numbers, count, least, range)) {
		put_plain_numbers(&b->entries, b->dictionary->numbers, b->dictionary->count, octets);
		put_index(c, b, count);
		return;
	}
	/* Numbers as they are cost readers least. */
	if (c->type->shape == SHAPE_NUMBER && delta_width(b->numbers, count, octets) <= 7 * octets) {
		uint8_t *to = octets_room(&b->values, delta_room(count, octets));

		c->encoding = DELTA_BINARY_PACKED;
		if (to)
			b->values.used = (size_t)(delta_put(to, b->numbers, count, octets) - b->values.data);
		return;
	}
	put_plain_numbers(&b->values, b->numbers, count, octets);
}

static enum status put_texts(struct chunk *c, struct scratch *b, size_t count)
{
	const struct dictionary *d = b->dictionary;
	const bool lengths = c->type->shape == SHAPE_TEXT;

	if (dictionary_texts(b->dictionary, b->texts, count) &&
	    text_octets(d->texts, d->count) <= DICTIONARY_OCTETS) {
		bound_texts(c, d->texts, d->count);
		put_plain_texts(&b->entries, d->texts, d->count, lengths);
		put_index(c, b, count);
		return OK;
	}
	if (text_octets(b->texts, count) + 4 * count > PAGE_MOST)
		return ERR_LIMIT;
	bound_texts(c, b->texts, count);
	put_plain_texts(&b->values, b->texts, count, lengths);
	return OK;
}

static enum status put_values(struct chunk *c, struct scratch *b, const struct parquet_values *v)
{
	const size_t count = c->rows - c->nulls;
	union parquet_text *texts;
	uint64_t *numbers;

	c->encoding = PLAIN;
	if (count == 0)
		return OK;
	switch ((enum shape)c->type->shape) {
	case SHAPE_BITS: put_bits(&b->values, v, c->rows); return OK;
	case SHAPE_NUMBER:
	case SHAPE_RAW:
		numbers = grow(b->numbers, &b->number_room, c->rows, sizeof *numbers);
		if (!numbers)
			return ERR_MEMORY;
		b->numbers = numbers;
		gather_numbers(numbers, c->type, v, c->rows);
		put_numbers(c, b, count);
		return OK;
	case SHAPE_FIXED:
	case SHAPE_TEXT:
	default:
		texts = grow(b->texts, &b->text_room, c->rows, sizeof *texts);
		if (!texts)
			return ERR_MEMORY;
		b->texts = texts;
		gather_texts(texts, c->type, v, c->rows);
		return put_texts(c, b, count);
	}
}

/* Pages. */

/* Into b->packed; false: it failed, or is not worth it. */
static bool compress(struct scratch *b, const struct octets *content, bool always)
{
	const size_t most = ZSTD_compressBound(content->used);
	uint8_t *to;
	size_t n;

	b->packed.used = 0;
	to = octets_room(&b->packed, most);
	if (!to || (!always && content->used == 0))
		return false;
	if (!always && content->used > 4 * SAMPLE) {
		n = ZSTD_compressCCtx(b->zstd, to, most, content->data + content->used / 2, SAMPLE, LEVEL);
		if (ZSTD_isError(n) || n > SAMPLE - SAMPLE / 32)
			return false;
	}
	n = ZSTD_compressCCtx(b->zstd, to, most, content->data, content->used, LEVEL);
	if (ZSTD_isError(n) || (!always && n >= content->used))
		return false;
	b->packed.used = n;
	return true;
}

static void open_page(struct thrift *t, int type, size_t unpacked, size_t packed)
{
	thrift_open(t);
	thrift_number(t, 1, THRIFT_I32, type);
	thrift_number(t, 2, THRIFT_I32, (int64_t)unpacked);
	thrift_number(t, 3, THRIFT_I32, (int64_t)packed);
}

static enum status put_dictionary_page(struct chunk *c, struct scratch *b, struct octets *out)
{
	struct thrift t = {.out = out};
	const size_t begun = out->used;

	/* Unlike a data page it cannot say that it is not compressed. */
	if (!compress(b, &b->entries, true))
		return ERR_MEMORY;
	open_page(&t, PAGE_DICTIONARY, b->entries.used, b->packed.used);
	thrift_open_field(&t, 7);
	thrift_number(&t, 1, THRIFT_I32, b->dictionary->count);
	thrift_number(&t, 2, THRIFT_I32, PLAIN);
	thrift_close(&t);
	thrift_close(&t);
	c->unpacked += out->used - begun + b->entries.used;
	octets_put(out, b->packed.data, b->packed.used);
	return OK;
}

static void put_data_page(struct chunk *c, struct scratch *b, struct octets *out)
{
	const bool packed = compress(b, &b->values, false);
	const struct octets *content = packed ? &b->packed : &b->values;
	struct thrift t = {.out = out};
	const size_t begun = out->used;

	open_page(&t, PAGE_DATA_V2, b->levels.used + b->values.used, b->levels.used + content->used);
	thrift_open_field(&t, 8);
	thrift_number(&t, 1, THRIFT_I32, c->rows);
	thrift_number(&t, 2, THRIFT_I32, c->nulls);
	thrift_number(&t, 3, THRIFT_I32, c->rows);
	thrift_number(&t, 4, THRIFT_I32, c->encoding);
	thrift_number(&t, 5, THRIFT_I32, (int64_t)b->levels.used);
	thrift_number(&t, 6, THRIFT_I32, 0);
	thrift_bool(&t, 7, packed);
	thrift_close(&t);
	thrift_close(&t);
	c->unpacked += out->used - begun + b->levels.used + b->values.used;
	octets_put(out, b->levels.data, b->levels.used);
	octets_put(out, content->data, content->used);
}

enum status chunk_encode(struct chunk *c, struct scratch *b, struct octets *out, enum parquet_type type,
			 const struct parquet_values *v, uint32_t rows)
{
	const size_t begun = out->used;
	enum status s;

	*c = (struct chunk){.type = &parquet_types[type], .rows = rows, .nulls = count_nulls(v, rows)};
	b->levels.used = b->entries.used = b->values.used = 0;
	if (dictionary_reserve(b->dictionary, rows) != OK)
		return ERR_MEMORY;
	put_levels(b, v, rows, c->nulls);
	s = put_values(c, b, v);
	if (s == OK && (b->levels.failed || b->entries.failed || b->values.failed))
		s = ERR_MEMORY;
	if (s != OK)
		return s;
	if (c->encoding == RLE_DICTIONARY)
		s = put_dictionary_page(c, b, out);
	c->data_page = out->used - begun;
	if (s == OK)
		put_data_page(c, b, out);
	c->pages = out->used - begun;
	return s == OK && !out->failed ? OK : ERR_MEMORY;
}
