/* bits.h: rows as bits: of those in question, which have a value that passes.
 *
 * A bit a row, the lowest first; bits behind the last row are 0 and stay so. Numbers of all types are
 * compared as 128 bits, in an order that is SQL's. */
#pragma once

#include <string.h>

#include "parquet/vector.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

enum { BITS_ROWS_MAX = 1 << 20, BITS_WORDS_MAX = BITS_ROWS_MAX / 64 };

/* Both are within. */
struct interval {
	int128 low, high;
};

static inline uint32_t bits_words(uint32_t rows)
{
	return (rows + 63) / 64;
}

/* 64 octets of 0 and 1 as bits: eight of them gather in the highest octet of a product. */
static inline uint64_t bits_pack(const uint8_t flags[64])
{
	uint64_t out = 0;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t eight;

		memcpy(&eight, flags + 8 * i, 8);
		out |= (eight * UINT64_C(0x0102040810204080) >> 56) << 8 * i;
	}
	return out;
}

void bits_fill(uint64_t *bits, uint32_t rows);
bool bits_any(const uint64_t *bits, uint32_t rows);

/* Where a value of these types stands in the order of numbers. */
int128 bits_of_address(const uint8_t octets[16]);
int128 bits_of_real(double real);

/* The vector's values can be compared as numbers: all but texts and octets. */
bool bits_comparable(enum parquet_type type);

/* Least and greatest number of a type. */
struct interval bits_range(enum parquet_type type);

/* Clear the rows that have no value, or none in one of the intervals, which are in order and apart. */
void bits_keep_within(uint64_t *bits, const struct vector *v, const struct interval *list, uint32_t count);

/* Clear the rows without a value, or of which the value's bit is not set in `table`: of 65536 bits, for
 * unsigned numbers of at most 16. */
enum { BITS_TABLE_WORDS = 65536 / 64 };
void bits_keep_table(uint64_t *bits, const struct vector *v, const uint64_t table[BITS_TABLE_WORDS]);

/* Clear the rows without a value, or of which the text or octets are not among these, which are in the order
 * of bits_text_compare. */
int bits_text_compare(const void *a, const void *b); /* of union parquet_text */
void bits_keep_texts(uint64_t *bits, const struct vector *v, const union parquet_text *texts, uint32_t count);

/* Clear the rows without a value. */
void bits_keep_valid(uint64_t *bits, const struct vector *v);
