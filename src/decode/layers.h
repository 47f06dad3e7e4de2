/* layers.h: what the layers of decode/ share. Private to this folder and its tests.
 *
 * Each layer takes the rest of the frame that the layer before it left, reads its own header and hands on. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "base/status.h"
#include "decode/decode.h"

/* How far hostile input can make a loop run. */
enum {
	VLAN_TAGS_MAX = 8,
	MPLS_LABELS_MAX = 16,
	TUNNELS_MAX = 4,        /* PPPoE, LLC and Ethernet inside MPLS, together */
	IPV6_HEADERS_MAX = 256, /* each takes 8 octets at least, so the work is bounded by the packet too */
};

/* What is left of a frame. */
struct rest {
	const uint8_t *at;
	uint32_t captured; /* octets present at `at` */
	uint32_t length;   /* octets that were there on the wire; >= captured */
};

/* The caller has seen that `octets` are captured. */
static inline void rest_skip(struct rest *rest, uint32_t octets)
{
	rest->at += octets;
	rest->captured -= octets;
	rest->length -= octets;
}

enum { IP_ANY = 0, IP_V4 = 4, IP_V6 = 6 };

/* An IP packet begins at `rest`; `version` is what the link header announced. */
enum decode_outcome decode_ip(const struct packet *packet, struct rest rest, unsigned version,
			      struct flow_key *key, struct packet_facts *facts);
