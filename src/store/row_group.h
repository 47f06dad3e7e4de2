/* row_group.h: records as columns in memory, as many as stand together in a Parquet file. */
#pragma once

#include "parquet/parquet.h"
#include "store/column.h"

enum {
	ROW_GROUP_STEP = 2048, /* a group's room is a multiple of this: DuckDB's vectors and our pieces */
	ROW_GROUP_OCTETS = 64 << 20, /* of texts that are kept: a group that has as many is full */
};

struct row_group_column {
	void *data;      /* as the kind's DuckDB type has it in a vector */
	uint64_t *valid; /* a bit a row; looked at when `nulls` is set */
	bool nulls;
};

struct text_block;

struct row_group {
	const struct schema *schema; /* borrowed */
	struct row_group_column *columns;
	uint32_t rows, room;
	struct text_block *texts; /* octets of texts that are made here */
	size_t kept;              /* how many */
	bool failed;              /* no memory for one of them */
};

/* What partition_write reads: `fill` puts the next rows into an emptied group, at most its room; none: there
 * are no more. */
struct row_source {
	void *arg;
	enum status (*fill)(void *arg, struct row_group *group, struct error *err);
};

/* Memory that is not written to is not used. ERR_MEMORY; row_group_fini in any case. */
MUST_CHECK enum status row_group_init(struct row_group *group, const struct schema *schema, uint32_t room);
void row_group_fini(struct row_group *group);

/* Without rows again, every value valid. */
void row_group_clear(struct row_group *group);

/* Copy octets to where they stay until the group is cleared; NULL, and `failed`: no memory. */
const uint8_t *row_group_keep(struct row_group *group, const void *octets, size_t length);

/* Rows `from` and on have no value in the column. */
void row_group_nulls(struct row_group *group, struct row_group_column *column, uint32_t from, uint32_t count);

/* Bits `from` and on of an array, the lowest first. */
static inline void clear_bits(uint64_t *bits, uint32_t from, uint32_t count)
{
	for (uint32_t at = from, end = from + count; at < end;) {
		const uint32_t left = 64 - at % 64, n = end - at < left ? end - at : left;

		bits[at / 64] &= ~((n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << at % 64);
		at += n;
	}
}
