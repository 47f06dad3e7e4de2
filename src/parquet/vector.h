/* vector.h: one column of some rows in memory: a value a row, or the number of a dictionary's entry. */
#pragma once

#include "parquet/parquet.h"

struct vector {
	enum parquet_type type;
	uint32_t rows;
	const uint64_t *valid; /* a bit a row, the lowest first; NULL: all have a value */
	/* parquet_width(type) octets each: a value a row, or with `codes` an entry each. What stands where
	 * there is no value means nothing, but can be read. */
	const void *data;
	const uint16_t *codes; /* the entry of each row, below `entries`; NULL: there is no dictionary */
	uint32_t entries;
};

static inline bool vector_has(const struct vector *v, uint32_t row)
{
	return !v->valid || (v->valid[row / 64] >> row % 64 & 1);
}

/* Where the value of a row stands in `data`. */
static inline uint32_t vector_at(const struct vector *v, uint32_t row)
{
	return v->codes ? v->codes[row] : row;
}
