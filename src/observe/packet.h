/* packet.h: frames as a packet source hands them over (RFC 5470: what passes an Observation Point).
 *
 * A batch belongs to its source: the octets are borrowed and good until the batch is released. */
#pragma once

#include <stdint.h>

#include "base/time.h"

/* The values of flowDirection (IANA element 61), and "the source cannot tell". */
enum flow_direction { DIRECTION_INGRESS = 0, DIRECTION_EGRESS = 1, DIRECTION_UNKNOWN = 2 };

/* What the first octet of a frame is. */
enum link_layer {
	LINK_IP,       /* no link header: version nibble first (WireGuard, TUN, LINKTYPE_RAW) */
	LINK_ETHERNET, /* LINKTYPE_ETHERNET */
	LINK_NULL,     /* LINKTYPE_NULL and LOOP: 4 octets of address family, either byte order */
	LINK_SLL,      /* LINKTYPE_LINUX_SLL */
	LINK_SLL2,     /* LINKTYPE_LINUX_SLL2 */
	LINK_PPP,      /* LINKTYPE_PPP, with or without HDLC framing octets; Cisco HDLC by its own */
	LINK_PPPOE,    /* LINKTYPE_PPP_ETHER: a PPPoE header first */
	LINK_COUNT,
	LINK_COUNTED = 0x80, /* no frame: packets that were counted before (observe/counted.h) */
};

struct packet {
	const uint8_t *data; /* first octet of the frame, as `link` says */
	uint32_t captured;   /* octets present at `data` */
	uint32_t length;     /* octets the frame had; >= captured */
	struct mono_ns time; /* when it was seen, on the clock that drives the meter's timers */
	uint16_t point;      /* index of its observation point (observe/point.h) */
	uint16_t gso_size;   /* payload octets per segment of a GSO/GRO super-packet; 0: an ordinary packet */
	uint8_t link;        /* enum link_layer */
	uint8_t direction;   /* enum flow_direction */
	uint16_t denial;     /* why policy refused this frame (observe/denial.h); 0: it did not, or the source
				cannot     tell */
};

enum { PACKET_BATCH_MAX = 256 };

struct packet_batch {
	uint32_t count;
	int64_t to_wall; /* add to a mono_ns to get wall_ns: both clocks were read together, once per batch */
	struct packet packet[PACKET_BATCH_MAX];
};
