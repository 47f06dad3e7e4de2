/* extra.h: what of a frame is in records only where a profile asks for it. No I/O, no state. */
#pragma once

#include "decode/decode.h"

struct packet_extra {
	uint8_t source_mac[6], destination_mac[6]; /* zero: the link has none */
	uint16_t vlan;                             /* identifier of the outermost tag; 0: no tag */
	uint8_t ttl;                               /* TTL or Hop Limit; 0 also: not read */
};

/* After decode_packet has answered DECODE_FLOW. What the link of the frame does not have stays zero. */
void decode_extra(const struct packet *packet, struct packet_extra *out);
