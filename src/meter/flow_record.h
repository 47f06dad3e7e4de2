/* flow_record.h: a Flow Record (RFC 5470 section 2) in plain form, as the Metering Process hands it to the
 * Exporting Process. The field table of export/layout.c names these members; nothing else knows their
 * offsets. */
#pragma once

#include <stdint.h>

#include "decode/decode.h"
#include "decode/extra.h"

/* flowEndReason (IANA element 136). */
enum flow_end_reason {
	END_IDLE = 1,
	END_ACTIVE = 2, /* interim: the flow goes on */
	END_DETECTED = 3,
	END_FORCED = 4,
	END_RESOURCES = 5,
};

struct flow_record {
	struct flow_key key;
	uint64_t octets; /* since the last record of this flow (delta) */
	uint64_t packets;
	uint64_t dropped_octets; /* denied frames only */
	uint64_t dropped_packets;
	uint64_t start_ms, end_ms;   /* first and last packet of this record, milliseconds since 1970 */
	uint64_t start_ntp, end_ntp; /* the same in microseconds, as dateTimeMicroseconds is written */
	uint64_t total_octets, total_packets;     /* since the flow began … */
	uint64_t reverse_octets, reverse_packets; /* … the other way, since the last record: biflows, … */
	uint64_t reverse_start_ms, reverse_end_ms; /* … with their times, as above; only with packets … */
	uint64_t reverse_start_ntp, reverse_end_ntp;
	struct packet_extra extra; /* … and of the first packet: only where asked for */
	uint8_t ttl_least, ttl_most;
	uint8_t biflow_direction; /* IANA element 239: 1, the source is the initiator; 0: no biflows */
	uint64_t flow_id;   /* joins the interim records of one flow; unique in the observation domain */
	uint32_t interface; /* ifindex of the observation point */
	uint32_t point_id;  /* observationPointId */
	uint32_t selector;  /* selectorId, where packets are selected; 0: they are not */
	uint16_t tcp_flags, reverse_tcp_flags;
	uint16_t denial;          /* denied frames only: why (observe/denial.h) */
	uint8_t class_of_service; /* of the first packet */
	uint8_t direction;        /* enum flow_direction: ingress or egress */
	uint8_t end_reason;       /* enum flow_end_reason */
};
