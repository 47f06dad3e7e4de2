/* demo_receive.h: the demo's collector: IPFIX over UDP from the three systems, decoded into flows. */
#pragma once

#include "base/time.h"
#include "cmd/demo_lab.h"
#include "cmd/demo_page.h"
#include "collect/session.h"
#include "observe/denial.h"

/* A Flow Record as it came over the wire, numbers in host byte order. */
struct demo_flow {
	int reporter; /* host of the lab that exported it */
	bool ipv6;
	bool egress;
	uint8_t protocol;
	uint8_t source[16], destination[16]; /* IPv4 in the first four octets */
	uint16_t source_port, destination_port;
	uint16_t icmp; /* type and code */
	uint64_t packets, octets;
	uint64_t start_ms, end_ms; /* since 1970 */
	bool denied;
	uint8_t reason, policy; /* of a denied one: enum denial_reason, enum denial_class */
	char rule[64];          /* its name; "" when it is not known */
};

/* Borrowed until it returns. */
typedef void demo_flow_sink(void *arg, const struct demo_flow *flow);

struct receiver {
	uv_udp_t socket;
	struct session *session[LAB_HOSTS];
	uint64_t strangers;           /* messages from elsewhere */
	const struct demo_page *page; /* gets a copy of every message; NULL: none */
	demo_flow_sink *sink;
	void *arg;
	int host; /* whose message is being read */
	uint8_t buffer[65536];
};

/* Listen at the collector's address in the lab. ERR_SYSTEM, ERR_MEMORY. receiver_close in every case, then
 * one turn of the loop. */
MUST_CHECK enum status receiver_open(struct receiver *receiver, struct lab *lab, demo_flow_sink *sink,
				     void *arg, struct error *err);
void receiver_close(struct receiver *receiver);

const struct session_stats *receiver_stats(const struct receiver *receiver, int host);
