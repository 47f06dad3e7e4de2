/* observe.c: loop 1 of a batch: packets become keys and facts, side by side, for meter_count. */
#include "meter/state.h"

#include "decode/decode.h"

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

/* Not in the loops of the others: its frame may be among them or not, in any order. */
static void observe_denied(struct meter *m, const struct packet *packet, struct flow_key *key,
			   struct packet_facts *facts)
{
	key->kind |= KIND_DENIED;
	(void)meter_classify(m, key, facts); /* never left out */
	meter_deny(m, key, facts, packet->denial, frame_fingerprint(packet, m->frame_secret));
}

/* A batch is of one interface, or of many by turns: its last frame stands for all of its own. */
static void note_seen(struct meter *m, const struct packet_batch *batch)
{
	const struct packet *last = batch->count ? &batch->packet[batch->count - 1] : NULL;

	if (m->owed && last && last->denial == DENIAL_NONE && last->direction == DIRECTION_INGRESS &&
	    last->time.ns > m->seen_until[last->point % POINT_MAX])
		m->seen_until[last->point % POINT_MAX] = last->time.ns;
}

void meter_observe(struct meter *m, const struct packet_batch *batch)
{
	/* Not cleared, as the build asks for elsewhere: 16 KiB a batch, and only what was written is read. */
	__attribute__((uninitialized)) struct flow_key keys[PACKET_BATCH_MAX];
	__attribute__((uninitialized)) struct packet_facts facts[PACKET_BATCH_MAX];
	uint32_t n = 0, flows = 0;

	const bool as_it_is = m->options.directions == DIRECTIONS_BOTH && !m->options.dscp_key;

	m->clock.to_wall = batch->to_wall;
	note_seen(m, batch);
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct packet *packet = &batch->packet[i];
		const enum decode_outcome outcome = decode_packet(packet, &keys[n], &facts[n]);

		if (unlikely(outcome != DECODE_FLOW)) {
			m->statistics.outcome[outcome]++;
			count_ignored(m, packet, batch->to_wall);
			continue;
		}
		if (m->options.local)
			apply_local(m->options.local, packet, &keys[n]);
		flows++;
		if (unlikely(packet->denial != DENIAL_NONE))
			observe_denied(m, packet, &keys[n], &facts[n]);
		else if (likely(as_it_is && facts[n].fragment == 0))
			n++;
		else
			n += meter_classify(m, &keys[n], &facts[n]);
	}
	m->statistics.outcome[DECODE_FLOW] += flows;
	meter_count(m, keys, facts, n, batch->to_wall);
}
