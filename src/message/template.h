/* template.h: (options) template records, and the templates that a Transport Session has given so far
 * (RFC 7011 sections 3.4 and 8).
 *
 * A store belongs to one Transport Session and one thread. It holds templates of all observation domains, is
 * bounded in templates and in fields, and never lets one session push out another's: what is over the bound
 * is refused and counted. */
#pragma once

#include <stdbool.h>

#include "ie/ie.h"
#include "message/reader.h"

/* One template record as it lies in its set. */
struct template_record {
	uint16_t id;
	uint16_t field_count; /* 0: a withdrawal */
	uint16_t scope_count;
	bool options;
	struct span fields; /* the field specifiers */
};

struct template_reader {
	const uint8_t *at, *end;
	bool options;
};

struct template_reader template_reader_over(const struct set *set);

/* OK: *out is a record. END: only padding is left. ERR_FORMAT: the record runs past the set. */
MUST_CHECK enum status template_next(struct template_reader *reader, struct template_record *out);

struct template_field {
	const struct information_element *ie; /* of a reverse element: the forward one; NULL: not known */
	uint32_t pen;
	uint16_t id;     /* without the enterprise bit */
	uint16_t length; /* octets, FIELD_VARIABLE: each record says */
	uint16_t offset; /* from the start of the record, when the whole template is of fixed length */
	uint16_t next;   /* index of the next field with the same element, scope and others apart; 0: none */
	bool again;      /* an earlier field has the same element */
	bool reverse;    /* RFC 5103: pen is REVERSE_PEN and `ie` is known */
	uint8_t key_length; /* of `key` */
	const char *key;    /* `"name":`, padded to a multiple of KEY_STEP octets; lives in the template */
};

struct template
{
	uint32_t domain;
	uint16_t id;
	uint16_t field_count;
	uint16_t scope_count; /* the first fields are the scope; 0: not an options template */
	uint16_t min_length;  /* octets of the shortest record, >= 1; of every record when !variable */
	bool variable;
	uint32_t export_time;                    /* of the message that gave it last */
	int64_t learned;                         /* when it was given last, on the clock of the caller */
	struct template *chain, *before, *after; /* private to the store */
	struct template_field fields[];
};

enum {
	TEMPLATE_ID_FIRST = 256,
	TEMPLATE_FIELDS_MAX = 16384, /* more cannot stand in a message */
	/* Fields of no octets are legal, but each is work for every record of the template. */
	TEMPLATE_EMPTY_FIELDS_MAX = 64,
	TEMPLATE_KEY_STEP = 16,
	TEMPLATE_KEY_MAX = 128, /* twice what the longest name needs; tests hold that */
};

/* Whose rules hold for templates that come again and for withdrawals. */
enum template_rules {
	TEMPLATE_RULES_DATAGRAM, /* UDP, section 8.4: a new layout replaces; withdrawals are ignored */
	TEMPLATE_RULES_STREAM,   /* TCP, SCTP, section 8.1 */
	TEMPLATE_RULES_FILE,     /* RFC 5655: withdrawals and repeats both stand; a new layout replaces */
};

/* OUTCOME(constant, name in statistics, text) */
#define TEMPLATE_OUTCOMES(OUTCOME)                                                                           \
	OUTCOME(NEW, "new", "a new template")                                                                \
	OUTCOME(SAME, "same", "the same template again")                                                     \
	OUTCOME(REPLACED, "replaced", "another layout for a template in use")                                \
	OUTCOME(WITHDRAWN, "withdrawn", "a withdrawal")                                                      \
	OUTCOME(WITHDRAWN_ALL, "withdrawn_all", "a withdrawal of all")                                       \
	OUTCOME(WITHDRAWAL_IGNORED, "withdrawal_ignored", "a withdrawal over UDP, which has none")           \
	OUTCOME(WITHDRAWAL_UNKNOWN, "withdrawal_unknown", "a withdrawal of a template that is not there")    \
	OUTCOME(BAD_ID, "bad_id", "a template id under 256")                                                 \
	OUTCOME(BAD_SCOPE, "bad_scope", "a scope field count of 0 or over the field count")                  \
	OUTCOME(EMPTY, "empty", "a template whose records have no octets")                                   \
	OUTCOME(EMPTY_FIELDS, "empty_fields", "more fields of no octets than are followed")                  \
	OUTCOME(TOO_LONG, "too_long", "a template whose records fit in no message")                          \
	OUTCOME(NO_ROOM, "no_room", "more templates or fields than the session may have")

enum template_outcome {
#define OUTCOME(constant, name, text) TEMPLATE_##constant,
	TEMPLATE_OUTCOMES(OUTCOME)
#undef OUTCOME
		TEMPLATE_OUTCOME_COUNT
};

const char *template_outcome_name(enum template_outcome outcome);
const char *template_outcome_text(enum template_outcome outcome);

/* The record was refused. */
static inline bool template_refused(enum template_outcome outcome)
{
	return outcome >= TEMPLATE_BAD_ID;
}

struct template_limits {
	uint32_t templates; /* in all domains together, 1 to 2^24 */
	uint32_t fields;    /* likewise */
	uint64_t seed;      /* of the table's hash: random where the peer may be hostile */
};

struct template_store;

/* Caller owns *out and ends it with template_store_free. ERR_MEMORY. */
MUST_CHECK enum status template_store_new(struct template_store **out, enum template_rules rules,
					  const struct template_limits *limits);
struct template_store *template_store_free(struct template_store *store);

/* Take a template record of a message that message_open has accepted. *out (may be NULL) is the template that
 * now stands, NULL when none does. A refused record also removes a template of the same id: data that
 * follows is not of the old layout. A template that was replaced or removed stays readable until
 * template_store_settle. */
enum template_outcome template_store_learn(struct template_store *store, const struct message_header *header,
					   const struct template_record *record, int64_t now,
					   const struct template **out);

/* Free what was replaced or removed; pointers to it end here. */
void template_store_settle(struct template_store *store);

/* NULL when there is none. Borrowed until the next settle. */
const struct template *template_store_find(const struct template_store *store, uint32_t domain, uint16_t id);

/* Remove what was last given before `before`, on the caller's clock (UDP, section 8.4). Returns how many. */
uint32_t template_store_expire(struct template_store *store, int64_t before);

uint32_t template_store_count(const struct template_store *store);
uint32_t template_store_fields(const struct template_store *store);
