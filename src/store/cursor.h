/* cursor.h: the records of a batch, piece by piece. */
#pragma once

#include "store/convert.h"

struct cursor {
	struct rows *rows;
	uint32_t run, at;     /* the next record: in which run, which */
	const uint8_t *octet; /* where it begins, when records are of variable length */
	struct field_place *places;
	const uint8_t *record[PIECE_MAX];
};

/* At the first record; `rows` is borrowed. ERR_MEMORY. cursor_fini also after a failure. */
MUST_CHECK enum status cursor_init(struct cursor *cursor, struct rows *rows);
void cursor_fini(struct cursor *cursor);

/* The next records, of one run, at most `room` (up to PIECE_MAX); good until the next call. False: no more.
 */
bool cursor_next(struct cursor *cursor, uint32_t room, struct piece *out);
