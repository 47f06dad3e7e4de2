/* follow.h: records as a collector's journal gets them: a view of what came since one looked last. */
#pragma once

#include <duckdb.h>

#include "base/error.h"

struct follow;

/* Begin behind what is there now. `connection` must stay. ERR_SYSTEM, ERR_FORMAT, ERR_PERMISSION, ERR_MEMORY.
 * Caller owns *out. */
MUST_CHECK enum status follow_open(struct follow **out, const char *store, duckdb_connection connection,
				   struct error *err);
void follow_close(struct follow *f);

/* The view flows has what came since the last call, *records of it. */
MUST_CHECK enum status follow_next(struct follow *f, uint64_t *records, struct error *err);
