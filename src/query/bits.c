/* Loops over 64 rows at a time: a flag a row, which the compiler does for many rows at once, and then the
 * flags as bits. */
#include "query/bits.h"

#include "base/span.h"

enum { FEW = 12 };

#define TOP (UINT64_C(1) << 63)

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

/* Values from `low` on, as far as `length`: of two's complement, signed or not, value - low <= length. */
struct span128 {
	uint128 low, length;
};

/* What 64 rows are held against. */
struct test {
	const struct span128 *spans;
	uint32_t count;
	const uint8_t *octets;
	const uint64_t *table;
};

typedef uint64_t test_word(const void *data, const struct test *test);

#define WORD_WITHIN(name, type)                                                                              \
	static inline uint64_t name(const void *data, const struct test *test)                               \
	{                                                                                                    \
		const type *values = data;                                                                   \
		uint64_t out = 0;                                                                            \
		uint8_t flags[64];                                                                           \
                                                                                                             \
		for (uint32_t k = 0; k < test->count; k++) {                                                 \
			const type low = (type)test->spans[k].low, length = (type)test->spans[k].length;     \
                                                                                                             \
			for (unsigned i = 0; i < 64; i++)                                                    \
				flags[i] = (type)(values[i] - low) <= length;                                \
			out |= bits_pack(flags);                                                             \
		}                                                                                            \
		return out;                                                                                  \
	}

WORD_WITHIN(within8, uint8_t)
WORD_WITHIN(within16, uint16_t)
WORD_WITHIN(within32, uint32_t)
WORD_WITHIN(within64, uint64_t)

/* UUIDs, in bits_of_address's order. */
static inline uint64_t within128(const void *data, const struct test *test)
{
	const uint8_t *at = data;
	uint64_t out = 0;
	uint8_t flags[64];

	for (uint32_t k = 0; k < test->count; k++) {
		const struct span128 span = test->spans[k];

		for (unsigned i = 0; i < 64; i++)
			flags[i] = (uint128)bits_of_address(at + (size_t)16 * i) - span.low <= span.length;
		out |= bits_pack(flags);
	}
	return out;
}

/* Of what is not done for many rows at once the bits are gathered one by one: octets that are read back as
 * words right after they were written would have to wait. */
#define BIT(flag, i) (uint64_t) flag(values[k + (i)], test) << (i)

#define WORD_GATHERED(name, type, flag)                                                                      \
	static inline uint64_t name(const void *data, const struct test *test)                               \
	{                                                                                                    \
		const type *values = data;                                                                   \
		uint64_t out = 0;                                                                            \
                                                                                                             \
		for (unsigned k = 0; k < 64; k += 8)                                                         \
			out |= (BIT(flag, 0) | BIT(flag, 1) | BIT(flag, 2) | BIT(flag, 3) | BIT(flag, 4) |   \
				BIT(flag, 5) | BIT(flag, 6) | BIT(flag, 7))                                  \
			       << k;                                                                         \
		return out;                                                                                  \
	}

/* An octet of 0 or 1 for each number that there can be. */
static inline uint64_t octet_of(uint64_t number, const struct test *test)
{
	return test->octets[number];
}

/* A bit for each hash: where it is not set, none of the values that were put in has it. */
static inline uint32_t hash_of(uint64_t number)
{
	return (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}

static inline uint64_t bit_of(uint64_t number, const struct test *test)
{
	const uint32_t hash = hash_of(number);

	return test->table[hash / 64] >> hash % 64 & 1;
}

WORD_GATHERED(octets8, uint8_t, octet_of)
WORD_GATHERED(octets16, uint16_t, octet_of)
WORD_GATHERED(hashed32, uint32_t, bit_of)
WORD_GATHERED(hashed64, uint64_t, bit_of)

/* `word` is inlined: a loop for each width. */
static inline __attribute__((always_inline)) void keep_words(uint64_t *bits, const void *data, uint32_t rows,
							     size_t width, test_word *word,
							     const struct test *test)
{
	const uint8_t *at = data;
	uint8_t last[64 * 16] = {0};

	for (uint32_t w = 0; w < bits_words(rows); w++, at += 64 * width) {
		const uint8_t *values = at;

		if (!bits[w])
			continue;
		if (64 * w + 64 > rows) {
			memcpy(last, at, rows % 64 * width);
			values = last;
		}
		bits[w] &= word(values, test);
	}
}

static void keep_few(uint64_t *bits, const void *data, uint32_t rows, size_t width,
		     const struct span128 *spans, uint32_t count)
{
	const struct test test = {.spans = spans, .count = count};

	switch (width) {
	case 1: keep_words(bits, data, rows, 1, within8, &test); break;
	case 2: keep_words(bits, data, rows, 2, within16, &test); break;
	case 4: keep_words(bits, data, rows, 4, within32, &test); break;
	case 8: keep_words(bits, data, rows, 8, within64, &test); break;
	default: keep_words(bits, data, rows, 16, within128, &test); break;
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

/* Single values: most rows have none of them, which a hash tells sooner. */
static void keep_hashed(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count)
{
	uint64_t table[BITS_TABLE_WORDS] = {0};
	const size_t width = parquet_width(v->type);
	const struct test test = {.table = table};

	for (uint32_t i = 0; i < count; i++) {
		const uint64_t number = width == 4 ? (uint32_t)list[i].low : (uint64_t)list[i].low;

		if (list[i].low != list[i].high)
			return;
		table[hash_of(number) / 64] |= UINT64_C(1) << hash_of(number) % 64;
	}
	if (width == 4)
		keep_words(bits, v->data, v->rows, 4, hashed32, &test);
	else
		keep_words(bits, v->data, v->rows, 8, hashed64, &test);
}

static void keep_many(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count)
{
	if ((v->type == PARQUET_UNSIGNED32 || v->type == PARQUET_SIGNED32 || v->type == PARQUET_UNSIGNED64 ||
	     v->type == PARQUET_SIGNED64) &&
	    v->rows >= BITS_TABLE_WORDS)
		keep_hashed(bits, v, list, count);
	for (uint32_t w = 0; w < bits_words(v->rows); w++) {
		uint64_t passed = 0;

		for (uint64_t left = bits[w]; left; left &= left - 1) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(left);

			passed |= (uint64_t)is_within(number_at(v, 64 * w + bit), list, count) << bit;
		}
		bits[w] = passed;
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
	const bool real = v->type == PARQUET_FLOAT || v->type == PARQUET_DOUBLE;
	struct span128 spans[FEW];

	count = clip(&list, count, &range);
	if (count == 0) {
		memset(bits, 0, bits_words(v->rows) * sizeof *bits);
		return;
	}
	if (real || count > FEW) {
		keep_many(bits, v, list, count);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const int128 low = list[i].low < range.low ? range.low : list[i].low;
		const int128 high = list[i].high > range.high ? range.high : list[i].high;

		spans[i] = (struct span128){(uint128)low, (uint128)high - (uint128)low};
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

/* Numbers of which the bit is set in `table`, of `count` bits. */
static void keep_looked_up(uint64_t *bits, const void *data, uint32_t rows, size_t width,
			   const uint64_t *table, uint32_t count)
{
	uint8_t octets[65536];
	const struct test test = {.octets = octets};

	for (uint32_t i = 0; i < count; i++)
		octets[i] = table[i / 64] >> i % 64 & 1;
	if (width == 1)
		keep_words(bits, data, rows, 1, octets8, &test);
	else
		keep_words(bits, data, rows, 2, octets16, &test);
}

static void keep_searched(uint64_t *bits, const uint16_t *data, uint32_t rows, const uint64_t *table)
{
	for (uint32_t w = 0; w < bits_words(rows); w++) {
		uint64_t passed = 0;

		for (uint64_t left = bits[w]; left; left &= left - 1) {
			const uint32_t bit = (uint32_t)__builtin_ctzll(left);
			const uint16_t number = data[64 * (size_t)w + bit];

			passed |= (table[number / 64] >> number % 64 & 1) << bit;
		}
		bits[w] = passed;
	}
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
	if (end - first == set)
		keep_few(bits, codes, rows, 2, &(struct span128){first, set - 1}, 1);
	else if (rows >= count / 4)
		keep_looked_up(bits, codes, rows, 2, table, count);
	else
		keep_searched(bits, codes, rows, table);
}

void bits_keep_valid(uint64_t *bits, const struct vector *v)
{
	if (v->valid)
		for (uint32_t w = 0; w < bits_words(v->rows); w++)
			bits[w] &= v->valid[w];
}

/* What a value must be among: intervals, the bits of a table, texts. */
enum kind { WITHIN, TABLE, TEXTS };

struct wanted_values {
	enum kind kind;
	const void *list;
	uint32_t count;
};

static void table_plain(uint64_t *bits, const struct vector *v, const uint64_t *table)
{
	if (v->type == PARQUET_UNSIGNED16)
		keep_codes(bits, v->data, v->rows, table, 65536);
	else
		keep_looked_up(bits, v->data, v->rows, 1, table, 256);
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

static void keep_values(uint64_t *bits, const struct vector *v, const struct wanted_values *wanted)
{
	switch (wanted->kind) {
	case WITHIN: keep_plain(bits, v, wanted->list, wanted->count); break;
	case TABLE: table_plain(bits, v, wanted->list); break;
	case TEXTS: texts_plain(bits, v, wanted->list, wanted->count); break;
	}
}

/* The entries of a dictionary are looked at as if they were rows. */
static void keep(uint64_t *bits, const struct vector *v, const struct wanted_values *wanted)
{
	const struct vector entries = {.type = v->type, .rows = v->entries, .data = v->data};
	uint64_t passed[BITS_TABLE_WORDS];

	bits_keep_valid(bits, v);
	if (!v->codes) {
		keep_values(bits, v, wanted);
		return;
	}
	bits_fill(passed, v->entries);
	keep_values(passed, &entries, wanted);
	keep_codes(bits, v->codes, v->rows, passed, v->entries);
}

void bits_keep_within(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count)
{
	keep(bits, v, &(struct wanted_values){WITHIN, list, count});
}

void bits_keep_table(uint64_t *bits, const struct vector *v, const uint64_t table[BITS_TABLE_WORDS])
{
	keep(bits, v, &(struct wanted_values){TABLE, table, BITS_TABLE_WORDS});
}

void bits_keep_texts(uint64_t *bits, const struct vector *v, const union parquet_text *texts, uint32_t count)
{
	keep(bits, v, &(struct wanted_values){TEXTS, texts, count});
}
