#include "meter/shard.h"

#include <stdlib.h>

#include "meter/state.h"

bool decoded_init(struct decoded *d, uint32_t room, bool extras)
{
	*d = (struct decoded){
		.key = aligned_alloc(64, room * sizeof *d->key),
		.facts = aligned_alloc(64, room * sizeof *d->facts),
		.pace = calloc(room, sizeof *d->pace),
		.extra = extras ? calloc(room, sizeof *d->extra) : NULL,
	};
	if (d->key && d->facts && d->pace && (d->extra || !extras))
		return true;
	decoded_fini(d);
	return false;
}

void decoded_fini(struct decoded *d)
{
	free(d->key);
	free(d->facts);
	free(d->pace);
	free(d->extra);
	*d = (struct decoded){0};
}

static inline void add(const struct packet *packet, struct decoded *d, const struct flow_key *key,
		       const struct packet_facts *facts)
{
	d->key[d->count] = *key;
	d->facts[d->count] = *facts;
	if (d->extra) {
		d->extra[d->count] = (struct packet_extra){0};
		decode_extra(packet, &d->extra[d->count]);
	}
	d->count++;
}

void decoder_batch(struct decoder *decoder, const struct packet_batch *batch, uint32_t first, uint32_t end,
		   struct decoded *to)
{
	__attribute__((uninitialized)) struct flow_key keys[PACKET_BATCH_MAX];
	__attribute__((uninitialized)) struct packet_facts facts[PACKET_BATCH_MAX];
	__attribute__((uninitialized)) uint16_t packet[PACKET_BATCH_MAX];
	struct meter_statistics *s = &decoder->statistics;
	uint32_t n = 0;

	for (uint32_t i = first; i < end; i++) {
		const enum decode_outcome outcome = decode_packet(&batch->packet[i], &keys[n], &facts[n]);

		if (unlikely(outcome != DECODE_FLOW)) {
			s->outcome[outcome]++;
			meter_count_ignored(s, &batch->packet[i], batch->to_wall);
			continue;
		}
		if (decoder->local)
			apply_local(decoder->local, &batch->packet[i], &keys[n]);
		packet[n++] = (uint16_t)i;
	}
	s->outcome[DECODE_FLOW] += n;
	/* By now what was written octet by octet is in the cache and can be read in large pieces. */
	for (uint32_t i = 0; i < n; i++)
		add(&batch->packet[packet[i]], &to[shard_of(&decoder->rule, &keys[i])], &keys[i], &facts[i]);
}

void decoder_pace(const struct decoder *decoder, int64_t time, struct decoded *to)
{
	for (uint32_t i = 0; i < decoder->rule.count; i++)
		to[i].pace[to[i].pace_count++] = (struct pace){time, to[i].count};
}

bool pacer_is_due(struct pacer *p, int64_t time)
{
	if (p->started &&
	    (uint64_t)time - (uint64_t)(p->now - CLOCK_STEP_NS) < (uint64_t)(CLOCK_STEP_NS + SWEEP_NS))
		return false;
	/* As meter_clock_to goes on. */
	time = time < 0 ? 0 : time > TIME_MAX_NS ? TIME_MAX_NS : time;
	if (!p->started || time < p->now - CLOCK_STEP_NS || time > p->now)
		p->now = time;
	p->started = true;
	return true;
}

static void take_extra(struct meter *m, struct decoded *d, uint32_t first, uint32_t end)
{
	static const struct packet_extra none;

	for (uint32_t i = first; i < end; i++)
		if (meter_classify(m, &d->key[i], &d->facts[i]))
			meter_count_extra(m, d->extra ? &d->extra[i] : &none, &d->key[i], &d->facts[i]);
}

/* Leave out what is not to be counted; answers how many are left. */
static uint32_t classify(struct meter *m, struct flow_key *key, struct packet_facts *facts, uint32_t count)
{
	const bool as_it_is = m->options.directions == DIRECTIONS_BOTH && !m->options.dscp_key;
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (unlikely(!as_it_is || facts[i].fragment != 0) && !meter_classify(m, &key[i], &facts[i]))
			continue;
		if (unlikely(n != i)) {
			key[n] = key[i];
			facts[n] = facts[i];
		}
		n++;
	}
	return n;
}

static void take_plain(struct meter *m, struct decoded *d, uint32_t first, uint32_t end, int64_t to_wall)
{
	for (uint32_t i = first; i < end; i += PACKET_BATCH_MAX) {
		const uint32_t left = end - i < PACKET_BATCH_MAX ? end - i : PACKET_BATCH_MAX;
		const uint32_t n = classify(m, d->key + i, d->facts + i, left);

		meter_count(m, d->key + i, d->facts + i, n, to_wall);
	}
}

void meter_take(struct meter *m, struct decoded *d, int64_t to_wall)
{
	uint32_t first = 0;

	m->clock.to_wall = to_wall;
	for (uint32_t i = 0; i <= d->pace_count; i++) {
		const uint32_t end = i < d->pace_count ? d->pace[i].before : d->count;

		if (m->store.extra)
			take_extra(m, d, first, end);
		else
			take_plain(m, d, first, end, to_wall);
		if (i < d->pace_count)
			(void)meter_clock_to(m, d->pace[i].time);
		first = end;
	}
}
