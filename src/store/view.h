/* view.h: the SQL views over partitions and tail. */
#pragma once

#include "store/view_parts.h"

/* Create or replace the view `name`. With `flows` it has the columns that store.h promises. */
MUST_CHECK enum status view_create(duckdb_connection connection, const char *name,
				   const struct view_source *source, bool flows, struct error *err);

/* The columns that some part has, and those that a view `flows` makes of them. */
void view_columns(const struct view_source *source, struct schema *out);

/* What such a column is made of, in SQL over others; NULL: it is none of them. */
const char *view_derived_sql(const char *name);

/* Append "(SELECT …)" with the columns of `flows` that `statement` names in quotes, and no others: a view of
 * all of them costs as much as a small question. */
void view_inline(struct sql *sql, const struct view_source *source, const char *statement);

/* The SQL function address_text(UINTEGER, UUID): NULL when both are. */
MUST_CHECK enum status view_address_function(duckdb_connection connection, struct error *err);
