/* RFC 7011 point by point, on the messages of a session. A test is named after the points it holds; that
 * every message is well-formed (1, 10, 11, 12, 13, 15, 16, 38, 56) is checked by parse.h on each of them. */
#include "peer.h"

struct peer peers[PEERS];

static struct parsed_template *template_of(uint32_t peer, uint32_t id)
{
	return parse_find(&peers[peer].parser, id);
}

/* 2: Export Time is the moment of sending; a record waits at most a second for company. */
static void test_02_export_time_is_sending_time(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	stand_serve(&s);
	for (int i = 0; i < 20; i++) {
		stand_pass(&s, 3 * NS_PER_S);
		stand_put_tcp(&s, 1);
		const int64_t put = s.wall;
		const uint64_t flows = peers[0].flows;
		stand_pass(&s, NS_PER_S);
		assert_int_equal(peers[0].flows, flows + 1);
		assert_in_range(peers[0].parser.export_time, put / NS_PER_S, put / NS_PER_S + 1);
	}
	stand_free(&s);
}

/* 2: also of a message that had to wait: the time is that of the try that worked. */
static void test_02_export_time_after_waiting(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	stand_put_tcp(&s, 1);
	stand_pass(&s, NS_PER_S);
	stand_put_tcp(&s, 3);
	peers[0].answer = AGAIN;
	stand_pass(&s, 30 * NS_PER_S);
	assert_int_equal(peers[0].flows, 1);
	peers[0].answer = OK;
	stand_serve(&s);
	assert_int_equal(peers[0].flows, 4);
	assert_int_equal(peers[0].parser.export_time, s.wall / NS_PER_S);
	stand_free(&s);
}

/* 3, 42: Export Time wraps in 2106, and never goes back while a clock does. */
static void test_03_42_export_time_wraps_and_never_goes_back(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.wall = ((1LL << 32) - 5) * NS_PER_S;
	stand_start(&s);
	for (int i = 0; i < 10; i++) {
		stand_put_tcp(&s, 1);
		stand_pass(&s, NS_PER_S);
	}
	assert_in_range(peers[0].parser.export_time, 3, 6);
	const uint32_t before = peers[0].parser.export_time;
	s.wall -= 3600 * NS_PER_S; /* the parser fails on an earlier time */
	stand_put_tcp(&s, 1);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 11);
	assert_int_equal(peers[0].parser.export_time, before);
	stand_free(&s);
}

/* 4, 5: the sequence counts Data Records, options data too, templates never; the first message has 0. */
static void test_04_05_sequence(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.options.options_refresh_ns = NS_PER_S;
	stand_start(&s);
	for (int i = 0; i < 50; i++) {
		stand_put_tcp(&s, 37);
		stand_pass(&s, NS_PER_S);
	}
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_true(peers[0].parser.options_records > 100);
	assert_int_equal(peers[0].parser.sequence, peers[0].parser.data_records);
	stand_check_balance(&s);
	stand_free(&s);
}

/* 7: what is given up before sending shows as a gap of the same size; 74: and in the reliability record. */
static void test_07_74_gap_is_what_was_not_sent(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.options.ring_octets = 1 << 16;
	stand_start(&s);
	stand_put_tcp(&s, 100);
	stand_pass(&s, NS_PER_S);
	peers[0].answer = AGAIN;
	const int64_t blocked = s.wall / NS_PER_MS;
	stand_put_tcp(&s, 5000);
	stand_pass(&s, NS_PER_S);
	peers[0].answer = OK;
	stand_put_tcp(&s, 10);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(stand_finish(&s, NULL), OK);
	const struct session_statistics c = stand_statistics(&s, 0);
	assert_in_range(c.not_sent_flows, 4000, 5000);
	assert_int_equal(peers[0].parser.gaps, c.not_sent_flows);
	assert_int_equal(peers[0].value[166], c.not_sent_flows);
	assert_int_equal(peers[0].value[167], c.not_sent_packets);
	assert_int_equal(peers[0].value[168], c.not_sent_octets);
	assert_int_equal(c.first_not_sent_ms, blocked);
	assert_int_equal(peers[0].value[323], c.last_not_sent_ms);
	stand_check_balance(&s);
	stand_free(&s);
}

/* 7: a message that is lost in sending counts its records as not sent. */
static void test_07_lost_message(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	for (int i = 0; i < 40; i++) {
		stand_put_tcp(&s, 100);
		peers[0].answer = i % 4 == 3 ? ERR_SYSTEM : OK;
		peers[0].takes = (uint64_t)i % 3;
		stand_pass(&s, NS_PER_S);
	}
	peers[0].answer = OK;
	assert_int_equal(stand_finish(&s, NULL), OK);
	const struct session_statistics c = stand_statistics(&s, 0);
	assert_true(c.not_sent_flows > 0);
	assert_true(c.errors > 0);
	assert_true(peers[0].parser.gaps >= c.not_sent_flows);
	stand_check_balance(&s);
	stand_free(&s);
}

/* 8, 15: one Observation Domain; IDs unique over templates and options templates (parse.h compares layouts).
 */
static void test_08_15_domain_and_template_ids(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	for (uint32_t i = 0; i < 40; i++) {
		const uint8_t protocol = (const uint8_t[]){6, 17, i & 1 ? 58 : 1, 132, 47}[i / 2 % 5];
		const struct flow_record r = stand_record(i, protocol, i & 1, i >= 10 && i < 20);

		stand_put(&s, &r);
	}
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].parser.domain, 77);
	assert_int_equal(peers[0].flows, 40);
	for (uint32_t id = 256; id < 276; id++) {
		const struct parsed_template *t = template_of(0, id);

		if (!t)
			fail_msg("no template %u", id);
		assert_int_equal(t->scopes, 0);
	}
	for (uint32_t id = 276; id < 512; id++)
		assert_null(template_of(0, id));
	for (uint32_t id = 512; id < 518; id++)
		assert_true(template_of(0, id)->scopes > 0);
	stand_free(&s);
}

/* 53: all templates in use again at the interval, also of an exporter with nothing to say. */
static void test_53_refresh_by_time_when_idle(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.options.template_refresh_ns = 5 * NS_PER_S;
	stand_start(&s);
	stand_put_tcp(&s, 1);
	stand_pass(&s, 2 * NS_PER_S);
	assert_non_null(template_of(0, 256));
	const uint32_t flow = template_of(0, 256)->seen, options = template_of(0, 514)->seen;
	const uint64_t reports = peers[0].by_template[514];
	stand_pass(&s, 50 * NS_PER_S);
	assert_in_range(template_of(0, 256)->seen - flow, 9, 11);
	assert_in_range(template_of(0, 514)->seen - options, 9, 11);
	assert_in_range(peers[0].by_template[514] - reports, 9, 11); /* options data with its templates */
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_true(stand_statistics(&s, 0).template_refreshes >= 9);
	stand_free(&s);
}

/* 53: and after so many messages, whichever comes first. */
static void test_53_refresh_by_messages(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.options.template_refresh_messages = 20;
	stand_start(&s);
	stand_put_tcp(&s, 100);
	stand_pass(&s, NS_PER_S);
	const uint32_t seen = template_of(0, 256)->seen;
	const uint64_t messages = peers[0].parser.messages;
	for (int i = 0; i < 100; i++) {
		stand_put_tcp(&s, 14 * 5);
		stand_serve(&s);
	}
	const uint64_t grown = peers[0].parser.messages - messages;
	assert_in_range(template_of(0, 256)->seen - seen, grown / 30, grown / 15);
	stand_free(&s);
}

/* 53: and after whatever may have cost the collector its templates, but not for every refusal. */
static void test_53_refresh_after_error(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.options.template_refresh_ns = 3600 * NS_PER_S;
	stand_start(&s);
	stand_put_tcp(&s, 1);
	stand_pass(&s, 5 * NS_PER_S);
	const uint32_t seen = template_of(0, 256)->seen;
	peers[0].generation++;
	stand_put_tcp(&s, 1);
	stand_serve(&s);
	assert_int_equal(template_of(0, 256)->seen, seen + 1); /* before the record, which still waits */
	stand_pass(&s, 5 * NS_PER_S);
	assert_int_equal(template_of(0, 256)->seen, seen + 1);
	for (int i = 0; i < 100; i++) { /* ten seconds of refusals */
		peers[0].generation++;
		stand_pass(&s, NS_PER_S / 10);
	}
	assert_in_range(template_of(0, 256)->seen - seen - 1, 9, 11);
	stand_free(&s);
}

/* 54: over UDP a new template is sent in two messages before or with its first data. */
static uint64_t template_messages_before_data;

static void note_first_data(void *arg, const struct parsed_record *r)
{
	struct peer *p = arg;

	if (r->template->id == 256 && p->flows == 0)
		template_messages_before_data = r->template->seen;
	peer_record(arg, r);
}

static void test_54_two_copies_before_first_data(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	peers[0].parser.on_record = note_first_data;
	stand_serve(&s);
	assert_null(template_of(0, 256)); /* not before it is needed */
	stand_put_tcp(&s, 1);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 1);
	assert_int_equal(template_messages_before_data, 2);
	assert_true(template_of(0, 512)->seen >= 2);
	stand_free(&s);
}

/* 72: totals as they were before the message that tells them. */
static void test_72_metering_statistics(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	stand_put_tcp(&s, 1000);
	stand_pass(&s, NS_PER_S);
	const struct session_statistics before = stand_statistics(&s, 0);
	assert_int_equal(before.flow_records, 1000);
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].value[149], 77);
	assert_int_equal(peers[0].value[143], 1);
	assert_int_equal(peers[0].value[41], before.messages);
	assert_int_equal(peers[0].value[42], 1000);
	assert_int_equal(peers[0].value[40], before.octets);
	stand_free(&s);
}

/* 73: what the device could not meter. */
static void test_73_metering_reliability(void **state)
{
	struct exporter_control c = {
		.meter = {.ignored_octets = 999, .first_ignored_wall_ms = 5000, .last_ignored_wall_ms = 6000},
		.source = {.dropped_packets = 40, .first_drop_wall_ms = 4000, .last_drop_wall_ms = 5500},
		.started_wall_ms = 1234,
		.idle_ns = 15 * NS_PER_S,
	};
	struct stand s;

	c.meter.outcome[DECODE_FLOW] = 1000000;
	c.meter.outcome[DECODE_NOT_IP] = 500;
	c.meter.outcome[DECODE_IP_SHORT] = 2;
	stand_init(&s, &peer_udp);
	stand_start(&s);
	exporter_control(s.exporter, &c);
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].value[164], 42);
	assert_int_equal(peers[0].value[165], 999);
	assert_int_equal(peers[0].value[160], 1234);
	assert_int_equal(peers[0].value[36], 65535);
	assert_int_equal(peers[0].value[37], 15);
	stand_free(&s);
}

static uint64_t ignored_times[2];

static void note_times(void *arg, const struct parsed_record *r)
{
	if (r->template->id != 513)
		return;
	for (uint32_t i = 0; i < 2; i++)
		ignored_times[i] = parse_number(parsed_nth(r, 323, i)->at, 8);
}

static void test_73_first_and_last_time(void **state)
{
	const struct exporter_control c = {
		.meter = {.first_ignored_wall_ms = 0, .last_ignored_wall_ms = 0},
		.source = {.dropped_packets = 1, .first_drop_wall_ms = 4000, .last_drop_wall_ms = 5500},
	};
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	peers[0].parser.on_record = note_times;
	exporter_control(s.exporter, &c);
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(ignored_times[0], 4000);
	assert_int_equal(ignored_times[1], 5500);
	stand_free(&s);
}

/* 75: the Flow Keys of each template in use, and of no other. */
static void test_75_flow_keys(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	stand_put_tcp(&s, 1);
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[0].by_template[516], 1);
	assert_int_equal(peers[0].value[145], 256);
	assert_int_equal(peers[0].value[173], 0x981f);
	stand_free(&s);
}

/* 77: never a message longer than the path takes, whatever it takes from one moment to the next. */
static void test_77_within_the_limit(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	peers[0].limit = 464;
	for (size_t limit = 464; limit < 3000; limit += 13) {
		peers[0].limit = limit % 2 ? limit : 3464 - limit;
		peers[0].parser.largest = 0;
		stand_put_tcp(&s, 40);
		stand_serve(&s); /* some of it is laid out for this limit and meets the next */
		assert_true(peers[0].parser.largest <= peers[0].limit);
		s.now += NS_PER_S / 4;
	}
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].flows, s.made);
	assert_int_equal(peers[0].parser.gaps, 0);
	stand_check_balance(&s);
	stand_free(&s);
}

/* 77: a cap under which no record fits is refused at the start; 512-octet packets always hold the largest. */
static void test_77_smallest_message(void **state)
{
	struct stand s;
	struct error err = {""};

	stand_init(&s, &peer_udp);
	s.options.max_message = 100;
	assert_int_equal(exporter_new(&s.exporter, &s.options, &s.points, NULL, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "100 octets"));
	s.options.max_message = 512 - 48;
	stand_start(&s);
	stand_free(&s);
}

/* A path that has shrunk to nothing keeps the records until there is room for them to wait. */
static void test_77_path_takes_nothing(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	stand_put_tcp(&s, 10);
	stand_pass(&s, NS_PER_S);
	peers[0].limit = 60;
	stand_put_tcp(&s, 10);
	stand_pass(&s, NS_PER_S);
	assert_false(exporter_busy(s.exporter));
	peers[0].limit = 600;
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 20);
	stand_free(&s);
}

/* 79, 6: each collector is a session of its own: its sequence starts at 0 and is no other's business. */
static void test_06_79_sessions_are_independent(void **state)
{
	static uint64_t seen[3][3000];
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_add(&s, &peer_udp);
	stand_add(&s, &peer_stream);
	peers[1].limit = 500;
	peers[2].limit = 9000;
	stand_start(&s);
	for (uint32_t i = 0; i < 3; i++)
		peers[i].seen = seen[i];
	for (int i = 0; i < 30; i++) {
		peers[1].answer = i % 5 == 0 ? AGAIN : OK;
		stand_put_tcp(&s, 100);
		stand_pass(&s, NS_PER_S / 5);
	}
	assert_int_equal(stand_finish(&s, NULL), OK);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(peers[i].flows, 3000);
		assert_int_equal(peers[i].parser.gaps, 0);
		for (uint32_t n = 0; n < 3000; n++)
			assert_int_equal(seen[i][n], 1); /* exactly once */
	}
	assert_true(peers[1].parser.messages > peers[0].parser.messages);
	stand_check_balance(&s);
	stand_free(&s);
}

/* 51: a new connection of a reliable transport starts anew: sequence 0, templates again. */
static void test_51_reliable_reconnect(void **state)
{
	struct stand s;

	stand_init(&s, &peer_stream);
	stand_start(&s);
	stand_put_tcp(&s, 50);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(template_of(0, 256)->seen, 1); /* reliable: once */
	peers[0].generation++;
	peers[0].parser.sequence = 0;
	peers[0].parser.template_count = 0;
	stand_put_tcp(&s, 50);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 100);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_non_null(template_of(0, 256));
	assert_non_null(template_of(0, 512));
	stand_free(&s);
}

/* 38: a template that would stand at the end of a message without its record goes to the next, and only
 * there. */
static void test_38_template_and_record_stay_together(void **state)
{
	for (size_t limit = 464; limit < 700; limit++) {
		struct stand s;

		stand_init(&s, &peer_stream);
		peers[0].limit = limit;
		stand_start(&s);
		stand_put_tcp(&s, 4);
		const struct flow_record udp = stand_record(4, 17, true, true);
		stand_put(&s, &udp);
		stand_pass(&s, NS_PER_S);
		assert_int_equal(peers[0].flows, 5);
		assert_int_equal(template_of(0, 256)->seen, 1);
		assert_int_equal(template_of(0, 269)->seen, 1);
		stand_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_02_export_time_is_sending_time),
		cmocka_unit_test(test_02_export_time_after_waiting),
		cmocka_unit_test(test_03_42_export_time_wraps_and_never_goes_back),
		cmocka_unit_test(test_04_05_sequence),
		cmocka_unit_test(test_07_74_gap_is_what_was_not_sent),
		cmocka_unit_test(test_07_lost_message),
		cmocka_unit_test(test_08_15_domain_and_template_ids),
		cmocka_unit_test(test_38_template_and_record_stay_together),
		cmocka_unit_test(test_53_refresh_by_time_when_idle),
		cmocka_unit_test(test_53_refresh_by_messages),
		cmocka_unit_test(test_53_refresh_after_error),
		cmocka_unit_test(test_54_two_copies_before_first_data),
		cmocka_unit_test(test_72_metering_statistics),
		cmocka_unit_test(test_73_metering_reliability),
		cmocka_unit_test(test_73_first_and_last_time),
		cmocka_unit_test(test_75_flow_keys),
		cmocka_unit_test(test_77_within_the_limit),
		cmocka_unit_test(test_77_smallest_message),
		cmocka_unit_test(test_77_path_takes_nothing),
		cmocka_unit_test(test_06_79_sessions_are_independent),
		cmocka_unit_test(test_51_reliable_reconnect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
