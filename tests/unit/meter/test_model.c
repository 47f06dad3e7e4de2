/* Random traffic through the meter and through the plain model: the same records come out. */
#include "harness.h"

#include "model.h"

struct traffic {
	const char *what;
	uint64_t seed;
	uint32_t packets, flows;
	uint32_t step_ns;   /* mean time between packets */
	uint32_t jitter_ns; /* a packet may be this much older than the one before it */
	unsigned tcp_percent, fin_percent;
	int64_t start_ns;
	int64_t linger_ns;
};

static const struct traffic traffics[] = {
	{"few flows, long gaps", 1, 6000, 20, 900 * 1000 * 1000, 0, 60, 10, 0, NS_PER_S},
	{"busy flows", 2, 6000, 50, 10 * 1000 * 1000, 0, 60, 5, 12345, NS_PER_S},
	{"out of order", 3, 6000, 60, 100 * 1000 * 1000, 2000 * 1000 * 1000, 60, 5, 1000000 * NS_PER_S,
	 NS_PER_S},
	{"TCP that mostly ends", 4, 6000, 8, 150 * 1000 * 1000, 0, 100, 40, 7, NS_PER_S},
	{"all at one instant", 5, 3000, 300, 1, 0, 50, 10, 99, NS_PER_S},
	{"no linger", 6, 6000, 8, 150 * 1000 * 1000, 0, 100, 30, 0, 0},
	{"long linger", 7, 6000, 8, 400 * 1000 * 1000, 0, 100, 30, 0, 20 * NS_PER_S},
	{"many flows", 8, 8000, 2000, 20 * 1000 * 1000, 1000 * 1000, 30, 10, 0, NS_PER_S},
};

static struct flow_key traffic_key(const struct traffic *t, uint32_t number)
{
	struct flow_key key = udp_key(number / 2);

	key.protocol = number / 2 % 100 < t->tcp_percent ? 6 : 17;
	key.point = (uint16_t)(number / 2 % 2);
	return number & 1 ? reverse_of(key) : key;
}

static int by_key(const void *a, const void *b)
{
	const struct flow_record *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof x->key);
}

/* One record for each key: sums, earliest begin, latest end. When packets are out of order it is a matter of
 * the moment of a sweep whether a late one finds its flow open or begins a new one; the sums are not. */
static void merge_by_key(struct records *all)
{
	uint32_t n = 0;

	qsort(all->at, all->count, sizeof *all->at, by_key);
	for (uint32_t i = 0; i < all->count; i++) {
		struct flow_record *r = &all->at[i], *sum = n > 0 ? &all->at[n - 1] : NULL;

		r->flow_id = r->end_reason = r->class_of_service = 0;
		if (!sum || by_key(sum, r) != 0) {
			all->at[n++] = *r;
			continue;
		}
		sum->packets += r->packets;
		sum->octets += r->octets;
		sum->tcp_flags |= r->tcp_flags;
		sum->start_ms = r->start_ms < sum->start_ms ? r->start_ms : sum->start_ms;
		sum->end_ms = r->end_ms > sum->end_ms ? r->end_ms : sum->end_ms;
	}
	all->count = n;
}

static int by_id(const void *a, const void *b)
{
	const struct flow_record *x = a, *y = b;

	return x->flow_id < y->flow_id ? -1 : x->flow_id > y->flow_id;
}

/* The points are the harness's; the model knows none. */
static void assert_same_record(const char *what, const struct flow_record *got, struct flow_record *want)
{
	want->interface = (got->key.point + 1u) * 11;
	want->point_id = got->key.point + 1u;
	if (!same_record(got, want))
		fail_msg("%s: flow %llu: got %llu packets %llu..%llu flags %x reason %u, "
			 "expected flow %llu: %llu packets %llu..%llu flags %x reason %u",
			 what, (unsigned long long)got->flow_id, (unsigned long long)got->packets,
			 (unsigned long long)got->start_ms, (unsigned long long)got->end_ms, got->tcp_flags,
			 got->end_reason, (unsigned long long)want->flow_id,
			 (unsigned long long)want->packets, (unsigned long long)want->start_ms,
			 (unsigned long long)want->end_ms, want->tcp_flags, want->end_reason);
}

static uint32_t fill(const struct traffic *t, uint64_t *random, int64_t *now, struct flow_key *keys,
		     struct packet_facts *facts, uint32_t most)
{
	const uint32_t n = 1 + random_below(random, most);

	for (uint32_t i = 0; i < n; i++) {
		*now += random_below(random, 2 * t->step_ns);
		keys[i] = traffic_key(t, random_below(random, t->flows));
		facts[i] = (struct packet_facts){
			.time = {*now - (t->jitter_ns ? random_below(random, t->jitter_ns) : 0)},
			.octets = 40 + random_below(random, 1400),
			.packets = (uint16_t)(1 + random_below(random, 3)),
			.class_of_service = (uint8_t)random_below(random, 256),
		};
		if (facts[i].time.ns < 0)
			facts[i].time.ns = 0;
		if (keys[i].protocol == 6) {
			static const uint16_t flags[] = {0x11, 0x04, 0x02, 0x12, 0x11, 0x14};
			const bool special = random_below(random, 100) < t->fin_percent;

			facts[i].tcp_flags = special ? flags[random_below(random, 6)] : 0x10;
		}
	}
	return n;
}

static void compare(const struct traffic *t, enum flow_hash_kind kind)
{
	struct meter_options options = default_options;
	struct flow_key keys[PACKET_BATCH_MAX];
	struct packet_facts facts[PACKET_BATCH_MAX];
	struct records wanted = {0};
	struct model model;
	uint64_t random = t->seed, octets = 0, packets = 0;
	int64_t now = t->start_ns;

	options.linger_ns = t->linger_ns;
	struct harness *h = harness_new(&options);

	if (!meter_use_hash(h->meter, kind)) { /* a processor without AES */
		harness_free(h);
		return;
	}
	model_init(&model, &options, records_add, &wanted);
	for (uint32_t done = 0; done < t->packets;) {
		const uint32_t n = fill(t, &random, &now, keys, facts, PACKET_BATCH_MAX);

		meter_count(h->meter, keys, facts, n, 0);
		for (uint32_t i = 0; i < n; i++) {
			model_count(&model, &keys[i], &facts[i]);
			octets += facts[i].octets;
			packets += facts[i].packets;
		}
		done += n;
	}
	meter_flush(h->meter);
	model_flush(&model);

	const struct meter_statistics s = harness_statistics(h);

	assert_int_equal(s.octets, octets);
	assert_int_equal(s.packets, packets);
	assert_int_equal(s.active_flows, 0);
	assert_int_equal(s.flows_created, h->records.count);
	if (t->jitter_ns > 0) {
		merge_by_key(&h->records);
		merge_by_key(&wanted);
	} else {
		qsort(h->records.at, h->records.count, sizeof *h->records.at, by_id);
		qsort(wanted.at, wanted.count, sizeof *wanted.at, by_id);
	}
	for (uint32_t i = 0; i < h->records.count && i < wanted.count; i++)
		assert_same_record(t->what, &h->records.at[i], &wanted.at[i]);
	assert_int_equal(h->records.count, wanted.count);
	model_fini(&model);
	records_reset(&wanted);
	harness_free(h);
}

static void test_same_as_model(void **state)
{
	for (size_t i = 0; i < sizeof traffics / sizeof traffics[0]; i++) {
		compare(&traffics[i], FLOW_HASH_AES);
		compare(&traffics[i], FLOW_HASH_XXH3);
		compare(&traffics[i], FLOW_HASH_WEAK);
	}
}

/* What the records say depends neither on the hash nor on where batches begin. Also the order. */
static void test_deterministic(void **state)
{
	static const enum flow_hash_kind kinds[] = {FLOW_HASH_XXH3, FLOW_HASH_BEST, FLOW_HASH_WEAK};
	const struct traffic *t = &traffics[7];
	struct meter_options options = default_options;
	struct records first = {0};

	options.interval_ns = 2 * NS_PER_S;
	options.max_flows = 500; /* with pressure */
	for (unsigned run = 0; run < 3; run++) {
		struct flow_key keys[PACKET_BATCH_MAX];
		struct packet_facts facts[PACKET_BATCH_MAX];
		uint64_t random = t->seed;
		int64_t now = t->start_ns;
		struct harness *h = harness_new(&options);

		options.hash_key[0]++;
		assert_true(meter_use_hash(h->meter, kinds[run]));
		for (unsigned batch = 0; batch < 100; batch++) {
			const uint32_t n = fill(t, &random, &now, keys, facts, PACKET_BATCH_MAX);
			const uint32_t cut = run == 0 ? n : n / 2;

			meter_count(h->meter, keys, facts, cut, 0);
			meter_count(h->meter, keys + cut, facts + cut, n - cut, 0);
		}
		meter_flush(h->meter);
		if (run == 0) {
			first = h->records;
			h->records = (struct records){0};
		} else {
			assert_int_equal(first.count, h->records.count);
			for (uint32_t i = 0; i < first.count; i++)
				assert_true(same_record(&first.at[i], &h->records.at[i]));
		}
		harness_free(h);
	}
	assert_true(first.count > 10000);
	records_reset(&first);
}

/* With interim records and pressure, no packet is lost or told twice. */
static void test_conservation(void **state)
{
	enum { FLOWS = 2000 };
	struct meter_options options = default_options;
	uint64_t want[FLOWS][2] = {0}, got[FLOWS][2] = {0}, by_reason[END_RESOURCES + 1] = {0};
	uint64_t random = 77;
	int64_t now = 0;

	options.max_flows = 700;
	options.interval_ns = 3 * NS_PER_S;
	options.idle_ns = 5 * NS_PER_S;
	struct harness *h = harness_new(&options);

	for (uint32_t i = 0; i < 100000; i++) {
		/* half of the packets belong to 50 flows, so that some live long */
		const uint32_t number = random_below(&random, random_below(&random, 2) ? 50 : FLOWS);
		struct flow_key key = udp_key(number);
		const struct packet_facts facts = {.time = {now += random_below(&random, 2000000)},
						   .octets = random_below(&random, 1500),
						   .packets = 1};

		meter_count(h->meter, &key, &facts, 1, 0);
		want[number][0]++;
		want[number][1] += facts.octets;
	}
	meter_flush(h->meter);
	for (uint32_t i = 0; i < h->records.count; i++) {
		const struct flow_record *r = &h->records.at[i];
		const uint32_t number = get_be16(&r->key.source_port);

		got[number][0] += r->packets;
		got[number][1] += r->octets;
		by_reason[r->end_reason]++;
	}
	assert_memory_equal(want, got, sizeof want);

	const struct meter_statistics s = harness_statistics(h);

	assert_memory_equal(s.records, by_reason, sizeof by_reason);
	assert_true(by_reason[END_ACTIVE] > 100 && by_reason[END_RESOURCES] > 100 &&
		    by_reason[END_FORCED] > 100);
	assert_int_equal(s.evicted, by_reason[END_RESOURCES]);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_as_model),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_conservation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
