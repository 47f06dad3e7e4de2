#include "decode/transport.h"

struct transport read_other_transport(uint8_t protocol, const uint8_t *at, uint32_t have)
{
	struct transport none = {.kind = 0};

	switch (protocol) {
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		if (have >= 2) { /* type and code where a destination port would be */
			memcpy(none.ports + 2, at, 2);
			none.kind = KIND_PORTS;
		}
		return none;
	case PROTOCOL_TCP:
	case PROTOCOL_UDP:
	case PROTOCOL_DCCP:
	case PROTOCOL_SCTP:
	case PROTOCOL_UDP_LITE: return have >= 4 ? ports_at(at) : none;
	default: return none;
	}
}

/* Octets of the transport header that each segment repeats. */
static uint32_t header_octets(uint8_t protocol, const uint8_t *at, uint32_t have)
{
	const uint32_t tcp_least = 20, udp = 8;

	if (protocol == PROTOCOL_UDP)
		return udp;
	if (protocol != PROTOCOL_TCP)
		return 0;
	if (have < TCP_FLAGS_END || at[12] < TCP_OFFSET_LEAST)
		return tcp_least;
	return (at[12] >> 4) * 4U;
}

void count_segments(const struct packet *packet, uint8_t protocol, uint32_t ip_headers, const uint8_t *at,
		    uint32_t have, struct packet_facts *facts)
{
	const uint32_t headers = ip_headers + header_octets(protocol, at, have);

	if (facts->octets <= headers)
		return;
	const uint32_t payload = facts->octets - headers;
	uint32_t segments = payload / packet->gso_size + (payload % packet->gso_size != 0);
	if (segments > UINT16_MAX)
		segments = UINT16_MAX;
	const uint64_t octets = facts->octets + (uint64_t)(segments - 1) * headers;
	facts->packets = (uint16_t)segments;
	facts->octets = octets > UINT32_MAX ? UINT32_MAX : (uint32_t)octets;
}
