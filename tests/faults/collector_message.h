/* A numbered message: everything in it follows from its number, so the judge needs no copy. */
#pragma once

#include <string.h>

#include "base/span.h"
#include "collector_fault.h"

enum { RECORD_OCTETS = 22, TEMPLATE_OCTETS = 8 + 4 * 4, HEADER_OCTETS = 16 };

/* octetDeltaCount of a record. */
static inline uint64_t octets_of(uint32_t record)
{
	return (record * 0x9E3779B97F4A7C15ULL) >> 20;
}

static inline size_t make_message(uint8_t *out, uint32_t number, uint32_t sequence, bool with_template)
{
	static const uint16_t fields[][2] = {{8, 4}, {1, 8}, {152, 8}, {7, 2}};
	uint8_t *at = out + HEADER_OCTETS;

	if (with_template) {
		put_be16(at, 2);
		put_be16(at + 2, TEMPLATE_OCTETS);
		put_be16(at + 4, 256);
		put_be16(at + 6, 4);
		for (int i = 0; i < 4; i++) {
			put_be16(at + 8 + 4 * i, fields[i][0]);
			put_be16(at + 10 + 4 * i, fields[i][1]);
		}
		at += TEMPLATE_OCTETS;
	}
	put_be16(at, 256);
	put_be16(at + 2, 4 + RECORDS * RECORD_OCTETS);
	at += 4;
	for (uint32_t i = 0; i < RECORDS; i++, at += RECORD_OCTETS) {
		const uint32_t record = number * RECORDS + i;

		put_be32(at, record);
		put_be64(at + 4, octets_of(record));
		put_be64(at + 12, 1700000000000ULL + record);
		put_be16(at + 20, (uint16_t)record);
	}
	put_be16(out, 10);
	put_be16(out + 2, (uint16_t)(at - out));
	put_be32(out + 4, 1700000000);
	put_be32(out + 8, sequence);
	put_be32(out + 12, 7);
	return (size_t)(at - out);
}

/* The first record's number, of any message of ours; it is the journal's only key to it. */
static inline uint32_t number_of(struct span octets)
{
	return get_be32(octets.data + octets.length - RECORDS * RECORD_OCTETS) / RECORDS;
}
