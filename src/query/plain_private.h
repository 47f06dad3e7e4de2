/* plain_private.h: what plain.c, plain_sums.c and plain_list.c share; pass.c and pass_scan.c have their
 * expressions and types from here. */
#pragma once

#include "query/plain.h"
#include "query/scan.h"

/* What an ask's keys are: each one or two expressions (ask.h: an address has two halves). */
struct plain_keys {
	struct expression *all[2 * ASK_KEYS_MAX];
	struct {
		int32_t half[2]; /* in `all`; -1: NULL in every record, or there is no second */
	} of[ASK_KEYS_MAX];
	uint32_t count;
};

/* ERR_UNSUPPORTED, ERR_MEMORY; plain_keys_fini in any case. */
MUST_CHECK enum status plain_keys_init(struct plain_keys *keys, const struct ask *ask, struct wanted *wanted);
void plain_keys_fini(struct plain_keys *keys);

/* An expression of words.h's SQL. OK and NULL: no record has a value. */
MUST_CHECK enum status plain_expression(struct expression **out, const char *sql, struct wanted *wanted);

/* The type that a DuckDB vector of these values has; DUCKDB_TYPE_INVALID: none that we show. */
duckdb_type plain_type(enum parquet_type type);

/* Of a key, or its second half, that is NULL in every record: what DuckDB would say. */
duckdb_type plain_type_of_null(const struct ask_key *key, unsigned second);

/* The value of a row; a text is borrowed. */
struct cell plain_cell(const struct vector *vector, uint32_t row);

struct plain {
	const struct ask *ask;
	struct wanted wanted;
	struct scan scan;
	struct result_sink *sink;
	struct show_column columns[ASK_COLUMNS_MAX];
	uint32_t column_count;
};

MUST_CHECK enum status plain_sums(struct plain *p, struct error *err);
MUST_CHECK enum status plain_list(struct plain *p, struct error *err);

/* Columns of the answer by the keys' expressions. */
void plain_name_keys(struct plain *p, const struct plain_keys *keys);
void plain_name(struct plain *p, const char *name, enum cell_format format, duckdb_type type);
