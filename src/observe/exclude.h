/* exclude.h: which conversations are our own export traffic, as a packet filter for the kernel.
 *
 * A filter in the kernel costs user space nothing; what it leaves out is counted nowhere. Left out are
 * unfragmented UDP, TCP and SCTP packets of the listed conversations, in both directions, IPv4 without
 * options, IPv6 without extension headers: what our sockets send. All else is kept, also frames too short to
 * tell. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"

enum {
	EXCLUDE_MAX = 32,           /* conversations */
	EXCLUDE_PER_COLLECTOR = 4,  /* of them, with one remote address and port */
	EXCLUDE_PROGRAM_MAX = 2048, /* instructions; EXCLUDE_MAX rows of IPv6 need about 1200 */
};

struct exclusion {
	uint32_t serial;               /* higher: added later */
	uint8_t family;                /* AF_INET or AF_INET6 */
	uint8_t local[16], remote[16]; /* network byte order; IPv4 in the first four octets; zero: any */
	uint8_t local_port[2], remote_port[2]; /* network byte order; a local port of zero: any */
};

struct exclusions {
	uint32_t count, serial;
	struct exclusion row[EXCLUDE_MAX];
};

/* Add a conversation. When there are EXCLUDE_PER_COLLECTOR with the same collector already, the oldest of
 * them goes. IPv4-mapped addresses count as IPv4. ERR_USAGE (families differ, not an IP address, no remote
 * port or address), ERR_LIMIT. */
MUST_CHECK enum status exclusions_add(struct exclusions *list, const struct sockaddr *local,
				      const struct sockaddr *remote);

/* Is a packet of this family, protocol, addresses and ports (network byte order; IPv4 in the first four
 * octets) of a listed conversation? Says what the program says of packets that it can leave out. */
bool exclusions_have(const struct exclusions *list, int family, uint8_t protocol, const uint8_t source[16],
		     const uint8_t destination[16], uint16_t source_port, uint16_t destination_port);

/* Write the program: `snap` octets of what is kept. `link_octets` is the length of the link header in front
 * of the network header. Answers the number of instructions. */
uint16_t exclusions_program(const struct exclusions *list, uint32_t link_octets, uint32_t snap,
			    struct sock_filter out[EXCLUDE_PROGRAM_MAX]);
