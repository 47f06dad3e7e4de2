/* Idle timeout, interim records, time that jumps, and how late all of that is. */
#include "harness.h"

#define MINUTE (60 * NS_PER_S)

/* ---- a million flows: everything happens within a second of when it is due ---- */

struct lateness {
	int64_t now, idle, worst;
	uint64_t records, packets;
};

static void measure(void *arg, const struct flow_record *r)
{
	struct lateness *l = arg;
	const int64_t late = l->now - ((int64_t)r->end_ms * NS_PER_MS + l->idle);

	assert_int_equal(r->end_reason, END_IDLE);
	assert_true(late >= -NS_PER_MS); /* never early; end_ms is rounded down */
	l->worst = late > l->worst ? late : l->worst;
	l->records++;
	l->packets += r->packets;
}

static void test_lateness(void **state)
{
	enum { FLOWS = 1000000, PACKETS = 3000000 };
	struct lateness l = {.idle = 15 * NS_PER_S};
	struct meter_options options = default_options;
	static const struct point_table points;
	struct flow_key keys[PACKET_BATCH_MAX];
	struct packet_facts facts[PACKET_BATCH_MAX];
	struct meter_statistics s;
	struct meter *m;
	uint64_t random = 9;

	options.max_flows = FLOWS;
	assert_int_equal(meter_new(&m, &options, &points, measure, &l, NULL), OK);
	for (uint32_t i = 0; i < PACKETS;) {
		for (uint32_t j = 0; j < PACKET_BATCH_MAX; j++, i++) {
			/* all flows once, then some of them again, so that they end at different times */
			keys[j] = udp_key(i < FLOWS ? i : random_below(&random, FLOWS));
			facts[j] = (struct packet_facts){.time = {i * 5000LL}, .octets = 1, .packets = 1};
			l.now = facts[j].time.ns;
		}
		meter_count(m, keys, facts, PACKET_BATCH_MAX, 0);
	}
	meter_statistics(m, &s);
	assert_int_equal(s.active_flows, FLOWS);
	while (s.active_flows > 0) {
		l.now += NS_PER_S / 2;
		meter_advance(m, (struct mono_ns){l.now}, 0);
		meter_statistics(m, &s);
		assert_true(l.now < 2 * MINUTE);
	}
	assert_in_range(l.worst, NS_PER_S / 4, NS_PER_S);
	assert_int_equal(l.records, FLOWS);
	assert_int_equal(l.packets, s.packets);
	meter_free(m);
}

/* ---- idle ---- */

static void test_idle_gap(void **state)
{
	static const struct {
		const char *what;
		int64_t gap;
		uint32_t records;
	} cases[] = {
		{"just before the timeout", 15 * NS_PER_S - 1, 1},
		{"at the timeout", 15 * NS_PER_S, 2},
		{"long after it", 10 * MINUTE, 2},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = harness_new(&default_options);

		count_one(h, udp_key(1), 5, 0);
		count_one(h, udp_key(1), 5 + cases[i].gap, 0);
		meter_flush(h->meter);
		if (h->records.count != cases[i].records)
			fail_msg("%s: %u records", cases[i].what, h->records.count);
		assert_int_equal(h->records.at[0].flow_id, 1);
		if (cases[i].records == 2) {
			assert_int_equal(h->records.at[0].end_reason, END_IDLE);
			assert_int_equal(h->records.at[1].flow_id, 2);
		}
		harness_free(h);
	}
}

static void test_each_packet_a_flow(void **state)
{
	struct meter_options options = default_options;

	options.idle_ns = 0;
	struct harness *h = harness_new(&options);

	count_one(h, udp_key(1), 1000 * NS_PER_MS, 0);
	count_one(h, udp_key(1), 1001 * NS_PER_MS, 0);
	assert_int_equal(h->records.count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		const struct flow_record *r = &h->records.at[i];

		assert_int_equal(r->end_reason, END_IDLE);
		assert_int_equal(r->packets, 1);
		assert_int_equal(r->octets, 100);
		assert_int_equal(r->flow_id, 1 + i);
		assert_int_equal(r->start_ms, 1000 + i);
		assert_int_equal(r->end_ms, 1000 + i);
	}
	assert_int_equal(harness_statistics(h).active_flows, 0);
	assert_int_equal(harness_statistics(h).records[END_IDLE], 2);
	harness_free(h);
}

/* ---- interim records ---- */

struct interims {
	int64_t now, begin;
	uint32_t count;
	uint64_t packets, flow_id;
};

static void check_interim(void *arg, const struct flow_record *r)
{
	struct interims *in = arg;

	if (r->end_reason == END_ACTIVE) {
		const int64_t late = in->now - in->begin - ++in->count * MINUTE;

		assert_in_range(late + NS_PER_MS, 0, NS_PER_S); /* times are told in ms */
	}
	assert_true(in->flow_id == 0 || in->flow_id == r->flow_id);
	in->flow_id = r->flow_id;
	in->packets += r->packets;
}

/* A day of a flow: 1440 records, each a minute after the one before, and no drift. */
static void test_interim_spacing(void **state)
{
	struct meter_options options = default_options;
	static const struct point_table points;
	struct interims in = {.begin = 123456789};
	const struct flow_key key = udp_key(1);
	uint64_t sent = 0;
	struct meter *m;

	options.interval_ns = MINUTE;
	assert_int_equal(meter_new(&m, &options, &points, check_interim, &in, NULL), OK);
	for (in.now = in.begin; in.now <= in.begin + 1440 * MINUTE + NS_PER_S; in.now += 333333333) {
		const struct packet_facts facts = {.time = {in.now}, .octets = 1, .packets = 1};

		meter_count(m, &key, &facts, 1, 0);
		sent++;
	}
	assert_int_equal(in.count, 1440);
	meter_flush(m);
	assert_int_equal(in.packets, sent);
	meter_free(m);
}

static struct meter_options interim_options(int64_t idle_ns)
{
	struct meter_options options = default_options;

	options.interval_ns = MINUTE;
	options.idle_ns = idle_ns;
	return options;
}

/* Packets at these seconds, then silence; what records, seen from outside, come out. */
static void test_interim_records(void **state)
{
	static const struct {
		const char *what;
		int packets_at[8]; /* s; -1 ends */
		int silence_until;
		struct {
			unsigned packets, start, end, reason;
		} record[5];
	} cases[] = {
		{"deltas and times of each period",
		 {0, 30, 59, 61, 90, -1},
		 300,
		 {{3, 0, 59, 2}, {2, 61, 90, 2}, {0, 90, 90, 1}}},
		{"no record for a period without packets",
		 {0, 10, 200, -1},
		 210,
		 {{2, 0, 10, 2}, {1, 200, 200, 4}}},
		{"the end tells what the last interim record did not",
		 {0, 50, 70, -1},
		 71,
		 {{2, 0, 50, 2}, {1, 70, 70, 4}}},
		{"all told before: the end is told all the same, with deltas of zero",
		 {0, 50, -1},
		 70,
		 {{2, 0, 50, 2}, {0, 50, 50, 4}}},
		{"shorter than the interval: one record", {0, 59, -1}, 59, {{2, 0, 59, 4}}},
	};
	const struct meter_options options = interim_options(200 * NS_PER_S);

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = harness_new(&options);
		int next = 0;
		uint32_t n = 0;

		for (int half = 0; half <= 2 * cases[i].silence_until; half++) {
			const int64_t now = half * NS_PER_S / 2;

			if (cases[i].packets_at[next] * 2 == half) {
				count_one(h, udp_key(1), now, 0);
				next++;
			}
			meter_advance(h->meter, (struct mono_ns){now}, 0);
		}
		meter_flush(h->meter);
		for (; cases[i].record[n].reason != 0; n++) {
			const struct flow_record *r = &h->records.at[n];

			if (n >= h->records.count || r->packets != cases[i].record[n].packets ||
			    r->start_ms != cases[i].record[n].start * 1000 ||
			    r->end_ms != cases[i].record[n].end * 1000 ||
			    r->end_reason != cases[i].record[n].reason || r->flow_id != 1 ||
			    r->octets != r->packets * 100)
				fail_msg("%s: record %u is another one", cases[i].what, n);
		}
		if (n != h->records.count)
			fail_msg("%s: %u records, expected %u", cases[i].what, h->records.count, n);
		harness_free(h);
	}
}

/* Where time moves only with the packets, one at the boundary is of the next period: a minute apart to the
 * ms. */
static void test_interim_at_the_boundary(void **state)
{
	const struct meter_options options = interim_options(200 * NS_PER_S);
	struct harness *h = harness_new(&options);

	for (int second = 0; second <= 300; second += 10)
		count_one(h, udp_key(1), 7 * NS_PER_S + second * NS_PER_S, 0);
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(h->records.at[i].start_ms, 7000 + i * 60000);
		assert_int_equal(h->records.at[i].packets, i < 5 ? 6 : 1);
	}
	harness_free(h);
}

/* A counter of 32 bits is told before it overflows. */
static void test_many_packets(void **state)
{
	enum { FRAMES = 70000 };
	struct harness *h = harness_new(&default_options);
	const struct flow_key key = udp_key(1);
	uint64_t packets = 0, octets = 0;

	for (uint32_t i = 0; i < FRAMES; i++) {
		const struct packet_facts facts = {.time = {i}, .octets = UINT32_MAX, .packets = UINT16_MAX};

		meter_count(h->meter, &key, &facts, 1, 0);
	}
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 3);
	assert_int_equal(h->records.at[0].end_reason, END_ACTIVE);
	assert_int_equal(h->records.at[0].flow_id, h->records.at[1].flow_id);
	for (uint32_t i = 0; i < 3; i++) {
		packets += h->records.at[i].packets;
		octets += h->records.at[i].octets;
	}
	assert_int_equal(packets, (uint64_t)FRAMES * UINT16_MAX);
	assert_int_equal(octets, (uint64_t)FRAMES * UINT32_MAX);
	harness_free(h);
}

/* ---- RELIABILITY class 11: time arithmetic ---- */

static void test_order_of_packets(void **state)
{
	struct harness *h = harness_new(&default_options);

	count_one(h, udp_key(1), 100 * NS_PER_S, 0);
	count_one(h, udp_key(1), 90 * NS_PER_S, 0);
	count_one(h, udp_key(1), 110 * NS_PER_S, 0);
	count_one(h, udp_key(1), 95 * NS_PER_S, 0);
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 1);
	assert_int_equal(h->records.at[0].start_ms, 90000);
	assert_int_equal(h->records.at[0].end_ms, 110000);
	harness_free(h);
}

static void test_class_11_clock_steps(void **state)
{
	static const struct {
		const char *what;
		int64_t from, to; /* ns */
		uint32_t records_before_flush, reason, steps;
	} cases[] = {
		{"an hour ahead", 5000 * NS_PER_S, 8600 * NS_PER_S, 1, END_IDLE, 0},
		{"136 years ahead", 0, (int64_t)UINT32_MAX * NS_PER_S, 1, END_IDLE, 0},
		{"half an hour back", 5000 * NS_PER_S, 3200 * NS_PER_S, 0, 0, 0},
		{"two hours back", 9000 * NS_PER_S, 1800 * NS_PER_S, 1, END_FORCED, 1},
		{"back to 1970", 1700000000 * NS_PER_S, 0, 1, END_FORCED, 1},
		{"before 1970", 1700000000 * NS_PER_S, INT64_MIN, 1, END_FORCED, 1},
		{"the end of time", 1700000000 * NS_PER_S, INT64_MAX, 1, END_IDLE, 0},
		{"from the end of time", INT64_MAX, 1700000000 * NS_PER_S, 1, END_FORCED, 1},
		{"49.7 days and a second", 0, ((int64_t)1 << 32) * NS_PER_MS + NS_PER_S, 1, END_IDLE, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = harness_new(&default_options);

		count_one(h, udp_key(1), cases[i].from, 0);
		count_one(h, udp_key(2), cases[i].to, 0);
		if (h->records.count != cases[i].records_before_flush)
			fail_msg("%s: %u records", cases[i].what, h->records.count);
		if (h->records.count == 1)
			assert_int_equal(h->records.at[0].end_reason, cases[i].reason);
		assert_int_equal(harness_statistics(h).clock_steps, cases[i].steps);
		count_one(h, udp_key(2), cases[i].to, 0);
		meter_advance(h->meter, (struct mono_ns){cases[i].to}, 0);
		meter_flush(h->meter);
		assert_int_equal(h->records.count, 2); /* start <= end is held by the harness */
		assert_int_equal(h->records.at[1].packets + h->records.at[0].packets, 3);
		harness_free(h);
	}
}

/* The meter's clock and people's clock are apart by what the batch says when the record is made. */
static void test_to_wall(void **state)
{
	static const struct {
		int64_t to_wall;
		uint64_t start_ms;
	} cases[] = {
		{0, 5000}, {1700000000 * NS_PER_S, 1700000005000}, {-1 * NS_PER_S, 4000}, {-9 * NS_PER_S, 0}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = harness_new(&default_options);

		count_one(h, udp_key(1), 5 * NS_PER_S, 0);
		meter_advance(h->meter, (struct mono_ns){6 * NS_PER_S}, cases[i].to_wall);
		meter_flush(h->meter);
		assert_int_equal(h->records.at[0].start_ms, cases[i].start_ms);
		harness_free(h);
	}
}

/* Flows that outlive the ticks' range, with an idle timeout of twenty years. */
static void test_years(void **state)
{
	const int64_t year = 365 * 24 * 60 * MINUTE;
	struct meter_options options = default_options;

	options.idle_ns = 20 * year;
	options.linger_ns = 3 * NS_PER_S;
	struct harness *h = harness_new(&options);

	for (int i = 0; i < 40; i++)
		count_one(h, udp_key(1), i * year, 0);
	assert_int_equal(h->records.count, 0);
	meter_advance(h->meter, (struct mono_ns){59 * year - NS_PER_S}, 0);
	assert_int_equal(h->records.count, 0);
	for (int month = 0; month < 12 * 10; month++)
		meter_advance(h->meter, (struct mono_ns){59 * year + month * (year / 12)}, 0);
	assert_int_equal(h->records.count, 1);
	assert_int_equal(h->records.at[0].packets, 40);
	harness_free(h);
}

/* ---- the rest of the contract ---- */

static void test_flush_point(void **state)
{
	struct harness *h = harness_new(&default_options);

	for (uint32_t i = 0; i < 100; i++) {
		struct flow_key key = udp_key(i);

		key.point = (uint16_t)(i % 2);
		count_one(h, key, i, 0);
	}
	meter_flush_point(h->meter, 1);
	assert_int_equal(h->records.count, 50);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(h->records.at[i].point_id, 2);
		assert_int_equal(h->records.at[i].interface, 22);
		assert_int_equal(h->records.at[i].end_reason, END_FORCED);
	}
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 100);
	assert_int_equal(harness_statistics(h).active_flows, 0);
	count_one(h, udp_key(5), 1000, 0); /* goes on */
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 101);
	harness_free(h);
}

static void test_limits(void **state)
{
	static const struct {
		const char *what;
		struct meter_options options;
	} cases[] = {
		{"no flows", {.max_flows = 0, .idle_ns = 1}},
		{"too many flows", {.max_flows = FLOWS_MAX + 1u, .idle_ns = 1}},
		{"idle before now", {.max_flows = 1, .idle_ns = -1}},
		{"idle for ever", {.max_flows = 1, .idle_ns = INT64_MAX}},
		{"linger before now", {.max_flows = 1, .linger_ns = -1}},
		{"interval of a nanosecond", {.max_flows = 1, .interval_ns = 1}},
		{"interval of a year", {.max_flows = 1, .interval_ns = 365 * 24 * 60 * MINUTE}},
	};
	static const struct point_table points;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct meter *m = NULL;
		struct error err = {{0}};

		if (meter_new(&m, &cases[i].options, &points, measure, NULL, &err) != ERR_LIMIT || m)
			fail_msg("%s: accepted", cases[i].what);
		assert_true(err.text[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lateness),
		cmocka_unit_test(test_idle_gap),
		cmocka_unit_test(test_each_packet_a_flow),
		cmocka_unit_test(test_interim_spacing),
		cmocka_unit_test(test_interim_records),
		cmocka_unit_test(test_interim_at_the_boundary),
		cmocka_unit_test(test_many_packets),
		cmocka_unit_test(test_order_of_packets),
		cmocka_unit_test(test_class_11_clock_steps),
		cmocka_unit_test(test_to_wall),
		cmocka_unit_test(test_years),
		cmocka_unit_test(test_flush_point),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
