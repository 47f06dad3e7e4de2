/* journal_walk.h: going through a segment's two files, for recovery and for readers. Nothing is given out
 * that its checksum does not cover. */
#pragma once

#include "collect/journal_format.h"

enum { WALK_OCTETS = 64 * 1024, WINDOW_OCTETS = 256 * 1024 };

/* The records of a side file, one after the other. Zero but fd, seed, at and buffer to begin with. */
struct side_walk {
	int fd;
	uint32_t seed;
	uint64_t at;     /* the next record */
	uint8_t *buffer; /* of WALK_OCTETS; the caller's */
	uint64_t buffer_at;
	size_t held;
};

/* OK: *out is the next record, SIDE_IS_BAD for a unit that is none; `at` has moved on. END: less than a unit
 * is left. ERR_SYSTEM: it cannot be read. */
MUST_CHECK enum status side_walk_next(struct side_walk *walk, struct side_record *out);

/* Forget what was read: the file may have changed. */
void side_walk_back(struct side_walk *walk, uint64_t at);

/* A part of the .ipfix file. */
struct data_window {
	int fd;
	uint8_t *buffer; /* of WINDOW_OCTETS; the caller's */
	uint64_t at;
	size_t held;
};

/* The message that `record` describes, if its checksum holds: OK and the octets, good until the next call.
 * ERR_FORMAT: it does not hold, or the file is too short. ERR_SYSTEM: it cannot be read. */
MUST_CHECK enum status data_window_message(struct data_window *window, const struct side_record *record,
					   struct span *out);
