/* sieve.h: a filter over columns in memory: which rows pass. The same rows as with filter_sql, value by
 * value; what it does not understand is ERR_UNSUPPORTED, and DuckDB answers.
 *
 * Tests of a column that has a dictionary are made once an entry. The sides of an "and" are looked at from
 * the one that is cheapest (least to read) on, and no further when no row is left. */
#pragma once

#include "query/expression.h"
#include "query/filter.h"

struct sieve;

/* `filter` NULL: all pass. It is borrowed. from_ms, to_ms as in struct ask. ERR_UNSUPPORTED, ERR_MEMORY.
 * Caller owns *out; one can be used by one thread at a time. */
MUST_CHECK enum status sieve_new(struct sieve **out, const struct filter *filter, int64_t from_ms,
				 int64_t to_ms, struct wanted *wanted);
void sieve_free(struct sieve *sieve);

/* False: the bounds of the columns say that no row can pass. */
bool sieve_may_pass(const struct sieve *sieve, const struct columns *columns);

/* A bit a row in `bits` ((rows + 63) / 64 words; bits behind the last row are 0), *passed of them set. False:
 * no memory, or a column cannot be read. */
MUST_CHECK bool sieve_run(struct sieve *sieve, const struct columns *columns, uint64_t *bits,
			  uint32_t *passed);
