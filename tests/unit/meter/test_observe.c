/* Real frames through meter_observe: every frame is accounted for, in a record or under an outcome. */
#include "harness.h"

#include "../decode/frame.h"

enum { FRAMES = 6 };

struct frames {
	struct frame frame[FRAMES];
	struct packet_batch batch;
};

/* Two of a flow, one of another, ARP, a cut IPv4 header, a frame with version 5. */
static struct frames *make_frames(void)
{
	struct frames *f = calloc(1, sizeof *f);

	assert_non_null(f);
	for (int i = 0; i < 2; i++) {
		add_ethernet(&f->frame[i], 0x0800);
		add_ipv4(&f->frame[i], 17, 8, 0);
		add_udp(&f->frame[i], 0);
	}
	add_ethernet(&f->frame[2], 0x86dd);
	add_ipv6(&f->frame[2], 6, 20);
	add_tcp(&f->frame[2], 5, 0x02);
	add_ethernet(&f->frame[3], 0x0806);
	add_zeros(&f->frame[3], 28);
	add_ethernet(&f->frame[4], 0x0800);
	add_u32(&f->frame[4], 0x45000020);
	add_ethernet(&f->frame[5], 0x0800);
	add_ipv4(&f->frame[5], 17, 8, 0);
	f->frame[5].octets[14] = 0x55;

	f->batch.count = FRAMES;
	for (uint32_t i = 0; i < FRAMES; i++) {
		f->batch.packet[i] = (struct packet){
			.data = f->frame[i].octets,
			.captured = f->frame[i].length,
			.length = f->frame[i].length,
			.time = {NS_PER_S + i * NS_PER_MS},
			.link = LINK_ETHERNET,
			.direction = DIRECTION_UNKNOWN,
		};
	}
	return f;
}

static void every_frame_is_accounted_for(void **state)
{
	struct frames *f = make_frames();
	struct harness *h = harness_new(&default_options);
	struct meter_statistics s;
	uint64_t outcomes = 0, ignored = 0;

	meter_observe(h->meter, &f->batch);
	meter_statistics(h->meter, &s);
	for (int i = 0; i < DECODE_OUTCOME_COUNT; i++)
		outcomes += s.outcome[i];
	for (int i = 3; i < FRAMES; i++)
		ignored += f->frame[i].length;
	assert_int_equal(outcomes, FRAMES);
	assert_int_equal(s.outcome[DECODE_FLOW], 3);
	assert_int_equal(s.outcome[DECODE_NOT_IP], 1);
	assert_int_equal(s.outcome[DECODE_IP_SHORT], 1);
	assert_int_equal(s.outcome[DECODE_IP_VERSION], 1);
	assert_int_equal(s.ignored_octets, ignored);
	assert_int_equal(s.first_ignored_wall_ms, 1003);
	assert_int_equal(s.last_ignored_wall_ms, 1005);
	assert_int_equal(s.packets, 3);
	assert_int_equal(s.octets, 28 + 28 + 60);

	meter_flush(h->meter);
	assert_int_equal(h->records.count, 2);
	assert_int_equal(h->records.at[0].packets, 2);
	assert_int_equal(h->records.at[0].start_ms, 1000);
	assert_int_equal(h->records.at[0].end_ms, 1001);
	assert_int_equal(h->records.at[1].tcp_flags, 0x02);
	harness_free(h);
	free(f);
}

static void local_prefixes_give_the_direction(void **state)
{
	struct prefix_list local = {0};
	struct meter_options options = default_options;
	struct frames *f = make_frames();

	assert_int_equal(prefix_list_add(&local, "10.0.0.0/8", NULL), OK);
	options.local = &local;

	struct harness *h = harness_new(&options);
	meter_observe(h->meter, &f->batch);
	meter_flush(h->meter);
	assert_int_equal(h->records.count, 2);
	assert_int_equal(h->records.at[0].direction, DIRECTION_EGRESS);
	assert_int_equal(h->records.at[1].direction, DIRECTION_INGRESS);
	harness_free(h);

	/* A source that knows the direction is believed. */
	f->batch.packet[0].direction = f->batch.packet[1].direction = DIRECTION_INGRESS;
	h = harness_new(&options);
	meter_observe(h->meter, &f->batch);
	meter_flush(h->meter);
	assert_int_equal(h->records.at[0].direction, DIRECTION_INGRESS);
	harness_free(h);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_is_accounted_for),
		cmocka_unit_test(local_prefixes_give_the_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
