/* journal_format.h: the records of a side file. No I/O.
 *
 * A side file is a row of 32-octet units, all numbers in network byte order. The first two are the header; a
 * peer record takes two, a message record one. Each record's checksum covers the store, the worker, the
 * segment and the record's own place in the file, so a record that was moved, copied or swapped with its file
 * is as bad as a flipped bit, and one bad record says nothing about the next.
 *
 *   header   magic 8 | version 2 | unit 2 | worker 4 | store 16 | segment 4 | previous 4 | opened 8 |
 *            previous_crc 4 | zero 8 | crc 4
 *   peer     kind 1 | transport 1 | port 2 | index 4 | offset 4 | scope 4 | address 16 | number 8 |
 *            local port 2 | zero 18 ... crc 4 (at 60)
 *   message  kind 1 | zero 1 | length 2 | peer 4 | offset 4 | ordinal 4 | received 8 | message crc 4 | crc 4
 */
#pragma once

#include "collect/journal.h"

enum {
	SIDE_UNIT = 32,
	SIDE_HEADER = 2 * SIDE_UNIT,
	SIDE_PEER = 2 * SIDE_UNIT,
	SIDE_MESSAGE = SIDE_UNIT,
	STORE_ID = 16,
	MESSAGE_MIN = 16,  /* an IPFIX Message header */
	PEER_REPEAT = 256, /* a peer is written again with its second message and every so many: no bad record
			    * hides more than one message from who sent it */
};

struct side_header {
	uint8_t store[STORE_ID];
	uint32_t worker, segment;
	uint32_t previous;     /* the segment before, 0 = none */
	uint32_t previous_crc; /* of its last record */
	struct wall_ns opened;
};

struct side_record {
	enum side_kind { SIDE_IS_BAD = 0, SIDE_IS_PEER = 2, SIDE_IS_MESSAGE = 3 } kind;
	uint32_t peer;   /* index within the segment */
	uint32_t offset; /* of the message; for a peer, of the message that follows */
	uint32_t crc;    /* of the record */
	/* of a message */
	uint16_t length;
	uint32_t ordinal; /* messages before it in the segment */
	uint32_t message_crc;
	struct wall_ns received;
	/* of a peer */
	struct journal_session session;
};

void side_put_header(uint8_t out[SIDE_HEADER], const struct side_header *header);

/* False: not a header, or its checksum does not hold. */
bool side_get_header(const uint8_t in[SIDE_HEADER], struct side_header *out);

/* Where the checksums of a segment's records begin. */
uint32_t side_seed(const uint8_t store[STORE_ID], uint32_t worker, uint32_t segment);

/* `at` is the record's place in the file, in octets. Both answer the record's checksum. */
uint32_t side_put_message(uint8_t out[SIDE_MESSAGE], uint32_t seed, uint64_t at,
			  const struct side_record *record);
uint32_t side_put_peer(uint8_t out[SIDE_PEER], uint32_t seed, uint64_t at, const struct side_record *record);

/* Read the record that lies at the beginning of `octets` (at least SIDE_UNIT; a peer needs SIDE_PEER and is
 * bad when there is less). Answers its length; SIDE_UNIT for a bad one. */
size_t side_get(struct span octets, uint32_t seed, uint64_t at, struct side_record *out);
