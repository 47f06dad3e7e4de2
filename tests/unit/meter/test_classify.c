/* Loop 1 behind the decoder: the direction filter, fragments, DSCP. */
#include "harness.h"

#include "meter/fragments.h"

/* ---- directions ---- */

static void test_directions(void **state)
{
	static const struct {
		const char *what;
		enum direction_filter directions;
		uint8_t kind;
		bool counted;
	} cases[] = {
		{"both: egress", DIRECTIONS_BOTH, KIND_EGRESS, true},
		{"both: ingress", DIRECTIONS_BOTH, 0, true},
		{"sending: egress", DIRECTIONS_SENDING, KIND_EGRESS, true},
		{"sending: ingress", DIRECTIONS_SENDING, 0, false},
		{"received: egress", DIRECTIONS_RECEIVED, KIND_EGRESS, false},
		{"received: ingress", DIRECTIONS_RECEIVED, 0, true},
		{"sending: a denied ingress packet", DIRECTIONS_SENDING, KIND_DENIED, true},
		{"received: a denied egress packet", DIRECTIONS_RECEIVED, KIND_EGRESS | KIND_DENIED, true},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct meter_options options = default_options;
		struct flow_key key = udp_key(1);
		struct packet_facts facts = {.octets = 500, .packets = 3};

		options.directions = cases[i].directions;
		struct harness *h = harness_new(&options);

		key.kind |= cases[i].kind;
		if (meter_classify(h->meter, &key, &facts) != cases[i].counted)
			fail_msg("%s", cases[i].what);
		assert_int_equal(harness_statistics(h).filtered_packets, cases[i].counted ? 0 : 3);
		assert_int_equal(harness_statistics(h).filtered_octets, cases[i].counted ? 0 : 500);
		harness_free(h);
	}
}

static void test_dscp_key(void **state)
{
	for (unsigned on = 0; on < 2; on++) {
		struct meter_options options = default_options;

		options.dscp_key = on;
		struct harness *h = harness_new(&options);

		for (unsigned i = 0; i < 4; i++) {
			static const uint8_t tos[] = {0xb8, 0xb9, 0x00, 0x03}; /* two DSCPs, four octets */
			struct flow_key key = udp_key(1);
			struct packet_facts facts = {.octets = 1, .packets = 1, .class_of_service = tos[i]};

			key.point = 1;
			assert_true(meter_classify(h->meter, &key, &facts));
			meter_count(h->meter, &key, &facts, 1, 0);
		}
		meter_flush_point(h->meter, 1);
		assert_int_equal(h->records.count, on ? 2 : 1);
		assert_int_equal(h->records.at[0].point_id, 2);
		assert_int_equal(h->records.at[0].class_of_service, 0xb8);
		assert_int_equal(h->records.at[0].packets, on ? 2 : 4);
		harness_free(h);
	}
}

/* ---- fragments ---- */

static struct flow_key later_fragment(struct flow_key key)
{
	key.source_port = key.destination_port = 0;
	key.kind &= (uint8_t)~KIND_PORTS;
	return key;
}

static struct packet_facts fragment(uint8_t which, uint32_t id, int64_t ns)
{
	return (struct packet_facts){
		.time = {ns}, .octets = 1500, .packets = 1, .fragment = which, .fragment_id = id};
}

static void test_fragments_join(void **state)
{
	struct harness *h = harness_new(&default_options);
	const struct flow_key flow = udp_key(1);
	struct flow_key other_host = later_fragment(udp_key(1)), other_point = later_fragment(udp_key(1));
	struct flow_key other_direction = later_fragment(udp_key(1)),
			other_protocol = later_fragment(udp_key(1));

	other_host.source[3] ^= 1;
	other_point.point = 1;
	other_direction.kind |= KIND_EGRESS;
	other_protocol.protocol = 132;

	const struct {
		const char *what;
		struct flow_key key;
		struct packet_facts facts;
		bool joined;
	} cases[] = {
		{"its own", later_fragment(flow), fragment(FRAGMENT_LATER, 0xabcd1234, 10), true},
		{"once more", later_fragment(flow), fragment(FRAGMENT_LATER, 0xabcd1234, 20), true},
		{"slightly older", later_fragment(flow), fragment(FRAGMENT_LATER, 0xabcd1234, -10), true},
		{"another identification", later_fragment(flow), fragment(FRAGMENT_LATER, 0xabcd1235, 10),
		 false},
		{"upper half of the identification", later_fragment(flow),
		 fragment(FRAGMENT_LATER, 0x1234, 10), false},
		{"another host", other_host, fragment(FRAGMENT_LATER, 0xabcd1234, 10), false},
		{"another point", other_point, fragment(FRAGMENT_LATER, 0xabcd1234, 10), false},
		{"another direction", other_direction, fragment(FRAGMENT_LATER, 0xabcd1234, 10), false},
		{"another protocol", other_protocol, fragment(FRAGMENT_LATER, 0xabcd1234, 10), false},
		{"much later", later_fragment(flow), fragment(FRAGMENT_LATER, 0xabcd1234, 6 * NS_PER_S),
		 false},
		{"the clock was set back", later_fragment(flow),
		 fragment(FRAGMENT_LATER, 0xabcd1234, -9 * NS_PER_S), false},
	};
	struct flow_key first = flow;
	struct packet_facts facts = fragment(FRAGMENT_FIRST, 0xabcd1234, 0);
	uint64_t joined = 0, unjoined = 0;

	assert_true(meter_classify(h->meter, &first, &facts));
	assert_memory_equal(&first, &flow, sizeof flow);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct flow_key key = cases[i].key;

		facts = cases[i].facts;
		assert_true(meter_classify(h->meter, &key, &facts));
		if (!flow_key_equal(&key, cases[i].joined ? &flow : &cases[i].key))
			fail_msg("%s", cases[i].what);
		joined += cases[i].joined;
		unjoined += !cases[i].joined;
	}
	assert_int_equal(harness_statistics(h).fragments_joined, joined);
	assert_int_equal(harness_statistics(h).fragments_unjoined, unjoined);
	harness_free(h);
}

/* The identification is used again: the newer packet counts. */
static void test_fragment_id_again(void **state)
{
	struct harness *h = harness_new(&default_options);
	struct flow_key first = udp_key(1), second = udp_key(1), later = later_fragment(udp_key(1));
	struct packet_facts facts = fragment(FRAGMENT_FIRST, 7, 0);

	second.source_port = 0x5555;
	assert_true(meter_classify(h->meter, &first, &facts));
	facts.time.ns = 1000;
	assert_true(meter_classify(h->meter, &second, &facts));
	facts = fragment(FRAGMENT_LATER, 7, 2000);
	assert_true(meter_classify(h->meter, &later, &facts));
	assert_memory_equal(&later, &second, sizeof later);
	harness_free(h);
}

/* A flood of first fragments displaces the oldest, and a few in flight are always remembered. */
static void test_fragment_flood(void **state)
{
	struct harness *h = harness_new(&default_options);
	uint32_t found = 0;

	for (uint32_t i = 0; i < 100000; i++) {
		struct flow_key key = udp_key(i), later = later_fragment(udp_key(i));
		struct packet_facts facts = fragment(FRAGMENT_FIRST, i, i * 100);

		assert_true(meter_classify(h->meter, &key, &facts));
		facts.fragment = FRAGMENT_LATER;
		assert_true(meter_classify(h->meter, &later, &facts));
		found += flow_key_equal(&key, &later);
	}
	assert_int_equal(found, 100000);
	for (uint32_t i = 0; i < 1000; i++) { /* displaced by now */
		struct flow_key later = later_fragment(udp_key(i));
		struct packet_facts facts = fragment(FRAGMENT_LATER, i, 100000 * 100);

		assert_true(meter_classify(h->meter, &later, &facts));
		assert_false(later.kind & KIND_PORTS);
	}
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directions),     cmocka_unit_test(test_dscp_key),
		cmocka_unit_test(test_fragments_join), cmocka_unit_test(test_fragment_id_again),
		cmocka_unit_test(test_fragment_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
