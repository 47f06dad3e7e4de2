/* The ends of TCP sessions (flowEndReason 3). */
#include "harness.h"

enum { ACK = 0x10, FIN = 0x01, SYN = 0x02, RST = 0x04 };

struct step {
	int ms;
	int side;  /* 0: the client's direction, 1: the server's */
	int flags; /* -1: no packet, only time */
};

struct expected {
	int side;
	unsigned packets, reason;
};

static const struct {
	const char *what;
	struct step step[12];
	struct expected record[6];
} cases[] = {
	{"FIN both ways, last ACK counts",
	 {{0, 0, SYN}, {1, 1, SYN | ACK}, {2, 0, FIN | ACK}, {3, 1, FIN | ACK}, {4, 0, ACK}, {3000, 0, -1}},
	 {{0, 3, 3}, {1, 2, 3}}},
	{"FIN one way only: the other goes on",
	 {{0, 0, SYN}, {1, 1, SYN | ACK}, {2, 0, FIN | ACK}, {5000, 1, ACK}, {9000, 1, ACK}, {14000, 0, -1}},
	 {{0, 2, 4}, {1, 3, 4}}},
	{"FIN repeated by one side is not FIN both ways",
	 {{0, 0, ACK}, {1, 1, ACK}, {2, 0, FIN | ACK}, {3, 0, FIN | ACK}, {5000, 0, -1}},
	 {{0, 3, 4}, {1, 1, 4}}},
	{"RST ends both directions", {{0, 0, SYN}, {1, 1, RST | ACK}, {3000, 0, -1}}, {{0, 1, 3}, {1, 1, 3}}},
	{"RST alone", {{0, 0, RST}, {3000, 0, -1}}, {{0, 1, 3}}},
	{"packets within the linger still count, later ones are a new flow",
	 {{0, 0, ACK}, {1, 1, RST}, {900, 0, ACK}, {2000, 0, ACK}, {2001, 0, ACK}},
	 {{0, 2, 3}, {1, 1, 3}, {0, 2, 4}}},
	{"the linger is not prolonged by packets",
	 {{0, 0, RST}, {500, 0, ACK}, {900, 0, RST}, {1300, 0, ACK}},
	 {{0, 3, 3}, {0, 1, 4}}},
	{"a new SYN within the linger is a new flow, in both directions",
	 {{0, 0, FIN}, {1, 1, FIN}, {2, 0, ACK}, {100, 0, SYN}, {101, 1, SYN | ACK}, {102, 0, ACK}},
	 {{0, 2, 3}, {1, 1, 3}, {0, 2, 4}, {1, 1, 4}}},
	{"SYN in an open flow is only a packet", {{0, 0, SYN}, {1000, 0, SYN}, {3000, 0, SYN}}, {{0, 3, 4}}},
	{"FIN when the other direction has gone long ago",
	 {{0, 1, FIN}, {20000, 0, ACK}, {20001, 0, FIN}, {23000, 0, -1}},
	 {{1, 1, 1}, {0, 2, 4}}},
	{"a flow that begins after the peer's FIN",
	 {{0, 1, FIN}, {1, 0, FIN}, {2, 1, ACK}, {3000, 0, -1}},
	 {{1, 2, 3}, {0, 1, 3}}},
	{"the peer's FIN comes long after the last packet: its ACK still belongs to the flow",
	 {{0, 0, FIN}, {1, 1, ACK}, {10000, 1, FIN}, {10100, 0, ACK}, {13000, 0, -1}},
	 {{0, 2, 3}, {1, 2, 3}}},
};

static struct flow_key session(int side)
{
	struct flow_key key = udp_key(7);

	key.protocol = 6;
	return side == 0 ? key : reverse_of(key);
}

static void run_steps(struct harness *h, const struct step *steps)
{
	for (const struct step *s = steps; s < steps + 12; s++) {
		const int64_t ns = 1000 * NS_PER_S + s->ms * NS_PER_MS;

		if (s->flags < 0)
			meter_advance(h->meter, (struct mono_ns){ns}, 0);
		else if (s->flags > 0)
			count_one(h, session(s->side), ns, (uint16_t)s->flags);
	}
}

static void test_ends(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = harness_new(&default_options);
		uint32_t n = 0;

		run_steps(h, cases[i].step);
		meter_flush(h->meter);
		for (const struct expected *e = cases[i].record; e->packets > 0; e++, n++) {
			const struct flow_key key = session(e->side);
			bool found = false;

			for (uint32_t j = 0; j < h->records.count; j++) {
				struct flow_record *r = &h->records.at[j];

				if (!found && memcmp(&r->key, &key, sizeof key) == 0 &&
				    r->packets == e->packets && r->end_reason == e->reason) {
					found = true;
					r->packets = 0; /* used */
				}
			}
			if (!found)
				fail_msg("%s: no record %u", cases[i].what, n);
		}
		if (n != h->records.count)
			fail_msg("%s: %u records, expected %u", cases[i].what, h->records.count, n);
		harness_free(h);
	}
}

/* When it ends is told soon, not after the idle timeout. */
static void test_told_soon(void **state)
{
	struct harness *h = harness_new(&default_options);

	count_one(h, session(0), 0, RST);
	meter_advance(h->meter, (struct mono_ns){NS_PER_S - 1}, 0);
	assert_int_equal(h->records.count, 0);
	meter_advance(h->meter, (struct mono_ns){NS_PER_S + NS_PER_S / 2}, 0);
	assert_int_equal(h->records.count, 1);
	assert_int_equal(h->records.at[0].end_reason, END_DETECTED);
	assert_int_equal(h->records.at[0].tcp_flags, RST);
	harness_free(h);
}

/* What was refused never reached the peer. */
static void test_denied_ends_nothing(void **state)
{
	struct harness *h = harness_new(&default_options);
	struct flow_key denied = session(1);

	denied.kind |= KIND_DENIED;
	count_one(h, session(0), 0, ACK);
	count_one(h, denied, 1, RST);
	meter_advance(h->meter, (struct mono_ns){5 * NS_PER_S}, 0);
	assert_int_equal(h->records.count, 0);
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 2);
	assert_int_equal(h->records.at[0].dropped_packets, 0);
	assert_int_equal(h->records.at[1].dropped_packets, 1);
	assert_int_equal(h->records.at[1].dropped_octets, 100);
	harness_free(h);
}

/* Only one direction is metered; the other one's FIN is seen all the same. */
static void test_one_direction(void **state)
{
	struct meter_options options = default_options;
	static const struct step steps[12] = {{0, 0, SYN}, {1, 1, SYN | ACK}, {2, 0, FIN},
					      {3, 1, FIN}, {4, 0, ACK},       {5000, 0, -1}};

	options.directions = DIRECTIONS_RECEIVED; /* side 0 is ingress */
	struct harness *h = harness_new(&options);

	for (const struct step *s = steps; s->flags != 0; s++) {
		struct flow_key key = session(s->side);
		struct packet_facts facts = {.time = {s->ms * NS_PER_MS}, .octets = 100, .packets = 1};

		if (s->flags < 0) {
			meter_advance(h->meter, facts.time, 0);
			continue;
		}
		facts.tcp_flags = (uint16_t)s->flags;
		if (meter_classify(h->meter, &key, &facts))
			meter_count(h->meter, &key, &facts, 1, 0);
	}
	assert_int_equal(h->records.count, 1);
	assert_int_equal(h->records.at[0].end_reason, END_DETECTED);
	assert_int_equal(h->records.at[0].packets, 3);
	assert_int_equal(harness_statistics(h).packets, 3);
	assert_int_equal(harness_statistics(h).filtered_packets, 2);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_told_soon),
		cmocka_unit_test(test_denied_ends_nothing),
		cmocka_unit_test(test_one_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
