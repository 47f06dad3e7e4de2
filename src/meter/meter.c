#include "meter/state.h"

#include <stdlib.h>

static enum status check_options(const struct meter_options *o, struct error *err)
{
	const struct {
		const char *name;
		int64_t ns;
	} durations[] = {
		{"idle timeout", o->idle_ns}, {"interval", o->interval_ns}, {"linger", o->linger_ns}};

	if (o->max_flows == 0 || o->max_flows > FLOWS_MAX)
		return error_set(err, ERR_LIMIT, "a table of %u flows: allowed are 1 to %d", o->max_flows,
				 FLOWS_MAX);
	if (o->max_denied > FLOWS_MAX)
		return error_set(err, ERR_LIMIT, "a table of %u refused flows: allowed are 0 to %d",
				 o->max_denied, FLOWS_MAX);
	for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++)
		if (durations[i].ns < 0 || durations[i].ns > DURATION_MAX_NS)
			return error_set(err, ERR_LIMIT, "%s of %lld ns: allowed are 0 to %lld",
					 durations[i].name, (long long)durations[i].ns,
					 (long long)DURATION_MAX_NS);
	if (o->interval_ns != 0 && (o->interval_ns < NS_PER_MS || o->interval_ns / NS_PER_MS > UINT32_MAX))
		return error_set(err, ERR_LIMIT, "interval of %lld ns: allowed are 0 and 1 ms to %u ms",
				 (long long)o->interval_ns, UINT32_MAX);
	return OK;
}

/* What only a device with a source of refused frames needs. */
static enum status make_denial(struct meter *m, struct error *err)
{
	if (m->options.max_denied == 0)
		return OK;
	m->owed = owed_table_new(&m->hasher);
	m->passed = m->options.selection ? owed_table_new(&m->hasher) : NULL;
	m->frames = frame_table_new();
	memcpy(&m->frame_secret, m->options.hash_key, sizeof m->frame_secret);
	return m->owed && m->frames && (m->passed || !m->options.selection)
		       ? OK
		       : error_set(err, ERR_MEMORY, "no memory for refused frames");
}

/* Flows that stand for many refused ones are besides the budget: one for each point and direction. */
static uint32_t capacity_of(const struct meter_options *o)
{
	return o->max_flows + o->max_denied + 2 * POINT_MAX;
}

enum status meter_new(struct meter **out, const struct meter_options *options,
		      const struct point_table *points, flow_sink *sink, void *sink_arg, struct error *err)
{
	enum status st = check_options(options, err);

	if (st != OK)
		return st;

	struct meter *m = aligned_alloc(_Alignof(struct meter), sizeof *m);

	if (!m)
		return error_set(err, ERR_MEMORY, "no memory for a meter");
	*m = (struct meter){
		.options = *options,
		.interval_ms = (uint32_t)(options->interval_ns / NS_PER_MS),
		.points = points,
		.sink = sink,
		.sink_arg = sink_arg,
	};
	m->options.flow_id_step = options->flow_id_step ? options->flow_id_step : 1;
	(void)flow_hasher_init(&m->hasher, options->hash_key, FLOW_HASH_BEST);
	m->fragments = fragment_table_new(&m->hasher);
	st = m->fragments ? OK : error_set(err, ERR_MEMORY, "no memory for the fragment table");
	if (st == OK)
		st = flow_index_init(&m->index, err);
	if (st == OK)
		st = make_denial(m, err);
	if (st == OK)
		st = flow_store_init(&m->store, capacity_of(options), options->interval_ns != 0,
				     (options->extras & EXTRA_KEPT) != 0, err);
	if (st == OK)
		*out = m;
	else
		meter_free(m);
	return st;
}

void meter_free(struct meter *m)
{
	if (!m)
		return;
	flow_store_fini(&m->store);
	flow_index_fini(&m->index);
	fragment_table_free(m->fragments);
	owed_table_free(m->owed);
	owed_table_free(m->passed);
	frame_table_free(m->frames);
	free(m);
}

void meter_shed(struct meter *m, unsigned share_log2)
{
	m->shed_mask = (1U << (share_log2 < SHED_MOST ? share_log2 : SHED_MOST)) - 1;
}

bool meter_change(struct meter *m, const struct meter_options *o)
{
	if ((o->idle_ns == 0) != (m->options.idle_ns == 0) ||
	    (o->interval_ns == 0) != (m->options.interval_ns == 0) || check_options(o, NULL) != OK)
		return false;
	m->options.idle_ns = o->idle_ns;
	m->options.linger_ns = o->linger_ns;
	m->options.interval_ns = o->interval_ns;
	m->options.directions = o->directions;
	m->interval_ms = (uint32_t)(o->interval_ns / NS_PER_MS);
	return true;
}

bool meter_use_hash(struct meter *m, enum flow_hash_kind kind)
{
	return flow_hasher_init(&m->hasher, m->options.hash_key, kind);
}

void meter_flush(struct meter *m)
{
	struct flow_store *s = &m->store;

	/* Slot by slot or all slots at once, whichever is less work. */
	const bool one_by_one = s->active < m->index.mask / 16;

	for (uint32_t flow = 0; flow < s->used; flow++) {
		if (!flow_store_holds(s, flow))
			continue;
		if (one_by_one) {
			meter_end_flow(m, flow, flow_hash(&m->hasher, &s->hot[flow].key), END_FORCED);
		} else {
			meter_tell(m, flow, END_FORCED);
			flow_store_give_back(s, flow);
		}
	}
	if (!one_by_one)
		flow_index_clear(&m->index);
	flow_store_rewind(s);
}

void meter_flush_point(struct meter *m, uint32_t point)
{
	struct flow_store *s = &m->store;

	for (uint32_t flow = 0; flow < s->used; flow++)
		if (flow_store_holds(s, flow) && s->hot[flow].key.point % POINT_MAX == point)
			meter_end_flow(m, flow, flow_hash(&m->hasher, &s->hot[flow].key), END_FORCED);
	if (s->active == 0)
		flow_store_rewind(s);
}

void meter_statistics(const struct meter *m, struct meter_statistics *out)
{
	*out = m->statistics;
	out->active_flows = m->store.active;
	out->active_denied = m->store.denied;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void meter_statistics_add(struct meter_statistics *sum, const struct meter_statistics *part)
{
#define ADD(member) sum->member += part->member
	ADD(packets), ADD(octets), ADD(filtered_packets), ADD(filtered_octets);
	for (int i = 0; i < DECODE_OUTCOME_COUNT; i++)
		ADD(outcome[i]);
	ADD(ignored_octets), ADD(shed_packets), ADD(fragments_joined), ADD(fragments_unjoined);
	sum->first_ignored_wall_ms = earlier(sum->first_ignored_wall_ms, part->first_ignored_wall_ms);
	if (part->last_ignored_wall_ms > sum->last_ignored_wall_ms)
		sum->last_ignored_wall_ms = part->last_ignored_wall_ms;
	for (int i = 0; i <= END_RESOURCES; i++)
		ADD(records[i]);
	ADD(flows_created), ADD(evicted), ADD(clock_steps);
	ADD(denied_packets), ADD(denied_octets), ADD(denied_repeated), ADD(denied_overflow);
	ADD(denied_unmatched), ADD(denied_late), ADD(withdrawn_flows), ADD(active_flows), ADD(active_denied);
#undef ADD
}
