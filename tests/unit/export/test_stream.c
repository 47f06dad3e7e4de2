/* A session over real TCP: what a collector that resets, closes, reads slowly or is away does to records, the
 * sequence, templates and the counters. The collector is played in the same thread; each of its connections
 * has a parser of its own, which fails on data without a template. */
#include "collector.h"

#include <sys/ioctl.h>

struct peer peers[PEERS];

/* 82, 90: the same over TLS, 40 times, in the middle of a stream of records. A collector that has read all
 * there was misses nothing and gets nothing twice. */
static void test_82_90_flapping_collector_tls(void **state)
{
	char *folder = make_certificates();
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	s.options.collector[0].type = &tls_transport;
	client_options(&s.options.tls, folder, "probe");
	c->context = server_context(TLS_server_method(), folder, "good", TLS1_2_VERSION, TLS1_3_VERSION);
	stand_start(&s);
	const uint32_t before = open_descriptors();
	for (uint32_t i = 0; i < 40; i++) {
		const uint64_t flows = c->flows;

		stand_put_tcp(&s, 300);
		for (int n = 0; n < 5000 && c->flows == flows; n++) {
			stand_pass(&s, NS_PER_S / 10);
			drain(c);
			poll(NULL, 0, 1);
		}
		assert_true(c->flows > flows);
		stand_put_tcp(&s, 200);
		stand_pass(&s, NS_PER_S);
		drain(c);
		assert_true(open_descriptors() <= before + 2);
		hang_up(c, i % 2);
	}
	settle(&s, c);
	assert_in_range(c->connections, 40, 41);
	check_made(&s);
	assert_int_equal(given_up(stand_statistics(&s, 0)), 0);
	assert_int_equal(count_seen(c, s.made, 1), s.made);
	stand_free(&s);
	collector_free(c);
	remove_certificates(folder);
}

/* 4, 35, 82, 89: 200 connections, each ended by the collector once it has read what its kernel acknowledged:
 * every record arrives exactly once, each session begins with 0 and templates, and no descriptor stays. */
static void test_04_82_89_flapping_collector(void **state)
{
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	stand_start(&s);
	const uint32_t before = open_descriptors();
	for (uint32_t i = 0; i < 200; i++) {
		const uint64_t connections = c->connections;

		for (int n = 0; n < 10000 && c->connections == connections; n++) {
			stand_pass(&s, NS_PER_S / 10);
			accept_one(c);
			poll(NULL, 0, n > 3);
		}
		stand_put_tcp(&s, 100 + i % 50);
		stand_pass(&s, NS_PER_S);
		drain(c);
		assert_true(open_descriptors() <= before + 2);
		hang_up(c, i % 2);
		stand_put_tcp(&s, i % 5); /* while nobody is there */
	}
	settle(&s, c);
	assert_in_range(c->connections, 200, 201);
	check_made(&s);
	assert_int_equal(given_up(stand_statistics(&s, 0)), 0);
	assert_int_equal(count_seen(c, s.made, 1), s.made);
	stand_free(&s);
	assert_true(drain(c));
	collector_free(c);
}

/* 82: messages that the peer's kernel had not acknowledged when the connection broke go again, and the
 * message that was under way is never cut: all that is missing was in the buffer of the collector that died.
 */
static void test_82_reset_with_records_in_flight(void **state)
{
	struct collector *c = collector_new(4096);
	struct stand s;
	uint64_t unread = 0;

	stand_to(&s, c);
	stand_start(&s);
	for (uint32_t i = 0; i < 50; i++) {
		const uint64_t connections = c->connections;
		int waiting = 0;

		for (int n = 0; n < 10000 && c->connections == connections; n++) {
			stand_pass(&s, NS_PER_S / 10);
			accept_one(c);
			poll(NULL, 0, n > 3);
		}
		stand_put_tcp(&s, 500);
		stand_pass(&s, NS_PER_S);
		if (i % 2)
			drain(c);
		stand_put_tcp(&s, 500);
		stand_pass(&s, NS_PER_S);
		assert_int_equal(ioctl(c->connection, FIONREAD, &waiting), 0);
		unread += (uint64_t)waiting;
		hang_up(c, true);
	}
	settle(&s, c);
	check_made(&s);
	assert_int_equal(given_up(stand_statistics(&s, 0)), 0);
	assert_int_equal(count_seen(c, s.made, 0) + count_seen(c, s.made, 1), s.made); /* never twice */
	assert_true(unread > 0);
	assert_in_range(count_seen(c, s.made, 0), 0, unread / RECORD_OCTETS_MIN);
	assert_in_range(count_seen(c, s.made, 0), 0,
			stand_statistics(&s, 0).unsure_flows); /* none silently */
	assert_true(c->flows > s.made / 2);
	stand_free(&s);
	collector_free(c);
}

/* 7, 86: a collector that is away for longer than the ring lasts: the oldest go, and are counted. */
static void test_07_86_away_for_long(void **state)
{
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	close(c->listener);
	s.options.ring_octets = 1 << 16;
	stand_start(&s);
	for (int i = 0; i < 10; i++) {
		stand_put_tcp(&s, 1000);
		stand_pass(&s, NS_PER_S);
	}
	const uint64_t lost = given_up(stand_statistics(&s, 0));
	assert_in_range(lost, 9000, 9900);
	c->listener = listener_open(&c->port, 0);
	settle(&s, c);
	check_made(&s);
	assert_int_equal(given_up(stand_statistics(&s, 0)), lost);
	assert_int_equal(c->flows, s.made - lost);
	for (uint64_t i = 0; i < s.made; i++)
		assert_int_equal(c->seen[i], i >= lost);
	assert_int_equal(c->parser.gaps, 0);
	stand_free(&s);
	collector_free(c);
}

/* A collector that reads nothing while records are made: the ring is let go of behind messages in flight.
 * What it gets in the end is what was counted as sent; the rest shows as a gap (7). */
static void slow_collector(bool dies)
{
	struct collector *c = collector_new(4096);
	struct stand s;

	stand_to(&s, c);
	s.options.ring_octets = 1 << 16;
	stand_start(&s);
	for (int n = 0; n < 10000 && c->connection < 0; n++) {
		stand_pass(&s, NS_PER_S / 10);
		accept_one(c);
	}
	for (int i = 0; i < 100; i++) {
		stand_put_tcp(&s, 1000);
		stand_pass(&s, NS_PER_S / 10);
	}
	const struct session_statistics before = stand_statistics(&s, 0);
	assert_true(before.not_sent_flows > 0);
	assert_true(before.flow_records + before.not_sent_flows < s.made);
	if (dies)
		hang_up(c, true);
	settle(&s, c);
	const struct session_statistics after = stand_statistics(&s, 0);
	check_made(&s);
	assert_int_equal(count_seen(c, s.made, 0) + count_seen(c, s.made, 1), s.made);
	if (dies) { /* what was in flight and not in the ring any more is lost, and counted */
		assert_true(after.not_sent_flows > before.not_sent_flows);
		assert_true(c->flows <= after.flow_records);
		assert_in_range(after.flow_records - c->flows, 0, 65536 / RECORD_OCTETS_MIN);
	} else {
		assert_int_equal(c->flows, after.flow_records);
		assert_int_equal(c->parser.gaps, after.not_sent_flows);
	}
	stand_free(&s);
	collector_free(c);
}

static void test_07_86_slow_collector(void **state)
{
	slow_collector(false);
}

static void test_07_86_slow_collector_dies(void **state)
{
	slow_collector(true);
}

/* 54: over a reliable transport a template is sent once a session, whatever the timers say. */
static void test_54_templates_once(void **state)
{
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	s.options.template_refresh_ns = NS_PER_S;
	s.options.template_refresh_messages = 2;
	s.options.options_refresh_ns = 10 * NS_PER_S;
	stand_start(&s);
	for (int i = 0; i < 60; i++) {
		stand_put_tcp(&s, 50);
		stand_pass(&s, 2 * NS_PER_S);
		drain(c);
	}
	settle(&s, c);
	assert_int_equal(c->connections, 1);
	assert_true(c->parser.template_count > 3);
	for (uint32_t i = 0; i < c->parser.template_count; i++)
		assert_int_equal(c->parser.template[i].seen, 1);
	assert_true(c->parser.options_records > 20);
	stand_free(&s);
	collector_free(c);
}

/* The exporter's end, step by step. `reads`: how often the collector looks into its buffer before it dies;
 * 0: until the exporter has ended the connection, when it closes its side. */
static void finish(struct stand *s, struct collector *c, uint32_t reads)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;
	uint32_t looks = 0;

	exporter_finish_begin(s->exporter, (struct mono_ns){s->now}, (struct wall_ns){s->wall});
	while (!exporter_finish_turn(s->exporter)) {
		if (mono_now().ns > until)
			fail_msg("the exporter does not end");
		accept_one(c);
		if (c->connection >= 0 && !reads && drain(c))
			hang_up(c, false);
		if (c->connection >= 0 && reads && ++looks % 64 == 0) {
			c->length += (size_t)recv(c->connection, c->octets + c->length, 5000, 0);
			take_messages(c);
			if (looks / 64 == reads)
				hang_up(c, false); /* what it has not read makes it a reset */
		}
		exporter_finish_wait(s->exporter);
	}
	assert_int_equal(stand_finish(s, NULL), OK);
}

static void finish_in_order(const struct transport_type *type)
{
	char *folder = make_certificates();
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	s.options.collector[0].type = type;
	client_options(&s.options.tls, folder, "probe");
	if (type->secure)
		c->context =
			server_context(TLS_server_method(), folder, "good", TLS1_2_VERSION, TLS1_3_VERSION);
	stand_start(&s);
	stand_put_tcp(&s, 600);
	finish(&s, c, 0);
	const struct session_statistics end = stand_statistics(&s, 0);
	assert_int_equal(end.flow_records, 600);
	assert_int_equal(end.not_sent_flows + end.unsure_flows + end.errors, 0);
	assert_int_equal(count_seen(c, s.made, 1), 600);
	assert_int_equal(c->connections, 1);
	assert_int_equal(c->length, 0);
	assert_int_equal(c->parser.gaps, 0);
	stand_free(&s);
	collector_free(c);
	remove_certificates(folder);
}

/* 81: finish sends all there is, ends the connection, and waits until the collector has read it. */
static void test_81_finish(void **state)
{
	finish_in_order(&tcp_transport);
}

static void test_81_finish_tls(void **state)
{
	finish_in_order(&tls_transport);
}

/* 81: a collector that dies after the exporter's last octet was acknowledged: nothing is missing silently. */
static void test_81_finish_reset(void **state)
{
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	stand_start(&s);
	for (int n = 0; n < 10000 && c->connection < 0; n++) {
		stand_pass(&s, NS_PER_S / 10);
		accept_one(c);
		poll(NULL, 0, n > 3);
	}
	stand_put_tcp(&s, 600);
	finish(&s, c, 3);
	const struct session_statistics end = stand_statistics(&s, 0);
	check_made(&s);
	assert_true(c->flows < 600);
	assert_in_range(end.unsure_flows, count_seen(c, s.made, 0), 600);
	assert_int_equal(end.unsure_flows, end.not_sent_flows);
	stand_free(&s);
	collector_free(c);
}

/* 81: a session that a reload makes anew ends in order, and the next one begins when the collector has read
 * it; the records of between are kept. One that a reload takes away keeps nobody waiting. */
static void test_81_reload(void **state)
{
	struct collector *c = collector_new(0);
	struct error err = {""};
	struct stand s;

	stand_to(&s, c);
	stand_start(&s);
	for (int n = 0; n < 10000 && c->flows < 100; n++) {
		if (s.made == 0)
			stand_put_tcp(&s, 100);
		stand_pass(&s, NS_PER_S);
		drain(c);
		poll(NULL, 0, 1);
	}
	stand_put_tcp(&s, 100);
	s.options.max_message = 1000;
	assert_int_equal(exporter_reload(s.exporter, &s.options, &err), OK);
	stand_put_tcp(&s, 100);
	stand_pass(&s, NS_PER_S);
	accept_one(c);
	assert_int_equal(c->connections, 1);
	for (int n = 0; n < 10000 && !drain(c); n++)
		poll(NULL, 0, 1);
	assert_int_equal(c->flows, 200); /* to the end of the first session */
	hang_up(c, false);
	settle(&s, c);
	assert_int_equal(c->connections, 2);
	assert_int_equal(count_seen(c, s.made, 1), 300);
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 0);
	s.options.collector_count = 0;
	stand_put_tcp(&s, 100);
	assert_int_equal(exporter_reload(s.exporter, &s.options, &err), OK);
	assert_int_equal(exporter_session_count(s.exporter), 0);
	for (int n = 0; n < 10000 && !drain(c); n++)
		poll(NULL, 0, 1);
	assert_int_equal(count_seen(c, s.made, 1), 400);
	stand_free(&s);
	collector_free(c);
}

/* 81: a collector that does not take it is not waited for without end. */
static void test_81_finish_without_collector(void **state)
{
	struct collector *c = collector_new(4096);
	struct stand s;

	stand_to(&s, c);
	stand_start(&s);
	stand_put_tcp(&s, 50000);
	assert_int_equal(stand_finish(&s, NULL), OK);
	check_made(&s);
	assert_true(given_up(stand_statistics(&s, 0)) > 0);
	stand_free(&s);
	collector_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_04_82_89_flapping_collector),
		cmocka_unit_test(test_82_90_flapping_collector_tls),
		cmocka_unit_test(test_82_reset_with_records_in_flight),
		cmocka_unit_test(test_07_86_away_for_long),
		cmocka_unit_test(test_07_86_slow_collector),
		cmocka_unit_test(test_07_86_slow_collector_dies),
		cmocka_unit_test(test_54_templates_once),
		cmocka_unit_test(test_81_finish),
		cmocka_unit_test(test_81_finish_tls),
		cmocka_unit_test(test_81_finish_reset),
		cmocka_unit_test(test_81_reload),
		cmocka_unit_test(test_81_finish_without_collector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
