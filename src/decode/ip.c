/* IPv4 (RFC 791) and IPv6 (RFC 8200): the outermost IP header of a frame and, for IPv6, its extension
 * headers. */
#include "decode/layers.h"
#include "decode/transport.h"

enum { IPV4_HEADER = 20, IPV6_HEADER = 40 };

enum {
	NEXT_HOP_BY_HOP = 0,
	NEXT_ROUTING = 43,
	NEXT_FRAGMENT = 44,
	NEXT_AUTHENTICATION = 51,
	NEXT_DESTINATION = 60,
};

static inline uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint8_t kind_of(const struct packet *packet, uint8_t version)
{
	return (uint8_t)(version | (packet->direction == DIRECTION_EGRESS ? KIND_EGRESS : 0));
}

/* The address in the first four octets, zero behind it, in one wide store. */
static inline void put_ipv4(uint8_t out[16], const uint8_t *address)
{
	uint32_t words[4] = {0};

	memcpy(words, address, 4);
	memcpy(out, words, 16);
}

static inline enum decode_outcome decode_ipv4(const struct packet *packet, struct rest rest,
					      struct flow_key *key, struct packet_facts *facts)
{
	const uint8_t *ip = rest.at;

	if (unlikely(rest.captured < IPV4_HEADER))
		return DECODE_IP_SHORT;
	const uint32_t header = (ip[0] & 15U) * 4;
	uint32_t total = get_be16(ip + 2);
	if (unlikely(header < IPV4_HEADER || header > rest.length))
		return DECODE_IP_HEADER_LENGTH;
	if (unlikely(total < header)) {
		if (total != 0)
			return DECODE_IP_TOTAL_LENGTH;
		total = rest.length; /* 0: segmentation offload or BIG TCP; the frame knows */
	}

	put_ipv4(key->source, ip + 12);
	put_ipv4(key->destination, ip + 16);
	key->source_port = key->destination_port = 0;
	key->protocol = ip[9];
	key->kind = kind_of(packet, 0);
	key->point = packet->point;
	*facts = (struct packet_facts){
		.time = packet->time, .octets = total, .packets = 1, .class_of_service = ip[1]};

	const uint32_t fragment = get_be16(ip + 6) & 0x3fff; /* more fragments, offset */
	if (unlikely(fragment)) {
		facts->fragment_id = get_be16(ip + 4);
		facts->fragment = fragment & 0x1fff ? FRAGMENT_LATER : FRAGMENT_FIRST;
		if (facts->fragment == FRAGMENT_LATER)
			return DECODE_FLOW;
	}
	const uint32_t end = least(rest.captured, total);
	const uint32_t have = end > header ? end - header : 0;
	decode_transport(key, facts, ip + header, have);
	if (unlikely(packet->gso_size))
		count_segments(packet, key, header, ip + header, have, facts);
	return DECODE_FLOW;
}

/* RFC 2675: the length that a Jumbo Payload option carries, 0 without one. `rest` begins at a hop-by-hop
 * header. */
static uint32_t jumbo_payload(struct rest rest)
{
	enum { PAD1 = 0, JUMBO = 0xc2 };

	if (rest.captured < 8)
		return 0;
	const uint32_t end = least(rest.captured, (rest.at[1] + 1U) * 8);
	for (uint32_t i = 2; i + 2 <= end;) {
		if (rest.at[i] == PAD1) {
			i++;
			continue;
		}
		if (rest.at[i] == JUMBO && rest.at[i + 1] == 4 && i + 6 <= end) {
			const uint32_t length = get_be32(rest.at + i + 2);
			return length > UINT16_MAX && length <= UINT32_MAX - IPV6_HEADER ? length : 0;
		}
		i += 2U + rest.at[i + 1];
	}
	return 0;
}

/* Octets of an IPv6 packet whose Payload Length is 0: a jumbogram, of which no more is believed than the
 * frame had, or a super-packet, or really none. */
static uint32_t octets_without_length(const struct packet *packet, struct rest rest)
{
	uint32_t payload = 0;

	if (rest.at[6] == NEXT_HOP_BY_HOP) {
		struct rest options = rest;
		rest_skip(&options, IPV6_HEADER);
		payload = jumbo_payload(options);
	}
	if (payload == 0)
		return packet->gso_size ? rest.length : IPV6_HEADER;
	return least(IPV6_HEADER + payload, rest.length);
}

static inline uint32_t extension_length(uint8_t header, uint8_t field)
{
	if (header == NEXT_FRAGMENT)
		return 8;
	if (header == NEXT_AUTHENTICATION)
		return (field + 2U) * 4; /* RFC 4302: in units of 4 octets, less 2 */
	return (field + 1U) * 8;
}

/* Walk the extension headers between the IPv6 header and the transport. Stops, with no octet left, where a
 * header is cut short, at the payload of a later fragment and after IPV6_HEADERS_MAX headers; key->protocol
 * is then the last next header that was read. Answers the octets walked. */
static uint32_t walk_extensions(struct flow_key *key, struct packet_facts *facts, const uint8_t *at,
				uint32_t *have)
{
	uint32_t walked = 0, left = *have;

	for (unsigned n = 0;; n++) {
		const uint8_t header = key->protocol;
		if (header != NEXT_HOP_BY_HOP && header != NEXT_ROUTING && header != NEXT_FRAGMENT &&
		    header != NEXT_AUTHENTICATION && header != NEXT_DESTINATION)
			break;
		if (n == IPV6_HEADERS_MAX || left == 0) {
			left = 0;
			break;
		}
		key->protocol = at[0];
		const uint32_t length = left < 8 ? UINT32_MAX : extension_length(header, at[1]);
		if (left < length) {
			left = 0;
			break;
		}
		if (header == NEXT_FRAGMENT && (get_be16(at + 2) & 0xfff9) != 0) {
			facts->fragment_id = get_be32(at + 4);
			facts->fragment = get_be16(at + 2) & 0xfff8 ? FRAGMENT_LATER : FRAGMENT_FIRST;
			if (facts->fragment == FRAGMENT_LATER) {
				left = 0;
				break;
			}
		}
		at += length;
		walked += length;
		left -= length;
	}
	*have = left;
	return walked;
}

static inline enum decode_outcome decode_ipv6(const struct packet *packet, struct rest rest,
					      struct flow_key *key, struct packet_facts *facts)
{
	const uint8_t *ip = rest.at;

	if (unlikely(rest.captured < IPV6_HEADER))
		return DECODE_IP_SHORT;
	uint32_t total = IPV6_HEADER + get_be16(ip + 4);
	if (unlikely(total == IPV6_HEADER))
		total = octets_without_length(packet, rest);

	memcpy(key->source, ip + 8, 16);
	memcpy(key->destination, ip + 24, 16);
	key->source_port = key->destination_port = 0;
	key->protocol = ip[6];
	key->kind = kind_of(packet, KIND_IPV6);
	key->point = packet->point;
	*facts = (struct packet_facts){.time = packet->time,
				       .octets = total,
				       .packets = 1,
				       .class_of_service = (uint8_t)(get_be16(ip) >> 4)};

	const uint32_t end = least(rest.captured, total);
	uint32_t headers = IPV6_HEADER, have = end - IPV6_HEADER;
	if (unlikely(key->protocol != PROTOCOL_TCP && key->protocol != PROTOCOL_UDP))
		headers += walk_extensions(key, facts, ip + IPV6_HEADER, &have);
	if (have)
		decode_transport(key, facts, ip + headers, have);
	if (unlikely(packet->gso_size))
		count_segments(packet, key, headers, ip + headers, have, facts);
	return DECODE_FLOW;
}

enum decode_outcome decode_ip(const struct packet *packet, struct rest rest, unsigned version,
			      struct flow_key *key, struct packet_facts *facts)
{
	if (unlikely(rest.captured == 0))
		return DECODE_IP_SHORT;
	const unsigned nibble = rest.at[0] >> 4;
	if (unlikely(version != IP_ANY && version != nibble))
		return DECODE_IP_VERSION;
	if (likely(nibble == 4))
		return decode_ipv4(packet, rest, key, facts);
	if (nibble == 6)
		return decode_ipv6(packet, rest, key, facts);
	return DECODE_IP_VERSION;
}
