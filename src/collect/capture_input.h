/* capture_input.h: IPFIX messages out of a capture file: what an exporter sent, as someone on the way saw it.
 *
 * pcap and pcapng through libpcap; Ethernet (VLAN tags walked), RAW, NULL/LOOP, SLL and SLL2. Over UDP a
 * datagram to any port whose payload begins with 00 0a is one message. A TCP direction whose octets begin
 * with 00 0a is a stream of messages; segments are put in order in a bounded window. Everything else is
 * passed over and counted.
 *
 * Each UDP 4-tuple and each TCP connection is its own Transport Session. */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "base/time.h"
#include "collect/session.h"

enum {
	CAPTURE_SESSIONS_MAX = 4096, /* more are counted, not decoded */
};

struct capture_stats {
	uint64_t frames;
	uint64_t not_ipfix;     /* no UDP or TCP, or other content; NetFlow included */
	uint64_t netflow5;      /* datagrams of NetFlow version 5 */
	uint64_t netflow9;      /* datagrams of NetFlow version 9 */
	uint64_t fragments;     /* IP fragments: not put together */
	uint64_t cut;           /* frames captured short of their IPFIX payload */
	uint64_t sessions;      /* UDP and TCP together */
	uint64_t refused;       /* datagrams and segments of sessions over CAPTURE_SESSIONS_MAX */
	uint64_t stream_lost;   /* octets that a TCP direction misses */
	uint64_t stream_damage; /* octets of a TCP direction in which no message was found */
};

struct capture_input;

/* Read from `file`, which stays the caller's until capture_input_close, which closes it. `name` is for error
 * texts. ERR_FORMAT: no capture file; ERR_UNSUPPORTED: its link type; ERR_MEMORY. */
MUST_CHECK enum status capture_input_open(struct capture_input **out, FILE *file, const char *name,
					  const struct session_limits *limits, struct error *err);
struct capture_input *capture_input_close(struct capture_input *input);

/* Read it all and hand every message to the sink. ERR_FORMAT: the file is damaged at some place; what came
 * before was handed out. */
MUST_CHECK enum status capture_input_run(struct capture_input *input, const struct session_sink *sink,
					 struct error *err);

const struct capture_stats *capture_input_stats(const struct capture_input *input);

/* The statistics of all sessions, added up. */
void capture_input_sessions(const struct capture_input *input, struct session_stats *sum);
