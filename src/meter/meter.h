/* meter.h: the Metering Process (RFC 5470 section 5): packets in, flow records out.
 *
 * One meter belongs to one thread. It makes no system call and no allocation but to let its table grow. It
 * reads no clock: time comes in with the packets and with meter_advance.
 *
 * How a flow ends (RFC 5470 section 5.1.1), each within a second of when it is due:
 *   1 idle       no packet for idle_ns
 *   2 interim    every interval_ns from the flow's first packet, if there were packets since the last record.
 *                The record holds what was counted since then; the flow goes on under its flow id. (Also
 *                before a packet counter would overflow.)
 *   3 detected   FIN in both directions, or RST in either, and linger_ns for the last packets. The linger is
 *                not prolonged by packets. SYN within it begins a new flow. A FIN in a direction that
 *                `directions` leaves out is seen; a refused packet ends nothing.
 *   4 forced     flush, or a clock that was set back by more than an hour
 *   5 resources  the table is full: of max_flows, a 32nd to a 16th goes, those with the oldest last packets
 * A refused frame (packet->denial) is counted into a flow of refused ones, and only there, whatever Direction
 * says: when it was seen to arrive, too, that is undone. For this the two must be told within a second of
 * each other, and idle_ns and linger_ns must be at least that; an interim record is left out when
 * the first packet it would tell of is less than a quarter of a second old. A refused flow ends with reason 3
 * when another rule refuses its frames.
 * The end of a flow is always told: when the last interim record left nothing to tell, by a record with no
 * packets, whose start and end are the time of the flow's last packet.
 *
 * Records of the same packets are the same, and in the same order, whatever the hash key and however the
 * packets are cut into batches. Packets may come out of order by less than an hour. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "decode/local.h"
#include "meter/flow_record.h"
#include "meter/selection.h"
#include "observe/packet.h"
#include "observe/point.h"

/* Which records are wanted (the profile's Direction). */
enum direction_filter { DIRECTIONS_BOTH, DIRECTIONS_SENDING, DIRECTIONS_RECEIVED };

/* What costs memory for each flow, or time for each packet, only where it is asked for. */
enum {
	EXTRA_TOTALS = 1 << 0,  /* counters since the flow began */
	EXTRA_PACKETS = 1 << 1, /* TTL, MAC addresses, VLAN */
	EXTRA_BIFLOWS = 1 << 2, /* both directions of a conversation are one flow, of whoever began (RFC
				   5103); `directions` must be both, and no source tells of refused frames */
	EXTRA_MICROSECONDS = 1 << 3,
	EXTRA_KEPT = EXTRA_TOTALS | EXTRA_PACKETS | EXTRA_BIFLOWS, /* these take memory */
};

struct meter_options {
	uint32_t max_flows; /* open flows at most, 1 to 2^26; the oldest idle ones make room (end reason 5) */
	uint32_t max_denied; /* open flows of refused frames at most, besides max_flows, to 2^26; frames of
				further ones are counted into one flow for each point and direction. 0: no
				source tells of refused frames */
	int64_t idle_ns;     /* 0: every packet is a flow of its own */
	int64_t interval_ns; /* interim records of long flows; 0: none */
	int64_t linger_ns;   /* how long a TCP flow stays after FIN both ways or RST, for the last ACK */
	enum direction_filter directions;
	const struct prefix_list *local; /* decode/local.h: direction where the source cannot tell; NULL: all
					    such packets are ingress. Outlives the meter */
	bool dscp_key;                   /* DSCP is part of the flow key */
	uint32_t extras;                 /* EXTRA_…: what records have besides */
	struct selection *selection;     /* which packets are metered; borrowed. NULL: all */
	uint64_t first_flow_id;          /* flow ids count up from here … */
	uint64_t flow_id_step;           /* … by this; 0: 1 */
	uint8_t hash_key[32];            /* secret, so that nobody outside can aim collisions */
};

/* Counters since the meter was made; they only grow, but for the gauge. */
struct meter_statistics {
	uint64_t packets; /* counted into flows; a super-packet counts as the packets it stands for */
	uint64_t octets;
	uint64_t filtered_packets; /* left out by `directions` */
	uint64_t filtered_octets;
	uint64_t outcome[DECODE_OUTCOME_COUNT]; /* frames by what the decoder said */
	uint64_t ignored_octets;                /* frame octets of all outcomes but DECODE_FLOW */
	uint64_t shed_packets; /* left out by meter_shed; their octets are ignored ones, too */
	int64_t first_ignored_wall_ms, last_ignored_wall_ms; /* 0: none yet */
	uint64_t fragments_joined;                           /* later fragments that found their first */
	uint64_t fragments_unjoined; /* … that did not, also for coming before it: metered without ports */
	uint64_t records[END_RESOURCES + 1]; /* by end reason */
	uint64_t flows_created;
	uint64_t evicted;        /* flows ended by pressure */
	uint64_t clock_steps;    /* packet time that went back too far: all flows were ended */
	uint64_t denied_packets; /* of `packets`: refused */
	uint64_t denied_octets;
	uint64_t denied_repeated;  /* reports of a frame that another rule was told for already */
	uint64_t denied_overflow;  /* of denied_packets: in flows that stand for many */
	uint64_t denied_unmatched; /* refused frames that may be in the record of what was let through, too,
				      for want of room to remember them */
	uint64_t denied_late;      /* refused frames that were told of when the interface had long shown them:
				      their      flow's record was sent, or the ring has lost them. In the first
				      case      that      record has them, too */
	uint64_t withdrawn_flows;  /* all their packets turned out to be refused: no record */
	uint32_t active_flows;     /* gauge */
	uint32_t active_denied;    /* gauge: of those, of refused frames */
};

/* Takes one finished record. Borrowed: it is gone when the sink returns. */
typedef void flow_sink(void *arg, const struct flow_record *record);

struct meter;

/* The point table is read when records are made and must outlive the meter. ERR_MEMORY; ERR_LIMIT: no flows
 * or more than 2^26, a duration below 0 or over 73 years, an interval between 0 and 1 ms or over 49 days. */
MUST_CHECK enum status meter_new(struct meter **out, const struct meter_options *options,
				 const struct point_table *points, flow_sink *sink, void *sink_arg,
				 struct error *err);
void meter_free(struct meter *meter);

/* Decode, classify and count a batch; expire what its packets' time makes due. */
void meter_observe(struct meter *meter, const struct packet_batch *batch);

/* Overload: of 2^share_log2 frames only one is looked at from now on, without a look at the others; those are
 * counted as ignored, with the time span. 0: all frames again. Frames that were refused are never left out.
 */
enum { SHED_MOST = 6 };
void meter_shed(struct meter *meter, unsigned share_log2);

/* Time has passed without packets: end idle flows, make interim records. Call at least twice a second on a
 * live device; a capture file needs none. */
void meter_advance(struct meter *meter, struct mono_ns now, int64_t to_wall);

/* Go on with the timeouts and directions of `options`; all else stays. A flow that is open may end as late as
 * the timeout of before had it. false, and nothing changed: idle_ns or interval_ns would become 0, or were
 * it, which another table is made for. */
bool meter_change(struct meter *meter, const struct meter_options *options);

/* End every open flow with END_FORCED: all of them, or those of one observation point (its interface is
 * gone). */
void meter_flush(struct meter *meter);
void meter_flush_point(struct meter *meter, uint32_t point);

void meter_statistics(const struct meter *meter, struct meter_statistics *out);

/* Of several meters together. */
void meter_statistics_add(struct meter_statistics *sum, const struct meter_statistics *part);
