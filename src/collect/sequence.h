/* sequence.h: what the sequence numbers of one observation domain in one Transport Session say about loss
 * (RFC 7011 sections 3.1 and 10.3.2). Numbers count Data Records modulo 2^32, options records included. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* SEQUENCE(constant, name in statistics, text): what a message's number says. */
#define SEQUENCE_EVENTS(SEQUENCE)                                                                            \
	SEQUENCE(FIRST, "first", "the first message of the domain")                                          \
	SEQUENCE(NEXT, "in_order", "the number that was expected")                                           \
	SEQUENCE(UNCOUNTED, "after_undecoded", "ahead, behind data sets whose records could not be counted") \
	SEQUENCE(GAP, "gap", "ahead: records are missing")                                                   \
	SEQUENCE(LATE, "late", "behind: the message was overtaken")                                          \
	SEQUENCE(DUPLICATE, "duplicate", "a message that was there already")                                 \
	SEQUENCE(RESTART, "restart", "the exporter began to count anew")                                     \
	SEQUENCE(STRAY, "stray", "far away, and the next message did not follow it")

enum sequence_event {
#define SEQUENCE(constant, name, text) SEQUENCE_##constant,
	SEQUENCE_EVENTS(SEQUENCE)
#undef SEQUENCE
		SEQUENCE_EVENT_COUNT
};

const char *sequence_event_name(enum sequence_event event);

enum {
	SEQUENCE_AHEAD_MAX = 1 << 24, /* a gap up to here is believed at once */
	SEQUENCE_RECENT = 16,         /* messages remembered to tell duplicates from late ones */
};

struct sequence_stats {
	uint64_t events[SEQUENCE_EVENT_COUNT]; /* messages */
	uint64_t lost;                         /* records in gaps, less those that came late */
	uint64_t uncounted;                    /* records behind SEQUENCE_UNCOUNTED: not decoded or lost */
};

struct sequence {
	bool known;     /* a message has been there */
	bool uncounted; /* the last message had records that could not be counted */
	bool candidate_known;
	uint32_t expected;
	uint32_t candidate;   /* what would follow the last stray */
	uint32_t export_time; /* the newest, by RFC 1982 order */
	uint32_t gap;         /* records that late messages may still bring */
	unsigned recent_at;
	struct {
		uint32_t number, export_time, records;
		bool used;
	} recent[SEQUENCE_RECENT];
};

/* Take the header of a message into account, before its records. A number far ahead, or behind in a message
 * that is newer, is believed when the next message follows it, or at once when it is 0 (RFC 7011 section 11.6
 * warns of believing strangers). */
enum sequence_event sequence_begin(struct sequence *s, struct sequence_stats *stats, uint32_t number,
				   uint32_t export_time);

/* The message had this many Data Records, and perhaps others that could not be counted. */
void sequence_end(struct sequence *s, struct sequence_stats *stats, enum sequence_event event,
		  uint32_t number, uint32_t export_time, uint32_t records, bool uncounted);
