/* hearing.h: when what was lost: intervals of the exporters' own time in which records are missing or an
 * exporter was not heard, so that a chart can tell loss from silence.
 *
 *   lost      records that sequence numbers miss, between two messages of one observation domain
 *   unheard   no message at all of an exporter that otherwise tells of itself (options records) regularly:
 *             silence has those records, an exporter that is down or cut off has not
 *
 * Times are Export Times (RFC 7011 section 3.1), as those of flows are the exporter's too. An exporter is
 * address and observation domain, over all its Transport Sessions. No I/O. Bounded: gaps beyond GAPS_MAX are
 * joined. */
#pragma once

#include <jansson.h>

#include "store/peer.h"

enum { VOICES_MAX = 4096, GAPS_MAX = 4096, BEATS = 8 };

struct voice {
	char address[64];
	uint32_t domain;
	int64_t first_s, heard_s; /* Export Time of the first and the newest message */
	int64_t told_s;           /* of the newest with options records; 0: none */
	uint32_t beats[BEATS];    /* seconds between those, the last ones */
	uint32_t beat_count;      /* ever */
};

enum gap_kind { GAP_LOST, GAP_UNHEARD, GAP_KINDS };
extern const char *const gap_kind_names[GAP_KINDS];

struct gap {
	uint32_t voice;
	uint8_t kind; /* enum gap_kind */
	int64_t from_s, to_s;
	uint64_t records; /* of GAP_LOST */
};

struct hearing {
	struct voice *voices;
	uint32_t voice_count;
	struct gap *gaps; /* by when they were found */
	uint32_t gap_count;
};

void hearing_fini(struct hearing *h);

/* A message of the domain has come. `lost`: what its sequence number added to the records that are missing;
 * below 0: late ones came. `options`: it had options records. Without memory nothing is noted. */
void hearing_note(struct hearing *h, struct origin *origin, int64_t export_s, int64_t lost, bool options);

/* So long an exporter may be silent, seconds; 0: it does not tell of itself, so nothing follows from silence.
 */
int64_t voice_patience(const struct voice *v);

json_t *hearing_json(const struct hearing *h);
void hearing_restore(struct hearing *h, json_t *json);
