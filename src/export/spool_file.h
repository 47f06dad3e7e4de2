/* spool_file.h: one file of a spool: what stands in it, checked octet by octet (spool.h). */
#pragma once

#include "export/spool.h"

enum {
	SPOOL_MARK = 8,            /* octets for a message in the list beside the file */
	SPOOL_NAME_MAX = 32,       /* of a file, with its ending */
	SPOOL_FILE_MAX = 32 << 20, /* octets; a larger one is not ours */
};

/* The next record; a cursor over a file that was checked. */
struct spool_cursor {
	uint32_t at;                   /* the next record; 0: at the start */
	uint32_t set_end, message_end; /* 0: between messages */
	uint16_t set_id;
};

/* "00000012.ipfix", "….sum", "….bad" */
void spool_file_name(uint32_t number, const char *ending, char out[static SPOOL_NAME_MAX]);

/* How many octets of `octets` are whole messages by the `marks` beside them and hold nothing but templates of
 * ours and their records. *fault: NULL, or why what follows is no torn end. */
size_t spool_file_check(const struct spool_options *o, struct span octets, struct span marks,
			const char **fault);

/* The record at or behind the cursor, in octets that were checked; moves the cursor to it. `out->next` is the
 * offset behind it. END: no more. */
enum status spool_cursor_peek(const struct spool_options *o, struct span octets, struct spool_cursor *cursor,
			      struct ring_view *out);

/* Octets of the record of this layout that begins at `data`, and what it stands for; 0: it does not fit. */
size_t spool_measure(const struct layout *layout, const uint8_t *data, size_t left, struct ring_view *out);
