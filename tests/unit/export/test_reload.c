/* Other options while running: what stays, what ends, what begins; and that a mistake changes nothing. */
#include "peer.h"

struct peer peers[PEERS];

static enum status failing_open(struct transport **out, const struct endpoint *to,
				const struct transport_options *options, struct error *err)
{
	return error_set(err, ERR_SYSTEM, "no such luck");
}

static const struct transport_type no_transport = {.scheme = "None", .default_port = 1, .open = failing_open};

static void reload(struct stand *s, enum status expected)
{
	struct error err = {""};

	assert_int_equal(exporter_reload(s->exporter, &s->options, &err), expected);
}

static void put_and_pass(struct stand *s, uint32_t count)
{
	stand_put_tcp(s, count);
	stand_pass(s, 2 * NS_PER_S);
}

static void set_collectors(struct stand *s, const char *hosts)
{
	s->options.collector_count = 0;
	for (; *hosts; hosts++) {
		struct endpoint *e = &s->options.collector[s->options.collector_count++];

		*e = (struct endpoint){.type = &peer_connection, .port = 4739, .host = {*hosts}};
	}
}

static void test_nothing_changed(void **state)
{
	struct stand s;

	stand_init(&s, &peer_connection);
	stand_start(&s);
	peer_connect(&peers[0], true);
	put_and_pass(&s, 10);
	const uint64_t messages = peers[0].parser.messages;
	for (int i = 0; i < 100; i++)
		reload(&s, OK);
	stand_pass(&s, 2 * NS_PER_S);
	assert_false(peers[0].closed);
	assert_int_equal(peers[0].parser.messages, messages);
	put_and_pass(&s, 10);
	assert_int_equal(peers[0].flows, 20);
	assert_int_equal(peers[0].parser.gaps, 0);
	stand_free(&s);
}

static void test_one_comes_one_goes(void **state)
{
	struct stand s;

	stand_init(&s, &peer_connection);
	set_collectors(&s, "01");
	stand_start(&s);
	peer_connect(&peers[0], true);
	peer_connect(&peers[1], true);
	put_and_pass(&s, 10);
	stand_put_tcp(&s, 5); /* wait for company */
	set_collectors(&s, "20");
	peers[2].state = TRANSPORT_UP;
	reload(&s, OK);
	assert_true(peers[1].closed);
	assert_int_equal(peers[1].flows, 15);
	put_and_pass(&s, 10);
	assert_int_equal(peers[0].flows, 25);
	assert_int_equal(peers[1].flows, 15);
	assert_int_equal(peers[2].flows, 10);
	assert_int_equal(peers[0].parser.gaps + peers[2].parser.gaps, 0);
	assert_int_equal(exporter_session_count(s.exporter), 2);
	set_collectors(&s, "");
	reload(&s, OK);
	put_and_pass(&s, 10000); /* nobody: nothing is kept */
	set_collectors(&s, "3");
	peers[3].state = TRANSPORT_UP;
	reload(&s, OK);
	put_and_pass(&s, 1);
	assert_int_equal(peers[3].flows, 1);
	stand_free(&s);
}

/* The same collector with another setting of its transport: a new session that misses nothing. */
static void test_settings_of_a_session(void **state)
{
	struct stand s;

	stand_init(&s, &peer_connection);
	stand_start(&s);
	peer_connect(&peers[0], true);
	put_and_pass(&s, 10);
	peers[0].answer = AGAIN; /* takes nothing for a while */
	put_and_pass(&s, 10);
	s.options.max_message = 1000;
	reload(&s, OK);
	assert_true(peers[0].closed); /* made anew */
	peers[0].answer = OK;
	peers[0].closed = false;
	peer_connect(&peers[0], true);
	put_and_pass(&s, 10);
	assert_int_equal(peers[0].flows, 30);
	assert_int_equal(stand_statistics(&s, 0).flow_records, 30);
	s.options.options_refresh_ns = 5 * NS_PER_S; /* no setting of a transport */
	reload(&s, OK);
	assert_false(peers[0].closed);
	stand_free(&s);
}

static void test_a_mistake_changes_nothing(void **state)
{
	struct stand s;

	stand_init(&s, &peer_connection);
	stand_start(&s);
	peer_connect(&peers[0], true);
	put_and_pass(&s, 10);
	set_collectors(&s, "1");
	s.options.collector[1] = (struct endpoint){.type = &no_transport, .port = 1, .host = "x"};
	s.options.collector_count = 2;
	reload(&s, ERR_SYSTEM);
	s.options.max_message = 17;
	reload(&s, ERR_USAGE);
	assert_false(peers[0].closed);
	assert_true(peers[1].closed);
	put_and_pass(&s, 10);
	assert_int_equal(exporter_session_count(s.exporter), 1);
	assert_int_equal(peers[0].flows, 20);
	stand_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_changed),
		cmocka_unit_test(test_one_comes_one_goes),
		cmocka_unit_test(test_settings_of_a_session),
		cmocka_unit_test(test_a_mistake_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
