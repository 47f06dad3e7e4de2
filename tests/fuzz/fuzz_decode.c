/* decode_packet over any octets. The first selects the link layer (low three bits), the direction and whether
 * the frame is a super-packet or longer than what was captured. */
#include <stdbool.h>
#include <stdlib.h>

#include "decode/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_facts facts;
	struct flow_key key;

	if (size == 0 || size > UINT16_MAX)
		return 0;
	const struct packet packet = {
		.data = data + 1,
		.captured = (uint32_t)size - 1,
		.length = (uint32_t)size - 1 + (data[0] & 0x08 ? 100000 : 0),
		.link = data[0] & 7,
		.direction = data[0] & 0x10 ? DIRECTION_EGRESS : DIRECTION_INGRESS,
		.gso_size = data[0] & 0x20 ? 7 : 0,
		.point = 3,
	};
	const enum decode_outcome outcome = decode_packet(&packet, &key, &facts);
	check(outcome < DECODE_OUTCOME_COUNT);
	if (outcome != DECODE_FLOW)
		return 0;
	check(key.point == 3 && (key.kind & KIND_DENIED) == 0);
	check(((key.kind & KIND_EGRESS) != 0) == (packet.direction == DIRECTION_EGRESS));
	check(key.kind & KIND_PORTS || (key.source_port == 0 && key.destination_port == 0));
	check(facts.fragment != FRAGMENT_LATER || !(key.kind & KIND_PORTS));
	check(facts.fragment != 0 || facts.fragment_id == 0);
	check(facts.packets >= 1 && (packet.gso_size || facts.packets == 1));
	check(facts.octets >= (key.kind & KIND_IPV6 ? 40 : 20));
	check(facts.tcp_flags <= 0xfff && (key.protocol == 6 || facts.tcp_flags == 0));
	for (int i = 4; i < 16; i++)
		check(key.kind & KIND_IPV6 || (key.source[i] | key.destination[i]) == 0);
	return 0;
}
