/* ip.h: the common packet, decoded in line; ip.c has all others. Private to decode/. */
#pragma once

#include "decode/layers.h"
#include "decode/transport.h"

enum { IPV4_HEADER = 20, IPV6_HEADER = 40 };

/* What IPv4 and IPv6 come to alike. */
struct ip_facts {
	uint32_t octets, fragment_id;
	uint8_t protocol, class_of_service, version_kind, fragment;
};

/* Both results but for the addresses, each octet stored once. */
static inline void put_result(const struct packet *packet, const struct ip_facts *ip,
			      struct transport transport, struct flow_key *key, struct packet_facts *facts)
{
	_Static_assert(offsetof(struct flow_key, destination_port) ==
			       offsetof(struct flow_key, source_port) + 2,
		       "ports are stored together");
	const uint8_t egress = packet->direction == DIRECTION_EGRESS ? KIND_EGRESS : 0;

	memcpy((uint8_t *)key + offsetof(struct flow_key, source_port), transport.ports,
	       sizeof transport.ports);
	key->protocol = ip->protocol;
	key->kind = ip->version_kind | egress | transport.kind;
	key->point = packet->point;
	facts->time = packet->time;
	facts->octets = ip->octets;
	facts->packets = 1;
	facts->tcp_flags = transport.tcp_flags;
	facts->fragment_id = ip->fragment_id;
	facts->fragment = ip->fragment;
	facts->class_of_service = ip->class_of_service;
}

/* The address in the first four octets, zero behind it. */
static inline void put_ipv4(uint8_t out[16], const uint8_t *address)
{
	uint64_t first = 0;

	memcpy(&first, address, 4);
	memcpy(out, &first, 8);
	memset(out + 8, 0, 8);
}

static inline bool decode_common_ipv4(const struct packet *packet, const uint8_t *at, uint32_t captured,
				      struct flow_key *key, struct packet_facts *facts)
{
	if (unlikely(captured < IPV4_HEADER + TCP_FLAGS_END))
		return false;
	const uint32_t total = get_be16(at + 2);
	if (unlikely(total < IPV4_HEADER + TCP_FLAGS_END || (get_be16(at + 6) & 0x3fff) ||
		     !is_common_transport(at[9])))
		return false;
	const struct ip_facts ip = {.octets = total, .protocol = at[9], .class_of_service = at[1]};
	put_ipv4(key->source, at + 12);
	put_ipv4(key->destination, at + 16);
	put_result(packet, &ip, read_common_transport(ip.protocol, at + IPV4_HEADER), key, facts);
	return true;
}

static inline bool decode_common_ipv6(const struct packet *packet, const uint8_t *at, uint32_t captured,
				      struct flow_key *key, struct packet_facts *facts)
{
	if (unlikely(captured < IPV6_HEADER + TCP_FLAGS_END))
		return false;
	const uint32_t payload = get_be16(at + 4);
	if (unlikely(payload < TCP_FLAGS_END || !is_common_transport(at[6])))
		return false;
	const struct ip_facts ip = {.octets = IPV6_HEADER + payload,
				    .protocol = at[6],
				    .class_of_service = (uint8_t)(get_be16(at) >> 4),
				    .version_kind = KIND_IPV6};
	memcpy(key->source, at + 8, 16);
	memcpy(key->destination, at + 24, 16);
	put_result(packet, &ip, read_common_transport(ip.protocol, at + IPV6_HEADER), key, facts);
	return true;
}

/* Most packets: no options, no fragment, no super-packet, TCP or UDP. `captured` octets are at `at`, where a
 * packet of IP version `version` should begin (IP_ANY: of either). Says the same of them as decode_ip in half
 * the instructions. False: not one of them; nothing was written. */
static inline bool decode_common_ip(const struct packet *packet, const uint8_t *at, uint32_t captured,
				    unsigned version, struct flow_key *key, struct packet_facts *facts)
{
	if (unlikely(captured == 0 || packet->gso_size))
		return false;
	if (version != IP_V6 && at[0] == 0x45)
		return decode_common_ipv4(packet, at, captured, key, facts);
	return version != IP_V4 && at[0] >> 4 == 6 && decode_common_ipv6(packet, at, captured, key, facts);
}
