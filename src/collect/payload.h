/* payload.h: a captured frame -> the octets that one UDP datagram or TCP segment carries. No I/O, no
 * allocation, no state. The outermost IP header counts; fragments are not put together. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

enum payload_result {
	PAYLOAD_FOUND,
	PAYLOAD_NONE,     /* not UDP or TCP over IP, or headers that contradict themselves */
	PAYLOAD_FRAGMENT, /* an IP fragment */
	PAYLOAD_CUT,      /* captured short; *out has what is there */
};

/* Who talks to whom: compared as octets, so unused ones are zero. */
struct payload_flow {
	uint8_t source[16], destination[16];    /* IPv4 in the first four */
	uint16_t source_port, destination_port; /* host order */
	uint8_t protocol;                       /* 6 or 17 */
	uint8_t version;                        /* 4 or 6 */
	uint8_t unused[2];
};

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04 };

struct payload {
	struct payload_flow flow;
	uint32_t sequence; /* TCP: number of the first octet, or of the SYN */
	uint8_t flags;     /* TCP_… */
	struct span octets;
};

/* `link` is a DLT_ number of libpcap. */
bool payload_link_known(int link);
enum payload_result payload_find(int link, struct span frame, struct payload *out);
