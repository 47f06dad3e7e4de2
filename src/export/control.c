/* Templates and options of a session: what is due, when, and in which message (RFC 7011 sections 4 and 8.4).
 */
#include "export/session.h"

#define REFRESH_DEFAULT_NS (60 * NS_PER_S)

/* After an error or a moved collector the templates go again, but a collector that refuses every datagram
 * must not be answered with templates for every refusal. */
#define RECOVERY_NS NS_PER_S

/* A thousand interfaces make a refresh of many messages: so many at a time, that a receiver's socket buffer
 * is not flooded by what is not urgent. Templates are few and are not held back. */
#define PACE_NS (NS_PER_S / 20)
enum { PACE_MESSAGES = 8 };

#define FLOW_TEMPLATES_ALLOWED ((1ULL << FLOW_LAYOUT_ALLOWED) - 1)
#define OPTIONS_TEMPLATES      (((1ULL << OPTIONS_COUNT) - 1) << FLOW_LAYOUT_COUNT)

/* What the kinds up to the elements are for is everywhere; the others are sent where packets are selected. */
#define PLAIN_OPTIONS (((1ULL << (OPTIONS_ELEMENTS + 1)) - 1) << FLOW_LAYOUT_COUNT)
#define ELEMENTS_TEMPLATE                                                                                    \
	(1ULL << (FLOW_LAYOUT_COUNT + OPTIONS_ELEMENTS)) /* where there is one to tell of                    \
							  */
#define SINGLE_OPTIONS                                                                                       \
	(1U << OPTIONS_METERING_STATISTICS | 1U << OPTIONS_METERING_RELIABILITY |                            \
	 1U << OPTIONS_EXPORTING_RELIABILITY | 1U << OPTIONS_EXPORTER)

void session_interfaces_due(struct session *s, const struct session_context *context)
{
	s->due.point = 0;
	s->due.end = context->points ? context->points->count : 0;
	s->due.selection =
		(context->options.selection && context->points) || context->records ? 0 : SELECTION_DONE;
}

void session_options_due(struct session *s, const struct session_context *context)
{
	s->due.options = SINGLE_OPTIONS;
	s->due.flow_keys = s->announced & FLOW_TEMPLATES;
	s->due.rule = 0;
	s->due.rule_end = context->points ? context->points->rules.count : 0;
	s->due.error = 0;
	s->due.error_end = context->errors ? 2 * context->errors->count : 0;
	s->due.elements = s->announced & context->own_templates || s->due.rule_end ? 0 : ELEMENTS_DONE;
	s->fresh_keys = 0;
	session_interfaces_due(s, context);
}

static struct selections selections_of(const struct session_context *context)
{
	return (struct selections){.packets = context->options.selection,
				   .records = context->records,
				   .points = context->points,
				   .domain = context->options.point_domain};
}

static uint64_t selection_kinds(const struct session_context *context)
{
	const struct selections all = selections_of(context);

	return options_selection_kinds(&all);
}

static void refresh(struct session *s, const struct session_context *context, struct moment t)
{
	s->due.templates |= s->announced;
	session_options_due(s, context);
	s->refreshed_at = s->options_at = t.now.ns;
	s->messages_since = 0;
	s->lossy = false;
	s->statistics.template_refreshes++;
}

/* A file begins with its templates (RFC 5655), so that a reader has them wherever it looks; its statistics
 * come at the end, when there is something to say. */
static void start(struct session *s, const struct session_context *context, struct moment t)
{
	s->started = true;
	s->refreshed_at = s->options_at = t.now.ns;
	s->generation = s->transport->type->generation(s->transport);
	s->due.elements = ELEMENTS_DONE;
	s->due.selection = SELECTION_DONE;
	s->due.templates |= (PLAIN_OPTIONS & ~ELEMENTS_TEMPLATE) |
			    selection_kinds(context) << FLOW_LAYOUT_COUNT |
			    (s->file ? FLOW_TEMPLATES_ALLOWED : 0);
	if (s->file)
		session_interfaces_due(s, context);
	else
		session_options_due(s, context);
}

void session_restart(struct session *s, const struct session_context *context, struct moment t)
{
	session_flights_broken(s, context, t.wall);
	s->announced = s->settled = s->fresh_keys = 0;
	s->sequence = 0;
	s->due = (struct due){0};
	s->lossy = false;
	start(s, context, t);
}

static bool is_due(int64_t since, int64_t period, struct moment t)
{
	return period > 0 && t.now.ns - since >= period;
}

void control_check_timers(struct session *s, const struct session_context *context, struct moment t)
{
	const struct exporter_options *o = &context->options;
	const int64_t period = o->template_refresh_ns > 0 ? o->template_refresh_ns : REFRESH_DEFAULT_NS;
	const bool reliable = s->transport->type->reliable;

	if (is_due(s->credit_at, PACE_NS, t)) {
		s->credit_at = t.now.ns;
		s->credit = PACE_MESSAGES;
		if (s->fresh_keys & context->own_templates)
			s->due.elements = 0;
		s->due.flow_keys |= s->fresh_keys; /* those of several new templates in one message */
		s->fresh_keys = 0;
	}
	const uint32_t generation = s->transport->type->generation(s->transport);
	if (generation != s->generation && reliable) {
		session_restart(s, context, t);
		return;
	}
	if (!s->started || s->statistics.messages == 0) {
		if (!s->started)
			s->credit = PACE_MESSAGES;
		start(s, context, t);
		return;
	}
	if (generation != s->generation && is_due(s->refreshed_at, RECOVERY_NS, t)) {
		s->generation = generation;
		refresh(s, context, t);
	} else if (!reliable &&
		   (is_due(s->refreshed_at, period, t) ||
		    (o->template_refresh_messages && s->messages_since >= o->template_refresh_messages))) {
		refresh(s, context, t);
	} else if (is_due(s->options_at, o->options_refresh_ns, t)) {
		s->options_at = t.now.ns;
		session_options_due(s, context);
	}
}

bool control_is_due(const struct session *s, bool last)
{
	const struct due *d = &s->due;

	return d->templates ||
	       ((last || s->credit) &&
		(d->options || d->flow_keys || d->point < d->end || d->rule < d->rule_end ||
		 d->error < d->error_end || d->elements != ELEMENTS_DONE || d->selection != SELECTION_DONE));
}

/* The session's own part of what options records say. */
static void add_session_facts(const struct session *s, struct options_facts *f)
{
	const struct session_statistics *c = &s->statistics;

	f->exported_messages = c->messages;
	f->exported_flows = c->flow_records;
	f->exported_octets = c->octets;
	f->not_sent_flows = c->not_sent_flows;
	f->not_sent_packets = c->not_sent_packets;
	f->not_sent_octets = c->not_sent_octets;
	f->first_not_sent_ms = (uint64_t)c->first_not_sent_ms;
	f->last_not_sent_ms = (uint64_t)c->last_not_sent_ms;
}

static enum status put_options(const struct session *s, const struct session_context *context,
			       struct outgoing *out, enum options_kind kind,
			       const struct options_facts *facts)
{
	const uint32_t number = FLOW_LAYOUT_COUNT + (uint32_t)kind;
	uint8_t octets[RING_RECORD_MAX];
	const size_t length = encode_record(&context->layout[number], facts, octets);

	return session_put(s, context, out, number, span_of(octets, length));
}

static enum status put_due_templates(const struct session_context *context, struct outgoing *out,
				     struct due *due)
{
	while (due->templates) {
		const uint32_t number = (uint32_t)__builtin_ctzll(due->templates);
		const struct layout *layout = &context->layout[number];
		uint8_t octets[TEMPLATE_RECORD_MAX];
		const size_t length = layout_template(layout, octets);

		if (message_put_record(&out->writer, layout_template_set(layout), span_of(octets, length)) !=
		    OK)
			return ERR_LIMIT;
		out->templates |= 1ULL << number;
		due->templates &= ~(1ULL << number);
	}
	return OK;
}

static enum status put_due_singles(const struct session *s, const struct session_context *context,
				   struct outgoing *out, struct due *due, const struct options_facts *facts)
{
	while (due->options) {
		const uint32_t kind = (uint32_t)__builtin_ctz(due->options);
		const enum status st = put_options(s, context, out, kind, facts);

		if (st != OK)
			return st;
		due->options &= ~(1U << kind);
	}
	return OK;
}

static enum status put_due_keys(const struct session *s, const struct session_context *context,
				struct outgoing *out, struct due *due, struct options_facts *facts)
{
	while (due->flow_keys) {
		const uint32_t number = (uint32_t)__builtin_ctzll(due->flow_keys);

		facts->template_id = context->layout[number].template_id;
		facts->key_bits = layout_key_bits(&context->layout[number]);
		const enum status st = put_options(s, context, out, OPTIONS_FLOW_KEYS, facts);
		if (st != OK)
			return st;
		due->flow_keys &= ~(1ULL << number);
	}
	return OK;
}

/* A point without an index has not been seen yet; index 0 makes collectors refuse the record. */
static enum status put_due_interfaces(const struct session *s, const struct session_context *context,
				      struct outgoing *out, struct due *due, struct options_facts *facts)
{
	for (; due->point < due->end; due->point++) {
		const struct observation_point *p = &context->points->point[due->point];

		if (p->ifindex == 0 || p->domain != context->options.point_domain)
			continue;
		facts->interface = p->ifindex;
		facts->point_id = p->id;
		memcpy(facts->name, p->name, sizeof facts->name);
		memcpy(facts->description, p->description, sizeof facts->description);
		const enum status st = put_options(s, context, out, OPTIONS_INTERFACES, facts);
		if (st != OK)
			return st;
	}
	return OK;
}

static enum status put_due_rules(const struct session *s, const struct session_context *context,
				 struct outgoing *out, struct due *due, struct options_facts *facts)
{
	const struct rule_table *rules = context->points ? &context->points->rules : NULL;

	for (; due->rule < due->rule_end && rules && due->rule < rules->count; due->rule++) {
		const struct rule_count *r = &rules->rule[due->rule];

		facts->rule_action = r->action;
		facts->rule_source = r->source;
		facts->rule_direction = r->direction;
		facts->rule_packets = r->packets;
		facts->rule_octets = r->octets;
		facts->rule_ms = (uint64_t)rules->wall_ms;
		memcpy(facts->rule, r->name, sizeof facts->rule);
		const enum status st = put_options(s, context, out, OPTIONS_RULES, facts);
		if (st != OK)
			return st;
	}
	due->rule = due->rule_end; /* there may be fewer by now */
	return OK;
}

static enum status put_due_errors(const struct session *s, const struct session_context *context,
				  struct outgoing *out, struct due *due, struct options_facts *facts)
{
	const struct interface_errors *errors = context->errors;

	for (; due->error < due->error_end && errors && due->error / 2 < errors->count; due->error++) {
		const struct interface_error_count *c = &errors->at[due->error / 2];
		const bool sent = due->error % 2;

		if (context->points->point[c->point_id - 1].domain != context->options.point_domain)
			continue;
		facts->point_id = c->point_id;
		facts->refused_direction = sent;
		facts->refused_packets = sent ? c->sent : c->received;
		facts->refused_ms = (uint64_t)errors->wall_ms;
		const enum status st = put_options(s, context, out, OPTIONS_INTERFACE_ERRORS, facts);
		if (st != OK)
			return st;
	}
	due->error = due->error_end; /* there may be fewer by now */
	return OK;
}

/* RFC 5610: only where a template has one. */
static enum status put_due_elements(const struct session *s, const struct session_context *context,
				    struct outgoing *out, struct due *due, struct options_facts *facts)
{
	while (due->elements != ELEMENTS_DONE) {
		if (!options_describe(facts, due->elements)) {
			due->elements = ELEMENTS_DONE;
			break;
		}
		const enum status st = put_options(s, context, out, OPTIONS_ELEMENTS, facts);
		if (st != OK)
			return st;
		due->elements++;
	}
	return OK;
}

/* Which packets and records were selected, and how many: before the records that are made of them. */
static enum status put_due_selection(const struct session *s, const struct session_context *context,
				     struct outgoing *out, struct due *due, struct options_facts *facts)
{
	const struct selections all = selections_of(context);
	enum options_kind kind;

	while (due->selection != SELECTION_DONE) {
		uint32_t next = due->selection;

		if (!options_of_selection(&all, &next, facts, &kind)) {
			due->selection = SELECTION_DONE;
			break;
		}
		const enum status st = put_options(s, context, out, kind, facts);
		if (st != OK)
			return st;
		due->selection = next;
	}
	return OK;
}

/* Templates of options data that were never sent go ahead of it. */
static uint64_t missing_templates(const struct session *s, const struct session_context *context,
				  const struct due *due)
{
	uint64_t kinds = due->options;

	kinds |= due->flow_keys ? 1ULL << OPTIONS_FLOW_KEYS : 0;
	kinds |= due->point < due->end ? 1ULL << OPTIONS_INTERFACES : 0;
	kinds |= due->rule < due->rule_end ? 1ULL << OPTIONS_RULES : 0;
	kinds |= due->error < due->error_end ? 1ULL << OPTIONS_INTERFACE_ERRORS : 0;
	kinds |= due->elements != ELEMENTS_DONE ? 1ULL << OPTIONS_ELEMENTS : 0;
	kinds |= due->selection != SELECTION_DONE ? selection_kinds(context) : 0;
	return (kinds << FLOW_LAYOUT_COUNT) & ~s->announced;
}

/* Fill the control message; `due` loses what went in. */
static void build(const struct session *s, const struct session_context *context, struct outgoing *out,
		  struct due *due, bool with_options)
{
	struct options_facts facts = context->facts;

	session_begin_message(s, out);
	if (with_options)
		due->templates |= missing_templates(s, context, due);
	if (put_due_templates(context, out, due) != OK || !with_options)
		return;
	/* Over UDP data never shares a message with the first copy of its template. */
	if (s->copies_wanted > 1 && (out->templates & ~s->announced & OPTIONS_TEMPLATES))
		return;
	add_session_facts(s, &facts);
	if (put_due_selection(s, context, out, due, &facts) == OK &&
	    put_due_singles(s, context, out, due, &facts) == OK &&
	    put_due_keys(s, context, out, due, &facts) == OK &&
	    put_due_elements(s, context, out, due, &facts) == OK &&
	    put_due_rules(s, context, out, due, &facts) == OK &&
	    put_due_errors(s, context, out, due, &facts) == OK)
		(void)!put_due_interfaces(s, context, out, due, &facts);
}

enum status control_send(struct session *s, const struct session_context *context, struct moment t, bool last)
{
	struct due due = s->due;

	build(s, context, &s->control, &due, last || s->credit);
	if (message_is_empty(&s->control.writer)) {
		/* No point has an index: waiting would not change it. */
		s->due = (struct due){.elements = ELEMENTS_DONE, .selection = SELECTION_DONE};
		return OK;
	}
	const enum status st = session_send(s, context, &s->control, t.wall);
	if (st == ERR_LIMIT)
		return OK; /* built anew, with the new limit */
	if (st != OK)
		return AGAIN; /* nothing is lost by it: built anew next time */
	if (s->control.writer.data_records && s->credit)
		s->credit--;
	s->due = due;
	return OK;
}
