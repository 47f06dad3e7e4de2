/* options.h: what the Exporting Process says about itself and the Metering Process (RFC 7011 section 4), as
 * layouts over one plain struct. docs/wire.md shows them. */
#pragma once

#include "export/layout.h"
#include "export/record_selection.h"
#include "meter/selection.h"
#include "observe/point.h"

/* The number of a kind is its Template ID less OPTIONS_TEMPLATE_FIRST: append only. */
enum options_kind {
	OPTIONS_METERING_STATISTICS,   /* 4.1: what was exported */
	OPTIONS_METERING_RELIABILITY,  /* 4.2: packets seen and not metered */
	OPTIONS_EXPORTING_RELIABILITY, /* 4.3: flows metered and not sent */
	OPTIONS_EXPORTER,              /* since when the device runs, and its timeouts */
	OPTIONS_FLOW_KEYS,             /* 4.4: one record per template in use */
	OPTIONS_INTERFACES,            /* one record per observation point */
	OPTIONS_ELEMENTS,              /* RFC 5610: one record per element of our own */
	OPTIONS_RULES,                 /* one record per rule and direction: how often it was met */
	OPTIONS_SELECTOR_COUNT,        /* RFC 5476 6.5.2: one record per selector of packets … */
	OPTIONS_SELECTOR_TIME,
	OPTIONS_SELECTOR_RANDOM,
	OPTIONS_SELECTOR_PROBABILITY,
	OPTIONS_SELECTOR_FILTER,
	OPTIONS_SEQUENCE_1, /* 6.5.1: … one per point, by the length of its chain … */
	OPTIONS_SEQUENCE_2,
	OPTIONS_SEQUENCE_3,
	OPTIONS_SEQUENCE_4,
	OPTIONS_SELECTION_STATISTICS,  /* 6.5.3: … and one per selector and point */
	OPTIONS_INTERFACE_ERRORS,      /* one record per WireGuard interface and direction */
	OPTIONS_RECORD_SELECTOR_COUNT, /* RFC 7014: one record per selector of flow records, and what it did
					*/
	OPTIONS_RECORD_SELECTOR_RANDOM,
	OPTIONS_RECORD_SELECTOR_PROBABILITY,
	OPTIONS_RECORD_SELECTOR_MATCH,
	OPTIONS_COUNT,
};

/* Everything that options records say, in host byte order; times in milliseconds since 1970, 0 = never. */
struct options_facts {
	uint32_t domain, metering_process, exporting_process;
	uint64_t exported_messages, exported_flows, exported_octets;
	uint64_t ignored_packets, ignored_octets;
	uint64_t first_ignored_ms, last_ignored_ms;
	uint64_t not_sent_flows, not_sent_packets, not_sent_octets;
	uint64_t first_not_sent_ms, last_not_sent_ms;
	uint64_t started_ms;
	uint16_t active_timeout_s, idle_timeout_s; /* 65535 when longer */
	uint16_t template_id;
	uint64_t key_bits;
	uint32_t interface;
	uint64_t point_id;
	char name[POINT_NAME_MAX], description[POINT_NAME_MAX];
	uint32_t enterprise;
	uint16_t element;
	uint8_t element_type, element_semantics;
	uint16_t element_units;
	uint64_t element_begin, element_end;
	uint8_t rule_action, rule_source, rule_direction;
	uint64_t rule_packets, rule_octets, rule_ms;
	char rule[RULE_NAME_MAX];
	uint64_t sequence;
	uint32_t selector[CHAIN_MAX];
	uint16_t algorithm;
	uint32_t take, space; /* packets or microseconds: so many selected, so many not */
	uint32_t of;          /* take + space */
	uint64_t probability; /* the bits of a float64 */
	char expression[128]; /* the beginning of it */
	uint64_t observed, selected;
	uint8_t refused_direction;
	uint64_t refused_packets, refused_ms;
};

void options_make(struct layout out[static OPTIONS_COUNT]);

/* RFC 5610: put what the registry has of our own element number `index` from 0 on into the facts. False:
 * there are no more. */
bool options_describe(struct options_facts *facts, uint32_t index);

/* What is selected, and how: NULL where nothing is. */
struct selections {
	const struct selection *packets;
	const struct record_selection *records;
	const struct point_table *points; /* of the packets' selection */
	uint32_t domain;                  /* of the points that are told of (observe/point.h) */
};

/* The options records of it, in the order a collector needs them; *index begins at 0 and goes on. False:
 * there are no more. */
bool options_of_selection(const struct selections *selections, uint32_t *index, struct options_facts *facts,
			  enum options_kind *kind);

/* Those that may be needed, one bit for each kind. */
uint32_t options_selection_kinds(const struct selections *selections);

/* The first selectorId that no selector of packets has. */
uint32_t options_free_selector(const struct selection *packets);

/* A heading for docs/wire.md. */
const char *options_name(enum options_kind kind);
