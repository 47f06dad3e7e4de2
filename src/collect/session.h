/* session.h: what a Collecting Process remembers of one Transport Session: its templates and, for each
 * observation domain, where the sequence numbers stand. No I/O.
 *
 * A message is either taken as a whole or not at all: the walk through its sets and records is done before
 * the first record is handed out (RFC 7011 section 9.1). Templates in front of a data set in the same message
 * hold for it; templates of a message whose data then turns out to be malformed stay learned. The templates
 * of lists inside records are those that stand at the end of the message. */
#pragma once

#include "collect/sequence.h"
#include "message/record.h"

enum { SESSION_DOMAINS_MAX = 1024 }; /* with sequence accounting; more are decoded, not accounted */

struct session_limits {
	struct template_limits templates;
};

/* Enough for any device that is known, little enough for a stranger. */
struct session_limits session_limits_default(uint64_t seed);

struct session_stats {
	uint64_t messages; /* whole ones */
	uint64_t octets;   /* of whole messages */
	uint64_t malformed[MESSAGE_FAULT_COUNT];
	uint64_t sets;
	uint64_t data_sets;
	uint64_t data_records;    /* options records included */
	uint64_t options_records; /* data records with a scope */
	uint64_t templates[TEMPLATE_OUTCOME_COUNT];
	uint64_t sets_without_template;
	uint64_t octets_without_template;
	uint64_t unknown_sets;        /* ids 0, 1, 4 to 255 */
	uint64_t unaccounted_domains; /* messages of domains over SESSION_DOMAINS_MAX */
	struct sequence_stats sequence;
};

/* Add up the statistics of two sessions. */
void session_stats_add(struct session_stats *sum, const struct session_stats *part);

/* What a message is handed to. Each may be NULL. Everything is borrowed until the call returns. */
struct session_sink {
	void *arg;
	void (*template)(void *arg, const struct message_header *header, const struct template_record *record,
			 enum template_outcome outcome, const struct template *template);
	/* `records` is whole and has `count` > 0 records of `template`. */
	void (*data)(void *arg, const struct message_header *header, const struct template *template,
		     const struct template_store *store, struct span records, uint32_t count);
	/* A data set that has no template yet. `message` is whole and may still turn out to be malformed. */
	void (*undecoded)(void *arg, const struct message_header *header, const struct set *set);
};

struct session;

/* Caller owns *out and ends it with session_free. ERR_MEMORY. */
MUST_CHECK enum status session_new(struct session **out, enum template_rules rules,
				   const struct session_limits *limits);
struct session *session_free(struct session *session);

/* One message. `now` is on the caller's clock, for template lifetimes. */
enum message_fault session_message(struct session *session, struct span octets, int64_t now,
				   const struct session_sink *sink);

const struct session_stats *session_stats(const struct session *session);

/* A data set that was handed to `undecoded` before, on its own: to `data` when its template is there now. It
 * was counted then and is not counted again. OK; AGAIN: still no template; ERR_FORMAT: a record runs past it.
 */
MUST_CHECK enum status session_late_set(struct session *session, const struct message_header *header,
					const struct set *set, const struct session_sink *sink);

/* Observation domain number `i` from 0, in the order of their first messages; false: there are no more. */
struct session_domain {
	uint32_t id;
	struct sequence sequence;
	struct sequence_stats stats;
};
bool session_domain_at(const struct session *session, uint32_t i, struct session_domain *out);

/* Go on where a session was left that had this domain and these statistics: for one without messages. */
MUST_CHECK enum status session_restore_domain(struct session *session, const struct session_domain *domain);
void session_restore_stats(struct session *session, const struct session_stats *stats);

/* Templates not given again since `before` end (UDP, RFC 7011 section 8.4). Returns how many. */
uint32_t session_expire_templates(struct session *session, int64_t before);
