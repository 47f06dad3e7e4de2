/* Refused frames: each in exactly one record, in room of their own. */
#include "harness.h"

#include <stdio.h>

enum { RULE_A = DENIAL_FIRST, RULE_B, RULE_BARE };

static struct harness *deny_harness(const struct meter_options *base, uint32_t max_denied)
{
	struct meter_options options = *base;

	options.max_denied = max_denied;
	struct harness *h = harness_new(&options);
	struct denial_table *t = &h->points.denials;

	assert_int_equal(denial_table_add(t, REASON_DROPPED, CLASS_ACL, "a"), RULE_A);
	assert_int_equal(denial_table_add(t, REASON_REJECTED, CLASS_TRUST, "b"), RULE_B);
	assert_int_equal(denial_table_add(t, REASON_UNKNOWN, CLASS_OTHER, ""), RULE_BARE);
	return h;
}

static void see(struct harness *h, struct flow_key key, int64_t ns, uint32_t octets)
{
	struct packet_facts facts = {.time = {ns}, .octets = octets, .packets = 1};

	if (meter_classify(h->meter, &key, &facts))
		meter_count(h->meter, &key, &facts, 1, 0);
}

static void deny(struct harness *h, struct flow_key key, int64_t ns, uint32_t octets, uint16_t denial,
		 uint64_t frame)
{
	struct packet_facts facts = {.time = {ns}, .octets = octets, .packets = 1};

	key.kind |= KIND_DENIED;
	assert_true(meter_classify(h->meter, &key, &facts));
	meter_deny(h->meter, &key, &facts, denial, frame);
}

struct sum {
	uint64_t records, packets, octets, dropped_packets, dropped_octets;
};

static struct sum sum_of(const struct harness *h, bool denied)
{
	struct sum s = {0};

	for (uint32_t i = 0; i < h->records.count; i++) {
		const struct flow_record *r = &h->records.at[i];

		if (((r->key.kind & KIND_DENIED) != 0) != denied)
			continue;
		s.records++;
		s.packets += r->packets;
		s.octets += r->octets;
		s.dropped_packets += r->dropped_packets;
		s.dropped_octets += r->dropped_octets;
	}
	return s;
}

static void expect(const struct harness *h, const char *what, bool denied, struct sum want)
{
	const struct sum got = sum_of(h, denied);

	if (memcmp(&got, &want, sizeof got) != 0)
		fail_msg("%s, %s: records %lu packets %lu octets %lu dropped %lu %lu; expected %lu %lu %lu "
			 "%lu %lu",
			 what, denied ? "refused" : "let through", got.records, got.packets, got.octets,
			 got.dropped_packets, got.dropped_octets, want.records, want.packets, want.octets,
			 want.dropped_packets, want.dropped_octets);
}

/* 's': the interface sees a frame; 'd': its refusal; '.': half a second passes; 'a': another frame of the
 * flow, let through. */
static void test_one_record_of_one_frame(void **state)
{
	static const struct {
		const char *what, *events;
		enum direction_filter directions;
		uint8_t kind;
		uint64_t through, refused; /* packets */
	} cases[] = {
		{"seen first", "sd", DIRECTIONS_BOTH, 0, 0, 1},
		{"refused first", "ds", DIRECTIONS_BOTH, 0, 0, 1},
		{"refused first, seen much later", "d.s", DIRECTIONS_BOTH, 0, 0, 1},
		{"never seen", "d", DIRECTIONS_BOTH, 0, 0, 1},
		{"not the same frame", "d...s", DIRECTIONS_BOTH, 0, 1, 1},
		{"several", "sdsdsd", DIRECTIONS_BOTH, 0, 0, 3},
		{"several, in blocks", "sssddd", DIRECTIONS_BOTH, 0, 0, 3},
		{"several, blocks the other way", "dddsss", DIRECTIONS_BOTH, 0, 0, 3},
		{"let through before", "a...sd", DIRECTIONS_BOTH, 0, 1, 1},
		{"let through before, refused first", "aa...ds", DIRECTIONS_BOTH, 0, 2, 1},
		{"let through after", "sd.a", DIRECTIONS_BOTH, 0, 1, 1},
		{"between", "asdadsa", DIRECTIONS_BOTH, 0, 3, 2},
		{"sent", "d", DIRECTIONS_BOTH, KIND_EGRESS, 0, 1},
		{"sent, and others are let through", "ada", DIRECTIONS_BOTH, KIND_EGRESS, 2, 1},
		{"only what is sent is wanted", "sd", DIRECTIONS_SENDING, 0, 0, 1},
		{"only what is sent is wanted, refused first", "dsa", DIRECTIONS_SENDING, 0, 0, 1},
		{"only what arrives is wanted", "sd", DIRECTIONS_RECEIVED, 0, 0, 1},
		{"only what arrives is wanted, and it was to be sent", "d", DIRECTIONS_RECEIVED, KIND_EGRESS,
		 0, 1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct meter_options options = default_options;
		struct flow_key key = udp_key(1);
		int64_t now = 100 * NS_PER_S;

		options.directions = cases[i].directions;
		key.kind |= cases[i].kind;
		struct harness *h = deny_harness(&options, 100);
		for (const char *e = cases[i].events; *e; e++) {
			now += *e == '.' ? NS_PER_S / 2 : NS_PER_MS;
			if (*e == 's' || *e == 'a')
				see(h, key, now, 100);
			else if (*e == 'd')
				deny(h, key, now, 100, RULE_A, (uint64_t)now);
		}
		meter_flush(h->meter);
		expect(h, cases[i].what, false,
		       (struct sum){cases[i].through > 0, cases[i].through, cases[i].through * 100});
		expect(h, cases[i].what, true,
		       (struct sum){1, cases[i].refused, cases[i].refused * 100, cases[i].refused,
				    cases[i].refused * 100});
		const struct meter_statistics s = harness_statistics(h);
		assert_int_equal(s.packets, cases[i].through + cases[i].refused);
		assert_int_equal(s.denied_packets, cases[i].refused);
		harness_free(h);
	}
}

/* Many flows, frames of many sizes, both reports of each frame up to 0.2 s late. */
static void test_sums_are_exact(void **state)
{
	enum { FRAMES = 20000, FLOWS = 300, DELAY_MS = 200 };
	struct event {
		int64_t at, time;
		uint32_t flow, octets, frame;
		bool denial;
	} *events = calloc(2 * FRAMES, sizeof *events);
	uint64_t random = 7, through[2] = {0}, refused[2] = {0};
	struct meter_options options = default_options;
	uint32_t n = 0;

	assert_non_null(events);
	options.idle_ns = 2 * NS_PER_S;
	struct harness *h = deny_harness(&options, FLOWS);
	for (uint32_t f = 0; f < FRAMES; f++) {
		const int64_t time = 100 * NS_PER_S + f * NS_PER_MS;
		const uint32_t flow = random_below(&random, FLOWS);
		/* a third let through, a third refused, a third now this, now that, of frames of one size */
		const bool mixed = flow % 3 == 2;
		const bool denied = mixed ? random_below(&random, 2) : flow % 3;
		const uint32_t octets = mixed ? 60 : 60 + random_below(&random, 5) * 100;
		uint64_t *sum = denied ? refused : through;

		sum[0]++;
		sum[1] += octets;
		events[n++] = (struct event){
			time + random_below(&random, DELAY_MS) * NS_PER_MS, time, flow, octets, f, false};
		if (denied)
			events[n++] = (struct event){time + random_below(&random, DELAY_MS) * NS_PER_MS,
						     time,
						     flow,
						     octets,
						     f,
						     true};
	}
	for (int64_t ms = 0; ms < FRAMES + DELAY_MS; ms++)
		for (uint32_t i = 0; i < n; i++) {
			const struct event *e = &events[i];

			if (e->time / NS_PER_MS - 100000 > ms)
				break; /* ordered by time */
			if (e->at / NS_PER_MS - 100000 != ms)
				continue;
			if (e->denial)
				deny(h, udp_key(e->flow), e->time, e->octets, RULE_A, e->frame);
			else
				see(h, udp_key(e->flow), e->time, e->octets);
		}
	meter_flush(h->meter);
	const struct sum a = sum_of(h, false), d = sum_of(h, true);
	assert_int_equal(a.packets, through[0]);
	assert_int_equal(a.octets, through[1]);
	assert_int_equal(d.dropped_packets, refused[0]);
	assert_int_equal(d.dropped_octets, refused[1]);
	for (uint32_t i = 0; i < h->records.count; i++)
		assert_true(h->records.at[i].packets > 0);
	free(events);
	harness_free(h);
}

static void test_a_flood_has_its_own_room(void **state)
{
	enum { FLOOD = 20000, BUDGET = 1000, ALLOWED = 50 };
	struct meter_options options = default_options;
	int64_t now = 100 * NS_PER_S;

	options.max_flows = 2 * ALLOWED;
	struct harness *h = deny_harness(&options, BUDGET);
	for (uint32_t i = 0; i < ALLOWED; i++)
		see(h, udp_key(1000000 + i), now, 100);
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct flow_key key = udp_key(i);

		now += 10000;
		key.point = i % 2;
		if (i % 3) { /* in both orders */
			see(h, key, now, 40);
			deny(h, key, now, 40, RULE_A, i);
		} else {
			deny(h, key, now, 40, RULE_A, i);
			see(h, key, now, 40);
		}
		assert_true(harness_statistics(h).active_flows <= ALLOWED + BUDGET + 2 + 1);
	}
	const struct meter_statistics s = harness_statistics(h);
	assert_int_equal(s.evicted, 0);
	assert_int_equal(s.active_denied, BUDGET + 2);
	assert_int_equal(s.denied_overflow, FLOOD - BUDGET);
	assert_int_equal(h->records.count, 0);
	meter_flush(h->meter);
	expect(h, "flood", false, (struct sum){ALLOWED, ALLOWED, ALLOWED * 100});
	expect(h, "flood", true, (struct sum){BUDGET + 2, FLOOD, FLOOD * 40, FLOOD, FLOOD * 40});
	uint32_t summaries = 0;
	for (uint32_t i = 0; i < h->records.count; i++)
		summaries += h->records.at[i].denial == DENIAL_OVERFLOW;
	assert_int_equal(summaries, 2);
	harness_free(h);
}

static void test_two_rules_tell_of_one_frame(void **state)
{
	static const struct {
		const char *what;
		uint16_t told[6]; /* of frame 1, 1, 2, 2, …; 0: nothing */
		uint64_t records, packets;
		uint16_t denial; /* of the last record */
	} cases[] = {
		{"the bare one first", {RULE_BARE, RULE_A, RULE_BARE, RULE_A}, 1, 2, RULE_A},
		{"the one with a name first", {RULE_A, RULE_BARE, RULE_A, RULE_BARE}, 1, 2, RULE_A},
		{"now this, now that", {RULE_BARE, RULE_A, RULE_A, RULE_BARE}, 1, 2, RULE_A},
		{"the other one is first the next time",
		 {RULE_A, RULE_BARE, RULE_BARE, RULE_A},
		 1,
		 2,
		 RULE_A},
		{"alike: the first", {RULE_A, RULE_B, RULE_A, RULE_B}, 1, 2, RULE_A},
		{"one tells less often", {RULE_BARE, RULE_A, RULE_BARE, 0}, 1, 2, RULE_A},
		{"another rule from now on", {RULE_A, 0, RULE_B, 0}, 2, 2, RULE_B},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = deny_harness(&default_options, 10);

		for (uint32_t e = 0; e < 6; e++)
			if (cases[i].told[e])
				deny(h, udp_key(1), NS_PER_S + e * NS_PER_MS, 100, cases[i].told[e],
				     1 + e / 2);
		meter_flush(h->meter);
		if (h->records.count != cases[i].records || sum_of(h, true).packets != cases[i].packets ||
		    h->records.at[h->records.count - 1].denial != cases[i].denial)
			fail_msg("%s: %u records, %lu packets, rule %u", cases[i].what, h->records.count,
				 sum_of(h, true).packets, h->records.at[h->records.count - 1].denial);
		harness_free(h);
	}
}

/* Frames without a number of their own, alike to the last octet. */
static void test_equal_frames(void **state)
{
	struct harness *h = deny_harness(&default_options, 10);

	for (int64_t i = 0; i < 100; i++) {
		deny(h, udp_key(1), NS_PER_S + i * NS_PER_MS, 100, RULE_A, 77);
		deny(h, udp_key(1), NS_PER_S + i * NS_PER_MS, 100, RULE_BARE, 77);
	}
	meter_flush(h->meter);
	expect(h, "equal frames", true, (struct sum){1, 100, 10000, 100, 10000});
	assert_int_equal(harness_statistics(h).denied_repeated, 100);
	harness_free(h);
}

/* An interim record does not tell of what may be refused, and a flow of which one was sent has an end. */
static void test_interim_records(void **state)
{
	struct meter_options options = default_options;

	options.interval_ns = NS_PER_S;
	struct harness *h = deny_harness(&options, 10);
	see(h, udp_key(1), 100 * NS_PER_S, 100);
	for (int64_t ms = 0; ms < 1500; ms += 50)
		meter_advance(h->meter, (struct mono_ns){100 * NS_PER_S + ms * NS_PER_MS}, 0);
	assert_int_equal(h->records.count, 1);
	see(h, udp_key(1), 101900 * NS_PER_MS, 100); /* 0.1 s before the next record is due */
	for (int64_t ms = 1900; ms < 2100; ms += 10)
		meter_advance(h->meter, (struct mono_ns){100 * NS_PER_S + ms * NS_PER_MS}, 0);
	assert_int_equal(h->records.count, 1);
	deny(h, udp_key(1), 102100 * NS_PER_MS, 100, RULE_A, 1);
	meter_flush(h->meter);
	expect(h, "interim", false, (struct sum){2, 1, 100});
	expect(h, "interim", true, (struct sum){1, 1, 100, 1, 100});
	harness_free(h);
}

/* Told when the interface has long shown later frames: this one it did not show and will not, so nothing is
 * owed, and the next frame of the flow is counted. */
static void test_refused_late(void **state)
{
	static const struct {
		const char *what;
		int64_t shown_ns; /* the latest frame that the interface has shown, after the refused one */
		uint16_t point;   /* … where */
		bool seen;        /* it has shown the refused one too */
		uint64_t late, packets;
	} cases[] = {
		{"late", 2 * PASSED_NS, 0, false, 1, 1},
		{"just in time", PASSED_NS, 0, false, 0, 0},
		{"shown before", -PASSED_NS, 0, false, 0, 0},
		{"of another interface", 2 * PASSED_NS, 1, false, 0, 0},
		{"seen, told late", 2 * PASSED_NS, 0, true, 0, 1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const int64_t time = 100 * NS_PER_S;
		struct harness *h = deny_harness(&default_options, 10);

		if (cases[i].seen)
			see(h, udp_key(1), time, 100);
		h->meter->seen_until[cases[i].point] = time + cases[i].shown_ns;
		deny(h, udp_key(1), time, 100, RULE_A, 1);
		see(h, udp_key(1), time + 3 * PASSED_NS, 100);
		if (harness_statistics(h).denied_late != cases[i].late)
			fail_msg("%s: %lu late", cases[i].what, harness_statistics(h).denied_late);
		meter_flush(h->meter);
		expect(h, cases[i].what, false,
		       (struct sum){cases[i].packets, cases[i].packets, cases[i].packets * 100});
		expect(h, cases[i].what, true, (struct sum){1, 1, 100, 1, 100});
		harness_free(h);
	}
}

static void test_every_packet_a_flow(void **state)
{
	struct meter_options options = default_options;

	options.idle_ns = 0;
	struct harness *h = deny_harness(&options, 10);
	struct flow_key key = udp_key(1);
	key.kind |= KIND_EGRESS;
	deny(h, key, NS_PER_S, 100, RULE_A, 1);
	deny(h, key, NS_PER_S, 100, RULE_B, 2);
	expect(h, "no table", true, (struct sum){2, 2, 200, 2, 200});
	assert_int_equal(h->records.at[1].denial, RULE_B);
	harness_free(h);
}

/* A rule refuses the second fragment alone: its ports are those of the first one, as the interface saw it. */
static void test_fragments(void **state)
{
	struct harness *h = deny_harness(&default_options, 10);
	struct flow_key key = udp_key(1), part = key;
	struct packet_facts facts[] = {{.time = {NS_PER_S},
					.octets = 100,
					.packets = 1,
					.fragment_id = 7,
					.fragment = FRAGMENT_FIRST},
				       {.time = {NS_PER_S},
					.octets = 60,
					.packets = 1,
					.fragment_id = 7,
					.fragment = FRAGMENT_LATER}};

	part.source_port = part.destination_port = 0;
	part.kind &= (uint8_t)~KIND_PORTS;
	for (int i = 0; i < 2; i++) {
		struct flow_key seen = i == 0 ? key : part;

		assert_true(meter_classify(h->meter, &seen, &facts[i]));
		meter_count(h->meter, &seen, &facts[i], 1, 0);
	}
	part.kind |= KIND_DENIED;
	assert_true(meter_classify(h->meter, &part, &facts[1]));
	assert_int_equal(part.kind, key.kind | KIND_DENIED);
	meter_deny(h->meter, &part, &facts[1], RULE_A, 1);
	meter_flush(h->meter);
	expect(h, "fragments", false, (struct sum){1, 1, 100});
	expect(h, "fragments", true, (struct sum){1, 1, 60, 1, 60});
	harness_free(h);
}

static void test_frames_from_a_source(void **state)
{
	uint8_t octets[40] = {0x45, 0, 0, 40, 0, 7, 0, 0, 64, 6, 1, 2, 10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34};
	struct harness *h = deny_harness(&default_options, 10);
	struct packet_batch *batch = calloc(1, sizeof *batch);

	assert_non_null(batch);
	batch->count = 3;
	batch->packet[0] = (struct packet){.data = octets,
					   .captured = sizeof octets,
					   .length = sizeof octets,
					   .time = {NS_PER_S},
					   .link = LINK_IP};
	batch->packet[1] = batch->packet[2] = batch->packet[0];
	batch->packet[1].denial = RULE_BARE;
	batch->packet[2].denial = RULE_A;
	uint8_t later[40]; /* what is told after the frame has lost a hop */
	memcpy(later, octets, sizeof later);
	later[8] = 63;
	later[11] = 3;
	batch->packet[2].data = later;
	meter_observe(h->meter, batch);
	meter_flush(h->meter);
	expect(h, "batch", false, (struct sum){0});
	expect(h, "batch", true, (struct sum){1, 1, 40, 1, 40});
	assert_int_equal(h->records.at[0].denial, RULE_A);
	free(batch);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_record_of_one_frame),
		cmocka_unit_test(test_sums_are_exact),
		cmocka_unit_test(test_a_flood_has_its_own_room),
		cmocka_unit_test(test_two_rules_tell_of_one_frame),
		cmocka_unit_test(test_equal_frames),
		cmocka_unit_test(test_interim_records),
		cmocka_unit_test(test_refused_late),
		cmocka_unit_test(test_every_packet_a_flow),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_frames_from_a_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
