/* lift.h: which columns have one value in all records of a batch. They need not be converted and written, a
 * sixth of the loader's time where six of twenty are such: constants.h keeps them.
 *
 * Times always stay in the file, so it has a column at least; so do floats and lists. A value that is none of
 * its type stays, too: scans count those. */
#pragma once

#include "store/constants.h"
#include "store/rows.h"

enum {
	LIFT_RECORDS = 10000, /* a batch with fewer records keeps its columns: nothing would be saved */
	LIFT_TEXT = 200,      /* octets of a value as text; a longer one stays */
};

/* Find the columns of `rows`, which is sealed and registered on `connection` as the table function
 * `function`. *out is empty before; the caller ends it, whatever comes back. ERR_MEMORY, ERR_SYSTEM. */
MUST_CHECK enum status lift_constants(struct constants *out, struct rows *rows, duckdb_connection connection,
				      const char *function, struct error *err);
