/* made.h: columns for tests: every type, values spread in every way, with and without NULLs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parquet/parquet.h"

enum { ROWS_MAX = 12000, TEXT_MAX = 5000, POOL = TEXT_MAX + 128 };

/* How values are spread. */
enum spread { CONSTANT, FEW, MANY, ASCENDING, EXTREME, WIDENING, SPREADS };

/* Where there are none. */
enum gaps { NEVER, NOW_AND_THEN, IN_BLOCKS, ALTERNATING, MOSTLY, ALWAYS, GAPS };

struct made {
	struct parquet_column column;
	char name[32];
	enum spread spread;
	enum gaps gaps;
	uint8_t *data;
	uint64_t *valid;
	const uint8_t *pool; /* octets of texts */
};

static inline uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 16 ^ *state << 32;
}

static inline bool there(enum gaps gaps, uint32_t i)
{
	switch (gaps) {
	case NEVER: return true;
	case NOW_AND_THEN: return i * UINT32_C(2654435761) >> 28 != 0;
	case IN_BLOCKS: return i / 300 % 3 != 1;
	case ALTERNATING: return i % 2;
	case MOSTLY: return i % 1000 == 999;
	case ALWAYS:
	default: return false;
	}
}

static inline uint64_t number(enum spread spread, uint32_t i, uint64_t *random)
{
	switch (spread) {
	case CONSTANT: return 42;
	case FEW: return draw(random) % 300;
	case MANY: return draw(random);
	case ASCENDING: return (UINT64_C(1) << 40) + 17 * (uint64_t)i + draw(random) % 9;
	case WIDENING: return draw(random) >> (63 - i / 128 % 64);
	case EXTREME:
	default: return draw(random) % 3 == 0 ? 0 : draw(random) % 2 ? UINT64_MAX : UINT64_MAX >> 1;
	}
}

static inline bool is_time(enum parquet_type t)
{
	return t == PARQUET_TIME_MS || t == PARQUET_TIME_US || t == PARQUET_TIME_NS;
}

/* Texts of any length and any octets below 128. */
static inline union parquet_text make_text(const struct made *m, uint64_t n)
{
	const size_t length = m->spread == EXTREME ? (n % 7 ? 0 : TEXT_MAX) : 1 + n % 30;
	const size_t from = m->spread == EXTREME ? 0 : n % 97;

	return parquet_text(m->pool + from, length);
}

static inline void make_values(struct made *m, uint32_t rows, uint64_t *random)
{
	const size_t width = parquet_width(m->column.type);

	for (uint32_t i = 0; i < rows; i++) {
		uint64_t n = number(m->spread, i, random);
		uint8_t *to = m->data + i * width;

		if (is_time(m->column.type)) /* what DuckDB can show in microseconds */
			n = (uint64_t)((int64_t)n >> 13);
		if (m->column.type == PARQUET_TEXT || m->column.type == PARQUET_OCTETS) {
			const union parquet_text t = make_text(m, n);

			memcpy(to, &t, sizeof t);
		} else if (m->column.type == PARQUET_UUID) {
			memcpy(to, &n, 8);
			memcpy(to + 8, &n, 8);
		} else if (m->column.type == PARQUET_BOOLEAN) {
			*to = n & 1;
		} else {
			memcpy(to, &n, width);
		}
		if (i % 64 == 0)
			m->valid[i / 64] = 0;
		m->valid[i / 64] |= (uint64_t)there(m->gaps, i) << i % 64;
	}
}

static inline uint32_t make_columns(struct made *all, uint8_t *pool)
{
	uint32_t n = 0;

	for (size_t i = 0; i < POOL; i++)
		pool[i] = (uint8_t)(i * 37 % 127 + 1);
	for (unsigned type = 0; type < PARQUET_NOTHING; type++)
		for (unsigned spread = 0; spread < SPREADS; spread++)
			for (unsigned gaps = 0; gaps < GAPS; gaps++) {
				struct made *m = &all[n++];

				snprintf(m->name, sizeof m->name, "t%u_s%u_g%u", type, spread, gaps);
				m->column = (struct parquet_column){m->name, (enum parquet_type)type};
				m->pool = pool;
				m->spread = (enum spread)spread;
				m->gaps = (enum gaps)gaps;
				m->data = malloc(ROWS_MAX * parquet_width(m->column.type));
				m->valid = malloc((ROWS_MAX / 64 + 1) * sizeof *m->valid);
			}
	return n;
}

static inline void free_columns(struct made *all, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		free(all[i].data);
		free(all[i].valid);
	}
}

enum { COLUMNS = PARQUET_NOTHING * SPREADS * GAPS };
