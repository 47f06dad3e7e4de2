/* harness.h: a meter under test, and what it has said. */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "meter/state.h"

struct records {
	struct flow_record *at;
	uint32_t count, room;
};

static inline void records_add(void *arg, const struct flow_record *r)
{
	struct records *all = arg;

	assert_true(r->start_ms <= r->end_ms);
	if (all->count == all->room) {
		all->room = all->room ? 2 * all->room : 64;
		all->at = realloc(all->at, all->room * sizeof *all->at);
		assert_non_null(all->at);
	}
	all->at[all->count++] = *r;
}

/* All but the padding after the last member. */
static inline bool same_record(const struct flow_record *a, const struct flow_record *b)
{
	return memcmp(a, b, offsetof(struct flow_record, end_reason) + 1) == 0;
}

static inline void records_reset(struct records *all)
{
	free(all->at);
	*all = (struct records){0};
}

struct harness {
	struct meter *meter;
	struct records records;
	struct point_table points;
};

static const struct meter_options default_options = {
	.max_flows = 100000,
	.idle_ns = 15 * NS_PER_S,
	.linger_ns = NS_PER_S,
	.first_flow_id = 1,
	.hash_key = "0123456789abcdef0123456789abcde",
};

static inline struct harness *harness_new(const struct meter_options *options)
{
	struct harness *h = calloc(1, sizeof *h);
	struct error err;

	assert_non_null(h);
	h->points.count = 2;
	h->points.point[0] = (struct observation_point){.id = 1, .ifindex = 11};
	h->points.point[1] = (struct observation_point){.id = 2, .ifindex = 22};
	assert_int_equal(meter_new(&h->meter, options, &h->points, records_add, &h->records, &err), OK);
	return h;
}

static inline void harness_free(struct harness *h)
{
	meter_free(h->meter);
	records_reset(&h->records);
	free(h);
}

static inline struct meter_statistics harness_statistics(const struct harness *h)
{
	struct meter_statistics s;

	meter_statistics(h->meter, &s);
	return s;
}

/* A UDP flow that is told from others by its number. */
static inline struct flow_key udp_key(uint32_t number)
{
	struct flow_key key = {
		.protocol = 17, .kind = KIND_PORTS, .source = {10}, .destination = {192, 0, 2, 1}};

	put_be32(key.source, 10u << 24 | number >> 16);
	put_be16(&key.source_port, (uint16_t)number);
	put_be16(&key.destination_port, 53);
	return key;
}

static inline struct flow_key reverse_of(struct flow_key key)
{
	struct flow_key r = key;

	memcpy(r.source, key.destination, 16);
	memcpy(r.destination, key.source, 16);
	r.source_port = key.destination_port;
	r.destination_port = key.source_port;
	r.kind ^= KIND_EGRESS;
	return r;
}

/* One packet of 100 octets at `ns`, alone in its batch. */
static inline void count_one(struct harness *h, struct flow_key key, int64_t ns, uint16_t tcp_flags)
{
	const struct packet_facts facts = {.time = {ns}, .octets = 100, .packets = 1, .tcp_flags = tcp_flags};

	meter_count(h->meter, &key, &facts, 1, 0);
}

/* splitmix64 (public domain) */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline uint32_t random_below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)(random_next(state) >> 33) % bound;
}
