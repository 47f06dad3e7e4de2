/* pour.h: pours the records of a batch into columns, all or some: those of a row group, or DuckDB's vectors.
 */
#pragma once

#include "store/cursor.h"

struct pour {
	struct rows *rows;
	struct cursor cursor;
	struct target *targets; /* in the order they were asked for; the caller says where values go */
	uint32_t count;
	int32_t *asked; /* of each column of the schema: which target; -1: none */
};

/* Begin with the first record. `columns`: indexes in the schema; those above it are no column. ERR_MEMORY;
 * pour_fini in any case. */
MUST_CHECK enum status pour_init(struct pour *p, struct rows *rows, const uint64_t *columns, uint32_t count);
void pour_fini(struct pour *p);

/* The next records, at most `room`, become the rows of the targets from 0 on. How many: 0: there are no more.
 */
uint32_t pour_next(struct pour *p, uint32_t room);
