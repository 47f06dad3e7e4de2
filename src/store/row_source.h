/* row_source.h: the records of a batch, or what a query gives, as rows for a partition. */
#pragma once

#include "store/duck.h"
#include "store/pour.h"

/* Of `rows`, which is sealed, the columns that `schema` names. */
struct batch_source {
	struct pour pour;
	struct row_source source;
};

/* ERR_MEMORY; batch_source_fini in any case. */
MUST_CHECK enum status batch_source_init(struct batch_source *b, struct rows *rows,
					 const struct schema *schema);
void batch_source_fini(struct batch_source *b);

/* What a SELECT gives. */
struct query_source {
	duckdb_result result;
	duckdb_data_chunk chunk; /* that did not fit any more */
	struct row_source source;
};

/* ERR_SYSTEM with DuckDB's text, or that the columns have not the types of `schema`. query_source_fini is the
 * caller's on OK. */
MUST_CHECK enum status query_source_init(struct query_source *q, duckdb_connection connection,
					 const char *select, const struct schema *schema, struct error *err);
void query_source_fini(struct query_source *q);
