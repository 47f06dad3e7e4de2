/* chart.h: sums over time and up to three keys, each cut to its largest values: the figures behind timeline,
 * matrix and sankey. Every record of the window is in exactly one sum, so all sums together are those of the
 * window. cube.h makes them out of one reading; what is here, by DuckDB, is for keys and sizes that it does
 * not take, and what it is held against. */
#pragma once

#include "query/ask.h"
#include "query/engine.h"
#include "store/store.h"

enum { CHART_KEYS = 3, CHART_VALUES_MAX = 200 };

struct chart {
	struct ask ask;  /* filter, window (both ends set), up to CHART_KEYS keys, order: by what values are
			    largest */
	int64_t values;  /* of each key; what is beyond is "other" */
	int64_t step_ms; /* 0: not over time. A record stands where it starts, one from before at the window's
			    begin */
};

/* Find the largest values of key `i`; they lie in a table of the engine until the next time. */
MUST_CHECK enum status chart_rank(struct engine *engine, const struct store *store, const struct chart *chart,
				  unsigned i, struct error *err);

/* The values of key `i`, largest first: value, octets, packets, flows, denied. */
MUST_CHECK enum status chart_values(struct engine *engine, const struct chart *chart, unsigned i,
				    struct ask_column *columns, duckdb_result *out, struct error *err);

/* The sums: [time], a number for each key (of chart_values, NULL: other), octets, packets, flows, denied. */
MUST_CHECK enum status chart_cells(struct engine *engine, const struct store *store,
				   const struct chart *chart, struct ask_column *columns, uint32_t *count,
				   duckdb_result *out, struct error *err);

/* A step that people read well, so that a window has at most `most` of them; a second or more. */
int64_t chart_step(int64_t from_ms, int64_t to_ms, int64_t most);
