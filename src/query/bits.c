/* Loops over 64 rows at a time: a flag a row, which the compiler does for many rows at once, and then the
 * flags as bits. */
#include "query/bits.h"

#include "base/span.h"

enum { FEW = 4, SIGN = 63 };

#define TOP (UINT64_C(1) << SIGN)

void bits_fill(uint64_t *bits, uint32_t rows)
{
	memset(bits, 0xff, rows / 64 * sizeof *bits);
	if (rows % 64)
		bits[rows / 64] = (UINT64_C(1) << rows % 64) - 1;
}

bool bits_any(const uint64_t *bits, uint32_t rows)
{
	for (uint32_t w = 0; w < bits_words(rows); w++)
		if (bits[w])
			return true;
	return false;
}

int128 bits_of_address(const uint8_t octets[16])
{
	return (int128)((uint128)(get_be64(octets) ^ TOP) << 64 | get_be64(octets + 8));
}

/* -0 equals 0, and what is no number equals itself and is more than all others. */
int128 bits_of_real(double real)
{
	int64_t as;

	if (real != real)
		return INT64_MAX;
	if (real == 0)
		return 0;
	memcpy(&as, &real, sizeof as);
	return as >= 0 ? as : INT64_MIN - as;
}

static bool is_signed(enum parquet_type type)
{
	return (type >= PARQUET_SIGNED8 && type <= PARQUET_SIGNED64) ||
	       (type >= PARQUET_TIME_MS && type <= PARQUET_INSTANT_US);
}

bool bits_comparable(enum parquet_type type)
{
	return type < PARQUET_TEXT;
}

struct interval bits_range(enum parquet_type type)
{
	const unsigned bits = 8 * (unsigned)parquet_width(type);

	if (type == PARQUET_UUID)
		return (struct interval){(int128)((uint128)1 << 127), (int128)(((uint128)1 << 127) - 1)};
	if (type == PARQUET_FLOAT || type == PARQUET_DOUBLE)
		return (struct interval){-INT64_MAX, INT64_MAX};
	if (is_signed(type))
		return (struct interval){-((int128)1 << (bits - 1)), ((int128)1 << (bits - 1)) - 1};
	return (struct interval){0, ((int128)1 << bits) - 1};
}

/* Numbers of two's complement, signed or not: whether value - low <= high - low. */
struct span64 {
	uint64_t low, length;
};

#define WORD_WITHIN(name, type)                                                                              \
	static inline uint64_t name(const void *data, const struct span64 *span)                             \
	{                                                                                                    \
		const type *values = data;                                                                   \
		const type low = (type)span->low, length = (type)span->length;                               \
		uint8_t flags[64];                                                                           \
                                                                                                             \
		for (unsigned i = 0; i < 64; i++)                                                            \
			flags[i] = (type)(values[i] - low) <= length;                                        \
		return bits_pack(flags);                                                                     \
	}

WORD_WITHIN(within8, uint8_t)
WORD_WITHIN(within16, uint16_t)
WORD_WITHIN(within32, uint32_t)
WORD_WITHIN(within64, uint64_t)

typedef uint64_t within_word(const void *data, const struct span64 *span);

/* `within` is inlined: a loop for each width. */
static inline __attribute__((always_inline)) void keep_spans(uint64_t *bits, const void *data, uint32_t rows,
							     size_t width, within_word *within,
							     const struct span64 *spans, uint32_t count)
{
	const uint8_t *at = data;
	uint8_t last[64 * 8] = {0};

	for (uint32_t w = 0; w < bits_words(rows); w++, at += 64 * width) {
		const uint8_t *values = at;
		uint64_t passed = 0;

		if (!bits[w])
			continue;
		if (64 * w + 64 > rows) {
			memcpy(last, at, rows % 64 * width);
			values = last;
		}
		for (uint32_t i = 0; i < count; i++)
			passed |= within(values, &spans[i]);
		bits[w] &= passed;
	}
}

static void keep_few(uint64_t *bits, const void *data, uint32_t rows, size_t width,
		     const struct span64 *spans, uint32_t count)
{
	switch (width) {
	case 1: keep_spans(bits, data, rows, 1, within8, spans, count); break;
	case 2: keep_spans(bits, data, rows, 2, within16, spans, count); break;
	case 4: keep_spans(bits, data, rows, 4, within32, spans, count); break;
	default: keep_spans(bits, data, rows, 8, within64, spans, count); break;
	}
}

/* The value in its order among all numbers. */
static inline int128 number_at(const struct vector *v, uint32_t at)
{
	float real;
	double wide;

	switch (v->type) {
	case PARQUET_BOOLEAN:
	case PARQUET_UNSIGNED8: return ((const uint8_t *)v->data)[at];
	case PARQUET_UNSIGNED16: return ((const uint16_t *)v->data)[at];
	case PARQUET_UNSIGNED32: return ((const uint32_t *)v->data)[at];
	case PARQUET_UNSIGNED64: return ((const uint64_t *)v->data)[at];
	case PARQUET_SIGNED8: return ((const int8_t *)v->data)[at];
	case PARQUET_SIGNED16: return ((const int16_t *)v->data)[at];
	case PARQUET_SIGNED32: return ((const int32_t *)v->data)[at];
	case PARQUET_FLOAT:
		memcpy(&real, (const uint8_t *)v->data + 4 * (size_t)at, 4);
		return bits_of_real(real);
	case PARQUET_DOUBLE:
		memcpy(&wide, (const uint8_t *)v->data + 8 * (size_t)at, 8);
		return bits_of_real(wide);
	case PARQUET_UUID: return bits_of_address((const uint8_t *)v->data + 16 * (size_t)at);
	default: return ((const int64_t *)v->data)[at];
	}
}

static inline bool is_within(int128 number, const struct interval *list, uint32_t count)
{
	uint32_t from = 0;

	while (count > 1) { /* the last one that does not begin behind it */
		const uint32_t half = count / 2;

		from += list[from + half].low <= number ? half : 0;
		count -= half;
	}
	return list[from].low <= number && number <= list[from].high;
}

static void keep_many(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count)
{
	for (uint32_t w = 0; w < bits_words(v->rows); w++)
		for (uint64_t left = bits[w]; left; left &= left - 1) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(left);

			if (!is_within(number_at(v, 64 * w + bit), list, count))
				bits[w] &= ~(UINT64_C(1) << bit);
		}
}

/* The intervals that meet the type's numbers: from *list on, so many. */
static uint32_t clip(const struct interval **list, uint32_t count, const struct interval *range)
{
	while (count && (*list)->high < range->low) {
		(*list)++;
		count--;
	}
	while (count && (*list)[count - 1].low > range->high)
		count--;
	return count;
}

static void keep_plain(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count)
{
	const struct interval range = bits_range(v->type);
	const bool wide = v->type == PARQUET_UUID || v->type == PARQUET_FLOAT || v->type == PARQUET_DOUBLE;
	struct span64 spans[FEW];

	count = clip(&list, count, &range);
	if (count == 0) {
		memset(bits, 0, bits_words(v->rows) * sizeof *bits);
		return;
	}
	if (wide || count > FEW) {
		keep_many(bits, v, list, count);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const int128 low = list[i].low < range.low ? range.low : list[i].low;
		const int128 high = list[i].high > range.high ? range.high : list[i].high;

		spans[i] = (struct span64){(uint64_t)low, (uint64_t)(high - low)};
	}
	keep_few(bits, v->data, v->rows, parquet_width(v->type), spans, count);
}

static uint32_t count_bits(const uint64_t *bits, uint32_t rows)
{
	uint32_t count = 0;

	for (uint32_t w = 0; w < bits_words(rows); w++)
		count += (uint32_t)__builtin_popcountll(bits[w]);
	return count;
}

static uint64_t look_up(const uint16_t *codes, uint32_t count, const uint64_t *table)
{
	uint64_t passed = 0;

	for (uint32_t i = 0; i < count; i++)
		passed |= (table[codes[i] / 64] >> codes[i] % 64 & 1) << i;
	return passed;
}

/* The rows whose code's bit is set in `table`, of `count` bits. */
static void keep_codes(uint64_t *bits, const uint16_t *codes, uint32_t rows, const uint64_t *table,
		       uint32_t count)
{
	const uint32_t set = count_bits(table, count);
	uint32_t first = 0;

	if (set == count)
		return;
	if (set == 0) {
		memset(bits, 0, bits_words(rows) * sizeof *bits);
		return;
	}
	while (!(table[first / 64] >> first % 64 & 1))
		first++;
	uint32_t end = first;
	while (end < count && (table[end / 64] >> end % 64 & 1))
		end++;
	if (end - first == set) {
		keep_few(bits, codes, rows, 2, &(struct span64){first, set - 1}, 1);
		return;
	}
	for (uint32_t w = 0; w < bits_words(rows); w++)
		if (bits[w])
			bits[w] &= look_up(codes + 64 * (size_t)w, rows - 64 * w < 64 ? rows - 64 * w : 64,
					   table);
}

void bits_keep_valid(uint64_t *bits, const struct vector *v)
{
	if (v->valid)
		for (uint32_t w = 0; w < bits_words(v->rows); w++)
			bits[w] &= v->valid[w];
}

/* The entries of a dictionary as rows. */
static struct vector entries_of(const struct vector *v, uint64_t passed[BITS_TABLE_WORDS])
{
	bits_fill(passed, v->entries);
	return (struct vector){.type = v->type, .rows = v->entries, .data = v->data};
}

void bits_keep_within(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count)
{
	bits_keep_valid(bits, v);
	if (v->codes) {
		uint64_t passed[BITS_TABLE_WORDS];
		const struct vector entries = entries_of(v, passed);

		keep_plain(passed, &entries, list, count);
		keep_codes(bits, v->codes, v->rows, passed, v->entries);
	} else {
		keep_plain(bits, v, list, count);
	}
}

static void table_plain(uint64_t *bits, const struct vector *v, const uint64_t *table)
{
	const uint8_t *narrow = v->data;

	if (v->type == PARQUET_UNSIGNED16) {
		keep_codes(bits, v->data, v->rows, table, 65536);
		return;
	}
	for (uint32_t w = 0; w < bits_words(v->rows); w++)
		for (uint64_t left = bits[w]; left; left &= left - 1) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(left);
			const uint8_t number = narrow[64 * (size_t)w + bit];

			if (!(table[number / 64] >> number % 64 & 1))
				bits[w] &= ~(UINT64_C(1) << bit);
		}
}

void bits_keep_table(uint64_t *bits, const struct vector *v, const uint64_t table[BITS_TABLE_WORDS])
{
	bits_keep_valid(bits, v);
	if (v->codes) {
		uint64_t passed[BITS_TABLE_WORDS];
		const struct vector entries = entries_of(v, passed);

		table_plain(passed, &entries, table);
		keep_codes(bits, v->codes, v->rows, passed, v->entries);
	} else {
		table_plain(bits, v, table);
	}
}

int bits_text_compare(const void *a, const void *b)
{
	const union parquet_text *left = a, *right = b;

	if (left->near.length != right->near.length)
		return left->near.length < right->near.length ? -1 : 1;
	return memcmp(parquet_text_octets(left), parquet_text_octets(right), left->near.length);
}

static bool is_among(const union parquet_text *text, const union parquet_text *texts, uint32_t count)
{
	uint32_t from = 0;

	while (count > 1) {
		const uint32_t half = count / 2;

		from += bits_text_compare(&texts[from + half], text) <= 0 ? half : 0;
		count -= half;
	}
	return count && bits_text_compare(&texts[from], text) == 0;
}

static void texts_plain(uint64_t *bits, const struct vector *v, const union parquet_text *texts,
			uint32_t count)
{
	const union parquet_text *data = v->data;

	for (uint32_t w = 0; w < bits_words(v->rows); w++)
		for (uint64_t left = bits[w]; left; left &= left - 1) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(left);

			if (!is_among(&data[64 * (size_t)w + bit], texts, count))
				bits[w] &= ~(UINT64_C(1) << bit);
		}
}

void bits_keep_texts(uint64_t *bits, const struct vector *v, const union parquet_text *texts, uint32_t count)
{
	bits_keep_valid(bits, v);
	if (v->codes) {
		uint64_t passed[BITS_TABLE_WORDS];
		const struct vector entries = entries_of(v, passed);

		texts_plain(passed, &entries, texts, count);
		keep_codes(bits, v->codes, v->rows, passed, v->entries);
	} else {
		texts_plain(bits, v, texts, count);
	}
}
