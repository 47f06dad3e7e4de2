/* origin.h: one observation domain of one Transport Session: what stands on each of its records, and what its
 * options records have said about them. */
#pragma once

#include <stdbool.h>

#include "ie/value.h"

enum {
	ORIGIN_SELECTORS_MAX = 64,
	ORIGIN_INTERFACES_MAX = 4096,
	ORIGIN_INTERFACE_NAME_MAX = 64,
};

/* One in num/den packets was selected: counters times num/den are what passed. */
struct sampling {
	uint64_t selector; /* selectorId or samplerId; 0: for the whole domain */
	uint32_t num, den;
};

struct interface_name {
	uint32_t index;
	uint8_t length;
	char name[ORIGIN_INTERFACE_NAME_MAX];
};

/* Losses that exporters report about themselves (RFC 7011 section 4): running totals of theirs. */
enum reported {
	REPORTED_IGNORED_PACKETS,
	REPORTED_IGNORED_OCTETS,
	REPORTED_NOT_SENT_FLOWS,
	REPORTED_NOT_SENT_PACKETS,
	REPORTED_NOT_SENT_OCTETS,
	REPORTED_COUNT
};
extern const char *const reported_names[REPORTED_COUNT];

struct origin {
	uint32_t domain;
	char address[64]; /* of the exporter, as text */
	uint16_t address_length;
	uint16_t port;
	uint64_t number; /* of the Transport Session */

	int64_t init_ms; /* systemInitTimeMilliseconds; 0: not said */
	uint32_t sampling_count;
	struct sampling *sampling;
	uint32_t interface_count, interface_room;
	struct interface_name *interfaces; /* sorted by index */

	uint64_t reported[REPORTED_COUNT];      /* lost in all, over restarts of the exporter */
	uint64_t reported_last[REPORTED_COUNT]; /* what it said last */
	uint32_t voice;                         /* of hearing.h: number + 1; 0: not looked for */
	uint64_t records;
	uint64_t faults[VALUE_FAULT_COUNT];       /* values that are not what their type says; [0] unused */
	uint64_t batch_faults[VALUE_FAULT_COUNT]; /* of the partition that is being written */
};

void origin_fini(struct origin *o);

/* False: no room, or not a rate. */
bool origin_set_sampling(struct origin *o, uint64_t selector, uint64_t num, uint64_t den);

/* The rate for records of the selector (0: they do not say). NULL: not known. */
const struct sampling *origin_sampling(const struct origin *o, uint64_t selector);

/* `name` is UTF-8; the newest holds. */
bool origin_set_interface(struct origin *o, uint32_t index, struct span name);
const struct interface_name *origin_interface(const struct origin *o, uint32_t index);

/* The exporter says its total is `total`; less than before means that it began anew. */
void origin_report(struct origin *o, enum reported what, uint64_t total);
