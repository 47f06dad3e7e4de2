/* stream.h: the stream of the comparisons between collectors: 14 elements, 57 octets a record, 24 records a
 * message of 1,388 octets, one exporter; 24 hours of flows with a long tail of sizes, addresses and ports.
 * The same at every run. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ie/ie_ids.h"
#include "message/writer.h"

enum { RECORD = 57, RECORDS_MESSAGE = 24, MESSAGE = 1388, HEADERS = 20, TEMPLATE_ID = 256 };

static const struct {
	uint16_t id, length;
} fields[] = {
	{IE_sourceIPv4Address, 4},        {IE_destinationIPv4Address, 4}, {IE_sourceTransportPort, 2},
	{IE_destinationTransportPort, 2}, {IE_protocolIdentifier, 1},     {IE_tcpControlBits, 2},
	{IE_ipClassOfService, 1},         {IE_octetDeltaCount, 8},        {IE_packetDeltaCount, 8},
	{IE_flowStartMilliseconds, 8},    {IE_flowEndMilliseconds, 8},    {IE_ingressInterface, 4},
	{IE_egressInterface, 4},          {IE_flowEndReason, 1},
};

struct stream {
	uint64_t random;
	uint64_t made, total;
	uint32_t sequence;
	uint8_t message[MESSAGE];
	uint64_t offset;
};

static uint32_t draw(struct stream *s)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(s->random >> 33);
}

/* Small values often, large ones seldom. */
static uint32_t skewed(struct stream *s, uint32_t limit)
{
	const uint64_t a = draw(s) & 0xffff, b = draw(s) & 0xffff;

	return (uint32_t)(a * b * limit >> 32);
}

static void make_record(struct stream *s, uint8_t *r)
{
	static const uint16_t ports[] = {443, 443, 443, 53, 53, 80, 22, 123, 8080, 3306};
	const uint64_t start = 1700000000000u + s->made * 86400000u / s->total;
	const uint32_t packets = 1 + skewed(s, 400), kind = draw(s) % 10;

	put_be32(r, 0x0a000000 + skewed(s, 60000));
	put_be32(r + 4, 0x0a010000 + skewed(s, 60000));
	put_be16(r + 8, (uint16_t)(1024 + draw(s) % 60000));
	put_be16(r + 10, ports[kind]);
	r[12] = kind == 3 || kind == 4 || kind == 7 ? 17 : 6;
	put_be16(r + 13, r[12] == 6 ? 0x1b : 0);
	r[15] = 0;
	put_be64(r + 16, (uint64_t)packets * (40 + draw(s) % 1400));
	put_be64(r + 24, packets);
	put_be64(r + 32, start);
	put_be64(r + 40, start + skewed(s, 60000));
	put_be32(r + 48, 1 + draw(s) % 4);
	put_be32(r + 52, 1 + draw(s) % 4);
	r[56] = (uint8_t)(1 + draw(s) % 3);
}

/* The header of a message with one set whose records end at `length`. */
static struct span finish(struct stream *s, size_t length, uint16_t set_id, uint32_t export_time)
{
	uint8_t *m = s->message;

	put_be16(m, IPFIX_VERSION);
	put_be16(m + 2, (uint16_t)length);
	put_be32(m + 4, export_time);
	put_be32(m + 8, s->sequence);
	put_be32(m + 12, 1);
	put_be16(m + 16, set_id);
	put_be16(m + 18, (uint16_t)(length - IPFIX_HEADER_LENGTH));
	return span_of(m, length);
}

static struct span make_template(struct stream *s)
{
	const size_t count = sizeof fields / sizeof fields[0];
	uint8_t *record = s->message + HEADERS;

	put_be16(record, TEMPLATE_ID);
	put_be16(record + 2, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		put_be16(record + 4 + 4 * i, fields[i].id);
		put_be16(record + 6 + 4 * i, fields[i].length);
	}
	return finish(s, HEADERS + 4 + 4 * count, SET_TEMPLATE, 1700000000);
}

static struct span make_message(struct stream *s)
{
	const uint32_t export_time = 1700000000 + (uint32_t)(s->made * 86400 / s->total);
	size_t length = HEADERS;
	unsigned n = 0;

	for (; n < RECORDS_MESSAGE && s->made < s->total; n++, s->made++, length += RECORD)
		make_record(s, s->message + length);

	const struct span message = finish(s, length, TEMPLATE_ID, export_time);
	s->sequence += n;
	return message;
}
