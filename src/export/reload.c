/* Other options for an exporter that runs. New sessions are made first, so that a mistake changes nothing. */
#include <stdlib.h>

#include "export/exporter_state.h"

enum { LAST_MESSAGES = 64 }; /* of a session that ends */

/* One reload: what the sessions will be. */
struct plan {
	struct session *session[COLLECTOR_MAX];
	struct session
		*before[COLLECTOR_MAX]; /* the one it takes over from; the same: it stays; NULL: none */
	uint32_t count;
};

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return a->type == b->type && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static bool same_members(const struct session *s, const struct endpoint *to, uint32_t count)
{
	if (s->group.count != count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (!same_endpoint(&s->group.member[i].endpoint, &to[i]))
			return false;
	}
	return true;
}

static bool same_tls(const struct tls_options *a, const struct tls_options *b)
{
	bool same = strcmp(a->certificate, b->certificate) == 0 && strcmp(a->key, b->key) == 0 &&
		    strcmp(a->ca, b->ca) == 0 && strcmp(a->server_name, b->server_name) == 0 &&
		    a->minimum == b->minimum && a->allowed_count == b->allowed_count;

	for (uint32_t i = 0; same && i < a->allowed_count; i++)
		same = strcmp(a->allowed[i], b->allowed[i]) == 0;
	return same;
}

/* What a transport was told when it was opened. */
static bool same_settings(const struct session *s, const struct exporter_options *a,
			  const struct exporter_options *b)
{
	if (session_wants_spool(s) &&
	    (strcmp(a->spool_folder, b->spool_folder) != 0 || a->spool_size != b->spool_size))
		return false;
	for (uint32_t i = 0; i < s->group.count; i++) {
		const struct transport_type *type = s->group.member[i].endpoint.type;

		if (type->default_port && a->max_message != b->max_message)
			return false;
		if (type->state && (a->reconnect_ns != b->reconnect_ns || a->lifetime_ns != b->lifetime_ns))
			return false;
		if (type->secure && !same_tls(&a->tls, &b->tls))
			return false;
	}
	return true;
}

static struct session *find(const struct exporter *e, const struct endpoint *to, uint32_t count)
{
	for (uint32_t i = 0; i < e->session_count; i++) {
		if (same_members(e->session[i], to, count))
			return e->session[i];
	}
	return NULL;
}

static enum status add(struct exporter *e, struct plan *p, const struct exporter_options *old,
		       const struct endpoint *to, uint32_t count, struct error *err)
{
	struct session *before = find(e, to, count), *s = before;
	enum status st = OK;

	if (!before || !same_settings(before, old, &e->context.options)) {
		s = calloc(1, sizeof *s);
		if (!s)
			return error_set(err, ERR_MEMORY, "exporter: no memory for a session");
		s->sent_to = s->taken_to = s->built_to = ring_head(e->context.ring);
		st = session_open(s, &e->context, to, count, err);
	}
	p->session[p->count] = s;
	p->before[p->count++] = before;
	return st;
}

static void forget(struct plan *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->session[i] == p->before[i])
			continue;
		session_end(p->session[i]);
	}
}

/* What has not arrived goes again, unless its connection was left alone with it; what waits is for the one
 * that follows. */
static void take_over(const struct exporter *e, struct session *s, struct session *before)
{
	const struct transport *t = before->transport;
	const bool left = t->type->delivery && t->type->delivery(before->transport).left;
	const struct wall_ns wall = exporter_time_of(e, before)->wall;

	if (left)
		session_flights_lost(before, &e->context, wall);
	else
		session_flights_broken(before, &e->context, wall);
	s->sent_to = s->taken_to = s->built_to = before->taken_to;
	if (before->run && before->run->left) { /* the same members, so the same transport */
		struct run *window = before->run;

		before->run = s->run;
		s->run = window;
	}
	s->statistics = before->statistics;
	s->last_export_time = before->last_export_time;
	session_restart_data(s);
}

static void say(const struct exporter *e, const struct session *s, const char *what)
{
	char name[320];

	session_name(s, name, sizeof name);
	log_info(e->context.log, "collector %s: %s", name, what);
}

static bool is_kept(const struct plan *p, const struct session *s)
{
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->session[i] == s)
			return true;
	}
	return false;
}

static struct session *follower(const struct plan *p, const struct session *s)
{
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->before[i] == s)
			return p->session[i];
	}
	return NULL;
}

/* It takes no more records, and its connections end. What waits is for the one that follows, or given up. */
static void leave(struct exporter *e, struct session *s, struct session *next)
{
	const struct moment *t = exporter_time_of(e, s);

	(void)session_turn(s, &e->context, *t, LAST_MESSAGES, true);
	session_confirm_flights(s, &e->context, t->wall);
	session_finish_connections(s, FINISH_PATIENCE_NS);
	s->leaving = true;
	s->successor = next;
	say(e, s, next ? "made anew, its settings changed" : "gets no more records");
	if (next)
		return;
	session_abandon_waiting(s, &e->context, t->wall);
	e->leaving[e->leaving_count++] = s;
}

static void begin(struct exporter *e, struct session *s)
{
	struct error err;

	if (session_open_spool(s, &e->context, &err) != OK)
		log_error(e->context.log, "%s; records wait in memory only", err.text);
}

/* Its connections have ended, or are waited for no longer. */
static void depart(struct exporter *e, struct session *s)
{
	struct session *next = s->successor;

	s->successor = NULL;
	if (next) {
		take_over(e, next, s);
	} else {
		session_flights_lost(s, &e->context, exporter_time_of(e, s)->wall);
		session_log_outcome(s, &e->context);
	}
	if (s->transport->type->flush)
		(void)!s->transport->type->flush(s->transport, NULL);
	session_end(s);
	if (next)
		begin(e, next); /* the spool is free now */
}

/* true: it has departed. */
static bool serve_leaving(struct exporter *e, struct session *s)
{
	if (!session_connections_ended(s, &e->context, exporter_time_of(e, s)->wall))
		return false;
	depart(e, s);
	return true;
}

bool exporter_serve_leaving(struct exporter *e)
{
	bool some = false;
	uint32_t left = 0;

	for (uint32_t i = 0; i < e->session_count; i++) {
		struct session *next = e->session[i]->successor;

		if (!e->session[i]->leaving)
			continue;
		if (serve_leaving(e, e->session[i]))
			e->session[i] = next;
		else
			some = true;
	}
	for (uint32_t i = 0; i < e->leaving_count; i++) {
		if (!serve_leaving(e, e->leaving[i]))
			e->leaving[left++] = e->leaving[i];
	}
	e->leaving_count = left;
	return some || left > 0;
}

/* Another reload so soon: those of the one before are waited for no longer. */
static void hurry_leaving(struct exporter *e)
{
	for (uint32_t i = 0; i < e->session_count; i++) {
		if (e->session[i]->leaving)
			session_finish_connections(e->session[i], 0);
	}
	for (uint32_t i = 0; i < e->leaving_count; i++)
		session_finish_connections(e->leaving[i], 0);
	while (exporter_serve_leaving(e))
		; /* ends with the next turn of each transport */
}

/* What can change. The layout of records and who they come from cannot. */
static void take_options(struct exporter_options *o, const struct exporter_options *from)
{
	memcpy(o->collector, from->collector, sizeof o->collector);
	memcpy(o->group, from->group, sizeof o->group);
	o->collector_count = from->collector_count;
	o->failover_hold_ns = from->failover_hold_ns;
	memcpy(o->spool_folder, from->spool_folder, sizeof o->spool_folder);
	o->spool_size = from->spool_size;
	o->spool_rate = from->spool_rate;
	o->template_refresh_ns = from->template_refresh_ns;
	o->template_refresh_messages = from->template_refresh_messages;
	o->options_refresh_ns = from->options_refresh_ns;
	o->max_message = from->max_message;
	o->reconnect_ns = from->reconnect_ns;
	o->lifetime_ns = from->lifetime_ns;
	o->tls = from->tls;
}

/* The one that stands at its place from now on: itself, or for a while the one it follows. */
static struct session *place(struct exporter *e, const struct plan *p, uint32_t i)
{
	struct session *s = p->session[i], *before = p->before[i];

	if (before && before->successor == s)
		return before;
	if (s != before)
		begin(e, s);
	if (!before)
		say(e, s, "gets records from now on");
	return s;
}

enum status exporter_reload(struct exporter *e, const struct exporter_options *options, struct error *err)
{
	const struct exporter_options old = e->context.options;
	struct exporter_options *o = &e->context.options;
	struct plan p = {.count = 0};
	enum status st = exporter_check_options(options, e->context.smallest_message, err);

	if (st != OK)
		return st;
	hurry_leaving(e);
	take_options(o, options);
	for (uint32_t i = 0; i < o->collector_count && st == OK; i += exporter_group_length(o, i))
		st = add(e, &p, &old, &o->collector[i], exporter_group_length(o, i), err);
	if (st != OK) {
		forget(&p);
		*o = old;
		return st;
	}
	for (uint32_t i = 0; i < e->session_count; i++) {
		if (!is_kept(&p, e->session[i]))
			leave(e, e->session[i], follower(&p, e->session[i]));
	}
	for (uint32_t i = 0; i < p.count; i++)
		e->session[i] = place(e, &p, i);
	e->session_count = p.count;
	(void)exporter_serve_leaving(e);
	return OK;
}
