/* prefix_map.h: longest prefix match: from an IPv4 or IPv6 address to the number of who has it.
 *
 * Made anew from a list of prefixes and then only read: the prefixes are laid out as ranges side by side, so
 * that a look-up is one binary search. One thread. */
#pragma once

#include <stdint.h>

#include "base/error.h"

enum { PREFIX_MAP_MAX = 1 << 18 }; /* prefixes */

#define PREFIX_NONE UINT32_MAX

struct prefix {
	uint8_t address[16]; /* as on the wire; IPv4 in the first four */
	uint8_t version;     /* 4 or 6 */
	uint8_t length;      /* bits that count: to 32 or 128 */
	uint32_t value;      /* not PREFIX_NONE */
};

struct prefix_range; /* from an address up to the next range */

/* A zeroed map is one without prefixes. */
struct prefix_map {
	struct prefix_range *range[2]; /* IPv4, IPv6; owned */
	uint32_t count[2];
};

/* Replace what the map holds; the list is sorted in place, bits behind a prefix's length do not count. Of
 * equal prefixes the later one counts. ERR_MEMORY, ERR_LIMIT, ERR_FORMAT (version or length): then the map is
 * empty. */
MUST_CHECK enum status prefix_map_make(struct prefix_map *map, struct prefix *list, uint32_t count);
void prefix_map_fini(struct prefix_map *map);

/* The value of the longest prefix with this address (4 or 16 octets as on the wire); PREFIX_NONE: none. */
uint32_t prefix_map_find(const struct prefix_map *map, uint8_t version, const uint8_t *address);
