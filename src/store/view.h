/* view.h: the SQL views over partitions and tail. */
#pragma once

#include "store/manifest.h"
#include "store/sql.h"

/* Where the rows of a view come from. */
struct view_source {
	const char *store;
	const struct manifest *manifest;
	const uint32_t *partitions; /* of the manifest */
	uint32_t partition_count;
	struct {
		const char *function;
		const struct schema *schema;
	} tail[2];
	unsigned tail_count;
};

/* Create or replace the view `name`. With `flows` it has the columns that store.h promises. */
MUST_CHECK enum status view_create(duckdb_connection connection, const char *name,
				   const struct view_source *source, bool flows, struct error *err);

/* The columns that some part has, and those that a view `flows` makes of them. */
void view_columns(const struct view_source *source, struct schema *out);

/* Append "(SELECT …)" with the columns of `flows` that `statement` names in quotes, and no others: a view of
 * all of them costs as much as a small question. */
void view_inline(struct sql *sql, const struct view_source *source, const char *statement);

/* The SQL function address_text(UINTEGER, UUID): NULL when both are. */
MUST_CHECK enum status view_address_function(duckdb_connection connection, struct error *err);
