/* writer.h: lay out one IPFIX Message (RFC 7011 section 3) in a caller's buffer. No I/O, no clock, no
 * allocation.
 *
 * message_begin, then records in any order of sets, then message_finish, which fills in the header. */
#pragma once

#include "base/span.h"
#include "base/status.h"

enum {
	IPFIX_VERSION = 10,
	IPFIX_HEADER_LENGTH = 16,
	IPFIX_SET_HEADER_LENGTH = 4,
	IPFIX_MESSAGE_MAX = 65535,
	SET_TEMPLATE = 2,
	SET_OPTIONS_TEMPLATE = 3,
	SET_DATA_FIRST = 256, /* and the smallest Template ID */
	FIELD_VARIABLE = 65535,
};

struct message_writer {
	uint8_t *buffer;
	size_t capacity; /* octets the finished message may have, <= IPFIX_MESSAGE_MAX */
	size_t used;
	size_t set_at;         /* offset of the open set's header; 0: none open */
	uint32_t data_records; /* put so far: what the next message's sequence number grows by */
};

void message_begin(struct message_writer *w, uint8_t *buffer, size_t capacity);

/* Append one record to the open set when it has this id, else to a new set. ERR_LIMIT: it does not fit;
 * ERR_FORMAT: it is empty; nothing was changed. Records of sets 2 and 3 are templates; all others count as
 * Data Records. */
MUST_CHECK enum status message_put_record(struct message_writer *w, uint16_t set_id, struct span record);

/* Another record into the set that is open, of its kind. False: it does not fit, nothing was changed. */
static inline int message_add_record(struct message_writer *w, struct span record)
{
	if (record.length == 0 || record.length > w->capacity - w->used)
		return 0;
	memcpy(w->buffer + w->used, record.data, record.length);
	w->used += record.length;
	w->data_records++;
	return 1;
}

/* No record has been put since message_begin. */
static inline int message_is_empty(const struct message_writer *w)
{
	return w->used == IPFIX_HEADER_LENGTH;
}

/* Close the open set and write the header; once more with another time or sequence is fine. `sequence` = data
 * records of this session and domain sent before. Returns the message, borrowed from the buffer. */
struct span message_finish(struct message_writer *w, uint32_t export_time, uint32_t sequence,
			   uint32_t domain);
