#include "store/ledger.h"

#include <stdio.h>

void ledger_visit_totals(struct ledger_totals *t, ledger_visitor *visit, void *arg)
{
	visit(arg, "kernel_dropped", &t->kernel_dropped);
	visit(arg, "columns_left_out", &t->columns_left_out);
	visit(arg, "elements_refused", &t->elements_refused);
	visit(arg, "input_damaged", &t->input_damaged);
	visit(arg, "sessions_forgotten", &t->sessions_forgotten);
	visit(arg, "unplaced", &t->unplaced);
	visit(arg, "swept", &t->swept);
	visit(arg, "partitions_aside", &t->partitions_aside);
}

static void visit_named(ledger_visitor *visit, void *arg, const char *group, const char *name, uint64_t *at)
{
	char text[96];

	snprintf(text, sizeof text, "%s_%s", group, name);
	visit(arg, text, at);
}

void ledger_visit_session(struct session_stats *s, ledger_visitor *visit, void *arg)
{
	visit(arg, "messages", &s->messages);
	visit(arg, "octets", &s->octets);
	for (unsigned i = 1; i < MESSAGE_FAULT_COUNT; i++)
		visit_named(visit, arg, "malformed", message_fault_name((enum message_fault)i),
			    &s->malformed[i]);
	visit(arg, "sets", &s->sets);
	visit(arg, "data_sets", &s->data_sets);
	visit(arg, "data_records", &s->data_records);
	visit(arg, "options_records", &s->options_records);
	for (unsigned i = 0; i < TEMPLATE_OUTCOME_COUNT; i++)
		visit_named(visit, arg, "templates", template_outcome_name((enum template_outcome)i),
			    &s->templates[i]);
	visit(arg, "sets_without_template", &s->sets_without_template);
	visit(arg, "octets_without_template", &s->octets_without_template);
	visit(arg, "unknown_sets", &s->unknown_sets);
	visit(arg, "unaccounted_domains", &s->unaccounted_domains);
}

void ledger_visit_waiting(struct waiting_stats *w, ledger_visitor *visit, void *arg)
{
	visit(arg, "sets_waiting", &w->sets);
	visit(arg, "octets_waiting", &w->octets);
	visit(arg, "sets_decoded_late", &w->decoded);
	visit(arg, "sets_given_up", &w->given_up);
	visit(arg, "sets_no_room", &w->no_room);
	visit(arg, "sets_cut", &w->cut);
}

void ledger_visit_sequence(struct sequence_stats *s, ledger_visitor *visit, void *arg)
{
	for (unsigned i = 0; i < SEQUENCE_EVENT_COUNT; i++)
		visit_named(visit, arg, "sequence", sequence_event_name((enum sequence_event)i),
			    &s->events[i]);
	visit(arg, "sequence_lost", &s->lost);
	visit(arg, "sequence_uncounted", &s->uncounted);
}

void ledger_visit_origin(struct origin *o, ledger_visitor *visit, void *arg)
{
	visit(arg, "records", &o->records);
	for (unsigned i = 1; i < VALUE_FAULT_COUNT; i++)
		visit_named(visit, arg, "value", value_fault_name((enum value_fault)i), &o->faults[i]);
	for (unsigned i = 0; i < REPORTED_COUNT; i++)
		visit(arg, reported_names[i], &o->reported[i]);
}

void ledger_forget(struct ledger_forgotten *sum, const struct peer *p)
{
	session_stats_add(&sum->session, session_stats(p->session));
	sum->waiting.decoded += p->waiting.decoded;
	sum->waiting.given_up += p->waiting.given_up + p->waiting.sets;
	sum->waiting.no_room += p->waiting.no_room;
	sum->waiting.cut += p->waiting.cut;
	for (uint32_t i = 0; i < p->origin_count; i++) {
		const struct origin *o = p->origins[i];

		sum->origin.records += o->records;
		for (unsigned k = 0; k < VALUE_FAULT_COUNT; k++)
			sum->origin.faults[k] += o->faults[k];
		for (unsigned k = 0; k < REPORTED_COUNT; k++)
			sum->origin.reported[k] += o->reported[k];
	}
}
