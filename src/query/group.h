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
struct cell;

enum { GROUPS_KEYS_MAX = 16, GROUPS_NAME_MAX = 16 };

/* By what is summed up, and how. */
struct groups_shape {
	struct {
		duckdb_type type;
		char name[GROUPS_NAME_MAX]; /* in the table function */
	} keys[GROUPS_KEYS_MAX];
	uint32_t key_count;
	bool denied;        /* those are counted too */
	size_t octets_most; /* of memory; 0: half a gigabyte */
};

struct groups_sums {
	uint64_t octets[2], packets[2]; /* low half, high half */
	uint64_t flows, denied;
	bool has_octets, has_packets; /* some record had */
};

/* Read `result` to its end: columns of keys, then octets and packets (UBIGINT, may be NULL). Ends early, with
 * whatever there is, when *stop becomes true. ERR_UNSUPPORTED: a key of a type that has no fixed width,
 * nothing was read; ERR_LIMIT: more groups than half a gigabyte holds; ERR_MEMORY; ERR_SYSTEM: the statement
 * failed. Caller owns *out. */
MUST_CHECK enum status groups_collect(struct groups **out, duckdb_result *result, const atomic_bool *stop,
				      struct error *err);
void groups_free(struct groups *groups);

/* The same, some rows at a time; keys may be texts here.
 * ERR_UNSUPPORTED, ERR_MEMORY. */
MUST_CHECK enum status groups_new(struct groups **out, const struct groups_shape *shape);

/* GROUPS_STEP rows at most: values as DuckDB's vectors have them, a bit a row where they are valid (NULL:
 * all). Without `denied` nobody asks. `rows`, where it is not NULL, becomes the group of each. ERR_LIMIT,
 * ERR_MEMORY: nothing of them is in the sums. */
enum { GROUPS_STEP = 2048 };

struct groups_values {
	const void *data;
	const uint64_t *valid;
};

static inline bool groups_have(const struct groups_values *values, size_t row)
{
	return !values->valid || (values->valid[row / 64] >> row % 64 & 1);
}

struct groups_rows {
	uint32_t count;
	struct groups_values keys[GROUPS_KEYS_MAX], octets, packets, denied;
};

MUST_CHECK enum status groups_add(struct groups *groups, const struct groups_rows *from, uint32_t *rows);

/* Add the groups of `from`, of the same shape, to these, which may have `octets_most` now. ERR_LIMIT,
 * ERR_MEMORY: some are. */
MUST_CHECK enum status groups_merge(struct groups *groups, const struct groups *from, size_t octets_most);

/* Groups have numbers from 0, in the order they came. */
uint32_t groups_count(const struct groups *groups);
struct groups_sums groups_sums_of(const struct groups *groups, uint32_t group);
struct cell groups_key(const struct groups *groups, uint32_t group, uint32_t key); /* texts are borrowed */

/* Only those keys of `from`, in that order, without sums: to find records in. groups_find: `rows` becomes the
 * number of each record's group, UINT32_MAX where it is in none. ERR_MEMORY. */
MUST_CHECK enum status groups_pick(struct groups **out, const struct groups *from, const uint32_t *which,
				   uint32_t count);
void groups_find(struct groups *groups, const struct groups_rows *from, uint32_t *rows);

/* Make a table function of this name: the columns of the keys as they were called, then octets and packets
 * (HUGEINT, NULL where no row had any), flows and, where the shape has it, denied (BIGINT). The groups are
 * the database's from then on. ERR_SYSTEM. */
MUST_CHECK enum status groups_register(struct groups *groups, duckdb_connection connection, const char *name,
				       struct error *err);
