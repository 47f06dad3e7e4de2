/* dump_report.h: what `weir dump` has to say beside the records, on standard error. */
#pragma once

#include <stdio.h>

#include "collect/capture_input.h"
#include "ie/value.h"

enum dump_kind { DUMP_NOTHING, DUMP_FILE, DUMP_CAPTURE };

struct dump_report {
	const char *name; /* of the input, for people */
	enum dump_kind kind;
	struct session_stats session;
	struct capture_stats capture;
	const uint64_t *values; /* VALUE_FAULT_COUNT counts */
	/* Octets of a file in which no message was found. */
	uint64_t damage_places, damage_octets, damage_first;
	bool damage_open; /* the last octets belong to such a place */
	uint64_t offset;  /* of what comes next */
	int64_t progress_at;
};

/* "weir dump: NAME: …" on standard error; answers EXIT_RUN_FAILED. */
int dump_fail(const struct dump_report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `length` octets at r->offset hold no message. */
void dump_damage(struct dump_report *r, uint64_t length);

/* On a terminal, about every second: how far it is. */
void dump_progress(struct dump_report *r);

/* Say what was damaged or left out. EXIT_RUN_FAILED when something was damaged or there was no IPFIX at all.
 */
int dump_conclude(const struct dump_report *r);

void dump_stats(const struct dump_report *r, FILE *out);
