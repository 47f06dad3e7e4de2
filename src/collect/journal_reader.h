/* journal_reader.h: the messages of one worker's journal in order, from a position to the present end; from
 * any process, also while it is written, without locks. A message is given out only when the checksums of its
 * side record and of its octets hold. Names from numbers only; nothing is mapped, so nothing can be cut away.
 */
#pragma once

#include "collect/journal.h"

struct journal_entry {
	struct journal_position position, next; /* of the message; to go on behind it */
	struct span octets;                     /* good until the next journal_read */
	struct wall_ns received;
	const struct journal_session *session; /* good until the next journal_read */
};

struct journal_reader_statistics {
	uint64_t messages;
	uint64_t damaged;          /* places stepped over because a checksum did not hold */
	uint64_t without_session;  /* good messages whose peer record is damaged; stepped over */
	uint64_t segments_missing; /* a gap in the numbers, or one that is not of this place */
};

struct journal_reader;

/* Begin at `from`; {worker, 0, 0} is the oldest there is. With `accepted_only` the end is the watermark: what
 * the loader must read, since only that is still there after a power cut. Caller owns *out. A journal that
 * does not exist yet is empty. ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY. */
MUST_CHECK enum status journal_reader_open(struct journal_reader **out, const char *store,
					   struct journal_position from, bool accepted_only,
					   struct error *err);

/* OK; END: nothing more now, call again later; ERR_FORMAT: something damaged was stepped over, `err` names
 * it, go on calling; ERR_SYSTEM, ERR_PERMISSION, ERR_MEMORY: call again later or give up. What cannot be read
 * is stepped over by who reads all, and after ten calls by who reads what is accepted. */
MUST_CHECK enum status journal_read(struct journal_reader *reader, struct journal_entry *out,
				    struct error *err);

/* Where the next call begins. */
struct journal_position journal_reader_position(const struct journal_reader *reader);
struct journal_reader_statistics journal_reader_statistics(const struct journal_reader *reader);
void journal_reader_close(struct journal_reader *reader);

/* Which workers the store has: their numbers, ascending, at most JOURNAL_WORKERS. */
MUST_CHECK enum status journal_list_workers(const char *store, uint32_t out[JOURNAL_WORKERS], uint32_t *count,
					    struct error *err);
