/* record.c: from an open flow to a Flow Record. */
#include "meter/state.h"

/* Unsigned, so that a source that gives a senseless distance between the clocks does no harm. */
static uint64_t wall_clock_ms(const struct meter *m, int64_t time)
{
	const int64_t ms = wall_ms((struct wall_ns){(int64_t)((uint64_t)time + (uint64_t)m->clock.to_wall)});

	return ms > 0 ? (uint64_t)ms : 0;
}

/* What the octets and packets in `r` still need around them. */
static uint64_t ntp_time(const struct meter *m, int64_t time)
{
	enum { FRACTION_ZERO_BITS = 11 };     /* RFC 7011 6.1.9 */
	const uint64_t epoch_s = 2208988800U; /* of NTP, before 1970 */
	const int64_t wall = (int64_t)((uint64_t)time + (uint64_t)m->clock.to_wall);

	if (wall < 0)
		return epoch_s << 32;

	/* A microsecond is more than 2^12 units: half of one more, so that cutting bits rounds. */
	const uint64_t us = (uint64_t)wall / (NS_PER_MS / 1000), s = us / 1000000;
	const uint64_t fraction = ((us % 1000000 << 32) + 999999) / 1000000;

	return (s + epoch_s) << 32 | ((fraction + 2047) >> FRACTION_ZERO_BITS << FRACTION_ZERO_BITS);
}

/* What came back, and when: those times are apart from those of the source (RFC 5103 section 6.1). */
static void add_reverse(const struct meter *m, struct flow_record *r, const struct flow_extra *e)
{
	enum { INITIATOR = 1 };

	r->biflow_direction = INITIATOR;
	r->reverse_octets = e->reverse_octets;
	r->reverse_packets = e->reverse_packets;
	r->reverse_tcp_flags = e->reverse_tcp_flags;
	if (e->reverse_packets == 0)
		return;
	r->reverse_start_ms = wall_clock_ms(m, e->reverse_first);
	r->reverse_end_ms = wall_clock_ms(m, e->reverse_last);
	r->reverse_start_ntp = ntp_time(m, e->reverse_first);
	r->reverse_end_ntp = ntp_time(m, e->reverse_last);
}

static void hand_over(struct meter *m, struct flow_record *r, int64_t first, int64_t last)
{
	const struct observation_point *point = &m->points->point[r->key.point % POINT_MAX];

	r->start_ms = wall_clock_ms(m, first);
	r->end_ms = wall_clock_ms(m, last);
	if (m->options.extras & EXTRA_MICROSECONDS) {
		r->start_ntp = ntp_time(m, first);
		r->end_ntp = ntp_time(m, last);
	}
	r->interface = point->ifindex;
	r->point_id = point->id;
	if (m->options.selection)
		r->selector = selection_selector_of(m->options.selection, r->key.point % POINT_MAX);
	r->direction = r->key.kind & KIND_EGRESS ? DIRECTION_EGRESS : DIRECTION_INGRESS;
	if (r->key.kind & KIND_DENIED) {
		r->dropped_octets = r->octets;
		r->dropped_packets = r->packets;
	}
	m->statistics.records[r->end_reason]++;
	m->sink(m->sink_arg, r);
}

/* Refused frames were taken out of a flow, and the ring has lost some of them. False: nothing is left to
 * tell. */
static bool settle(struct meter *m, const struct flow_hot *hot, struct flow_record *r)
{
	enum { SMALLEST = 20 }; /* octets of an IP packet */

	if (flow_balance(hot) <= 0) {
		r->packets = r->octets = 0;
		m->statistics.withdrawn_flows += !(hot->state & FLOW_KNOWN);
		return hot->state & FLOW_KNOWN;
	}
	if ((int64_t)r->octets < (int64_t)r->packets * SMALLEST)
		r->octets = r->packets * SMALLEST;
	return true;
}

static void add_extra(const struct meter *m, struct flow_record *r, const struct flow_extra *e)
{
	r->total_octets = e->told_octets + r->octets;
	r->total_packets = e->told_packets + r->packets;
	r->extra = e->first;
	r->ttl_least = e->ttl_least;
	r->ttl_most = e->ttl_most;
	if (m->options.extras & EXTRA_BIFLOWS)
		add_reverse(m, r, e);
}

static void fill_record(const struct meter *m, struct flow_record *r, uint32_t flow,
			enum flow_end_reason reason)
{
	const struct flow_hot *hot = &m->store.hot[flow];
	const struct flow_cold *cold = &m->store.cold[flow];

	r->key = hot->key;
	r->octets = hot->octets;
	r->packets = hot->packets;
	r->flow_id = m->options.first_flow_id + cold->number * m->options.flow_id_step;
	r->tcp_flags = hot->tcp_flags;
	r->class_of_service = (uint8_t)cold->class_of_service;
	r->end_reason = (uint8_t)reason;
}

static int64_t first_of(const struct meter *m, uint32_t flow)
{
	const struct flow_hot *hot = &m->store.hot[flow];

	return hot->state & FLOW_TOLD ? hot->last : m->store.cold[flow].first;
}

/* With all that a record may have besides. */
static __attribute__((noinline)) void tell_special(struct meter *m, uint32_t flow,
						   enum flow_end_reason reason)
{
	const struct flow_hot *hot = &m->store.hot[flow];
	int64_t first = first_of(m, flow), last = hot->last;
	struct flow_record r = {.denial = hot->key.kind & KIND_DENIED ? m->store.denial[flow].told
								      : DENIAL_NONE};

	fill_record(m, &r, flow, reason);
	if (m->store.extra)
		add_extra(m, &r, &m->store.extra[flow]);
	if (r.reverse_packets && m->store.extra[flow].forward_last) {
		first = m->store.extra[flow].forward_first;
		last = m->store.extra[flow].forward_last;
	}
	if (hot->state & FLOW_OWED && !settle(m, hot, &r))
		return;
	hand_over(m, &r, first, last);
}

void meter_tell(struct meter *m, uint32_t flow, enum flow_end_reason reason)
{
	const struct flow_hot *hot = &m->store.hot[flow];

	if (unlikely(m->store.extra || hot->key.kind & KIND_DENIED || hot->state & FLOW_OWED)) {
		tell_special(m, flow, reason);
		return;
	}
	/* Most of a record is for forms that nobody has asked for: clearing it would be half of the work. */
	fill_record(m, &m->told, flow, reason);
	hand_over(m, &m->told, first_of(m, flow), hot->last);
}

void meter_tell_packet(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
		       uint16_t denial, const struct packet_extra *extra, int64_t time)
{
	struct flow_record r = {
		.key = *key,
		.octets = facts->octets,
		.packets = facts->packets,
		.flow_id = m->options.first_flow_id + m->flows_numbered++ * m->options.flow_id_step,
		.tcp_flags = facts->tcp_flags,
		.denial = denial,
		.class_of_service = facts->class_of_service,
		.end_reason = END_IDLE,
	};

	if (extra)
		add_extra(m, &r,
			  &(struct flow_extra){
				  .first = *extra, .ttl_least = extra->ttl, .ttl_most = extra->ttl});
	m->statistics.flows_created++;
	hand_over(m, &r, time, time);
}
