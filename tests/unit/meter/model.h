/* model.h: the Metering Process in its plainest form: a list of flows, looked at in whole at every packet. It
 * shares nothing with src/meter but the rules, and the tests compare the two. A flow is one record: there
 * are no interim records and nothing is evicted. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "meter/meter.h"

struct model_flow {
	struct flow_key key;
	uint64_t octets, packets, flow_id;
	int64_t first, last; /* ns, since the last record */
	int64_t over_since;  /* ns, when FIN both ways or RST was seen; -1: not */
	uint16_t tcp_flags;
	uint8_t class_of_service;
	bool fin, peer_fin;
};

struct model {
	struct meter_options options;
	struct model_flow *flow;
	uint32_t count, room;
	uint64_t next_id;
	int64_t epoch; /* ns: time of the first packet; -1: none yet */
	flow_sink *sink;
	void *sink_arg;
};

static inline void model_init(struct model *m, const struct meter_options *options, flow_sink *sink,
			      void *sink_arg)
{
	*m = (struct model){.options = *options,
			    .next_id = options->first_flow_id,
			    .epoch = -1,
			    .sink = sink,
			    .sink_arg = sink_arg};
}

static inline void model_fini(struct model *m)
{
	free(m->flow);
}

static inline struct model_flow *model_find(struct model *m, const struct flow_key *key)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (memcmp(&m->flow[i].key, key, sizeof *key) == 0)
			return &m->flow[i];
	return NULL;
}

static inline void model_end(struct model *m, struct model_flow *f, enum flow_end_reason reason)
{
	const struct flow_record r = {
		.key = f->key,
		.octets = f->octets,
		.packets = f->packets,
		.start_ms = (uint64_t)(f->first / NS_PER_MS),
		.end_ms = (uint64_t)(f->last / NS_PER_MS),
		.flow_id = f->flow_id,
		.tcp_flags = f->tcp_flags,
		.class_of_service = f->class_of_service,
		.direction = f->key.kind & KIND_EGRESS ? DIRECTION_EGRESS : DIRECTION_INGRESS,
		.end_reason = (uint8_t)reason,
	};

	m->sink(m->sink_arg, &r);
	*f = m->flow[--m->count];
}

static inline void model_set_over(struct model_flow *f, int64_t now)
{
	if (f->over_since < 0)
		f->over_since = now;
}

static inline void model_see_end(struct model *m, struct model_flow *f, const struct packet_facts *facts)
{
	struct flow_key key = f->key;
	struct model_flow *peer;

	memcpy(key.source, f->key.destination, 16);
	memcpy(key.destination, f->key.source, 16);
	key.source_port = f->key.destination_port;
	key.destination_port = f->key.source_port;
	key.kind ^= KIND_EGRESS;
	peer = model_find(m, &key);
	if (facts->tcp_flags & 4) { /* RST */
		model_set_over(f, facts->time.ns);
		if (peer)
			model_set_over(peer, facts->time.ns);
		return;
	}
	f->fin = true;
	if (peer) {
		peer->peer_fin = true;
		f->peer_fin |= peer->fin;
		if (peer->fin && peer->peer_fin)
			model_set_over(peer, facts->time.ns);
	}
	if (f->fin && f->peer_fin)
		model_set_over(f, facts->time.ns);
}

/* The end of the linger is rounded up to steps of 2^26 ns from the first packet of all. */
static inline int64_t model_tick(const struct model *m, int64_t time, int64_t round)
{
	return time < m->epoch ? 0 : (time - m->epoch + round) >> 26;
}

static inline unsigned model_reason_to_end(const struct model *m, const struct model_flow *f, int64_t now)
{
	if (f->over_since < 0)
		return now - f->last >= m->options.idle_ns ? END_IDLE : 0;
	if (model_tick(m, now, 0) >= model_tick(m, f->over_since + m->options.linger_ns, (1 << 26) - 1))
		return END_DETECTED;
	return 0;
}

static inline void model_count(struct model *m, const struct flow_key *key, const struct packet_facts *facts)
{
	const int64_t now = facts->time.ns;
	struct model_flow *f;

	if (m->epoch < 0)
		m->epoch = now;
	for (uint32_t i = m->count; i-- > 0;) {
		const unsigned reason = model_reason_to_end(m, &m->flow[i], now);

		if (reason != 0)
			model_end(m, &m->flow[i], (enum flow_end_reason)reason);
	}
	f = model_find(m, key);
	if (f && f->over_since >= 0 && facts->tcp_flags & 2) {
		model_end(m, f, END_DETECTED);
		f = NULL;
	}
	if (!f) {
		if (m->count == m->room) {
			m->room = m->room ? 2 * m->room : 64;
			m->flow = realloc(m->flow, m->room * sizeof *m->flow);
			if (!m->flow)
				abort();
		}
		f = &m->flow[m->count++];
		*f = (struct model_flow){
			.key = *key,
			.flow_id = m->next_id++,
			.first = now,
			.last = now,
			.over_since = -1,
			.class_of_service = facts->class_of_service,
		};
	}
	f->first = now < f->first ? now : f->first;
	f->last = now > f->last ? now : f->last;
	f->octets += facts->octets;
	f->packets += facts->packets;
	f->tcp_flags |= facts->tcp_flags;
	if (facts->tcp_flags & 5 && !(key->kind & KIND_DENIED))
		model_see_end(m, f, facts);
}

/* What has ended before `now` without a packet to say so. */
static inline void model_flush(struct model *m)
{
	while (m->count > 0)
		model_end(m, &m->flow[0], END_FORCED);
}
