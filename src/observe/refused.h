/* refused.h: what the sources of refused frames share: where a frame was, and how long. */
#pragma once

#include <stdint.h>

#include "observe/packet.h"
#include "observe/point.h"

/* The Observation Point of a frame that came in by interface `in` and was to leave by `out` (ifindex; 0:
 * none): the one where it came in, if it is observed, else the other. -1: neither is, or it is down. */
int refused_point(const struct point_table *points, uint32_t in, uint32_t out,
		  enum flow_direction *direction);

/* Octets of an IP packet by its header, for the kernel tells only what it captured; never less than that. Of
 * a super-packet whose length does not fit into the header, what was captured. */
uint32_t refused_length(const uint8_t *packet, uint32_t captured);
