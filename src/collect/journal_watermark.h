/* journal_watermark.h: what of each worker's journal is accepted: below an fsync that succeeded.
 *
 * STORE/watermark is a row of 512-octet sectors, numbers in network byte order: the store's identity, then
 * two slots per worker, written in turn. A slot is one pwrite of one sector with a checksum: whoever reads it
 * sees the old mark or the new one, and a torn slot leaves the other. (A temporary file and a rename would
 * need a new inode and two more fsyncs each second, and could not be done on a full disk; the sectors are
 * there from the start.) The file itself is not fsync'd: after a power cut it may show an older mark, never
 * one too high.
 */
#pragma once

#include "collect/journal_format.h"

/* Messages at [from, to) of a segment were appended, but an fsync over them failed: never accepted. */
struct journal_hole {
	uint32_t segment;
	uint64_t from, to; /* UINT64_MAX: to the segment's end */
};

struct journal_watermark {
	struct journal_position accepted; /* segment 0: nothing yet */
	uint64_t serial;                  /* grows with each publication */
	uint32_t holes;                   /* in hole[], newest last; older ones are forgotten */
	struct journal_hole hole[JOURNAL_HOLES];
};

/* From any process, at any time. END: none published for this worker. ERR_SYSTEM, ERR_PERMISSION. */
MUST_CHECK enum status journal_watermark_read(const char *store, uint32_t worker,
					      struct journal_watermark *out, struct error *err);

bool journal_is_accepted(const struct journal_watermark *mark, struct journal_position position);

/* For the writer. */

void watermark_add_hole(struct journal_watermark *mark, struct journal_hole hole);

/* False: the sector is not there or its checksum does not hold. */
bool watermark_get_store(int fd, uint8_t store[STORE_ID]);
MUST_CHECK enum status watermark_put_store(int fd, const uint8_t store[STORE_ID], struct error *err);

/* Make room for the slots of the first `workers`, so that writing them later needs no space. */
MUST_CHECK enum status watermark_reserve(int fd, uint32_t workers, struct error *err);

bool watermark_get(int fd, const uint8_t store[STORE_ID], uint32_t worker, struct journal_watermark *out);

/* Write mark->serial + 1 into its slot and, on success, into *mark. errno is set on failure. */
MUST_CHECK bool watermark_put(int fd, const uint8_t store[STORE_ID], struct journal_watermark *mark);
