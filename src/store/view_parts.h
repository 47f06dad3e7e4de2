/* view_parts.h: SELECTs over partitions and the tail: the one place that knows where a column of a partition
 * is, in its file or in the manifest (constants.h). */
#pragma once

#include "store/manifest.h"
#include "store/sql.h"

/* Where rows come from. */
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

/* Append one SELECT, or several with UNION ALL, of the rows of every part with the columns of `all`: NULL
 * where a part has no such column, or one of another type that cannot be made into this. Times of
 * milliseconds are TIMESTAMP: so they come back from Parquet. */
void view_select_rows(struct sql *sql, const struct view_source *source, const struct schema *all);
