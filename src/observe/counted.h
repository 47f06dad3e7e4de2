/* counted.h: packets of one flow that the kernel has decoded and counted, in the place of a frame: what
 * `data` of a packet with LINK_COUNTED points at. decode_packet makes key and facts of it. */
#pragma once

#include <stdint.h>

struct counted_packets {
	uint8_t key[40]; /* struct flow_key of decode/decode.h, without point and direction, which the packet
			  * has
			  */
	uint32_t octets; /* of IP */
	uint16_t packets;
	uint16_t tcp_flags;
	uint8_t class_of_service;
	uint8_t reserved[3];
};
