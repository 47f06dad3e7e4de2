/* The end of sessions, in order (RFC 7011 10.2.4, 10.4.4): records, a last set of options, then the end of
 * each connection and the collector's answer to it. All sessions end side by side. */
#include <poll.h>

#include "export/exporter_state.h"

enum {
	LAST_MESSAGES = 64, /* of each collector in one turn */
	FINISH_POLL_MS = 10,
};

/* For a collector that takes nothing; and in all, however slowly it takes something. */
#define TAKE_WAIT_NS (2 * NS_PER_S)
#define TAKE_MOST_NS (30 * NS_PER_S)

/* For one that did not even take the records. */
#define HURRY_NS (NS_PER_S / 2)

void session_finish_connections(struct session *s, int64_t patience_ns)
{
	for (uint32_t i = 0; i < s->group.count; i++) {
		struct transport *t = s->group.member[i].transport;

		if (t && t->type->finish)
			t->type->finish(t, patience_ns);
	}
}

bool session_connections_ended(struct session *s, const struct session_context *context, struct wall_ns wall)
{
	bool ended = true;

	session_confirm_flights(s, context, wall);
	for (uint32_t i = 0; i < s->group.count; i++) {
		struct transport *t = s->group.member[i].transport;

		if (!t || !t->type->finish)
			continue;
		if (t->type->state(t) != TRANSPORT_DOWN)
			t->type->service(t);
		ended &= t->type->state(t) == TRANSPORT_DOWN;
	}
	session_confirm_flights(s, context, wall);
	return ended;
}

/* It takes no more, or there is no more: the connection ends. */
static void end_connections(struct session *s, bool in_time)
{
	session_finish_connections(s, in_time ? FINISH_PATIENCE_NS : HURRY_NS);
	s->ending = ENDING_CONNECTIONS;
}

/* true: something was sent or arrived. */
static bool end_records(struct exporter *e, struct session *s)
{
	const struct session_statistics *c = &s->statistics;
	const uint64_t before = c->messages + c->flow_records;
	const enum turn turn = session_turn(s, &e->context, *exporter_time_of(e, s), LAST_MESSAGES, true);
	const bool moved = c->messages + c->flow_records != before;
	const int64_t now = mono_now().ns;

	s->end_most = s->end_most ? s->end_most : now + TAKE_MOST_NS;
	if (!s->end_until || (moved && now < s->end_most))
		s->end_until = now + TAKE_WAIT_NS;
	if (turn == TURN_IDLE && s->ending == ENDING_RECORDS) {
		session_options_due(s, &e->context);
		s->ending = ENDING_OPTIONS;
		return true;
	}
	if (turn == TURN_IDLE || (now >= s->end_until && !moved) || now >= s->end_most)
		end_connections(s, turn == TURN_IDLE);
	return moved || s->ending == ENDING_CONNECTIONS;
}

void exporter_finish_begin(struct exporter *e, struct mono_ns now, struct wall_ns wall)
{
	exporter_set_time(e, now, wall);
}

bool exporter_finish_turn(struct exporter *e)
{
	bool done = !exporter_serve_leaving(e);

	e->busy = false;
	for (uint32_t i = 0; i < e->session_count; i++) {
		struct session *s = e->session[i];

		if (s->leaving)
			continue;
		if (s->ending < ENDING_CONNECTIONS)
			e->busy |= end_records(e, s);
		else if (s->ending == ENDING_CONNECTIONS &&
			 session_connections_ended(s, &e->context, exporter_time_of(e, s)->wall))
			s->ending = ENDED;
		done &= s->ending == ENDED;
	}
	return done;
}

/* For room, or for the collector's end. */
void exporter_finish_wait(const struct exporter *e)
{
	struct pollfd p[COLLECTOR_MAX];
	nfds_t count = 0;

	if (e->busy)
		return;
	for (uint32_t i = 0; i < e->session_count; i++) {
		const struct session *s = e->session[i];
		const int fd = s->ending == ENDED ? -1 : s->transport->type->poll_fd(s->transport);

		if (fd >= 0)
			p[count++] = (struct pollfd){
				.fd = fd, .events = s->ending < ENDING_CONNECTIONS ? POLLOUT : POLLIN};
	}
	/* What is ready may still be of no use: an acknowledgement is waited for. */
	poll(NULL, 0, count && poll(p, count, FINISH_POLL_MS) == 0 ? 0 : 1);
}

static enum status conclude(struct exporter *e, struct session *s, struct error *err)
{
	const struct transport_type *type = s->transport->type;

	session_abandon(s, &e->context, exporter_time_of(e, s)->wall);
	session_log_outcome(s, &e->context);
	if (s->spool && !spool_is_empty(s->spool))
		log_info(e->context.log, "collector %s: flow records wait in the spool for the next start",
			 s->endpoint.host);
	if (s->file && *s->failure.text)
		return error_set(err, ERR_SYSTEM, "%s", s->failure.text);
	return type->flush ? type->flush(s->transport, err) : OK;
}

enum status exporter_finish(struct exporter *e, struct mono_ns now, struct wall_ns wall, struct error *err)
{
	enum status result = OK;

	exporter_finish_begin(e, now, wall);
	while (!exporter_finish_turn(e))
		exporter_finish_wait(e);
	for (uint32_t i = 0; i < e->session_count; i++) {
		const enum status st = conclude(e, e->session[i], result == OK ? err : NULL);

		result = result == OK ? st : result;
	}
	exporter_release_ring(e);
	return result;
}
