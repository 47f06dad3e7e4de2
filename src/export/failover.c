/* The members of a session: opening, naming, and going from one to the other (group.h). */
#include <stdio.h>
#include <stdlib.h>

#include "export/session.h"

/* For what is in flight to a member that works, when a better one is back. */
#define RETURN_WAIT_NS (10 * NS_PER_S)
#define FINISH_WAIT_NS (3 * NS_PER_S) /* of them: for that member to read all of it */

enum { COPIES_RELIABLE = 1, COPIES_UNRELIABLE = 2 }; /* of a new template: RFC 7011 8.4 */

/* transport_options.question. A member that is not in use has nothing to ask. */
static size_t empty_message(void *arg, uint8_t *out, size_t size)
{
	const struct member *m = arg;

	return m->session->transport == m->transport ? session_empty_message(m->session, out, size) : 0;
}

static enum status open_member(struct member *m, struct transport **out,
			       const struct session_context *context, struct error *err)
{
	const bool file = m->endpoint.type->default_port == 0;
	const struct transport_options options = {
		.log = context->log,
		.max_message = file ? 0 : context->options.max_message, /* a file has no path MTU */
		.reconnect_ns = context->options.reconnect_ns,
		.lifetime_ns = context->options.lifetime_ns,
		.tls = &context->options.tls,
		.question = empty_message,
		.question_arg = m,
	};
	const enum status st = m->endpoint.type->open(out, &m->endpoint, &options, err);
	char name[320];

	if (st == OK)
		return OK;
	*out = NULL;
	endpoint_print(&m->endpoint, name, sizeof name);
	return error_prefix(err, st, "collector %s", name);
}

static void use(struct session *s, uint32_t member)
{
	const struct member *m = &s->group.member[member];

	s->group.active = member;
	s->endpoint = m->endpoint;
	s->transport = m->transport;
	s->file = m->endpoint.type->default_port == 0;
	s->copies_wanted = m->endpoint.type->reliable ? COPIES_RELIABLE : COPIES_UNRELIABLE;
}

enum status session_open(struct session *s, const struct session_context *context, const struct endpoint *to,
			 uint32_t count, struct error *err)
{
	s->group.count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct member *m = &s->group.member[i];
		m->session = s;
		m->endpoint = to[i];
		const enum status st = open_member(m, &m->transport, context, err);
		if (st != OK)
			return st;
	}
	use(s, 0);
	if (count == 1 &&
	    s->transport->type->send_many) /* what one member of a group was sent is told exactly */
		s->run = calloc(1, sizeof *s->run);
	session_restart_data(s);
	return OK;
}

static void close_member(struct member *m)
{
	if (!m->transport)
		return;
	m->counted += m->transport->errors;
	m->transport->type->close(m->transport);
	m->transport = NULL;
}

void session_close(struct session *s)
{
	for (uint32_t i = 0; i < s->group.count; i++)
		close_member(&s->group.member[i]);
	spool_close(s->spool);
	free(s->run);
	s->run = NULL;
	s->spool = NULL;
	s->transport = NULL;
}

void session_end(struct session *s)
{
	if (!s)
		return;
	session_end(s->successor);
	session_close(s);
	free(s);
}

void session_name(const struct session *s, char *out, size_t size)
{
	endpoint_print(&s->endpoint, out, size);
}

/* A transport that was finished takes nothing any more: another one in its place. */
static void reopen(struct member *m, const struct session_context *context)
{
	struct error err;

	close_member(m);
	m->up = false;
	m->since = 0;
	m->errors = 0;
	if (open_member(m, &m->transport, context, &err) != OK)
		log_warn(context->log, "%s; it stands by no more", err.text);
}

/* Members below the one in use are not spoken to: their connections end, in order. */
static void dismiss_lower(struct session *s, const struct session_context *context)
{
	struct group *g = &s->group;

	for (uint32_t i = g->active + 1; i <= g->reach; i++) {
		struct member *m = &g->member[i];

		if (!m->transport || m->transport->type->state)
			reopen(m, context);
	}
	g->reach = g->active;
}

/* A new Transport Session; over UDP one that goes on, because the socket is the same. */
static void switch_to(struct session *s, const struct session_context *context, struct moment t,
		      uint32_t member, bool urgent)
{
	struct group *g = &s->group;
	const uint32_t before = g->active;
	char from[320], to[320];

	session_confirm_flights(s, context, t.wall);
	g->member[before].sequence = s->sequence;
	session_name(s, from, sizeof from);
	use(s, member);
	session_name(s, to, sizeof to);
	session_restart(s, context, t);
	if (!g->member[member].endpoint.type->reliable)
		s->sequence = g->member[member].sequence;
	g->trial_until = s->transport->type->state ? 0 : t.now.ns + TRIAL_NS;
	g->returning = false;
	s->statistics.switches++;
	if (urgent)
		log_warn(context->log, "collector %s is away: records go to %s", from, to);
	else
		log_info(context->log, "collector %s is back: records go there, no more to %s", to, from);
	if (g->finishing)
		reopen(&g->member[before], context);
	g->finishing = false;
	if (!urgent)
		dismiss_lower(s, context);
}

/* The better member went away again before the end of this one's connection: it is used on. */
static void stay(struct session *s, const struct session_context *context, struct moment t)
{
	struct group *g = &s->group;
	struct member *m = &g->member[g->active];
	struct transport *anew = NULL;
	struct error err;

	if (g->finishing && open_member(m, &anew, context, &err) != OK)
		return; /* next time */
	if (g->finishing) {
		session_confirm_flights(s, context, t.wall);
		close_member(m);
		m->transport = anew;
		m->since = 0;
		m->errors = 0;
		use(s, g->active);
		session_restart(s, context, t);
	}
	g->finishing = g->returning = false;
}

/* Records wait until those sent have arrived, then until the collector has read them and ended its side.
 * true: it is time to switch. */
static bool is_finished(struct session *s)
{
	const struct transport_type *type = s->transport->type;

	if (s->flights.count > 0)
		return false;
	if (!type->finish)
		return true;
	if (!s->group.finishing)
		type->finish(s->transport, FINISH_WAIT_NS);
	s->group.finishing = true;
	return type->state(s->transport) == TRANSPORT_DOWN;
}

void session_failover(struct session *s, const struct session_context *context, struct moment t)
{
	const int64_t hold = context->options.failover_hold_ns;
	struct group *g = &s->group;
	bool urgent;

	group_observe(g, t.now.ns, hold);
	const bool away = group_away(g);
	s->away_since = !away ? 0 : s->away_since ? s->away_since : t.now.ns;
	if (g->count == 1)
		return;
	if (!s->transport->type->state && (!s->started || !g->member[g->active].up))
		g->trial_until = t.now.ns + TRIAL_NS;
	const uint32_t best = group_choose(g, t.now.ns, hold, &urgent);
	if (best == g->active) {
		stay(s, context, t);
		return;
	}
	if (!urgent && !g->returning) {
		g->returning = true;
		g->return_at = t.now.ns + RETURN_WAIT_NS;
	}
	if (urgent || t.now.ns >= g->return_at || is_finished(s))
		switch_to(s, context, t, best, urgent);
}
