#include "collect/session.h"

#include <stdlib.h>

/* A data set that waits for the end of the walk. */
struct planned {
	const struct template *template;
	struct span records;
	uint32_t count;
};

struct session {
	struct template_store *templates;
	struct session_stats stats;
	struct session_domain *domains;
	uint32_t domain_count, domain_room, domain_last;
	struct planned *plan;
	size_t plan_room;
};

struct session_limits session_limits_default(uint64_t seed)
{
	return (struct session_limits){.templates = {.templates = 65536, .fields = 1 << 19, .seed = seed}};
}

enum status session_new(struct session **out, enum template_rules rules, const struct session_limits *limits)
{
	struct session *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s || template_store_new(&s->templates, rules, &limits->templates) != OK) {
		free(s);
		return ERR_MEMORY;
	}
	*out = s;
	return OK;
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	template_store_free(s->templates);
	free(s->domains);
	free(s->plan);
	free(s);
	return NULL;
}

const struct session_stats *session_stats(const struct session *s)
{
	return &s->stats;
}

void session_stats_add(struct session_stats *sum, const struct session_stats *part)
{
	/* Both are nothing but 64-bit counters. */
	_Static_assert(sizeof *sum % sizeof(uint64_t) == 0, "a counter is 8 octets");
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)part;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

uint32_t session_expire_templates(struct session *s, int64_t before)
{
	const uint32_t gone = template_store_expire(s->templates, before);

	template_store_settle(s->templates);
	return gone;
}

/* The sequence state of a domain; NULL when there are too many or there is no memory. */
static struct session_domain *domain_of(struct session *s, uint32_t id)
{
	if (s->domain_last < s->domain_count && s->domains[s->domain_last].id == id)
		return &s->domains[s->domain_last];
	for (uint32_t i = 0; i < s->domain_count; i++) {
		if (s->domains[i].id == id) {
			s->domain_last = i;
			return &s->domains[i];
		}
	}
	if (s->domain_count == SESSION_DOMAINS_MAX)
		return NULL;
	if (s->domain_count == s->domain_room) {
		const uint32_t room = s->domain_room ? 2 * s->domain_room : 1;
		struct session_domain *more = realloc(s->domains, room * sizeof *more);

		if (!more)
			return NULL;
		s->domains = more;
		s->domain_room = room;
	}
	s->domain_last = s->domain_count++;
	s->domains[s->domain_last] = (struct session_domain){.id = id};
	return &s->domains[s->domain_last];
}

static void learn(struct session *s, const struct message_header *header, const struct set *set, int64_t now,
		  const struct session_sink *sink)
{
	struct template_reader templates = template_reader_over(set);
	struct template_record record;

	while (template_next(&templates, &record) == OK) {
		const struct template *t;
		const enum template_outcome outcome =
			template_store_learn(s->templates, header, &record, now, &t);

		s->stats.templates[outcome]++;
		if (sink->template)
			sink->template(sink->arg, header, &record, outcome, t);
	}
}

static bool plan_room(struct session *s, size_t used)
{
	if (used < s->plan_room)
		return true;

	const size_t room = s->plan_room ? 2 * s->plan_room : 8;
	struct planned *more = realloc(s->plan, room * sizeof *more);
	if (!more)
		return false;
	s->plan = more;
	s->plan_room = room;
	return true;
}

/* What the walk through a message found. */
struct walk {
	size_t planned;
	uint32_t records;
	bool uncounted;
	uint64_t sets, data_sets, options_records, without, octets_without, unknown;
};

static enum message_fault plan_data(struct session *s, const struct message_header *header,
				    const struct set *set, const struct session_sink *sink, struct walk *w)
{
	const struct template *t = template_store_find(s->templates, header->domain, set->id);

	w->data_sets++;
	if (!t || !plan_room(s, w->planned)) {
		w->without++;
		w->octets_without += set->records.length;
		w->uncounted = true;
		if (sink->undecoded)
			sink->undecoded(sink->arg, header, set);
		return MESSAGE_FAULT_NONE;
	}

	const int32_t count = record_count(t, set->records, NULL);
	if (count < 0)
		return MESSAGE_FAULT_RECORD_CUT;
	if (count == 0)
		return MESSAGE_FAULT_NONE;
	w->records += (uint32_t)count;
	if (t->scope_count)
		w->options_records += (uint32_t)count;
	s->plan[w->planned++] =
		(struct planned){.template = t, .records = set->records, .count = (uint32_t)count};
	return MESSAGE_FAULT_NONE;
}

static enum message_fault walk(struct session *s, struct message_reader *reader, int64_t now,
			       const struct session_sink *sink, struct walk *w)
{
	enum message_fault fault = MESSAGE_FAULT_NONE;
	struct set set;

	while (!fault && message_next_set(reader, &set)) {
		w->sets++;
		if (set.id == SET_TEMPLATE || set.id == SET_OPTIONS_TEMPLATE)
			learn(s, &reader->header, &set, now, sink);
		else if (set.id >= SET_DATA_FIRST)
			fault = plan_data(s, &reader->header, &set, sink, w);
		else
			w->unknown++;
	}
	return fault;
}

static void count_whole(struct session *s, const struct message_header *header, const struct walk *w)
{
	struct session_stats *stats = &s->stats;
	struct session_domain *domain = domain_of(s, header->domain);

	stats->messages++;
	stats->octets += header->length;
	stats->sets += w->sets;
	stats->data_sets += w->data_sets;
	stats->data_records += w->records;
	stats->options_records += w->options_records;
	stats->sets_without_template += w->without;
	stats->octets_without_template += w->octets_without;
	stats->unknown_sets += w->unknown;
	if (!domain) {
		stats->unaccounted_domains++;
		return;
	}

	const struct sequence_stats before = domain->stats;
	const enum sequence_event event =
		sequence_begin(&domain->sequence, &domain->stats, header->sequence, header->export_time);
	sequence_end(&domain->sequence, &domain->stats, event, header->sequence, header->export_time,
		     w->records, w->uncounted);
	for (size_t i = 0; i < SEQUENCE_EVENT_COUNT; i++)
		stats->sequence.events[i] += domain->stats.events[i] - before.events[i];
	stats->sequence.lost += domain->stats.lost - before.lost;
	stats->sequence.uncounted += domain->stats.uncounted - before.uncounted;
}

bool session_domain_at(const struct session *s, uint32_t i, struct session_domain *out)
{
	if (i >= s->domain_count)
		return false;
	*out = s->domains[i];
	return true;
}

enum status session_restore_domain(struct session *s, const struct session_domain *from)
{
	struct session_domain *domain = domain_of(s, from->id);

	if (!domain)
		return ERR_LIMIT;
	*domain = *from;
	return OK;
}

void session_restore_stats(struct session *s, const struct session_stats *stats)
{
	s->stats = *stats;
}

enum status session_late_set(struct session *s, const struct message_header *header, const struct set *set,
			     const struct session_sink *sink)
{
	const struct template *t = template_store_find(s->templates, header->domain, set->id);

	if (!t)
		return AGAIN;

	const int32_t count = record_count(t, set->records, NULL);
	if (count > 0 && sink->data)
		sink->data(sink->arg, header, t, s->templates, set->records, (uint32_t)count);
	return count < 0 ? ERR_FORMAT : OK;
}

enum message_fault session_message(struct session *s, struct span octets, int64_t now,
				   const struct session_sink *sink)
{
	struct message_reader reader;
	struct walk w = {0};
	enum message_fault fault = message_open(&reader, octets);

	if (!fault)
		fault = walk(s, &reader, now, sink, &w);
	if (fault) {
		s->stats.malformed[fault]++;
	} else {
		count_whole(s, &reader.header, &w);
		for (size_t i = 0; sink->data && i < w.planned; i++)
			sink->data(sink->arg, &reader.header, s->plan[i].template, s->templates,
				   s->plan[i].records, s->plan[i].count);
	}
	template_store_settle(s->templates);
	return fault;
}
