/* rules.h: how often the rules of this host were met: what exporters tell in options records.
 *
 * Of our own policy the kernel counts every frame; of other programs' rules we know the frames that were
 * traced, so their numbers are what was seen at least. The table lies beside the points (observe/point.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The nftables table of family inet that `weir policy` writes. */
#define POLICY_TABLE "weir_policy"

enum { RULE_TABLE_MAX = 2048, RULE_NAME_MAX = 128 };

/* Numbers are on the wire (ruleAction): append only. */
enum rule_action {
	RULE_OTHER,
	RULE_ALLOW,
	RULE_REFUSE,       /* an access rule */
	RULE_REFUSE_TRUST, /* a Trust Requirement */
	RULE_PASS,         /* what passes under any policy: answers, neighbour discovery */
	RULE_ACTION_COUNT,
};

/* Where the numbers are from (ruleCountSource): append only. */
enum rule_source { SOURCE_COUNTER = 1, SOURCE_TRACE = 2 };

struct rule_count {
	uint8_t action;    /* enum rule_action */
	uint8_t source;    /* enum rule_source */
	uint8_t direction; /* 0 ingress, 1 egress */
	char name[RULE_NAME_MAX];
	uint64_t packets, octets; /* since the rule was made, or since tracing began */
};

struct rule_table {
	int64_t wall_ms; /* when they were counted; since 1970 */
	uint32_t count;
	uint32_t left_out; /* questions for rules that found no room */
	uint32_t next;     /* where the search begins */
	struct rule_count rule[RULE_TABLE_MAX];
};

/* The entry of a rule, made when it is new. NULL: the table is full. */
struct rule_count *rule_table_find(struct rule_table *table, enum rule_action action, enum rule_source source,
				   unsigned direction, const char *name);

/* What a counter of POLICY_TABLE is of: "allow/web/ingress". False: it is not one of ours. */
bool rule_counter_parse(struct rule_count *out, const char *counter);

const char *rule_action_name(enum rule_action action);
