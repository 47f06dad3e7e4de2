/* result.h: decode a frame and say what was expected of it. Include after cmocka.h. */
#pragma once

#include <stdlib.h>

#include "frame.h"

struct result {
	enum decode_outcome outcome;
	struct flow_key key;
	struct packet_facts facts;
};

/* Decode an exact heap copy, so that the address sanitizer sees a read past what was captured. */
static inline struct result decode(struct packet packet)
{
	uint8_t *copy = malloc(packet.captured ? packet.captured : 1);
	struct result r;

	assert_non_null(copy);
	memset(&r, 0xee, sizeof r);
	memcpy(copy, packet.data, packet.captured);
	packet.data = copy;
	r.outcome = decode_packet(&packet, &r.key, &r.facts);
	free(copy);
	return r;
}

static inline struct result decode_frame(const struct frame *f)
{
	return decode(packet_of(f, LINK_IP));
}

static inline void expect(const char *what, const struct result *r, enum decode_outcome expected)
{
	if (r->outcome != expected)
		fail_msg("%s: got %s, expected %s", what, decode_outcome_names[r->outcome],
			 decode_outcome_names[expected]);
}

static inline void expect_ports(const char *what, const struct result *r, bool present)
{
	const unsigned source = get_be16(&r->key.source_port),
		       destination = get_be16(&r->key.destination_port);

	expect(what, r, DECODE_FLOW);
	if (((r->key.kind & KIND_PORTS) != 0) != present || source != (present ? 1000U : 0) ||
	    destination != (present ? 2000U : 0))
		fail_msg("%s: kind %u, ports %u %u", what, r->key.kind, source, destination);
}
