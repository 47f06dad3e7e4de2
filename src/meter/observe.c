/* observe.c: loop 1 of a batch: packets become keys and facts, side by side, for meter_count. */
#include "meter/state.h"

#include "decode/decode.h"

void meter_count_ignored(struct meter_statistics *s, const struct packet *packet, int64_t to_wall)
{
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

/* Not selected, and nothing else of it counts; but where its refusal is told, too, the two must meet. */
static void pass_over(struct meter *m, struct flow_key *key, struct packet_facts *facts)
{
	bool more;

	if (!m->passed || key->kind & KIND_EGRESS || m->options.directions == DIRECTIONS_SENDING)
		return;
	(void)meter_classify(m, key, facts);
	if (!owed_table_take(m->owed, key, facts, facts->time.ns, &more))
		(void)owed_table_add(m->passed, key, facts, facts->time.ns);
}

/* Overload: this frame is not even decoded. */
static bool is_shed(struct meter *m, const struct packet *packet, int64_t to_wall)
{
	if (m->shed_mask == 0 || packet->denial != DENIAL_NONE || (m->shed_position++ & m->shed_mask) == 0)
		return false;
	/* Headers of segments are not taken off a super-packet: at most one packet too many. */
	m->statistics.shed_packets +=
		packet->gso_size ? (packet->length + packet->gso_size - 1) / packet->gso_size : 1;
	meter_count_ignored(&m->statistics, packet, to_wall);
	return true;
}

/* It is not selected, or is counted by itself. */
static bool is_special(struct meter *m, const struct packet *packet, struct flow_key *key,
		       struct packet_facts *facts)
{
	if (m->options.selection && !selection_takes(m->options.selection, packet, facts->packets)) {
		pass_over(m, key, facts);
		return true;
	}
	if (m->store.extra && meter_classify(m, key, facts)) {
		struct packet_extra extra = {0};

		if (m->options.extras & EXTRA_PACKETS)
			decode_extra(packet, &extra);
		meter_count_extra(m, &extra, key, facts);
	}
	return m->store.extra != NULL;
}

/* `choosy` is known when this is compiled: where all packets are metered nothing is asked about it. */
static inline __attribute__((always_inline)) void observe(struct meter *m, const struct packet_batch *batch,
							  const bool choosy)
{
	/* Not cleared, as the build asks for elsewhere: 16 KiB a batch, and only what was written is read. */
	__attribute__((uninitialized)) struct flow_key keys[PACKET_BATCH_MAX];
	__attribute__((uninitialized)) struct packet_facts facts[PACKET_BATCH_MAX];
	const struct packet *const end = batch->packet + batch->count;
	struct flow_key *key = keys;
	struct packet_facts *seen = facts;
	uint32_t flows = 0;

	const bool as_it_is = m->options.directions == DIRECTIONS_BOTH && !m->options.dscp_key;

	m->clock.to_wall = batch->to_wall;
	note_seen(m, batch);
	for (const struct packet *packet = batch->packet; packet < end; packet++) {
		if (choosy && is_shed(m, packet, batch->to_wall))
			continue;

		const enum decode_outcome outcome = decode_packet(packet, key, seen);
		bool counted = true;

		if (unlikely(outcome != DECODE_FLOW)) {
			m->statistics.outcome[outcome]++;
			meter_count_ignored(&m->statistics, packet, batch->to_wall);
			continue;
		}
		if (m->options.local)
			apply_local(m->options.local, packet, key);
		flows++;
		if (unlikely(packet->denial != DENIAL_NONE)) {
			observe_denied(m, packet, key, seen);
			continue;
		}
		if (choosy && is_special(m, packet, key, seen))
			continue;
		if (unlikely(!as_it_is || seen->fragment != 0))
			counted = meter_classify(m, key, seen);
		key += counted;
		seen += counted;
	}
	m->statistics.outcome[DECODE_FLOW] += flows;
	meter_count(m, keys, facts, (uint32_t)(key - keys), batch->to_wall);
}

static __attribute__((noinline)) void observe_some(struct meter *m, const struct packet_batch *batch)
{
	observe(m, batch, true);
}

void meter_observe(struct meter *m, const struct packet_batch *batch)
{
	if (m->options.selection || m->shed_mask || m->store.extra)
		observe_some(m, batch);
	else
		observe(m, batch, false);
}
