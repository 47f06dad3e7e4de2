/* convert.h: one field of many records -> one column, in loops over one column at a time. */
#pragma once

#include <duckdb.h>

#include "store/row_group.h"
#include "store/rows.h"

enum { PIECE_MAX = 2048 }; /* records at a time: DuckDB's vectors hold as many */

/* Records of one run. Fixed layout: record i is at `base` + i * `stride`. Variable: at `record[i]`, and field
 * f lies at places[i * field_count + f]. */
struct piece {
	const struct run *run;
	const struct rows_plan *slot;
	uint32_t first, count; /* in the run */
	const uint8_t *base;
	size_t stride;
	const uint8_t **record;
	const struct field_place *places;
};

/* Where values go: rows `row` and on of a column, which is a vector of DuckDB's or one of a row group. */
struct target {
	duckdb_vector vector;
	struct row_group *group;
	struct row_group_column *column;
	void *data;         /* NULL: nowhere */
	uint64_t *validity; /* of a vector; NULL: all valid so far */
	idx_t row;
	bool counts; /* faults are counted, in the origin */
};

void target_nulls(struct target *to, idx_t from, idx_t count);

/* The octets of field `field` of record `i`. */
struct span piece_field(const struct piece *p, uint32_t field, uint32_t i);

/* Each field's own column. Times are noted in `rows`. */
void convert_field(struct rows *rows, const struct piece *p, uint32_t field, struct target *to);

/* What is made from the field. */
void convert_derived(struct rows *rows, const struct piece *p, uint32_t field, struct target *to);

/* What stands on every record of the run. */
void convert_base(const struct piece *p, enum base_column column, struct target *to);
