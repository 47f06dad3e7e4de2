/* observe.c: loop 1 of a batch: packets become keys and facts, side by side, for meter_count. */
#include "meter/state.h"

#include "decode/decode.h"

static bool wanted(const struct meter *m, const struct flow_key *key)
{
	if (m->options.directions == DIRECTIONS_BOTH || key->kind & KIND_DENIED)
		return true;
	return (m->options.directions == DIRECTIONS_SENDING) == ((key->kind & KIND_EGRESS) != 0);
}

static void join_fragment(struct meter *m, struct flow_key *key, const struct packet_facts *facts)
{
	if (facts->fragment & FRAGMENT_FIRST)
		fragment_table_remember(m->fragments, key, facts);
	else if (fragment_table_join(m->fragments, key, facts))
		m->statistics.fragments_joined++;
	else
		m->statistics.fragments_unjoined++;
}

bool meter_classify(struct meter *m, struct flow_key *key, struct packet_facts *facts)
{
	if (!wanted(m, key)) {
		m->statistics.filtered_packets += facts->packets;
		m->statistics.filtered_octets += facts->octets;
		facts->packets = 0;
		facts->octets = 0;
		return facts->tcp_flags & (TCP_FIN | TCP_RST); /* it may end the other direction */
	}
	if (facts->fragment != 0)
		join_fragment(m, key, facts);
	if (m->options.dscp_key)
		key->point |= (uint16_t)(facts->class_of_service >> 2 << 10);
	return true;
}

static void count_ignored(struct meter *m, const struct packet *packet, int64_t to_wall)
{
	struct meter_statistics *s = &m->statistics;
	const int64_t ms =
		wall_ms((struct wall_ns){(int64_t)((uint64_t)packet->time.ns + (uint64_t)to_wall)});

	s->ignored_octets += packet->length;
	if (s->first_ignored_wall_ms == 0)
		s->first_ignored_wall_ms = ms;
	s->last_ignored_wall_ms = ms;
}

void meter_observe(struct meter *m, const struct packet_batch *batch)
{
	struct flow_key keys[PACKET_BATCH_MAX];
	struct packet_facts facts[PACKET_BATCH_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < batch->count; i++) {
		const struct packet *packet = &batch->packet[i];
		const enum decode_outcome outcome = decode_packet(packet, &keys[n], &facts[n]);

		m->statistics.outcome[outcome]++;
		if (outcome != DECODE_FLOW)
			count_ignored(m, packet, batch->to_wall);
		else
			n += meter_classify(m, &keys[n], &facts[n]);
	}
	meter_count(m, keys, facts, n, batch->to_wall);
}
