/* workload.h: the traffic of the benchmarks, the same at every run.
 *
 *   A  a busy link:    10 million packets of 100 000 flows, sizes by Zipf's law
 *   B  a crowd:        10 million packets of 1 million flows, all alike
 *   C  a flood:         5 million packets, each its own flow
 *
 * Flows come in pairs, one for each direction of a conversation. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "decode/decode.h"

struct workload {
	char name;
	uint64_t packets;
	uint32_t flows;
	int64_t span_ns; /* from the first packet to the last */
	double *zipf;    /* A: share of the first n flows */
	uint64_t random;
	uint64_t next;
};

struct workload_packet {
	uint32_t flow;
	uint32_t octets; /* of the IP packet; 60 at least, so that the headers of IPv6 and TCP have room */
	int64_t time;    /* ns since the beginning */
};

/* splitmix64 (public domain) */
static inline uint64_t workload_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint64_t workload_random(struct workload *w)
{
	return workload_mix(w->random++);
}

/* 0 for packets or flows: as in the list above. False: no such workload, or no memory. */
static inline bool workload_init(struct workload *w, char name, uint64_t packets, uint32_t flows)
{
	static const struct workload known[] = {
		{.name = 'A', .packets = 10000000, .flows = 100000},
		{.name = 'B', .packets = 10000000, .flows = 1000000},
		{.name = 'C', .packets = 5000000, .flows = 5000000},
	};

	if (name < 'A' || name > 'C')
		return false;
	*w = known[name - 'A'];
	w->packets = packets ? packets : w->packets;
	w->flows = flows ? flows : w->flows;
	w->span_ns = 60 * NS_PER_S;
	w->random = (uint64_t)name << 32;
	if (name == 'C')
		w->flows = (uint32_t)w->packets;
	if (name == 'A') {
		double sum = 0;

		w->zipf = calloc(w->flows, sizeof *w->zipf);
		if (!w->zipf)
			return false;
		for (uint32_t i = 0; i < w->flows; i++)
			w->zipf[i] = sum += 1.0 / (i + 1);
		for (uint32_t i = 0; i < w->flows; i++)
			w->zipf[i] /= sum;
	}
	return true;
}

static inline uint32_t workload_zipf(const struct workload *w, double at)
{
	uint32_t low = 0, high = w->flows - 1;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (w->zipf[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline struct workload_packet workload_next(struct workload *w)
{
	const uint64_t r = workload_random(w);
	struct workload_packet p = {
		.time = (int64_t)((double)w->span_ns * (double)w->next / (double)w->packets),
		/* half are acknowledgements and the like, half are full */
		.octets = r & 1 ? 1400 : 60 + (uint32_t)(r >> 1) % 100,
	};

	if (w->name == 'A')
		p.flow = workload_zipf(w, (double)(workload_random(w) >> 11) * 0x1p-53);
	else if (w->name == 'B')
		p.flow = (uint32_t)(workload_random(w) % w->flows);
	else
		p.flow = (uint32_t)w->next;
	w->next++;
	return p;
}

/* Who talks with whom in flow number `flow`: 3/4 IPv4; 70 % TCP, 25 % UDP, 5 % ICMP; odd flows are the other
 * direction of the even ones before them. No two numbers below 2^24 give one key. */
static inline struct flow_key workload_key(uint32_t flow)
{
	const uint64_t id = workload_mix(flow / 2);
	const uint32_t share = (uint32_t)(id >> 8) % 100, number = flow / 2;
	struct flow_key key = {.protocol = share < 70 ? 6 : share < 95 ? 17 : 1, .kind = KIND_PORTS};
	uint8_t one[16] = {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
	uint8_t two[16] = {172, 16, (uint8_t)(id >> 32), (uint8_t)(id >> 40)};
	uint16_t port_one = htobe16((uint16_t)(1024 + (id >> 48) % 60000));
	uint16_t port_two = htobe16((uint16_t)(id & 4 ? 443 : 1 + id % 1000));

	if (id % 4 == 3) {
		static const uint8_t prefix[8] = {0x20, 0x01, 0x0d, 0xb8};

		key.kind |= KIND_IPV6;
		memcpy(one + 8, one, 4);
		memcpy(two + 8, two, 4);
		memcpy(one, prefix, 8);
		memcpy(two, prefix, 8);
		if (key.protocol == 1)
			key.protocol = 58;
	}
	memcpy(key.source, flow & 1 ? two : one, 16);
	memcpy(key.destination, flow & 1 ? one : two, 16);
	if (key.protocol == 1 || key.protocol == 58) { /* echo request and reply: type and code, no ports */
		const uint8_t type[2] = {key.protocol == 1 ? (flow & 1 ? 0 : 8) : (flow & 1 ? 129 : 128), 0};

		memcpy(&key.destination_port, type, 2);
	} else {
		key.source_port = flow & 1 ? port_two : port_one;
		key.destination_port = flow & 1 ? port_one : port_two;
	}
	return key;
}
