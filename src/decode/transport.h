/* transport.h: ports, flags, type and code. Private to decode/.
 *
 * `have` is how many octets of the transport header and its payload were captured *and* belong to the packet
 * by its IP length: a port outside of either is not a port. */
#pragma once

#include "decode/layers.h"

enum {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_DCCP = 33,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_SCTP = 132,
	PROTOCOL_UDP_LITE = 136,
};

enum { TCP_OFFSET_LEAST = 5 << 4 }; /* the header length is the upper half of octet 12, in words */

/* The protocols that are not in every second packet. */
void decode_other_transport(struct flow_key *key, const uint8_t *at, uint32_t have);

/* A super-packet (packet->gso_size > 0) stands for several: count what they carry on the wire, with the
 * headers that each of them repeats. `at` is the transport header, `ip_headers` the octets before it. */
void count_segments(const struct packet *packet, const struct flow_key *key, uint32_t ip_headers,
		    const uint8_t *at, uint32_t have, struct packet_facts *facts);

static inline void take_ports(struct flow_key *key, const uint8_t *at)
{
	memcpy(&key->source_port, at, 2);
	memcpy(&key->destination_port, at + 2, 2);
	key->kind |= KIND_PORTS;
}

static inline void decode_transport(struct flow_key *key, struct packet_facts *facts, const uint8_t *at,
				    uint32_t have)
{
	if (key->protocol == PROTOCOL_TCP) {
		if (likely(have >= 14)) {
			take_ports(key, at);
			if (likely(at[12] >= TCP_OFFSET_LEAST)) /* else these are not flags (RFC 9293 3.1) */
				facts->tcp_flags = get_be16(at + 12) & 0x0fff;
		} else if (have >= 4) {
			take_ports(key, at);
		}
	} else if (key->protocol == PROTOCOL_UDP) {
		if (likely(have >= 4))
			take_ports(key, at);
	} else {
		decode_other_transport(key, at, have);
	}
}
