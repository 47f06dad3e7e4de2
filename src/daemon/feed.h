/* feed.h: the journals of all workers of a store as one row of messages; each worker gets its turn. */
#pragma once

#include "collect/journal_reader.h"

struct feed;

/* `from` has a position for each of JOURNAL_WORKERS workers; segment 0: the oldest. Workers of earlier runs
 * are read too. `accepted_only` as in journal_reader_open. Caller owns *out. */
MUST_CHECK enum status feed_open(struct feed **out, const char *store, uint32_t workers,
				 const struct journal_position from[JOURNAL_WORKERS], bool accepted_only,
				 struct error *err);
void feed_close(struct feed *feed);

/* As journal_read; END: no worker has more now. */
MUST_CHECK enum status feed_next(struct feed *feed, struct journal_entry *out, struct error *err);
