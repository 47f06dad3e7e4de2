#include "collect/journal_format.h"

#include <stdio.h>

#include "base/crc32c.h"

static const uint8_t magic[8] = {'W', 'E', 'I', 'R', 'S', 'I', 'D', 'E'};

enum { VERSION = 1, CRC_OCTETS = 4 };

int journal_position_compare(struct journal_position a, struct journal_position b)
{
	if (a.segment != b.segment)
		return a.segment < b.segment ? -1 : 1;
	return a.offset < b.offset ? -1 : a.offset > b.offset;
}

void journal_position_print(struct journal_position position, char out[JOURNAL_POSITION_TEXT])
{
	snprintf(out, JOURNAL_POSITION_TEXT, "%u/%010u/%llu", position.worker, position.segment,
		 (unsigned long long)position.offset);
}

void side_put_header(uint8_t out[SIDE_HEADER], const struct side_header *header)
{
	memset(out, 0, SIDE_HEADER);
	memcpy(out, magic, sizeof magic);
	put_be16(out + 8, VERSION);
	put_be16(out + 10, SIDE_UNIT);
	put_be32(out + 12, header->worker);
	memcpy(out + 16, header->store, STORE_ID);
	put_be32(out + 32, header->segment);
	put_be32(out + 36, header->previous);
	put_be64(out + 40, (uint64_t)header->opened.ns);
	put_be32(out + 48, header->previous_crc);
	put_be32(out + SIDE_HEADER - CRC_OCTETS, crc32c(0, out, SIDE_HEADER - CRC_OCTETS));
}

bool side_get_header(const uint8_t in[SIDE_HEADER], struct side_header *out)
{
	if (memcmp(in, magic, sizeof magic) != 0 || get_be16(in + 8) != VERSION ||
	    get_be16(in + 10) != SIDE_UNIT)
		return false;
	if (get_be32(in + SIDE_HEADER - CRC_OCTETS) != crc32c(0, in, SIDE_HEADER - CRC_OCTETS))
		return false;
	*out = (struct side_header){
		.worker = get_be32(in + 12),
		.segment = get_be32(in + 32),
		.previous = get_be32(in + 36),
		.opened = {(int64_t)get_be64(in + 40)},
		.previous_crc = get_be32(in + 48),
	};
	memcpy(out->store, in + 16, STORE_ID);
	return true;
}

uint32_t side_seed(const uint8_t store[STORE_ID], uint32_t worker, uint32_t segment)
{
	uint8_t place[STORE_ID + 8];

	memcpy(place, store, STORE_ID);
	put_be32(place + STORE_ID, worker);
	put_be32(place + STORE_ID + 4, segment);
	return crc32c(0, place, sizeof place);
}

static uint32_t record_crc(const uint8_t *record, size_t length, uint32_t seed, uint64_t at)
{
	uint8_t place[8];

	put_be64(place, at);
	return crc32c(crc32c(seed, place, sizeof place), record, length - CRC_OCTETS);
}

uint32_t side_put_message(uint8_t out[SIDE_MESSAGE], uint32_t seed, uint64_t at,
			  const struct side_record *record)
{
	out[0] = SIDE_IS_MESSAGE;
	out[1] = 0;
	put_be16(out + 2, record->length);
	put_be32(out + 4, record->peer);
	put_be32(out + 8, record->offset);
	put_be32(out + 12, record->ordinal);
	put_be64(out + 16, (uint64_t)record->received.ns);
	put_be32(out + 24, record->message_crc);
	const uint32_t crc = record_crc(out, SIDE_MESSAGE, seed, at);
	put_be32(out + SIDE_MESSAGE - CRC_OCTETS, crc);
	return crc;
}

uint32_t side_put_peer(uint8_t out[SIDE_PEER], uint32_t seed, uint64_t at, const struct side_record *record)
{
	const struct journal_session *session = &record->session;

	memset(out, 0, SIDE_PEER);
	out[0] = SIDE_IS_PEER;
	out[1] = session->transport;
	put_be16(out + 2, session->port);
	put_be32(out + 4, record->peer);
	put_be32(out + 8, record->offset);
	put_be32(out + 12, session->scope);
	memcpy(out + 16, &session->address, sizeof session->address);
	put_be64(out + 32, session->number);
	put_be16(out + 40, session->local_port);
	const uint32_t crc = record_crc(out, SIDE_PEER, seed, at);
	put_be32(out + SIDE_PEER - CRC_OCTETS, crc);
	return crc;
}

static void get_message(const uint8_t *in, struct side_record *out)
{
	out->kind = SIDE_IS_MESSAGE;
	out->length = get_be16(in + 2);
	out->ordinal = get_be32(in + 12);
	out->received.ns = (int64_t)get_be64(in + 16);
	out->message_crc = get_be32(in + 24);
}

static void get_peer(const uint8_t *in, struct side_record *out)
{
	out->kind = SIDE_IS_PEER;
	out->session = (struct journal_session){
		.scope = get_be32(in + 12),
		.port = get_be16(in + 2),
		.local_port = get_be16(in + 40),
		.transport = in[1],
		.number = get_be64(in + 32),
	};
	memcpy(&out->session.address, in + 16, sizeof out->session.address);
}

size_t side_get(struct span octets, uint32_t seed, uint64_t at, struct side_record *out)
{
	const uint8_t *in = octets.data;
	size_t length;

	out->kind = SIDE_IS_BAD;
	if (in[0] == SIDE_IS_MESSAGE)
		length = SIDE_MESSAGE;
	else if (in[0] == SIDE_IS_PEER)
		length = SIDE_PEER;
	else
		return SIDE_UNIT;
	if (octets.length < length)
		return SIDE_UNIT;
	out->crc = get_be32(in + length - CRC_OCTETS);
	if (out->crc != record_crc(in, length, seed, at))
		return SIDE_UNIT;
	out->peer = get_be32(in + 4);
	out->offset = get_be32(in + 8);
	if (in[0] == SIDE_IS_MESSAGE)
		get_message(in, out);
	else
		get_peer(in, out);
	return length;
}
