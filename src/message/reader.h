/* reader.h: take one IPFIX Message apart (RFC 7011 section 3): header and sets. No I/O, no allocation.
 *
 * message_open looks at the whole message before anything of it is handed out: header, every set length,
 * the outline of every (options) template record. A message that fails there is malformed and is discarded
 * as one (RFC 7011 section 9.1). Whether records run past their set can only be said with the template in
 * hand: record.h. */
#pragma once

#include <stdbool.h>

#include "message/writer.h"

/* FAULT(constant, name in statistics, text): why a message is malformed. */
#define MESSAGE_FAULTS(FAULT)                                                                                \
	FAULT(NONE, "none", "whole")                                                                         \
	FAULT(HEADER_CUT, "header_cut", "fewer octets than a message header has")                            \
	FAULT(VERSION, "version", "the version is not 10")                                                   \
	FAULT(LENGTH_SMALL, "length_small", "the message length is under its 16-octet header")               \
	FAULT(LENGTH_OVER, "length_over", "the message length is more than there is")                        \
	FAULT(LENGTH_UNDER, "length_under", "octets follow the end that the message length gives")           \
	FAULT(SET_HEADER_CUT, "set_header_cut", "octets after the last set")                                 \
	FAULT(SET_LENGTH_SMALL, "set_length_small", "a set length is under its 4-octet header")              \
	FAULT(SET_LENGTH_OVER, "set_length_over", "a set runs past the message")                             \
	FAULT(TEMPLATE_CUT, "template_cut", "a template record runs past its set")                           \
	FAULT(RECORD_CUT, "record_cut", "a data record runs past its set")

enum message_fault {
#define FAULT(constant, name, text) MESSAGE_FAULT_##constant,
	MESSAGE_FAULTS(FAULT)
#undef FAULT
		MESSAGE_FAULT_COUNT
};

const char *message_fault_name(enum message_fault fault);
const char *message_fault_text(enum message_fault fault);

struct message_header {
	uint16_t length;      /* octets, header included */
	uint32_t export_time; /* UNIX seconds modulo 2^32 */
	uint32_t sequence;    /* data records sent before, modulo 2^32 */
	uint32_t domain;      /* Observation Domain ID */
};

struct set {
	uint16_t id;
	struct span records; /* without the set header; padding included */
};

struct message_reader {
	struct message_header header;
	const uint8_t *at, *end;
};

/* `octets` is one message and nothing else. The reader borrows it. On a fault `header` is as far as it could
 * be read, else zero, and there is no set to read. */
MUST_CHECK enum message_fault message_open(struct message_reader *reader, struct span octets);

/* The next set, in order. False: no more. Sets with ids 0, 1 and 4 to 255 are handed out as well; who does
 * not know them leaves them. */
bool message_next_set(struct message_reader *reader, struct set *out);
