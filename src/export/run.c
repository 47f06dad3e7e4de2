#include "export/run.h"

#include "export/session.h"

/* Messages side by side in the buffer, and what they hold. */
struct bundle {
	uint32_t layout;
	uint32_t messages, flows;
	size_t each, length; /* octets of a message, but for the last one; of all */
	uint16_t next;       /* the first record behind them */
};

bool run_is_due(const struct session *s, const struct session_context *context, bool last)
{
	if (!s->run || s->run->left)
		return s->run;
	return (context->options.packet_time || !last) && ring_head(context->ring) - s->taken_to >= RUN_LEAST;
}

bool run_is_early(const struct session *s)
{
	return s->run->pause_until && mono_now().ns < s->run->pause_until;
}

static uint32_t most_messages(const struct session *s, const struct session_context *context)
{
	const uint32_t most = s->transport->type->many(s->transport);

	return context->options.packet_time || most < RUN_LIVE ? most : RUN_LIVE;
}

static void add(struct run *run, uint16_t index, const struct ring_view *v, uint64_t position)
{
	run->entry[index] = (struct run_entry){.data = v->data,
					       .offset = (uint32_t)(position - run->begin),
					       .length = v->length,
					       .next = RUN_RECORDS};
	if (run->first[v->layout] == RUN_RECORDS)
		run->first[v->layout] = index;
	else
		run->entry[run->last[v->layout]].next = index;
	run->last[v->layout] = index;
}

/* A window up to a record whose template has to go first, or that is damage: both are for the other way. */
static bool gather(struct session *s, const struct session_context *context)
{
	struct run *run = s->run;
	const uint64_t share = ring_capacity(context->ring) / 8, most = share < RUN_MOST ? share : RUN_MOST;
	uint64_t at = s->taken_to;
	uint16_t count = 0;
	struct ring_view v;

	run->begin = at;
	for (uint32_t i = 0; i < FLOW_LAYOUT_COUNT; i++)
		run->first[i] = RUN_RECORDS;
	while (count < RUN_RECORDS && at - run->begin < most && ring_peek(context->ring, at, &v) == OK &&
	       session_knows_record(context, &v) && s->settled >> v.layout & 1) {
		add(run, count++, &v, at);
		at = v.next;
	}
	if (count < RUN_LEAST_RECORDS)
		return false;
	run->end = at;
	run->left = count;
	session_restart_data(s); /* what waited for company has it */
	return true;
}

/* One message of records that follow each other; answers its octets. *index: behind its last record. */
static size_t fill_message(const struct run *run, struct message_writer *w, uint16_t template_id,
			   uint16_t *index)
{
	const struct run_entry *e = &run->entry[*index];

	if (message_put_record(w, template_id, span_of(e->data, e->length)) != OK)
		return 0; /* there is room for any one record: see smallest_message */
	for (*index = e->next; *index != RUN_RECORDS; *index = e->next) {
		e = &run->entry[*index];
		if (!message_add_record(w, span_of(e->data, e->length)))
			break;
	}
	return w->used;
}

static struct bundle build(struct session *s, const struct session_context *context, uint32_t time)
{
	const struct transport_type *type = s->transport->type;
	const size_t limit = type->message_limit(s->transport);
	const uint32_t most = most_messages(s, context);
	struct run *run = s->run;
	struct bundle b = {0};

	while (run->first[b.layout] == RUN_RECORDS)
		b.layout++;
	b.next = run->first[b.layout];
	while (b.next != RUN_RECORDS && b.messages < most && b.length + limit <= RUN_OCTETS) {
		uint16_t next = b.next;
		struct message_writer w;

		message_begin(&w, run->buffer + b.length, limit);
		const size_t length = fill_message(run, &w, context->layout[b.layout].template_id, &next);
		if (b.messages == 0)
			b.each = length;
		else if (length > b.each)
			break;
		message_finish(&w, time, s->sequence + b.flows, context->options.domain);
		b.length += length;
		b.flows += w.data_records;
		b.messages++;
		b.next = next;
		if (length < b.each)
			break;
	}
	return b;
}

static void take_away(struct session *s, const struct bundle *b)
{
	struct run *run = s->run;

	run->first[b->layout] = b->next;
	run->left -= b->flows;
	if (run->left)
		return;
	s->sent_to = s->taken_to = run->end;
	session_restart_data(s);
}

/* Records of one layout, `first` up to `next`, are not sent. */
static void count_lost(struct session *s, const struct session_context *context, uint16_t first,
		       uint16_t next, struct wall_ns wall)
{
	uint64_t flows = 0, packets = 0, octets = 0;
	struct ring_view v;

	for (; first != next; first = s->run->entry[first].next) {
		flows++;
		if (ring_peek(context->ring, s->run->begin + s->run->entry[first].offset, &v) != OK)
			continue;
		packets += v.packets;
		octets += v.octets;
	}
	session_count_lost(s, context, flows, packets, octets, wall);
}

static void count_sent(struct session *s, const struct bundle *b)
{
	s->sequence += b->flows;
	s->messages_since += b->messages;
	s->statistics.messages += b->messages;
	s->statistics.octets += b->length;
	s->statistics.data_records += b->flows;
	s->statistics.flow_records += b->flows;
}

enum status run_send(struct session *s, const struct session_context *context, struct moment t,
		     uint32_t *messages)
{
	const struct transport_type *type = s->transport->type;
	struct error err = {""};

	if (!s->run->left && !gather(s, context))
		return END;
	const struct bundle b = build(s, context, session_export_time(s, t.wall));
	const struct span all = span_of(s->run->buffer, b.length);

	*messages = b.messages;
	if (b.flows == 0)
		return AGAIN;
	switch (b.messages > 1 ? type->send_many(s->transport, all, b.each, &err)
			       : type->send(s->transport, all, &err)) {
	case OK:
		count_sent(s, &b);
		if (!context->options.packet_time)
			s->run->pause_until = mono_now().ns + RUN_LIVE_NS * b.messages;
		break;
	case AGAIN: return AGAIN;
	case ERR_UNSUPPORTED: return OK; /* from now on one by one */
	case ERR_LIMIT: /* the same records in smaller messages, if they may not be as long */
		return type->message_limit(s->transport) >= b.each ? AGAIN : OK;
	default:
		if (!*s->failure.text)
			s->failure = err;
		count_lost(s, context, s->run->first[b.layout], b.next, t.wall);
	}
	take_away(s, &b);
	return OK;
}

void run_give_up(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	struct run *run = s->run;

	if (!run || !run->left)
		return;
	for (uint32_t i = 0; i < FLOW_LAYOUT_COUNT; i++)
		count_lost(s, context, run->first[i], RUN_RECORDS, wall);
	run->left = 0;
	s->sent_to = s->taken_to = run->end;
	session_restart_data(s);
}
