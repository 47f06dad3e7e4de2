/* denial.h: why a frame was refused: the reason and the rule, as a drop source reports them.
 *
 * Few different ones exist on a host, so packets carry the index of a table. The table lies beside the points
 * (observe/point.h), only grows, and is bounded: what finds no room is counted into one entry that names no
 * rule. */
#pragma once

#include <stdint.h>

enum { DENIAL_MAX = 1024, DENIAL_RULE_MAX = 128 };

/* Indices that are there from the beginning. */
enum {
	DENIAL_NONE,     /* the frame was not refused */
	DENIAL_OTHER,    /* refused; the table is full */
	DENIAL_OVERFLOW, /* many refused flows in one record: they had used up their budget */
	DENIAL_FIRST,    /* from here on: interned */
};

/* REASON(constant, number on the wire, forwardingStatus, text); append only. */
#define DENIAL_REASONS(REASON)                                                                               \
	REASON(UNKNOWN, 0, 128, "refused, reason not known")                                                 \
	REASON(DROPPED, 1, 130, "dropped silently by a rule")                                                \
	REASON(REJECTED, 2, 129, "rejected by a rule, with an answer to the sender")                         \
	REASON(NO_PEER, 3, 131, "no peer is allowed this address")                                           \
	REASON(NO_ENDPOINT, 4, 132, "the peer has no endpoint")                                              \
	REASON(NO_SESSION, 5, 132, "the peer has no session")                                                \
	REASON(SOURCE_CHECK, 6, 140, "the source address is not one of the peer's, or routed elsewhere")     \
	REASON(OVERFLOW, 7, 128, "summary: more refused flows than are kept apart")

enum denial_reason {
#define REASON(constant, number, status, text) REASON_##constant = (number),
	DENIAL_REASONS(REASON)
#undef REASON
		REASON_COUNT,
};

/* What kind of policy the rule belongs to. Trust only where the rule itself says so. */
enum denial_class { CLASS_OTHER, CLASS_ACL, CLASS_TRUST, CLASS_COUNT };

struct denial {
	uint8_t reason;             /* enum denial_reason */
	uint8_t kind;               /* enum denial_class */
	char rule[DENIAL_RULE_MAX]; /* UTF-8; "" when no name is known */
};

struct denial_table {
	uint32_t count;     /* 0: nothing was ever refused */
	uint64_t overflown; /* frames whose rule found no room */
	struct denial denial[DENIAL_MAX];
};

/* The index for this reason, class and rule name (cut to fit, cleaned as a point's name), made when it is
 * new; DENIAL_OTHER when the table is full. A zeroed table is an empty one. */
uint16_t denial_table_add(struct denial_table *table, enum denial_reason reason, enum denial_class kind,
			  const char *rule);

/* The entry of an index; one that says nothing for an index that is not there, or without a table. */
const struct denial *denial_table_get(const struct denial_table *table, uint16_t index);

/* How much a denial says: of two for one frame the greater is told. */
unsigned denial_worth(const struct denial *denial);

/* forwardingStatus (89) in one octet (RFC 7270). */
uint8_t denial_forwarding_status(const struct denial *denial);
