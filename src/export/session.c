#include "export/session.h"

#include <stdio.h>

/* A message waits this long for more records. With a turn at least twice a second none is older than a second
 * when it leaves. */
#define DATA_WAIT_NS (NS_PER_S / 2)

/* So many messages in one call cost as much as one by itself, and count so. */
enum { RUN_SHARE = 8 };

/* RFC 7011 8.4: over UDP a new template goes out in more than one message before its first data. */
enum { COPIES_RELIABLE = 1, COPIES_UNRELIABLE = 2 };

static void log_lossy(struct session *s, const struct session_context *context, const char *why)
{
	char name[320];

	if (s->lossy)
		return;
	s->lossy = true;
	session_name(s, name, sizeof name);
	log_warn(context->log,
		 "collector %s: records are given up: %s; they are counted and show in the sequence", name,
		 why);
}

static void count_not_sent(struct session *s, const struct session_context *context, uint64_t flows,
			   uint64_t packets, uint64_t octets, struct wall_ns wall)
{
	struct session_statistics *c = &s->statistics;

	if (flows == 0)
		return;
	c->not_sent_flows += flows;
	c->not_sent_packets += packets;
	c->not_sent_octets += octets;
	c->last_not_sent_ms = wall_ms(wall);
	if (!c->first_not_sent_ms)
		c->first_not_sent_ms = c->last_not_sent_ms;
	log_lossy(s, context,
		  *s->failure.text ? s->failure.text : "the collector takes less than is metered");
}

void session_count_lost(struct session *s, const struct session_context *context, uint64_t flows,
			uint64_t packets, uint64_t octets, struct wall_ns wall)
{
	count_not_sent(s, context, flows, packets, octets, wall);
	s->sequence += (uint32_t)flows;
}

void session_begin_message(const struct session *s, struct outgoing *out)
{
	message_begin(&out->writer, out->buffer, s->transport->type->message_limit(s->transport));
	out->templates = 0;
}

void session_restart_data(struct session *s)
{
	session_begin_message(s, &s->data);
	s->built_to = s->taken_to;
	s->building = (struct flight){0};
}

/* The sequence has counted these when they were sent. */
static void flight_lost(struct session *s, const struct session_context *context, const struct flight *f,
			struct wall_ns wall)
{
	count_not_sent(s, context, f->flows, f->packets, f->octets, wall);
}

static void arrived(struct session *s, const struct flight *f, uint64_t *spooled)
{
	if (f->spooled)
		*spooled = f->end;
	else if (f->end > s->sent_to)
		s->sent_to = f->end;
}

/* The connection broke, and its peer may not have read the last `d->unread` of what it acknowledged. They are
 * not sent again, for they would mostly come twice. */
static void count_unsure(struct session *s, const struct session_context *context, const struct delivery *d,
			 struct wall_ns wall)
{
	struct acknowledged *a = &s->acknowledged;
	struct flight unsure = {0};

	while (a->count > 0 && a->entry[a->count - 1].mark > d->confirmed - d->unread) {
		a->count--;
		unsure.flows += (uint32_t)a->entry[a->count].flows;
		unsure.packets += a->entry[a->count].packets;
		unsure.octets += a->entry[a->count].octets;
	}
	a->count = 0;
	s->statistics.unsure_flows += unsure.flows;
	flight_lost(s, context, &unsure, wall);
}

void session_confirm_flights(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	const struct flight *f;
	struct delivery d;
	uint64_t spooled = 0;

	if (s->flights.count == 0 && s->acknowledged.count == 0)
		return;
	while ((d = s->transport->type->delivery(s->transport)).lost) {
		for (uint32_t i = 0; i < s->flights.count; i++) {
			struct flight *one = flight_at(&s->flights, i);

			one->lost |= one->mark == d.lost;
		}
	}
	while ((f = flight_pop(&s->flights, d.confirmed))) {
		if (f->lost) {
			flight_lost(s, context, f, wall);
		} else {
			s->statistics.flow_records += f->flows;
			acknowledged_push(&s->acknowledged, f);
		}
		arrived(s, f, &spooled);
	}
	if (d.unread)
		count_unsure(s, context, &d, wall);
	if (spooled)
		spool_confirm(s->spool, spooled);
}

static bool is_let_go(const struct session *s, const struct flight *f)
{
	return f->end <= (f->spooled ? spool_confirmed(s->spool) : s->sent_to);
}

void session_flights_broken(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	const struct flight *f;

	s->acknowledged.count = 0;
	while ((f = flight_pop(&s->flights, UINT64_MAX))) {
		if (is_let_go(s, f))
			flight_lost(s, context, f, wall);
	}
	if (s->spool)
		spool_rewind(s->spool);
	s->taken_to = s->sent_to;
	session_restart_data(s);
}

/* Room in the ring is needed: let go of records in flight. They may still arrive, so they are counted when
 * that is known. */
void session_release_flights(struct session *s, uint64_t until)
{
	for (uint32_t i = 0; i < s->flights.count && s->sent_to < until; i++) {
		const struct flight *f = flight_at(&s->flights, i);

		if (!f->spooled && f->end > s->sent_to)
			s->sent_to = f->end;
	}
}

void session_give_up(struct session *s, const struct session_context *context, uint64_t until,
		     struct wall_ns wall)
{
	uint64_t flows = 0, packets = 0, octets = 0;
	struct ring_view v;
	enum status st = OK;

	run_give_up(s, context, wall);
	session_release_flights(s, until);
	while (s->sent_to < until && (st = ring_peek(context->ring, s->sent_to, &v)) == OK) {
		flows++;
		packets += v.packets;
		octets += v.octets;
		s->sent_to = v.next;
	}
	if (st == ERR_FORMAT)
		s->sent_to = ring_head(context->ring);
	if (s->taken_to < s->sent_to)
		s->taken_to = s->sent_to;
	session_restart_data(s);
	session_count_lost(s, context, flows, packets, octets, wall);
}

void session_abandon_waiting(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	session_confirm_flights(s, context, wall);
	if (s->spool)
		session_spill(s, context, (struct moment){mono_now(), wall}, true);
	session_give_up(s, context, ring_head(context->ring), wall);
}

void session_flights_lost(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	const struct flight *f;

	while ((f = flight_pop(&s->flights, UINT64_MAX)))
		flight_lost(s, context, f, wall);
}

void session_abandon(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	session_abandon_waiting(s, context, wall);
	session_flights_lost(s, context, wall);
}

void session_log_outcome(const struct session *s, const struct session_context *context)
{
	const struct session_statistics *c = &s->statistics;

	if (c->not_sent_flows)
		log_warn(context->log, "collector %s: %llu flow records were not sent", s->endpoint.host,
			 (unsigned long long)c->not_sent_flows);
	if (c->unsure_flows)
		log_warn(context->log,
			 "collector %s: %llu of them perhaps were: its system had them when the connection "
			 "ended, and whether it has read them is not known",
			 s->endpoint.host, (unsigned long long)c->unsure_flows);
}

static enum status put_template(const struct layout *layout, struct outgoing *out, uint64_t bit)
{
	uint8_t octets[TEMPLATE_RECORD_MAX];
	const size_t length = layout_template(layout, octets);
	const enum status st =
		message_put_record(&out->writer, layout_template_set(layout), span_of(octets, length));

	if (st == OK)
		out->templates |= bit;
	return st;
}

/* The template goes in front of its record, both or neither. */
static enum status put_with_template(const struct session *s, const struct layout *layout,
				     struct outgoing *out, uint64_t bit, struct span record)
{
	const struct message_writer before = out->writer;

	if (s->copies_wanted > 1 && !(s->announced & bit))
		return AGAIN;
	enum status st = put_template(layout, out, bit);
	if (st == OK)
		st = message_put_record(&out->writer, layout->template_id, record);
	if (st != OK) {
		out->writer = before;
		out->templates &= ~bit;
	}
	return st;
}

enum status session_put(const struct session *s, const struct session_context *context, struct outgoing *out,
			uint32_t number, struct span record)
{
	const struct layout *layout = &context->layout[number];
	const uint64_t bit = 1ULL << number;

	if ((s->settled | out->templates) & bit)
		return message_put_record(&out->writer, layout->template_id, record);
	return put_with_template(s, layout, out, bit, record);
}

/* Export Time is the moment of sending, and never earlier than that of a message before (RFC 7011 8.2): a
 * clock set back must not make data look older than its template. */
uint32_t session_export_time(struct session *s, struct wall_ns wall)
{
	const uint32_t seconds = (uint32_t)(wall_ms(wall) / 1000);

	/* Modulo 2^32 (RFC 7011 5.2): "later" is the nearer way round. */
	if (s->statistics.messages == 0 || (int32_t)(seconds - s->last_export_time) > 0)
		s->last_export_time = seconds;
	return s->last_export_time;
}

enum status session_send(struct session *s, const struct session_context *context, struct outgoing *out,
			 struct wall_ns wall)
{
	struct error err = {""};
	const struct span message = message_finish(&out->writer, session_export_time(s, wall), s->sequence,
						   context->options.domain);
	const enum status st = s->transport->type->send(s->transport, message, &err);

	if (st == OK) {
		s->last_domain = context->options.domain;
		s->fresh_keys |= out->templates & ~s->announced & FLOW_TEMPLATES;
		s->settled |= s->copies_wanted > 1 ? out->templates & s->announced : out->templates;
		s->announced |= out->templates;
		s->sequence += out->writer.data_records;
		s->statistics.messages++;
		s->statistics.octets += message.length;
		s->statistics.data_records += out->writer.data_records;
		return OK;
	}
	/* A limit that has not moved will not let it pass next time either: wait instead of turning round. */
	if (st == ERR_LIMIT && s->transport->type->message_limit(s->transport) >= message.length)
		return AGAIN;
	if (st == AGAIN || st == ERR_LIMIT)
		return st;
	if (!*s->failure.text)
		s->failure = err;
	return ERR_SYSTEM;
}

size_t session_empty_message(struct session *s, uint8_t *out, size_t size)
{
	struct message_writer w;

	if (size < IPFIX_HEADER_LENGTH || s->statistics.messages == 0)
		return 0;
	message_begin(&w, out, size);
	s->statistics.messages++;
	s->statistics.octets += IPFIX_HEADER_LENGTH;
	return message_finish(&w, s->last_export_time, s->sequence, s->last_domain).length;
}

/* AGAIN: a template has to go first. ERR_LIMIT: the message is full. END: no more records. */
static enum status fill(struct session *s, const struct session_context *context, struct moment t)
{
	struct ring_view v;
	enum status st;

	while ((st = ring_peek(context->ring, s->built_to, &v)) == OK) {
		if (!session_knows_record(context, &v)) {
			st = ERR_FORMAT;
			break;
		}
		st = session_put(s, context, &s->data, v.layout, span_of(v.data, v.length));
		if (st == AGAIN)
			s->due.templates |= 1ULL << v.layout;
		if (st != OK)
			return st;
		if (s->built_to == s->taken_to)
			s->data_since = t.now.ns;
		s->built_to = v.next;
		s->building.flows++;
		s->building.packets += v.packets;
		s->building.octets += v.octets;
	}
	if (st == ERR_FORMAT) /* the ring is damaged; only another process could have done that */
		session_give_up(s, context, ring_head(context->ring), t.wall);
	return END;
}

void session_taken(struct session *s, struct flight *records)
{
	uint64_t spooled = 0;

	if (!records->spooled)
		s->taken_to = records->end;
	if (s->transport->type->delivery) {
		records->mark = s->transport->type->delivery(s->transport).taken;
		flight_push(&s->flights, records);
		return;
	}
	s->statistics.flow_records += records->flows;
	arrived(s, records, &spooled);
	if (spooled)
		spool_confirm(s->spool, spooled);
}

/* OK: the message is gone, one way or the other. AGAIN: the transport takes nothing now. */
static enum status send_data(struct session *s, const struct session_context *context, struct moment t)
{
	const enum status st = session_send(s, context, &s->data, t.wall);

	if (st == AGAIN)
		return AGAIN;
	if (st == ERR_SYSTEM) {
		session_give_up(s, context, s->built_to, t.wall);
		return OK;
	}
	if (st == OK) {
		s->building.end = s->built_to;
		session_taken(s, &s->building);
		s->messages_since++;
	}
	session_restart_data(s); /* after ERR_LIMIT: the same records in smaller messages */
	return OK;
}

enum turn session_turn(struct session *s, const struct session_context *context, struct moment t,
		       uint32_t budget, bool last)
{
	session_confirm_flights(s, context, t.wall); /* what service ends is known in full next time */
	if (s->transport->type->service)
		s->transport->type->service(s->transport);
	session_failover(s, context, t);
	if (s->spool)
		session_spill(s, context, t, false);
	control_check_timers(s, context, t);
	while (budget-- > 0) {
		if (s->transport->type->message_limit(s->transport) < context->smallest_message)
			return TURN_BLOCKED;
		if (control_is_due(s, last)) {
			if (control_send(s, context, t, last) == AGAIN)
				return TURN_BLOCKED;
			continue;
		}
		if (!last && (s->group.returning || t.now.ns < s->group.trial_until))
			return TURN_BLOCKED;
		if (run_is_due(s, context, last)) {
			if (!last && run_is_early(s))
				return TURN_MORE;
			uint32_t messages = 0;
			const enum status many = run_send(s, context, t, &messages);

			if (many == AGAIN)
				return TURN_BLOCKED;
			budget -= messages / RUN_SHARE < budget ? messages / RUN_SHARE : budget;
			if (many == OK)
				continue;
		}
		if (message_is_empty(&s->data.writer))
			session_restart_data(s); /* the limit may have moved since */
		const enum status filled = fill(s, context, t);
		if (filled == AGAIN) /* a template goes first; this message waits for its record */
			continue;
		const bool waits = filled == END && !last && t.now.ns - s->data_since < DATA_WAIT_NS;
		if (waits || message_is_empty(&s->data.writer)) {
			const enum status replayed = last ? END : session_replay(s, context, t);

			if (replayed == OK)
				continue;
			return replayed == AGAIN || (last && s->flights.count) ? TURN_BLOCKED : TURN_IDLE;
		}
		if (s->flights.count == FLIGHT_MAX || send_data(s, context, t) == AGAIN)
			return TURN_BLOCKED;
	}
	return TURN_MORE;
}
