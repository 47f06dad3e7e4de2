/* select.h: a question put to the engine, by the quickest way to its answer. */
#pragma once

#include <stdatomic.h>

#include "query/ask.h"
#include "query/engine.h"
#include "store/store.h"

/* Run the question over what store_attach or store_attach_parts has attached to the engine's connection; fill
 * the columns of its answer. Groups are summed up here where their keys allow it (group.h), else by DuckDB.
 * Ends early when *stop becomes true. As engine_select otherwise. */
MUST_CHECK enum status select_ask(struct engine *engine, const struct store *store, const struct ask *ask,
				  const atomic_bool *stop, duckdb_result *out, struct ask_column *columns,
				  uint32_t *column_count, struct error *err);
