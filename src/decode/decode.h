/* decode.h: packet octets -> flow key and the facts a meter counts. No I/O, no allocation, no state.
 *
 * Only the outermost IP header is looked at; VLAN, QinQ, MPLS and PPPoE in front of it are walked. A header
 * that is cut short or contradicts itself gives an outcome with a name, never a guess. */
#pragma once

#include "base/time.h"
#include "observe/packet.h"

/* Bits of flow_key.kind. */
enum {
	KIND_IPV6 = 1 << 0,
	KIND_EGRESS = 1 << 1,
	KIND_PORTS =
		1 << 2, /* the port fields were read from this packet (or joined from its first fragment) */
	KIND_DENIED = 1 << 3, /* the frame was refused by policy */
};

/* A Flow Key (RFC 5470 section 2), compared and hashed as 40 octets, so unused octets are zero. */
struct flow_key {
	uint8_t source[16]; /* as on the wire; IPv4 in the first four, the rest zero */
	uint8_t destination[16];
	uint16_t source_port;      /* network byte order; ICMP: 0; 0 without KIND_PORTS */
	uint16_t destination_port; /* network byte order; ICMP and ICMPv6: type and code, in that order on the
				      wire */
	uint8_t protocol;          /* the final next header */
	uint8_t kind;              /* KIND_… */
	uint16_t point; /* index of the observation point in the low 10 bits; DSCP in the high 6 when it is a
			   key */
};
_Static_assert(sizeof(struct flow_key) == 40, "a flow key is hashed as it lies");

/* What a packet adds to its flow, in host byte order. */
struct packet_facts {
	struct mono_ns time;
	uint32_t octets;          /* IP octets, headers included, of all packets that the frame stands for */
	uint16_t packets;         /* 1; more for a GSO super-packet */
	uint16_t tcp_flags;       /* 12 bits as in element 6; 0 when not TCP or not captured */
	uint32_t fragment_id;     /* IPv4 or IPv6 identification, host order; 0 without fragment bits */
	uint8_t fragment;         /* FRAGMENT_… */
	uint8_t class_of_service; /* TOS or Traffic Class octet */
};

/* Bits of packet_facts.fragment. Both zero: not a fragment. */
enum { FRAGMENT_FIRST = 1, FRAGMENT_LATER = 2 };

/* OUTCOME(constant, name in metrics, text) */
#define DECODE_OUTCOMES(OUTCOME)                                                                             \
	OUTCOME(FLOW, "flow", "belongs to a flow")                                                           \
	OUTCOME(NOT_IP, "not_ip", "no IP packet in the frame (ARP, LLDP, …)")                                \
	OUTCOME(LINK_SHORT, "link_short", "link header cut short")                                           \
	OUTCOME(LINK_NESTED, "link_nested", "more VLAN tags or MPLS labels than are walked")                 \
	OUTCOME(IP_VERSION, "ip_version", "version nibble is neither 4 nor 6, or not the one announced")     \
	OUTCOME(IP_SHORT, "ip_short", "IP header cut short")                                                 \
	OUTCOME(IP_HEADER_LENGTH, "ip_header_length",                                                        \
		"IPv4 header length under 20 octets or over the packet")                                     \
	OUTCOME(IP_TOTAL_LENGTH, "ip_total_length", "IP length smaller than its headers")

enum decode_outcome {
#define OUTCOME(constant, name, text) DECODE_##constant,
	DECODE_OUTCOMES(OUTCOME)
#undef OUTCOME
		DECODE_OUTCOME_COUNT,
};

extern const char *const decode_outcome_names[DECODE_OUTCOME_COUNT];

/* Read one packet. DECODE_FLOW: key and facts are whole. Any other outcome: they are undefined.
 * Direction: DIRECTION_UNKNOWN counts as ingress here; who knows better sets packet->direction first. */
enum decode_outcome decode_packet(const struct packet *packet, struct flow_key *key,
				  struct packet_facts *facts);
