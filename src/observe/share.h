/* share.h: which of several rings of one interface gets a frame, as a packet filter for the kernel.
 *
 * Each ring has its own filter, so a ring that comes later, or goes, moves no frame from one to another (as
 * it does in a PACKET_FANOUT group, where the kernel counts who is there). The filter reads the frame as a
 * ring shows it. What two addresses send each other, fragments and extension headers or not, goes to one
 * ring: that of the fold of both, as meter/shard.h says it. */
#pragma once

#include <linux/filter.h>
#include <stdint.h>

#include "base/span.h"
#include "observe/packet.h"

enum { SHARE_PROGRAM_MAX = 64 }; /* instructions */

struct share {
	uint32_t number, count; /* of so many; count 0 or 1: it gets all */
	uint32_t factor;        /* of the sharing rule */
};

/* How the frame of an interface (LINK_IP or LINK_ETHERNET) finds its ring. */
enum share_way {
	SHARE_ADDRESSES, /* by the addresses of the IP header that it begins with, or has right behind
			    Ethernet's */
	SHARE_FIRST,     /* no flow can be in it: number 0 */
	SHARE_WALK       /* tags, labels or a tunnel: every ring gets it, and who decodes finds whose it is */
};

/* The same question, for who reads the rings: SHARE_ADDRESSES also where the header is cut short. */
static inline enum share_way share_way_of(const struct packet *packet)
{
	enum { HEADER = 14, IPV4 = 0x0800, IPV6 = 0x86dd, LENGTH_MAX = 1500 };

	if (packet->link != LINK_ETHERNET)
		return SHARE_ADDRESSES;
	if (packet->captured < HEADER)
		return SHARE_FIRST;
	switch (get_be16(packet->data + HEADER - 2)) {
	case IPV4:
	case IPV6: return SHARE_ADDRESSES;
	case 0x8100: /* tags */
	case 0x88a8:
	case 0x9100:
	case 0x9200:
	case 0x9300:
	case 0x8847: /* MPLS */
	case 0x8848:
	case 0x8864: /* PPPoE */ return SHARE_WALK;
	default:
		return get_be16(packet->data + HEADER - 2) <= LENGTH_MAX ? SHARE_WALK : SHARE_FIRST; /* LLC */
	}
}

/* Write the part of a filter that leaves out what belongs to others; what does not is led to the instruction
 * behind it. Answers the number of instructions. */
uint16_t share_program(const struct share *share, uint8_t link, struct sock_filter out[SHARE_PROGRAM_MAX]);
