/* plain.h: questions answered from the columns of a store, without a database: sums by keys, and lists of the
 * first so many records by time, octets or packets. DuckDB would need longer to begin than this to end. */
#pragma once

#include "query/result.h"
#include "store/store.h"

/* Answer `ask` over the store's last look (store_look), of about `records`. ERR_UNSUPPORTED, ERR_LIMIT: that
 * is for DuckDB (select.h), nothing was written. ERR_SYSTEM (also "interrupted"), ERR_FORMAT, ERR_MEMORY. */
MUST_CHECK enum status plain_answer(const struct store *store, const struct ask *ask, uint64_t records,
				    struct result_sink *sink, struct error *err);
