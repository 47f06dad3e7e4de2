/* gather.h: rows that passed a filter, some at a time, side by side as groups.h takes them. */
#pragma once

#include "parquet/vector.h"
#include "query/group.h"

struct gather;

/* Memory for so many columns. NULL: there is none. */
struct gather *gather_new(uint32_t slots);
void gather_free(struct gather *gather);

/* The next rows: of `count` (GROUPS_STEP at most) from `first` on, a multiple of GROUPS_STEP, those whose bit
 * is set. How many they are. */
uint32_t gather_rows(struct gather *gather, const uint64_t *bits, uint32_t first, uint32_t count);

/* Their values, as they are or in the memory of this slot; until the next rows. UUIDs as DuckDB has them. */
struct groups_values gather_values(struct gather *gather, uint32_t slot, const struct vector *vector);

/* What no record has: NULLs. */
struct groups_values gather_nothing(void);
