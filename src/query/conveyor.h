/* conveyor.h: the chunks of a result, one after the other: a thread of its own takes them while the next are
 * read. DuckDB fills its buffer or hands out, but not both at a time. */
#pragma once

#include <duckdb.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

/* Called for each chunk with records, in order, by one thread at a time. Not OK ends the run. */
typedef enum status conveyor_take(void *arg, duckdb_data_chunk chunk);

/* Read all of `result`, until `stop` (may be NULL) is true: that is no failure. What take() answered, which
 * is not in `err`; or ERR_SYSTEM with DuckDB's reason. Nobody calls take() any more when it returns. */
MUST_CHECK enum status conveyor_run(duckdb_result *result, conveyor_take *take, void *arg,
				    const atomic_bool *stop, struct error *err);
