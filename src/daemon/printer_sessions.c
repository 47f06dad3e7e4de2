#include "daemon/printer_sessions.h"

#include <stdlib.h>
#include <string.h>

#include "web/exposition.h"

struct known {
	struct journal_session key;
	struct session *session;
	uint64_t used; /* when, in messages */
};

struct printer_sessions {
	struct known known[PRINTER_SESSIONS];
	uint32_t count, last;
	uint64_t now, seed;
	struct session_stats gone;
};

struct printer_sessions *printer_sessions_new(uint64_t seed)
{
	struct printer_sessions *s = calloc(1, sizeof *s);

	if (s)
		s->seed = seed;
	return s;
}

void printer_sessions_free(struct printer_sessions *s)
{
	for (uint32_t i = 0; s && i < s->count; i++)
		session_free(s->known[i].session);
	free(s);
}

static bool same(const struct journal_session *a, const struct journal_session *b)
{
	return a->number == b->number && a->port == b->port && a->local_port == b->local_port &&
	       a->scope == b->scope && a->transport == b->transport &&
	       memcmp(&a->address, &b->address, sizeof a->address) == 0;
}

/* A free place, or that of the session that is silent for longest. */
static struct known *make_room(struct printer_sessions *s)
{
	uint32_t oldest = 0;

	if (s->count < PRINTER_SESSIONS)
		return &s->known[s->last = s->count++];
	for (uint32_t i = 1; i < s->count; i++)
		if (s->known[i].used < s->known[oldest].used)
			oldest = i;
	session_stats_add(&s->gone, session_stats(s->known[oldest].session));
	session_free(s->known[oldest].session);
	return &s->known[s->last = oldest];
}

static enum template_rules rules_of(uint8_t transport)
{
	switch (transport) {
	case JOURNAL_UDP:
	case JOURNAL_DTLS: return TEMPLATE_RULES_DATAGRAM;
	case JOURNAL_FILE: return TEMPLATE_RULES_FILE;
	default: return TEMPLATE_RULES_STREAM;
	}
}

struct session *printer_session(struct printer_sessions *s, const struct journal_session *key)
{
	const struct session_limits limits = session_limits_default(s->seed);
	struct session *session;

	s->now++;
	for (uint32_t i = 0; i < s->count; i++) {
		const uint32_t at = s->last + i < s->count ? s->last + i : s->last + i - s->count;

		if (same(&s->known[at].key, key)) {
			s->last = at;
			s->known[at].used = s->now;
			return s->known[at].session;
		}
	}
	if (session_new(&session, rules_of(key->transport), &limits) != OK)
		return NULL;
	*make_room(s) = (struct known){.key = *key, .session = session, .used = s->now};
	return session;
}

void printer_sessions_print(const struct printer_sessions *s, struct text *out)
{
	struct session_stats sum = s->gone;
	uint64_t malformed = 0;

	for (uint32_t i = 0; i < s->count; i++)
		session_stats_add(&sum, session_stats(s->known[i].session));
	for (unsigned i = 1; i < MESSAGE_FAULT_COUNT; i++)
		malformed += sum.malformed[i];

	const struct {
		const char *name, *help;
		uint64_t value;
	} rows[] = {
		{"weir_decoded_messages_total", "whole messages", sum.messages},
		{"weir_decoded_records_total", "data records, options records included", sum.data_records},
		{"weir_decoded_options_records_total", "records with a scope", sum.options_records},
		{"weir_decoded_malformed_total", "messages that are not as the standard says", malformed},
		{"weir_decoded_sets_without_template_total", "data sets without a template",
		 sum.sets_without_template},
		{"weir_decoded_sequence_lost_total", "records that the sequence numbers miss",
		 sum.sequence.lost},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		exposition_family(out, rows[i].name, "counter", rows[i].help);
		exposition_sample(out, rows[i].name, NULL, rows[i].value);
	}
}
