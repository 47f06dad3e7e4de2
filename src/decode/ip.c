/* IPv4 (RFC 791) and IPv6 (RFC 8200): the outermost IP header of a frame and, for IPv6, its extension
 * headers. */
#include "decode/ip.h"

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

static enum decode_outcome decode_ipv4(const struct packet *packet, struct rest rest, struct flow_key *key,
				       struct packet_facts *facts)
{
	const uint8_t *at = rest.at;

	if (unlikely(rest.captured < IPV4_HEADER))
		return DECODE_IP_SHORT;
	const uint32_t header = (at[0] & 15U) * 4;
	uint32_t total = get_be16(at + 2);
	if (unlikely(header < IPV4_HEADER || header > rest.length))
		return DECODE_IP_HEADER_LENGTH;
	if (unlikely(total < header)) {
		if (total != 0)
			return DECODE_IP_TOTAL_LENGTH;
		total = rest.length; /* 0: segmentation offload or BIG TCP; the frame knows */
	}

	struct ip_facts ip = {.octets = total, .protocol = at[9], .class_of_service = at[1]};
	const uint32_t fragment = get_be16(at + 6) & 0x3fff; /* more fragments, offset */
	if (unlikely(fragment)) {
		ip.fragment_id = get_be16(at + 4);
		ip.fragment = fragment & 0x1fff ? FRAGMENT_LATER : FRAGMENT_FIRST;
	}
	const uint32_t end = least(rest.captured, total);
	uint32_t have = end > header ? end - header : 0;
	if (unlikely(ip.fragment == FRAGMENT_LATER))
		have = 0;
	const struct transport transport = read_transport(ip.protocol, at + header, have);
	put_ipv4(key->source, at + 12);
	put_ipv4(key->destination, at + 16);
	put_result(packet, &ip, transport, key, facts);
	if (unlikely(packet->gso_size))
		count_segments(packet, ip.protocol, header, at + header, have, facts);
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
			return length > UINT16_MAX ? least(length, UINT32_MAX - IPV6_HEADER) : 0;
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

/* Walk the extension headers between the IPv6 header and the transport, `*have` octets at `at`. Leaves no
 * octet where a header is cut short, before the payload of a later fragment and after IPV6_HEADERS_MAX
 * headers; ip->protocol is then the last next header that was read. Answers the octets walked. */
static uint32_t walk_extensions(struct ip_facts *ip, const uint8_t *at, uint32_t *have)
{
	uint32_t walked = 0, left = *have;

	*have = 0;
	for (unsigned n = 0;; n++) {
		const uint8_t header = ip->protocol;
		if (header != NEXT_HOP_BY_HOP && header != NEXT_ROUTING && header != NEXT_FRAGMENT &&
		    header != NEXT_AUTHENTICATION && header != NEXT_DESTINATION)
			break;
		if (n == IPV6_HEADERS_MAX || left == 0)
			return walked;
		ip->protocol = at[0];
		const uint32_t length = left < 8 ? UINT32_MAX : extension_length(header, at[1]);
		if (left < length)
			return walked;
		if (header == NEXT_FRAGMENT && (get_be16(at + 2) & 0xfff9) != 0) { /* offset, more */
			ip->fragment_id = get_be32(at + 4);
			ip->fragment = get_be16(at + 2) & 0xfff8 ? FRAGMENT_LATER : FRAGMENT_FIRST;
			if (ip->fragment == FRAGMENT_LATER)
				return walked;
		}
		at += length;
		walked += length;
		left -= length;
	}
	*have = left;
	return walked;
}

static enum decode_outcome decode_ipv6(const struct packet *packet, struct rest rest, struct flow_key *key,
				       struct packet_facts *facts)
{
	const uint8_t *at = rest.at;

	if (unlikely(rest.captured < IPV6_HEADER))
		return DECODE_IP_SHORT;
	struct ip_facts ip = {.octets = IPV6_HEADER + get_be16(at + 4),
			      .protocol = at[6],
			      .class_of_service = (uint8_t)(get_be16(at) >> 4),
			      .version_kind = KIND_IPV6};
	if (unlikely(ip.octets == IPV6_HEADER))
		ip.octets = octets_without_length(packet, rest);

	uint32_t headers = IPV6_HEADER, have = least(rest.captured, ip.octets) - IPV6_HEADER;
	headers += walk_extensions(&ip, at + IPV6_HEADER, &have);
	const struct transport transport = read_transport(ip.protocol, at + headers, have);
	memcpy(key->source, at + 8, 16);
	memcpy(key->destination, at + 24, 16);
	put_result(packet, &ip, transport, key, facts);
	if (unlikely(packet->gso_size))
		count_segments(packet, ip.protocol, headers, at + headers, have, facts);
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
	switch (nibble) {
	case IP_V4: return decode_ipv4(packet, rest, key, facts);
	case IP_V6: return decode_ipv6(packet, rest, key, facts);
	default: return DECODE_IP_VERSION;
	}
}
