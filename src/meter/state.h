/* state.h: what a meter is made of, for the files of this folder and their tests. */
#pragma once

#include "meter/fragments.h"
#include "meter/frames.h"
#include "meter/hash.h"
#include "meter/index.h"
#include "meter/meter.h"
#include "meter/owed.h"
#include "meter/store.h"

/* The sweep's unit of time, 67 ms: a flow's check_at is 4 octets and lasts for years. */
enum { TICK_LOG2 = 26 };

/* Between two sweeps at most; with a tick's rounding a flow ends 0.6 s late. */
#define SWEEP_NS ((int64_t)1 << 29)

/* Flows whose cache misses overlap. */
enum { METER_GROUP = 256 };

/* Packets may be out of order by less than this; more is a clock that was set back. */
#define CLOCK_STEP_NS (3600 * NS_PER_S)

/* A frame's refusal is usually known this soon. */
#define REFUSAL_NS (NS_PER_S / 4)

/* An interface shows its frames in order, but for this much: times are cut to microseconds, and processors
 * work side by side. */
#define PASSED_NS NS_PER_MS

/* Packet times outside of [0, TIME_MAX_NS] (the year 2116) are taken as the nearest in it, and no timeout is
 * longer than DURATION_MAX_NS, so that sums cannot overflow. */
#define TIME_MAX_NS     ((int64_t)1 << 62)
#define DURATION_MAX_NS ((int64_t)1 << 61)

/* Bits of packet_facts.tcp_flags. */
enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04 };

struct meter_clock {
	int64_t now;     /* ns: the latest time that a sweep has seen */
	int64_t epoch;   /* ns: tick 0 */
	int64_t floor;   /* ns: packets in [floor, floor + span) need no look at the clock */
	uint64_t span;   /* 0 before the first packet */
	int64_t to_wall; /* ns */
	bool started;
};

struct meter {
	struct meter_options options;
	uint32_t interval_ms;
	const struct point_table *points;
	flow_sink *sink;
	void *sink_arg;
	struct flow_hasher hasher;
	struct flow_index index;
	struct flow_store store;
	struct fragment_table *fragments;
	struct owed_table *owed;    /* NULL: no frames are refused … */
	struct frame_table *frames; /* … or none more than once */
	struct owed_table *passed;  /* frames that arrived and were not selected; NULL: as owed, or all are */
	uint64_t frame_secret;
	int64_t owed_until;            /* ns: nothing is owed from then on */
	int64_t seen_until[POINT_MAX]; /* ns: the latest frame that the interface has shown; for late refusals
					*/
	struct meter_clock clock;
	uint64_t flows_numbered;
	uint32_t shed_mask, shed_position; /* meter_shed */
	int64_t evicted_until;             /* ns: flows with an older last packet had to make room */
	struct meter_statistics statistics;
	struct flow_record told; /* the one that is handed over; what only some have is always zero in it */
};

/* Choose the hash; only before the first packet. */
bool meter_use_hash(struct meter *m, enum flow_hash_kind kind);

/* Loops 2 to 4 of a batch: hash, fetch, count. n <= PACKET_BATCH_MAX. A packet with facts.packets == 0 is one
 * that was filtered out; it is not counted, but the end of its TCP session is seen. */
void meter_count(struct meter *m, const struct flow_key *keys, const struct packet_facts *facts, uint32_t n,
		 int64_t to_wall);

/* The same for one packet where records have extras. */
void meter_count_extra(struct meter *m, const struct packet_extra *extra, const struct flow_key *key,
		       const struct packet_facts *facts);

/* Count one packet into its flow, whatever state that is in; answers the flow. FLOW_NONE: the frame was owed
 * (meter/owed.h) and is not counted. */
uint32_t meter_count_flow(struct meter *m, const struct flow_key *key, uint32_t hash,
			  const struct packet_facts *facts, int64_t time);

/* deny.c: count a refused frame, key with KIND_DENIED. */
void meter_deny(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
		uint16_t denial, uint64_t fingerprint);

/* All packets of a flow have turned out to be refused. */
void meter_empty(struct meter *m, uint32_t flow, uint32_t hash);

/* What was counted is not to be. */
void meter_uncount(struct meter *m, const struct packet_facts *facts);

/* A frame that could not be decoded, or was left out. */
void meter_count_ignored(struct meter_statistics *s, const struct packet *packet, int64_t to_wall);

/* Loop 1 for a packet that is decoded: direction filter, fragments, DSCP. False: nothing to count. */
bool meter_classify(struct meter *m, struct flow_key *key, struct packet_facts *facts);

/* expire.c: time goes on to `time`; what is due ends. Answers the time to count the packet with. */
int64_t meter_clock_to(struct meter *m, int64_t time);

/* The same for one frame of many: the clock, and the sweep with it, waits for a later one if it can. */
static inline int64_t meter_time_of(struct meter *m, int64_t time)
{
	return (uint64_t)time - (uint64_t)m->clock.floor < m->clock.span ? time : meter_clock_to(m, time);
}

/* The first tick that is not before `time`, and the tick that `time` is in. */
uint32_t meter_tick_after(const struct meter *m, int64_t time);
uint32_t meter_tick_of(const struct meter *m, int64_t time);

/* Where in the interval a flow is born, ms. */
uint32_t meter_phase(const struct meter *m, int64_t time);

/* Tick by which a flow with its last packet at `last` must be looked at again, after `seen`. */
uint32_t meter_next_check(const struct meter *m, uint32_t flow, int64_t last, int64_t seen);

/* Why `flow` has ended by itself when it is `time`; 0: it has not. The sweep and the packets of a flow ask
 * the same question, so it does not matter to the records which of the two comes first. */
unsigned meter_natural_end(const struct meter *m, uint32_t flow, int64_t time);

/* Write the record of a flow and close the flow. `hash` as the flow was inserted with. */
void meter_end_flow(struct meter *m, uint32_t flow, uint32_t hash, enum flow_end_reason reason);

/* Write the record of a flow that goes on. */
void meter_interim(struct meter *m, uint32_t flow);

/* Make room: end the flows that have been idle for longest, one in 32, at least one. */
void meter_evict(struct meter *m, int64_t now);

/* record.c: hand over the record of what was counted since the last one. */
void meter_tell(struct meter *m, uint32_t flow, enum flow_end_reason reason);

/* The record of one packet, where each is a flow of its own. `extra` may be NULL. */
void meter_tell_packet(struct meter *m, const struct flow_key *key, const struct packet_facts *facts,
		       uint16_t denial, const struct packet_extra *extra, int64_t time);
