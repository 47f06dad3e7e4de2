/* local.h: direction where the capture does not know it: a packet whose source is a local address is egress,
 * all else is ingress. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/span.h"
#include "decode/decode.h"

enum { PREFIX_MAX = 64 };

/* Prefixes in the order given, IPv4 and IPv6 apart. Values and masks as they lie in memory, so that a
 * comparison needs no byte swap. A zeroed list is an empty one. */
struct prefix_list {
	uint32_t ipv4_count, ipv6_count;
	struct {
		uint32_t value, mask;
	} ipv4[PREFIX_MAX];
	struct {
		uint64_t value[2], mask[2];
	} ipv6[PREFIX_MAX];
};

/* Add "10.0.0.0/8", "fd00::/8" or one address without a length. ERR_USAGE: not a prefix, or bits are set
 * behind its length; ERR_LIMIT: PREFIX_MAX of that version are there. */
MUST_CHECK enum status prefix_list_add(struct prefix_list *list, const char *text, struct error *err);

/* Whether an address of a flow key (16 octets, IPv4 in the first four) is in the list. */
bool prefix_list_holds(const struct prefix_list *list, const uint8_t address[16], bool ipv6);

/* After decode_packet: set or clear KIND_EGRESS of a packet whose source of packets could not tell. */
static inline void apply_local(const struct prefix_list *list, const struct packet *packet,
			       struct flow_key *key)
{
	if (packet->direction != DIRECTION_UNKNOWN)
		return;
	const bool egress = prefix_list_holds(list, key->source, key->kind & KIND_IPV6);
	key->kind = (uint8_t)((key->kind & ~KIND_EGRESS) | (egress ? KIND_EGRESS : 0));
}
