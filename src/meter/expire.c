/* expire.c: how flows end (RFC 5470 section 5.1.1).
 *
 * Nothing is written for a flow when a packet comes; check_at stays where it was, too early. When that tick
 * comes the sweep looks at the flow and, if it has been active, puts check_at to where it may really end. So
 * a flow is looked at about once in an idle timeout, however busy it is. The sweep itself reads due_in, one
 * number for FLOW_BLOCK flows, and then the check_at of those blocks in which something is due. */
#include "meter/state.h"

/* ---- ticks ---- */

static uint64_t ticks(const struct meter *m, int64_t time)
{
	return time > m->clock.epoch ? (uint64_t)(time - m->clock.epoch) >> TICK_LOG2 : 0;
}

static uint32_t bounded(uint64_t tick)
{
	return tick < TICK_NEVER ? (uint32_t)tick : TICK_NEVER - 1;
}

uint32_t meter_tick_of(const struct meter *m, int64_t time)
{
	return bounded(ticks(m, time));
}

uint32_t meter_tick_after(const struct meter *m, int64_t time)
{
	return bounded(ticks(m, time + ((int64_t)1 << TICK_LOG2) - 1));
}

uint32_t meter_phase(const struct meter *m, int64_t time)
{
	return (uint32_t)((uint64_t)(time / NS_PER_MS) % m->interval_ms);
}

/* The latest time, not after `time`, at which the flow's interim record was due. Counted from its first
 * packet, so that lateness does not add up. */
static int64_t boundary_before(const struct meter *m, uint32_t flow, int64_t time)
{
	const int64_t ms = time / NS_PER_MS, interval = m->interval_ms;

	return (ms - (ms + interval - m->store.phase[flow]) % interval) * NS_PER_MS;
}

uint32_t meter_next_check(const struct meter *m, uint32_t flow, int64_t last, int64_t seen)
{
	const uint32_t soonest = meter_tick_of(m, seen) + 1;
	uint32_t check = meter_tick_after(m, last + m->options.idle_ns);

	if (m->interval_ms != 0) {
		const int64_t boundary = boundary_before(m, flow, seen) + m->interval_ms * NS_PER_MS;
		const uint32_t interim =
			meter_tick_of(m, boundary); /* a packet at the boundary is after it */

		check = check < interim ? check : interim;
	}
	return check > soonest ? check : soonest;
}

/* ---- the ends ---- */

void meter_end_flow(struct meter *m, uint32_t flow, uint32_t hash, enum flow_end_reason reason)
{
	meter_tell(m, flow, reason);
	flow_index_remove(&m->index, hash, flow);
	flow_store_give_back(&m->store, flow);
}

void meter_interim(struct meter *m, uint32_t flow)
{
	struct flow_hot *hot = &m->store.hot[flow];

	meter_tell(m, flow, END_ACTIVE);
	if (m->store.extra) {
		struct flow_extra *e = &m->store.extra[flow];

		e->told_octets += hot->octets;
		e->told_packets += hot->packets;
		e->reverse_octets = e->reverse_packets = 0;
		e->forward_first = e->forward_last = 0;
		e->reverse_tcp_flags = 0;
		e->ttl_least = e->ttl_most = 0;
	}
	hot->octets = 0;
	hot->packets = 0;
	hot->tcp_flags = 0;
	hot->state |= FLOW_TOLD | FLOW_KNOWN;
}

unsigned meter_natural_end(const struct meter *m, uint32_t flow, int64_t time)
{
	const struct flow_hot *hot = &m->store.hot[flow];

	if (hot->state & FLOW_OVER)
		return m->store.check_at[flow] <= meter_tick_of(m, time) ? END_DETECTED : 0;
	return time > hot->last && time - hot->last >= m->options.idle_ns ? END_IDLE : 0;
}

/* ---- the sweep ---- */

/* What was just seen may yet turn out to be refused, and what was told cannot be taken back. */
static bool may_be_refused(const struct meter *m, uint32_t flow)
{
	return m->owed && !(m->store.hot[flow].key.kind & KIND_DENIED) &&
	       (flow_balance(&m->store.hot[flow]) <= 0 ||
		m->clock.now - m->store.cold[flow].first < REFUSAL_NS);
}

/* `flow` is due to be looked at. */
static void look_at(struct meter *m, uint32_t flow, uint32_t hash)
{
	struct flow_store *s = &m->store;
	const unsigned reason = meter_natural_end(m, flow, m->clock.now);

	if (reason != 0) {
		meter_end_flow(m, flow, hash, (enum flow_end_reason)reason);
		return;
	}
	/* The record that is being counted began before the latest boundary: it ends there. */
	if (m->interval_ms != 0 && !(s->hot[flow].state & FLOW_TOLD) && !may_be_refused(m, flow) &&
	    s->cold[flow].first < boundary_before(m, flow, m->clock.now))
		meter_interim(m, flow);
	s->check_at[flow] = meter_next_check(m, flow, s->hot[flow].last, m->clock.now);
}

static bool block_due(const struct flow_store *s, uint32_t block, uint32_t tick)
{
	return s->due_in[block] <= tick;
}

/* What is due in one block; at most FLOW_BLOCK flows. */
static uint32_t list_due(const struct flow_store *s, uint32_t block, uint32_t tick, uint32_t *due)
{
	const uint32_t begin = block * FLOW_BLOCK;
	uint32_t n = 0;

	for (uint32_t i = 0; i < FLOW_BLOCK; i++) {
		due[n] = begin + i;
		n += s->check_at[begin + i] <= tick;
	}
	return n;
}

static uint32_t earliest(const uint32_t check_at[FLOW_BLOCK])
{
	uint32_t least = TICK_NEVER;

	for (uint32_t i = 0; i < FLOW_BLOCK; i++)
		least = check_at[i] < least ? check_at[i] : least;
	return least;
}

/* Loops as for packets: the flows are fetched, then their slots; then each is in the cache. */
static void look_at_all(struct meter *m, const uint32_t *due, uint32_t *hash, uint32_t n)
{
	const struct flow_store *s = &m->store;

	for (uint32_t i = 0; i < n; i++)
		__builtin_prefetch(&s->hot[due[i]], 1);
	for (uint32_t i = 0; i < n; i++) {
		hash[i] = flow_hash(&m->hasher, &s->hot[due[i]].key);
		__builtin_prefetch(flow_index_home(&m->index, hash[i]), 1);
		__builtin_prefetch(&s->cold[due[i]]);
	}
	for (uint32_t i = 0; i < n; i++)
		look_at(m, due[i], hash[i]);
}

static void sweep(struct meter *m)
{
	struct flow_store *s = &m->store;
	const uint32_t tick = meter_tick_of(m, m->clock.now);
	const uint32_t blocks = (s->used + FLOW_BLOCK - 1) / FLOW_BLOCK;
	uint32_t due[METER_GROUP + FLOW_BLOCK], hash[METER_GROUP + FLOW_BLOCK];

	for (uint32_t block = 0; block < blocks;) {
		const uint32_t first = block;
		uint32_t n = 0;

		for (; block < blocks && n < METER_GROUP; block++)
			if (block_due(s, block, tick))
				n += list_due(s, block, tick, due + n);
		look_at_all(m, due, hash, n);
		for (uint32_t i = first; i < block; i++)
			if (block_due(s, i, tick))
				s->due_in[i] = earliest(&s->check_at[i * FLOW_BLOCK]);
	}
	if (s->active == 0)
		flow_store_rewind(s);
}

/* ---- time ---- */

/* Ticks run out after nine years: begin anew half way there. Every flow is looked at once. */
static void renew_ticks(struct meter *m)
{
	struct flow_store *s = &m->store;

	m->clock.epoch = m->clock.now;
	for (uint32_t flow = 0; flow < s->used; flow++)
		if (flow_store_holds(s, flow))
			flow_store_check_by(s, flow, 0);
}

int64_t meter_clock_to(struct meter *m, int64_t time)
{
	struct meter_clock *c = &m->clock;

	time = time < 0 ? 0 : time > TIME_MAX_NS ? TIME_MAX_NS : time;
	if (c->started && time < c->now - CLOCK_STEP_NS) {
		meter_flush(m);
		m->statistics.clock_steps++;
		c->started = false;
	}
	if (!c->started) {
		c->started = true;
		c->now = c->epoch = time;
	} else if (time > c->now) {
		c->now = time;
		if (ticks(m, time) > UINT32_MAX / 2)
			renew_ticks(m);
		sweep(m);
	}
	c->floor = c->now - CLOCK_STEP_NS;
	c->span = (uint64_t)(CLOCK_STEP_NS + SWEEP_NS);
	return time;
}

void meter_advance(struct meter *m, struct mono_ns now, int64_t to_wall)
{
	m->clock.to_wall = to_wall;
	meter_clock_to(m, now.ns);
}

/* ---- pressure ---- */

enum { PARTS = 256 };
_Static_assert(KIND_VACANT &KIND_DENIED, "one test finds out both");

/* The flows by their `last`: in parts of 2^n ns of some time, before it and after it. */
struct ages {
	uint32_t before, part[PARTS], after;
};

static void count_ages(const struct flow_store *s, int64_t from, unsigned width_log2, struct ages *ages)
{
	*ages = (struct ages){0};
	for (uint32_t flow = 0; flow < s->used; flow++) {
		const int64_t last = s->hot[flow].last;
		const uint64_t part = (uint64_t)(last - from) >> width_log2;

		if (s->hot[flow].key.kind & KIND_DENIED) /* or vacant */
			continue;
		if (last < from)
			ages->before++;
		else if (part < PARTS)
			ages->part[part]++;
		else
			ages->after++;
	}
}

/* A time such that `wanted` flows or up to twice as many have had no packet after it; more only when they all
 * are of the same nanosecond. It lies in [low, high], which gets narrower; the first guess, that it is
 * between the previous answer and now, makes one pass over the flows enough under steady pressure. */
static int64_t oldest_until(const struct meter *m, uint32_t wanted, int64_t now)
{
	int64_t low = 0, high = TIME_MAX_NS;
	int64_t from = m->evicted_until < now ? m->evicted_until : low, to = now;

	for (;;) {
		uint32_t older, part = 0;
		unsigned width_log2 = 0;
		struct ages ages;

		while ((uint64_t)(to - from) >> width_log2 >= PARTS)
			width_log2++;

		const int64_t width = (int64_t)1 << width_log2;

		count_ages(&m->store, from, width_log2, &ages);
		for (older = ages.before; older < wanted && part < PARTS; part++)
			older += ages.part[part];
		if (part == 0) {
			high = from - 1;
		} else if (older < wanted) {
			low = from + width * PARTS;
		} else {
			low = from + width * (part - 1);
			high = low + width - 1;
			if (width == 1 || older <= 2 * wanted)
				return high;
		}
		from = low;
		to = high;
	}
}

void meter_evict(struct meter *m, int64_t now)
{
	struct flow_store *s = &m->store;
	const uint32_t allowed = s->active - s->denied;
	const uint32_t wanted = allowed / 32 > 0 ? allowed / 32 : 1;
	uint32_t left = 2 * wanted;

	if (allowed == 0)
		return;

	m->evicted_until = oldest_until(m, wanted, now);
	for (uint32_t flow = 0; flow < s->used && left > 0; flow++) {
		if (s->hot[flow].last > m->evicted_until || s->hot[flow].key.kind & KIND_DENIED)
			continue;
		unsigned reason = meter_natural_end(m, flow, now);

		if (reason == 0) {
			reason = END_RESOURCES;
			m->statistics.evicted++;
		}
		meter_end_flow(m, flow, flow_hash(&m->hasher, &s->hot[flow].key),
			       (enum flow_end_reason)reason);
		left--;
	}
}
