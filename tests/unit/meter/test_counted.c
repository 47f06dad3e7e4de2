/* Packets that the kernel has counted together give the records that they would give one by one. */
#include "harness.h"

#include "observe/counted_queue.h"

enum { FLOWS = 40, SLOTS = 16, PACKETS = 40000, FIN = 1, SYN = 2, RST = 4, ACK = 16 };

#define TAKE_NS  (NS_PER_S / 4)
#define APART_NS NS_PER_S

/* A slot's rules, as in observe/bpf/count.bpf.c. */
struct kernel {
	struct cached_flow slot[SLOTS];
	struct counted_queue queue;
	struct packet_batch *batch;
};

static void hand_over(struct kernel *k, struct cached_flow *slot)
{
	if (slot->packets > 0)
		counted_queue_flow(&k->queue, 0, slot);
	slot->packets = 0;
}

static bool fits(const struct cached_flow *slot, const struct cached_flow *one)
{
	return slot->packets > 0 && memcmp(slot->word, one->word, sizeof one->word) == 0 &&
	       !(one->tcp_flags & SYN) && one->first - slot->first - slot->span < APART_NS;
}

static void count(struct kernel *k, const struct cached_flow *one)
{
	struct cached_flow *slot = &k->slot[one->source_port % SLOTS];

	if (fits(slot, one)) {
		slot->span = (uint32_t)(one->first - slot->first);
		slot->packets += one->packets;
		slot->octets += one->octets;
		slot->tcp_flags |= one->tcp_flags;
	} else {
		hand_over(k, slot);
		*slot = *one;
	}
	if (one->tcp_flags & (FIN | RST))
		hand_over(k, slot);
}

static void take(struct kernel *k, struct harness *h)
{
	for (int i = 0; i < SLOTS; i++)
		hand_over(k, &k->slot[i]);
	counted_queue_sort(&k->queue);
	int64_t before = 0;
	while ((k->batch->count = counted_queue_read(&k->queue, k->batch->packet, PACKET_BATCH_MAX)) > 0) {
		for (uint32_t i = 0; i < k->batch->count; i++) {
			assert_true(k->batch->packet[i].time.ns >= before);
			before = k->batch->packet[i].time.ns;
		}
		meter_observe(h->meter, k->batch);
	}
	assert_int_equal(counted_queue_time(&k->queue), INT64_MAX);
	counted_queue_clear(&k->queue);
}

static struct cached_flow make_packet(uint64_t *random, int64_t time)
{
	static const uint16_t flags[8] = {ACK, ACK, ACK, SYN, FIN | ACK, ACK, RST, ACK | 8};
	const uint32_t number = random_below(random, FLOWS);
	struct cached_flow one = {
		.source = {10, 0, 0, (uint8_t)(number % 3)},
		.destination = {10, 0, 1, 1},
		.source_port = (uint16_t)number,
		.protocol = 6,
		.kind = FLOW_CACHE_PORTS | (number & 1 ? FLOW_CACHE_EGRESS : 0),
		.first = (uint64_t)time,
		.octets = 40 + random_below(random, 1400),
		.packets = random_below(random, 10) ? 1 : 1 + random_below(random, 60),
		.tcp_flags = flags[random_below(random, 8)],
		.class_of_service = (uint8_t)(number % 3 * 4),
	};

	one.octets *= one.packets;
	if (number % 4 == 0) {
		one.protocol = 17;
		one.tcp_flags = 0;
	}
	return one;
}

/* The same packet as a source that sees each would hand it over. */
static void observe_one(struct harness *h, const struct cached_flow *one)
{
	struct flow_key key;
	struct packet_facts facts = {
		.time = {(int64_t)one->first},
		.octets = one->octets,
		.packets = (uint16_t)one->packets,
		.tcp_flags = one->tcp_flags,
		.class_of_service = one->class_of_service,
	};

	memcpy(&key, one->word, sizeof key);
	meter_count(h->meter, &key, &facts, 1, 0);
}

static void test_same_records(void **state)
{
	struct meter_options options = default_options;
	struct kernel *k = calloc(1, sizeof *k);
	int64_t now = NS_PER_S, due = now + TAKE_NS;
	uint64_t random = 4711;

	options.linger_ns =
		600 * NS_PER_S; /* where a flow ends in the middle of what was counted, it may differ */
	struct harness *one = harness_new(&options), *many = harness_new(&options);
	k->batch = calloc(1, sizeof *k->batch);
	for (int i = 0; i < PACKETS; i++) {
		now += random_below(&random, 1000) ? random_below(&random, 8000000) : 20 * NS_PER_S;
		if (now >= due) {
			take(k, many);
			due = now + TAKE_NS;
		}
		const struct cached_flow packet = make_packet(&random, now);
		observe_one(one, &packet);
		count(k, &packet);
	}
	take(k, many);
	meter_flush(one->meter);
	meter_flush(many->meter);
	assert_true(one->records.count > 1000);
	assert_int_equal(many->records.count, one->records.count);
	for (uint32_t i = 0; i < one->records.count; i++)
		assert_true(same_record(&one->records.at[i], &many->records.at[i]));
	assert_int_equal(harness_statistics(many).packets, harness_statistics(one).packets);
	assert_int_equal(harness_statistics(many).octets, harness_statistics(one).octets);
	counted_queue_fini(&k->queue);
	free(k->batch);
	free(k);
	harness_free(one);
	harness_free(many);
}

/* More than a packet's facts can hold, and none of it lost. */
static void test_many_at_once(void **state)
{
	struct harness *h = harness_new(&default_options);
	struct kernel *k = calloc(1, sizeof *k);
	struct cached_flow flow = {.source = {10},
				   .protocol = 17,
				   .first = 5,
				   .span = 7,
				   .packets = 1000001,
				   .octets = 4000000001u};

	k->batch = calloc(1, sizeof *k->batch);
	counted_queue_flow(&k->queue, 1, &flow);
	take(k, h);
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 1);
	assert_int_equal(h->records.at[0].packets, 1000001);
	assert_int_equal(h->records.at[0].octets, 4000000001u);
	assert_int_equal(h->records.at[0].point_id, 2);
	counted_queue_fini(&k->queue);
	free(k->batch);
	free(k);
	harness_free(h);
}

static void test_cut_short(void **state)
{
	struct flow_key key;
	struct packet_facts facts;
	const uint8_t octets[16] = {0};
	const struct packet packet = {
		.data = octets, .captured = sizeof octets, .length = sizeof octets, .link = LINK_COUNTED};

	assert_int_equal(decode_packet(&packet, &key, &facts), DECODE_LINK_SHORT);
}

/* A frame that the kernel has not read keeps its place in time. */
static void test_frames_between(void **state)
{
	struct counted_queue q = {0};
	struct packet out[4];
	struct cache_event_frame frame = {
		.captured = 3, .length = 60, .gso_size = 9, .time = 20, .egress = 1};
	struct cached_flow flow = {
		.first = 10, .span = 20, .packets = 2, .octets = 100, .tcp_flags = SYN | FIN};

	memcpy(frame.data, "abc", 3);
	counted_queue_flow(&q, 1, &flow);
	counted_queue_frame(&q, 2, LINK_ETHERNET, &frame);
	counted_queue_sort(&q);
	assert_int_equal(counted_queue_time(&q), 10);
	assert_int_equal(counted_queue_read(&q, out, 4), 3);
	assert_int_equal(out[0].link, LINK_COUNTED);
	assert_int_equal(out[1].time.ns, 20);
	assert_memory_equal(out[1].data, "abc", 3);
	assert_int_equal(out[1].length, 60);
	assert_int_equal(out[1].gso_size, 9);
	assert_int_equal(out[1].point, 2);
	assert_int_equal(out[1].link, LINK_ETHERNET);
	assert_int_equal(out[1].direction, DIRECTION_EGRESS);
	assert_int_equal(out[2].time.ns, 30);
	counted_queue_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_records),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_frames_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
