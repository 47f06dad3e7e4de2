#include "export/group.h"

#define PATIENCE_NS (5 * NS_PER_S) /* for a connection to come about, or to be renewed */

static bool is_connected(const struct member *m)
{
	return m->transport->type->state(m->transport) == TRANSPORT_UP;
}

/* Nobody answers over UDP; only that something went wrong is told. */
static bool datagrams_pass(struct member *m, bool active, int64_t now, int64_t hold_ns)
{
	const bool refused = m->transport->errors != m->errors;

	m->errors = m->transport->errors;
	if (refused)
		m->since = now;
	if (refused || m->up || !m->was_up)
		return !refused;
	return now - m->since >= (active ? TRIAL_NS : hold_ns);
}

static void observe(struct member *m, bool active, int64_t now, int64_t hold_ns)
{
	const bool connects = m->transport->type->state != NULL;
	const bool up = connects ? is_connected(m) : datagrams_pass(m, active, now, hold_ns);

	if (up != m->up || !m->since)
		m->since = now;
	if (up)
		m->errors = m->transport->errors;
	m->was_up |= up || !connects;
	m->up = up;
}

/* The next one may be spoken to: this one is not to be had. */
static bool is_given_up(const struct member *m, int64_t now)
{
	if (!m->transport)
		return true;
	if (m->up)
		return false;
	if (!m->transport->type->state)
		return true;
	return m->transport->type->state(m->transport) == TRANSPORT_DOWN &&
	       (m->transport->errors != m->errors || now - m->since >= PATIENCE_NS);
}

void group_observe(struct group *g, int64_t now, int64_t hold_ns)
{
	bool all_away = true;

	for (uint32_t i = 0; i <= g->reach; i++) {
		struct member *m = &g->member[i];

		if (m->transport) {
			if (i != g->active && m->transport->type->service)
				m->transport->type->service(m->transport);
			observe(m, i == g->active, now, hold_ns);
		}
		all_away &= is_given_up(m, now);
	}
	if (all_away && g->reach + 1 < g->count)
		g->reach++;
}

uint32_t group_choose(const struct group *g, int64_t now, int64_t hold_ns, bool *urgent)
{
	const struct member *a = &g->member[g->active];

	*urgent = is_given_up(a, now);
	for (uint32_t i = 0; i <= g->reach; i++) {
		const struct member *m = &g->member[i];

		if (i == g->active && !*urgent)
			return i;
		if (i == g->active || !m->transport || !m->up)
			continue;
		/* Datagrams: the hold time has passed when it is `up`. */
		if (*urgent || (i < g->active && (!m->transport->type->state || now - m->since >= hold_ns)))
			return i;
	}
	return g->active;
}

bool group_away(const struct group *g)
{
	const struct transport *t = g->member[g->active].transport;

	for (uint32_t i = 0; i <= g->reach; i++) {
		if (g->member[i].transport && g->member[i].up)
			return false;
	}
	return !t || !t->type->state || t->type->state(t) == TRANSPORT_DOWN;
}

uint64_t group_errors(const struct group *g)
{
	uint64_t errors = 0;

	for (uint32_t i = 0; i < g->count; i++)
		errors +=
			g->member[i].counted + (g->member[i].transport ? g->member[i].transport->errors : 0);
	return errors;
}
