/* A full table: the flows that were idle for longest make room (flowEndReason 5). */
#include "harness.h"

#include <stdio.h>

static void test_oldest_first(void **state)
{
	enum { FLOWS = 1000 };
	static const struct {
		const char *what;
		int64_t step; /* ns between flows */
	} cases[] = {{"evenly", 1000000}, {"a nanosecond apart", 1}, {"all at once", 0}, {"bunched", -1}};
	struct meter_options options = default_options;

	options.max_flows = FLOWS;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct harness *h = harness_new(&options);
		int64_t now = NS_PER_S, last[FLOWS];
		int64_t youngest_out = 0, oldest_in = INT64_MAX;
		bool out[FLOWS] = {false};

		for (uint32_t f = 0; f < FLOWS; f++) {
			/* the order of their last packets is not that of their indices */
			last[f * 7 % FLOWS] = now;
			now += cases[i].step >= 0 ? cases[i].step : f % 50 == 0 ? 100000000 : f % 3;
		}
		for (uint32_t f = 0; f < FLOWS; f++)
			count_one(h, udp_key(f), NS_PER_S, 0);
		for (uint32_t f = 0; f < FLOWS; f++)
			count_one(h, udp_key(f), last[f], 0);
		assert_int_equal(h->records.count, 0);
		count_one(h, udp_key(FLOWS), now, 0);
		assert_in_range(h->records.count, FLOWS / 32, FLOWS / 16);
		for (uint32_t r = 0; r < h->records.count; r++) {
			assert_int_equal(h->records.at[r].end_reason, END_RESOURCES);
			out[get_be16(&h->records.at[r].key.source_port)] = true;
		}
		for (uint32_t f = 0; f < FLOWS; f++) {
			if (out[f] && last[f] > youngest_out)
				youngest_out = last[f];
			if (!out[f] && last[f] < oldest_in)
				oldest_in = last[f];
		}
		if (youngest_out > oldest_in)
			fail_msg("%s: a younger flow had to go", cases[i].what);
		assert_int_equal(harness_statistics(h).evicted, h->records.count);
		assert_int_equal(harness_statistics(h).active_flows, FLOWS + 1 - h->records.count);
		harness_free(h);
	}
}

static long resident_pages(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	return pages;
}

static void sum_packets(void *arg, const struct flow_record *r)
{
	*(uint64_t *)arg += r->packets;
}

/* RELIABILITY 3.2: a scan of ten million different keys in a table of a thousand. */
static void test_scan(void **state)
{
	enum { KEYS = 10000000, WARM = 100000 };
	static const struct point_table points;
	struct meter_options options = default_options;
	struct flow_key keys[PACKET_BATCH_MAX];
	struct packet_facts facts[PACKET_BATCH_MAX];
	struct meter_statistics s;
	struct meter *m;
	uint64_t told = 0;
	long pages = 0;

	options.max_flows = 1000;
	assert_int_equal(meter_new(&m, &options, &points, sum_packets, &told, NULL), OK);
	for (uint32_t i = 0; i < KEYS;) {
		uint32_t n = 0;

		for (; n < PACKET_BATCH_MAX && i < KEYS; n++, i++) {
			keys[n] = udp_key(i);
			facts[n] = (struct packet_facts){.time = {i * 100LL}, .octets = 40, .packets = 1};
		}
		meter_count(m, keys, facts, n, 0);
		if (i >= WARM && pages == 0)
			pages = resident_pages();
	}
	meter_statistics(m, &s);
	assert_int_equal(s.flows_created, KEYS);
	assert_in_range(s.active_flows, 900, 1000);
	assert_int_equal(s.evicted, KEYS - s.active_flows);
	assert_in_range(resident_pages(), 0, pages + 64);
	meter_flush(m);
	assert_int_equal(told, KEYS);
	meter_free(m);
}

static void test_table_of_one(void **state)
{
	struct meter_options options = default_options;

	options.max_flows = 1;
	struct harness *h = harness_new(&options);

	for (uint32_t i = 0; i < 1000; i++)
		count_one(h, udp_key(i / 2), i, 0);
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 500);
	for (uint32_t i = 0; i < 500; i++) {
		assert_int_equal(h->records.at[i].packets, 2);
		assert_int_equal(h->records.at[i].end_reason, i < 499 ? END_RESOURCES : END_FORCED);
	}
	harness_free(h);
}

/* What an open flow costs: arrays and index, at the worst moment, just after the index has doubled. */
static void test_memory_per_flow(void **state)
{
	struct meter_options options = default_options;

	options.max_flows = 400000;
	options.interval_ns = 60 * NS_PER_S;
	struct harness *h = harness_new(&options);
	double worst = 0;

	for (uint32_t i = 0; i < 400000; i++) {
		count_one(h, udp_key(i), i, 0);
		if (i < 10000)
			continue;
		const double index = (h->meter->index.mask + 1.0) * sizeof *h->meter->index.slots;
		const double flow = (double)flow_store_flow_size(&h->meter->store) + index / (i + 1.0);

		worst = flow > worst ? flow : worst;
	}
	assert_in_range((uint64_t)worst, 90, 112);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_first),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_table_of_one),
		cmocka_unit_test(test_memory_per_flow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
