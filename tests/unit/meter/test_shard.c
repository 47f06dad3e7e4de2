/* Packets shared out between several meters give the records of a single one. */
#include "harness.h"
#include "meter/shard.h"

enum { PACKETS = 40000, FRAME = 64, BATCH = 200, MOST = 5 };

/* Frames as a capture has them: few addresses, so that sessions, fragments and directions meet often. */
static uint32_t make_frame(uint8_t *at, uint64_t *state)
{
	static const uint8_t flags[] = {0x10, 0x10, 0x18, 0x02, 0x11, 0x04};
	const uint64_t r = random_next(state);
	const bool back = r & 1, fragment = (r >> 1 & 15) == 0, v6 = (r >> 5 & 7) == 0;
	const uint8_t host = (uint8_t)(r >> 8 & 31), port = (uint8_t)(r >> 16 & 3);
	const uint8_t protocol = (r >> 20 & 3) == 0 ? 17 : 6;
	uint8_t *transport = at + (v6 ? 40 : 20);

	memset(at, 0, FRAME);
	if ((r >> 32 & 127) == 0) /* neither version */
		return FRAME;
	if (v6) {
		at[0] = 0x60;
		put_be16(at + 4, FRAME - 40);
		at[6] = protocol;
		at[8] = at[24] = 0xfd;
		at[back ? 39 : 23] = host;
	} else {
		at[0] = 0x45;
		put_be16(at + 2, FRAME);
		put_be16(at + 4, (uint16_t)(r >> 40 & 7));
		put_be16(at + 6, fragment ? (r >> 44 & 1 ? 0x2000 : 0x0010) : 0);
		at[9] = protocol;
		at[12] = at[16] = 10;
		at[back ? 19 : 15] = host;
	}
	put_be16(transport + (back ? 2 : 0), (uint16_t)(1000 + port));
	put_be16(transport + (back ? 0 : 2), 443);
	if (protocol == 6)
		transport[13] = flags[r >> 48 & 7 ? 0 : (r >> 52) % sizeof flags];
	return FRAME;
}

struct stream {
	uint8_t frame[PACKETS][FRAME];
	struct packet packet[PACKETS];
};

static struct stream *make_stream(int64_t step_ns)
{
	struct stream *s = calloc(1, sizeof *s);
	uint64_t state = 7;
	int64_t now = 1000 * NS_PER_S;

	assert_non_null(s);
	for (uint32_t i = 0; i < PACKETS; i++) {
		const uint64_t r = random_next(&state);

		now += (int64_t)(r % (uint64_t)step_ns);
		if ((r >> 32) % 997 == 0)
			now += 20 * NS_PER_S;
		s->packet[i] = (struct packet){
			.data = s->frame[i],
			.captured = make_frame(s->frame[i], &state),
			.length = FRAME,
			.time = {i == PACKETS / 2 ? now - 7200 * NS_PER_S : now - (int64_t)(r >> 60)},
			.link = LINK_IP,
			.direction = r >> 40 & 1 ? DIRECTION_EGRESS : DIRECTION_INGRESS,
		};
	}
	return s;
}

static int by_content(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct flow_record, end_reason) + 1);
}

/* Flow ids are told in another order. */
static void settle(struct records *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		r->at[i].flow_id = 0;
	qsort(r->at, r->count, sizeof *r->at, by_content);
}

static void run_single(struct harness *h, const struct stream *s)
{
	struct packet_batch *b = calloc(1, sizeof *b);

	assert_non_null(b);
	for (uint32_t i = 0; i < PACKETS; i += BATCH) {
		b->count = BATCH;
		memcpy(b->packet, s->packet + i, BATCH * sizeof *b->packet);
		meter_observe(h->meter, b);
	}
	meter_flush(h->meter);
	free(b);
}

/* One batch through the decoder, cut where the meters look at their clocks. */
static void decode_paced(struct decoder *decoder, struct pacer *pacer, const struct packet_batch *b,
			 struct decoded *to)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		if (!pacer_is_due(pacer, b->packet[i].time.ns))
			continue;
		decoder_batch(decoder, b, first, i, to);
		decoder_pace(decoder, b->packet[i].time.ns, to);
		first = i;
	}
	decoder_batch(decoder, b, first, b->count, to);
}

static void run_shards(struct harness **h, uint32_t count, const struct meter_options *o,
		       const struct stream *s, struct meter_statistics *sum)
{
	struct decoder decoder = {.rule = {count, 0x9e3779b1}, .local = o->local};
	struct packet_batch *b = calloc(1, sizeof *b);
	struct pacer pacer = {0};
	struct decoded part[MOST];

	assert_non_null(b);
	for (uint32_t n = 0; n < count; n++)
		assert_true(decoded_init(&part[n], BATCH, (o->extras & EXTRA_PACKETS) != 0));
	for (uint32_t i = 0; i < PACKETS; i += BATCH) {
		b->count = BATCH;
		memcpy(b->packet, s->packet + i, BATCH * sizeof *b->packet);
		for (uint32_t n = 0; n < count; n++)
			part[n].count = part[n].pace_count = 0;
		decode_paced(&decoder, &pacer, b, part);
		for (uint32_t n = 0; n < count; n++)
			meter_take(h[n]->meter, &part[n], 0);
	}
	*sum = decoder.statistics;
	for (uint32_t n = 0; n < count; n++) {
		meter_flush(h[n]->meter);
		const struct meter_statistics one = harness_statistics(h[n]);
		meter_statistics_add(sum, &one);
		decoded_fini(&part[n]);
	}
	free(b);
}

static void compare(const struct meter_options *o, uint32_t count, const struct stream *s)
{
	struct harness *single = harness_new(o), *h[MOST];
	struct records all = {0};
	struct meter_statistics sum, expected;
	uint32_t busy = 0;

	for (uint32_t n = 0; n < count; n++)
		h[n] = harness_new(o);
	run_single(single, s);
	run_shards(h, count, o, s, &sum);
	expected = harness_statistics(single);
	for (uint32_t n = 0; n < count; n++) {
		busy += h[n]->records.count > 0;
		for (uint32_t i = 0; i < h[n]->records.count; i++)
			records_add(&all, &h[n]->records.at[i]);
		harness_free(h[n]);
	}
	assert_int_equal(busy, count); /* none had nothing to do */
	assert_int_equal(all.count, single->records.count);
	settle(&all);
	settle(&single->records);
	for (uint32_t i = 0; i < all.count; i++)
		assert_true(same_record(&all.at[i], &single->records.at[i]));
	expected.clock_steps = sum.clock_steps; /* each meter's clock steps */
	assert_memory_equal(&sum, &expected, sizeof sum);
	records_reset(&all);
	harness_free(single);
}

static void same_as_one(void **state)
{
	const struct {
		const char *what;
		int64_t interval_ns, idle_ns;
		uint32_t extras;
		bool dscp;
	} cases[] = {
		{"plain", 0, 15 * NS_PER_S, 0, false},
		{"interim records", 5 * NS_PER_S, 15 * NS_PER_S, 0, false},
		{"every packet", 0, 0, 0, false},
		{"totals and what packets have besides", 5 * NS_PER_S, 15 * NS_PER_S,
		 EXTRA_TOTALS | EXTRA_PACKETS | EXTRA_MICROSECONDS, false},
		{"biflows", 0, 15 * NS_PER_S, EXTRA_BIFLOWS, false},
		{"DSCP", 0, 2 * NS_PER_S, 0, true},
	};
	struct stream *dense = make_stream(NS_PER_MS), *sparse = make_stream(NS_PER_S);

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct meter_options o = default_options;

		o.interval_ns = cases[i].interval_ns;
		o.idle_ns = cases[i].idle_ns;
		o.extras = cases[i].extras;
		o.dscp_key = cases[i].dscp;
		print_message("%s\n", cases[i].what);
		for (uint32_t count = 1; count <= MOST; count += 2) {
			compare(&o, count, dense);
			compare(&o, count, sparse);
		}
	}
	free(dense);
	free(sparse);
}

static void goes_by_addresses(void **state)
{
	const struct shard_rule rule = {4, 0x9e3779b1};
	uint32_t seen[4] = {0};

	for (uint32_t i = 0; i < 4096; i++) {
		struct flow_key key = udp_key(i << 16 | (i & 7));
		const struct flow_key back = reverse_of(key);
		const uint32_t shard = shard_of(&rule, &key);

		assert_in_range(shard, 0, 3);
		assert_int_equal(shard, shard_of(&rule, &back));
		key.source_port = 0; /* a fragment */
		assert_int_equal(shard, shard_of(&rule, &key));
		seen[shard]++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(seen[i], 4096 / 8, 4096 / 2);
}

static void ids_count_by_steps(void **state)
{
	struct meter_options o = default_options;

	o.first_flow_id = 3;
	o.flow_id_step = 4;
	struct harness *h = harness_new(&o);
	for (uint32_t i = 0; i < 3; i++)
		count_one(h, udp_key(i), NS_PER_S, 0);
	meter_flush(h->meter);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(h->records.at[i].flow_id, 3 + 4 * i);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_one),
		cmocka_unit_test(goes_by_addresses),
		cmocka_unit_test(ids_count_by_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
