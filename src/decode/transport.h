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

enum {
	TCP_FLAGS_END = 14,
	TCP_OFFSET_LEAST = 5 << 4, /* the header length is the upper half of octet 12, in words; under five
				      the rest are no flags (RFC 9293 3.1) */
};

/* What a transport header adds to key and facts. All zero: nothing. */
struct transport {
	uint8_t ports[4];   /* both port fields of a flow key, as they lie in it */
	uint16_t tcp_flags; /* 12 bits, host order */
	uint8_t kind;       /* KIND_PORTS when `ports` were read */
};

/* The protocols that are not in every second packet. */
struct transport read_other_transport(uint8_t protocol, const uint8_t *at, uint32_t have);

/* A super-packet (packet->gso_size > 0) stands for several: count what they carry on the wire, with the
 * headers that each of them repeats. `at` is the transport header, `ip_headers` the octets before it. */
void count_segments(const struct packet *packet, uint8_t protocol, uint32_t ip_headers, const uint8_t *at,
		    uint32_t have, struct packet_facts *facts);

static inline struct transport ports_at(const uint8_t *at)
{
	struct transport transport = {.kind = KIND_PORTS};

	memcpy(transport.ports, at, sizeof transport.ports);
	return transport;
}

static inline bool is_common_transport(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP;
}

/* TCP and UDP have their ports in the same place: one path for both, and the flags without a branch. The
 * caller has seen that `at` has TCP_FLAGS_END octets. */
static inline struct transport read_common_transport(uint8_t protocol, const uint8_t *at)
{
	struct transport transport = ports_at(at);
	const bool flags = protocol == PROTOCOL_TCP && at[12] >= TCP_OFFSET_LEAST;

	transport.tcp_flags = (uint16_t)(get_be16(at + 12) & (flags ? 0x0fff : 0));
	return transport;
}

static inline struct transport read_transport(uint8_t protocol, const uint8_t *at, uint32_t have)
{
	if (have >= TCP_FLAGS_END && is_common_transport(protocol))
		return read_common_transport(protocol, at);
	return read_other_transport(protocol, at, have);
}
