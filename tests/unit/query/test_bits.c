/* Loops over many rows beside the plain test of each. */
#include "query/bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/span.h"

enum { ROWS = 20011, ROUNDS = 12, LIST = 300 };

struct rows {
	uint64_t data[2 * ROWS];
	uint64_t valid[ROWS / 64 + 1];
	uint16_t codes[ROWS];
	struct vector vector;
};

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void fill(struct rows *r, enum parquet_type type, uint64_t *seed)
{
	const bool dictionary = next(seed) % 2;

	r->vector = (struct vector){.type = type, .rows = ROWS - next(seed) % 100, .data = r->data};
	r->vector.entries = dictionary ? 1 + next(seed) % 5000 : 0;
	r->vector.codes = dictionary ? r->codes : NULL;
	r->vector.valid = next(seed) % 2 ? r->valid : NULL;
	for (uint32_t i = 0; i < 2 * ROWS; i++)
		r->data[i] = next(seed) % 8 ? next(seed) % 1000 : (uint64_t)next(seed) << 33 | next(seed);
	for (uint32_t i = 0; i < ROWS / 64 + 1; i++)
		r->valid[i] = (uint64_t)next(seed) << 33 | next(seed);
	for (uint32_t i = 0; dictionary && i < ROWS; i++)
		r->codes[i] = (uint16_t)(next(seed) % r->vector.entries);
}

static int128 number(const struct vector *v, uint32_t at)
{
	const uint8_t *data = (const uint8_t *)v->data + at * parquet_width(v->type);
	uint64_t wide = 0;
	double real;
	float narrow;

	if (v->type == PARQUET_UUID)
		return bits_of_address(data);
	memcpy(&wide, data, parquet_width(v->type));
	memcpy(&real, data, parquet_width(v->type) == 8 ? 8 : 0);
	memcpy(&narrow, data, parquet_width(v->type) == 4 ? 4 : 0);
	switch (v->type) {
	case PARQUET_FLOAT: return bits_of_real((double)narrow);
	case PARQUET_DOUBLE: return bits_of_real(real);
	case PARQUET_SIGNED8: return (int8_t)wide;
	case PARQUET_SIGNED16: return (int16_t)wide;
	case PARQUET_SIGNED32: return (int32_t)wide;
	case PARQUET_SIGNED64:
	case PARQUET_TIME_MS:
	case PARQUET_TIME_US:
	case PARQUET_TIME_NS:
	case PARQUET_INSTANT_US: return (int64_t)wide;
	default: return wide;
	}
}

/* In order and apart; half of the lists have single values only. */
static uint32_t make_list(struct interval *list, const struct vector *v, uint64_t *seed)
{
	const uint32_t count = next(seed) % 2 ? 1 + next(seed) % 3 : 1 + next(seed) % LIST;
	const bool single = next(seed) % 2;
	int128 at = next(seed) % 3 ? 0 : number(v, 0) - 100;

	for (uint32_t i = 0; i < count; i++) {
		list[i].low = at += 1 + next(seed) % 5;
		list[i].high = at += single ? 0 : next(seed) % 4;
		at++;
	}
	if (next(seed) % 4 == 0)
		list[count - 1].high = (int128)1 << 126;
	return count;
}

static void check(const struct rows *r, const uint64_t *before, const uint64_t *after,
		  const struct interval *list, uint32_t count, const uint64_t *table)
{
	const struct vector *v = &r->vector;

	for (uint32_t row = 0; row < v->rows; row++) {
		const int128 n = number(v, vector_at(v, row));
		bool passes = table && (table[(size_t)n / 64] >> (size_t)n % 64 & 1);

		for (uint32_t i = 0; i < count && !passes; i++)
			passes = list[i].low <= n && n <= list[i].high;
		passes = passes && vector_has(v, row) && (before[row / 64] >> row % 64 & 1);
		if ((after[row / 64] >> row % 64 & 1) != passes)
			fail_msg("type %d, row %u of %u, %u intervals: %s", v->type, row, v->rows, count,
				 passes ? "should pass" : "should not pass");
	}
	for (uint32_t bit = v->rows; bit < 64 * bits_words(v->rows); bit++)
		assert_false(after[bit / 64] >> bit % 64 & 1);
}

static void test_numbers(void **state)
{
	static struct rows r;
	static uint64_t before[ROWS / 64 + 1], after[ROWS / 64 + 1], table[BITS_TABLE_WORDS];
	struct interval list[LIST];
	uint64_t seed = 1;

	(void)state;
	for (unsigned type = PARQUET_BOOLEAN; type <= PARQUET_UUID; type++)
		for (unsigned i = 0; i < ROUNDS; i++) {
			fill(&r, (enum parquet_type)type, &seed);
			bits_fill(before, r.vector.rows);
			for (uint32_t w = 0; i % 2 && w < bits_words(r.vector.rows); w++)
				before[w] &= r.data[w];
			memcpy(after, before, sizeof after);
			const uint32_t count = make_list(list, &r.vector, &seed);
			bits_keep_within(after, &r.vector, list, count);
			check(&r, before, after, list, count, NULL);

			if (type != PARQUET_UNSIGNED8 && type != PARQUET_UNSIGNED16)
				continue;
			for (uint32_t w = 0; w < BITS_TABLE_WORDS; w++)
				table[w] = i % 3 ? (uint64_t)next(&seed) << 33 | next(&seed) : 0;
			memcpy(after, before, sizeof after);
			bits_keep_table(after, &r.vector, table);
			check(&r, before, after, NULL, 0, table);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
