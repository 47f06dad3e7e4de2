/* group.h: the rows of a statement, summed up by their keys.
 *
 * DuckDB's GROUP BY does the same for every type and every sum; this does it for keys of fixed width and for
 * what a question always asks, at a fraction of the CPU time, while DuckDB's threads decode the columns. */
#pragma once

#include <duckdb.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

struct groups;

/* Read `result` to its end: columns of keys, then octets and packets (UBIGINT, may be NULL). Ends early, with
 * whatever there is, when *stop becomes true. ERR_UNSUPPORTED: a key of a type that has no fixed width,
 * nothing was read; ERR_LIMIT: more groups than half a gigabyte holds; ERR_MEMORY; ERR_SYSTEM: the statement
 * failed. Caller owns *out. */
MUST_CHECK enum status groups_collect(struct groups **out, duckdb_result *result, const atomic_bool *stop,
				      struct error *err);
void groups_free(struct groups *groups);

/* Make a table function of this name: the columns of the keys as they were called, then octets and packets
 * (HUGEINT, NULL where no row had any) and flows (BIGINT). The groups are the database's from then on.
 * ERR_SYSTEM.
 */
MUST_CHECK enum status groups_register(struct groups *groups, duckdb_connection connection, const char *name,
				       struct error *err);
