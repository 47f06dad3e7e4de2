/* count.c: the hot path. Short loops over a batch, each with one job, so that the cache misses of many
 * packets overlap; docs/performance.md has what each is worth. */
#include "meter/state.h"

/* Packets of one flow between two records that are counted without a look at the counter's end. */
#define PACKETS_MANY (INT32_MAX - UINT16_MAX)

/* ---- the ends of TCP ---- */

static bool is_tcp_end(const struct flow_key *key, const struct packet_facts *facts)
{
	/* What policy refused did not reach the other side, so it ends nothing there. */
	return facts->tcp_flags & (TCP_FIN | TCP_RST) && !(key->kind & KIND_DENIED);
}

static uint32_t find_reverse(const struct meter *m, const struct flow_key *key)
{
	struct flow_key reverse = *key;

	memcpy(reverse.source, key->destination, sizeof reverse.source);
	memcpy(reverse.destination, key->source, sizeof reverse.destination);
	reverse.source_port = key->destination_port;
	reverse.destination_port = key->source_port;
	reverse.kind ^= KIND_EGRESS;
	return flow_index_find(&m->index, flow_hash(&m->hasher, &reverse), &reverse, m->store.hot);
}

static void set_state(struct meter *m, uint32_t flow, uint16_t state, bool over, int64_t time)
{
	struct flow_hot *hot = &m->store.hot[flow];

	hot->state |= state;
	if (hot->state & FLOW_OVER)
		return;
	if (over || (hot->state & (FLOW_FIN | FLOW_PEER_FIN)) == (FLOW_FIN | FLOW_PEER_FIN)) {
		hot->state |= FLOW_OVER;
		m->store.check_at[flow] = TICK_NEVER; /* whatever it was due for, now it is this */
		flow_store_check_by(&m->store, flow, meter_tick_after(m, time + m->options.linger_ns));
	}
}

/* FIN or RST of `key`, whose flow is `flow`; FLOW_NONE when its direction is not metered. */
static void see_tcp_end(struct meter *m, uint32_t flow, const struct flow_key *key,
			const struct packet_facts *facts, int64_t time)
{
	const uint32_t reverse = find_reverse(m, key);
	const bool reset = facts->tcp_flags & TCP_RST;
	uint16_t state = reset ? 0 : FLOW_FIN;

	if (reverse != FLOW_NONE && meter_natural_end(m, reverse, time) == 0) {
		if (m->store.hot[reverse].state & FLOW_FIN)
			state |= FLOW_PEER_FIN;
		set_state(m, reverse, reset ? 0 : FLOW_PEER_FIN, reset, time);
	}
	if (flow != FLOW_NONE)
		set_state(m, flow, state, reset, time);
}

/* ---- flows that come, and packets with more to do than to be counted ---- */

static uint32_t open_flow(struct meter *m, const struct flow_key *key, uint32_t hash,
			  const struct packet_facts *facts, int64_t time)
{
	struct flow_store *s = &m->store;

	const bool full = s->active - s->denied >= m->options.max_flows;

	/* Refused flows have room of their own, which was looked for before. */
	if (!(key->kind & KIND_DENIED) && (full || !flow_index_reserve(&m->index)))
		meter_evict(m, time);

	const uint32_t flow = flow_store_take(s, key);

	flow_index_insert(&m->index, hash, flow);
	s->hot[flow].last = time;
	s->cold[flow] = (struct flow_cold){
		.first = time,
		.number = m->flows_numbered++ & FLOW_NUMBER_MAX,
		.class_of_service = facts->class_of_service,
	};
	if (s->extra)
		s->extra[flow] = (struct flow_extra){0};
	if (s->phase)
		s->phase[flow] = meter_phase(m, time);
	flow_store_check_by(s, flow, meter_next_check(m, flow, time, time));
	m->statistics.flows_created++;
	return flow;
}

/* Why the flow that a packet belongs to by its key has ended before this packet; 0: it goes on. */
static unsigned ended_before(const struct meter *m, uint32_t flow, const struct packet_facts *facts,
			     int64_t time)
{
	if (m->store.hot[flow].state & FLOW_OVER && facts->tcp_flags & TCP_SYN)
		return END_DETECTED;
	return meter_natural_end(m, flow, time);
}

/* The frame was refused, and counted as such before it was seen here. *more: others of its flow were, too. */
static bool was_refused(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
			int64_t time, bool *more)
{
	*more = false;
	if (time >= m->owed_until || key->kind & KIND_DENIED ||
	    !owed_table_take(m->owed, key, facts, time, more))
		return false;
	meter_uncount(m, facts);
	return true;
}

/* What was owed did not come: the ring has lost it. */
static void stop_waiting(struct meter *m, uint32_t flow, int64_t time)
{
	struct flow_hot *hot = &m->store.hot[flow];

	hot->state &= (uint16_t)~FLOW_OWED;
	if (flow_balance(hot) > 0)
		return;
	hot->packets = 0;
	hot->octets = 0;
	m->store.cold[flow].first = time;
}

uint32_t meter_count_flow(struct meter *m, const struct flow_key *key, uint32_t hash,
			  const struct packet_facts *facts, int64_t time)
{
	bool more;

	if (was_refused(m, key, facts, time, &more))
		return FLOW_NONE;

	uint32_t flow = flow_index_find(&m->index, hash, key, m->store.hot);

	if (flow != FLOW_NONE) {
		const unsigned reason = ended_before(m, flow, facts, time);

		if (reason != 0) {
			meter_end_flow(m, flow, hash, (enum flow_end_reason)reason);
			flow = FLOW_NONE;
		}
	}
	if (flow == FLOW_NONE)
		flow = open_flow(m, key, hash, facts, time);

	struct flow_hot *hot = &m->store.hot[flow];

	if (flow_balance(hot) > PACKETS_MANY)
		meter_interim(m, flow);
	if (more)
		hot->state |= FLOW_OWED;
	else if (hot->state & FLOW_OWED && (flow_balance(hot) > 0 || time - hot->last >= 2 * OWED_NS))
		stop_waiting(m, flow, time);
	if (hot->state & FLOW_TOLD) {
		hot->state &= (uint16_t)~FLOW_TOLD;
		hot->last = m->store.cold[flow].first = time;
	}
	if (time > hot->last)
		hot->last = time;
	else if (time < m->store.cold[flow].first)
		m->store.cold[flow].first = time;
	hot->octets += facts->octets;
	hot->packets += facts->packets;
	hot->tcp_flags |= facts->tcp_flags;
	if (is_tcp_end(key, facts))
		see_tcp_end(m, flow, key, facts, time);
	if (hot->state & FLOW_OWED && hot->packets == 0 && hot->octets == 0) {
		meter_empty(m, flow, hash);
		return FLOW_NONE;
	}
	return flow;
}

/* ---- extras: what only some profiles ask for ---- */

static void note_packet(struct flow_extra *e, const struct packet_extra *now, bool first)
{
	if (first)
		e->first = *now;
	if (e->ttl_least == 0 || now->ttl < e->ttl_least)
		e->ttl_least = now->ttl;
	if (now->ttl > e->ttl_most)
		e->ttl_most = now->ttl;
}

/* A packet of the other direction of an open biflow. False: there is none. */
static bool count_reverse(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
			  int64_t time)
{
	struct flow_key other = *key;
	uint32_t flow = find_reverse(m, key);

	other.kind ^= KIND_EGRESS; /* where the source of packets cannot tell directions apart */
	flow = flow == FLOW_NONE ? find_reverse(m, &other) : flow;
	if (flow == FLOW_NONE || ended_before(m, flow, facts, time) != 0)
		return false;

	struct flow_hot *hot = &m->store.hot[flow];

	if (hot->state & FLOW_TOLD) {
		hot->state &= (uint16_t)~FLOW_TOLD;
		hot->last = m->store.cold[flow].first = time;
	}
	m->store.extra[flow].reverse_octets += facts->octets;
	m->store.extra[flow].reverse_packets += facts->packets;
	if (time > hot->last)
		hot->last = time;
	if (facts->tcp_flags & (TCP_FIN | TCP_RST))
		set_state(m, flow, facts->tcp_flags & TCP_FIN ? FLOW_PEER_FIN : 0, facts->tcp_flags & TCP_RST,
			  time);
	return true;
}

void meter_count_extra(struct meter *m, const struct packet_extra *extra, const struct flow_key *key,
		       const struct packet_facts *facts)
{
	const int64_t time = meter_time_of(m, facts->time.ns);

	if (facts->packets == 0) {
		if (is_tcp_end(key, facts))
			see_tcp_end(m, FLOW_NONE, key, facts, time);
		return;
	}
	m->statistics.octets += facts->octets;
	m->statistics.packets += facts->packets;
	if (m->options.idle_ns == 0) {
		meter_tell_packet(m, key, facts, DENIAL_NONE, extra, time);
		return;
	}
	if (m->options.extras & EXTRA_BIFLOWS && count_reverse(m, key, facts, time))
		return;

	const uint64_t before = m->flows_numbered;
	const uint32_t flow = meter_count_flow(m, key, flow_hash(&m->hasher, key), facts, time);

	if (flow != FLOW_NONE)
		note_packet(&m->store.extra[flow], extra, m->flows_numbered != before);
}

/* ---- the loops ---- */

/* True: the flow was open and nothing about the packet is special. */
static inline bool count_quickly(struct meter *m, struct flow_hot *hot, const struct flow_key *key,
				 const struct packet_facts *facts, int64_t time)
{
	/* Also an earlier time than the last packet's gives a large number here. */
	const uint64_t gap = (uint64_t)time - (uint64_t)hot->last;

	if (!flow_key_equal(&hot->key, key) || gap >= (uint64_t)m->options.idle_ns ||
	    hot->state & FLOW_NOTABLE || facts->tcp_flags & (TCP_FIN | TCP_RST) ||
	    flow_balance(hot) > PACKETS_MANY)
		return false;
	hot->last = time;
	hot->octets += facts->octets;
	hot->packets += facts->packets;
	hot->tcp_flags |= facts->tcp_flags;
	return true;
}

static void count_packet(struct meter *m, const struct flow_key *key, uint32_t hash, uint32_t candidate,
			 const struct packet_facts *facts)
{
	const int64_t time = meter_time_of(m, facts->time.ns);

	if (candidate != FLOW_NONE && count_quickly(m, &m->store.hot[candidate], key, facts, time))
		return;
	if (facts->packets > 0)
		meter_count_flow(m, key, hash, facts, time);
	else if (is_tcp_end(key, facts))
		see_tcp_end(m, FLOW_NONE, key, facts, time);
}

/* idle_ns is 0: records, no table. */
static void tell_each(struct meter *m, const struct flow_key *keys, const struct packet_facts *facts,
		      uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		m->statistics.octets += facts[i].octets;
		m->statistics.packets += facts[i].packets;
		if (facts[i].packets > 0)
			meter_tell_packet(m, &keys[i], &facts[i], DENIAL_NONE, NULL,
					  meter_time_of(m, facts[i].time.ns));
	}
}

void meter_count(struct meter *m, const struct flow_key *keys, const struct packet_facts *facts, uint32_t n,
		 int64_t to_wall)
{
	__attribute__((uninitialized)) uint32_t hash[PACKET_BATCH_MAX];
	__attribute__((uninitialized)) uint32_t candidate[PACKET_BATCH_MAX];

	m->clock.to_wall = to_wall;
	if (m->options.idle_ns == 0) {
		tell_each(m, keys, facts, n);
		return;
	}

	m->hasher.batch(&m->hasher, keys, n, hash);
	for (uint32_t i = 0; i < n; i++) /* 2: the miss in the index starts */
		__builtin_prefetch(flow_index_home(&m->index, hash[i]));
	for (uint32_t i = 0; i < n; i++) { /* 3: the slot is here; the miss in the flows starts */
		candidate[i] = flow_index_candidate(&m->index, hash[i]);
		if (candidate[i] != FLOW_NONE)
			__builtin_prefetch(&m->store.hot[candidate[i]], 1);
	}
	for (uint32_t i = 0; i < n; i++) { /* 4: the flow is here */
		m->statistics.octets += facts[i].octets;
		m->statistics.packets += facts[i].packets;
		count_packet(m, &keys[i], hash[i], candidate[i], &facts[i]);
	}
}
