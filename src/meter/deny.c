/* deny.c: frames that policy refused.
 *
 * Each frame is in exactly one record. One that arrived was (or will be) seen at the interface like any
 * other, before a rule refused it: it is taken out of the flow that it was counted into; or, where its
 * refusal is known first, it is owed and not counted when it comes. One that was to be sent is refused before
 * the interface sees it.
 *
 * Refused flows are kept apart from the others, in room of their own: when that is used up, frames of
 * further ones are counted into one flow for each observation point and direction. */
#include "meter/state.h"

/* Nothing is left of what was counted. */
void meter_empty(struct meter *m, uint32_t flow, uint32_t hash)
{
	if (m->store.hot[flow].state & FLOW_KNOWN) { /* its end is still to be told */
		m->store.hot[flow].state |= FLOW_TOLD;
		return;
	}
	flow_index_remove(&m->index, hash, flow);
	flow_store_give_back(&m->store, flow);
	m->statistics.withdrawn_flows++;
}

/* Take `facts` out of a flow of the frames that were let through. Frames of other sizes may be in there
 * instead, and this one be on its way: then the counters are wrong until it comes, even below zero, and right
 * from then on. False: the flow has not seen it. */
static bool withdraw(struct meter *m, uint32_t flow, uint32_t hash, const struct packet_facts *facts,
		     int64_t time)
{
	struct flow_hot *hot = &m->store.hot[flow];

	/* However much later it is told: what lies between the flow's first packet and its last is in it. */
	if (hot->state & FLOW_TOLD || time >= hot->last + OWED_NS ||
	    time <= m->store.cold[flow].first - OWED_NS || meter_natural_end(m, flow, time) != 0)
		return false;
	hot->packets -= facts->packets;
	hot->octets -= facts->octets;
	meter_uncount(m, facts);
	if (hot->packets == 0 && hot->octets == 0)
		meter_empty(m, flow, hash);
	else if (flow_balance(hot) <= 0)
		hot->state |= FLOW_OWED;
	return true;
}

void meter_uncount(struct meter *m, const struct packet_facts *facts)
{
	m->statistics.packets -= facts->packets;
	m->statistics.octets -= facts->octets;
}

/* The interface has seen this frame, or will. */
static void reconcile(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
		      int64_t time)
{
	struct flow_key seen = *key;

	seen.kind &= (uint8_t)~KIND_DENIED;
	bool more;

	if (m->passed && owed_table_take(m->passed, &seen, facts, time, &more))
		return; /* it was not counted */

	const uint32_t hash = flow_hash(&m->hasher, &seen);
	const uint32_t flow = flow_index_find(&m->index, hash, &seen, m->store.hot);

	if (time + OWED_NS > m->owed_until)
		m->owed_until = time + OWED_NS;
	if (flow != FLOW_NONE && withdraw(m, flow, hash, facts, time))
		return;
	if (m->seen_until[key->point % POINT_MAX] > time + PASSED_NS) { /* nothing is to come */
		m->statistics.denied_late += facts->packets;
		return;
	}
	if (!owed_table_add(m->owed, &seen, facts, time))
		m->statistics.denied_unmatched++;
	if (flow != FLOW_NONE)
		m->store.hot[flow].state |= FLOW_OWED;
}

static unsigned worth(const struct meter *m, uint16_t denial)
{
	return denial_worth(denial_table_get(&m->points->denials, denial));
}

static bool is_told(const struct flow_denial *d, uint16_t denial)
{
	unsigned i = 0;

	while (i < FLOW_TELLERS && d->other[i] != denial)
		i++;
	return i < FLOW_TELLERS;
}

static void remember(struct flow_denial *d, uint16_t denial)
{
	for (unsigned i = 0; i < FLOW_TELLERS; i++) {
		if (d->other[i] == DENIAL_NONE) {
			d->other[i] = denial;
			return;
		}
	}
}

/* Another report of a frame that was counted: keep what says more. */
static void learn(struct meter *m, const struct flow_key *key, uint16_t denial)
{
	const uint32_t hash = flow_hash(&m->hasher, key);
	const uint32_t flow = flow_index_find(&m->index, hash, key, m->store.hot);

	if (flow == FLOW_NONE)
		return;
	struct flow_denial *d = &m->store.denial[flow];
	if (!is_told(d, denial))
		remember(d, denial); /* next time it may be the first */
	if (worth(m, denial) > worth(m, d->told))
		d->told = denial;
}

/* The open flow that a refused frame belongs to; one of another rule ends. */
static uint32_t find_denied(struct meter *m, const struct flow_key *key, uint32_t hash, uint16_t denial)
{
	const uint32_t flow = flow_index_find(&m->index, hash, key, m->store.hot);

	if (flow == FLOW_NONE || is_told(&m->store.denial[flow], denial))
		return flow;
	meter_end_flow(m, flow, hash, END_DETECTED);
	return FLOW_NONE;
}

static struct flow_key overflow_key(const struct flow_key *key)
{
	return (struct flow_key){.kind = KIND_DENIED | (key->kind & KIND_EGRESS),
				 .point = key->point % POINT_MAX};
}

static void count_denied(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
			 uint16_t denial, int64_t time)
{
	struct flow_key to = *key;
	uint32_t hash = flow_hash(&m->hasher, &to);

	if (find_denied(m, &to, hash, denial) == FLOW_NONE &&
	    (m->store.denied >= m->options.max_denied || !flow_index_reserve(&m->index))) {
		to = overflow_key(key);
		hash = flow_hash(&m->hasher, &to);
		denial = DENIAL_OVERFLOW;
		m->statistics.denied_overflow += facts->packets;
	}
	struct flow_denial *d = &m->store.denial[meter_count_flow(m, &to, hash, facts, time)];

	if (d->told == DENIAL_NONE)
		*d = (struct flow_denial){.told = denial, .other = {denial}};
}

void meter_deny(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
		uint16_t denial, uint64_t fingerprint)
{
	const int64_t time = meter_time_of(m, facts->time.ns);

	if (m->frames && frame_table_repeats(m->frames, fingerprint, denial, time)) {
		m->statistics.denied_repeated++;
		learn(m, key, denial);
		return;
	}
	m->statistics.packets += facts->packets;
	m->statistics.octets += facts->octets;
	m->statistics.denied_packets += facts->packets;
	m->statistics.denied_octets += facts->octets;
	if (m->options.idle_ns == 0) {
		meter_tell_packet(m, key, facts, denial, NULL, time);
		return;
	}
	if (m->owed && !(key->kind & KIND_EGRESS) && m->options.directions != DIRECTIONS_SENDING)
		reconcile(m, key, facts, time);
	count_denied(m, key, facts, denial, time);
}
