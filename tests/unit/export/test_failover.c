/* Failover groups: which member gets records, when, and that none is lost or sent to two. */
#include "peer.h"

struct peer peers[PEERS];

#define HOLD_NS (30 * NS_PER_S)

static void group_init(struct stand *s, const struct transport_type *type, uint32_t members)
{
	stand_init(s, type);
	s->options.group[0] = 1;
	for (uint32_t i = 1; i < members; i++) {
		s->options.group[i] = 1;
		stand_add(s, type);
	}
	s->options.failover_hold_ns = HOLD_NS;
}

static uint64_t all_flows(void)
{
	uint64_t flows = 0;

	for (uint32_t i = 0; i < PEERS; i++)
		flows += peers[i].flows;
	return flows;
}

/* Each record went to one member, and the session says so. */
static void check_exact(const struct stand *s)
{
	const struct session_statistics c = stand_statistics(s, 0);

	assert_int_equal(all_flows(), s->made);
	assert_int_equal(c.flow_records, s->made);
	assert_int_equal(c.not_sent_flows, 0);
}

static void put_and_pass(struct stand *s, uint32_t count)
{
	stand_put_tcp(s, count);
	stand_pass(s, 2 * NS_PER_S);
}

static void test_the_primary_gets_all(void **state)
{
	struct stand s;

	group_init(&s, &peer_connection, 3);
	peers[1].state = peers[2].state = TRANSPORT_UP; /* they would take it */
	stand_start(&s);
	peer_connect(&peers[0], true);
	put_and_pass(&s, 100);
	assert_int_equal(exporter_session_count(s.exporter), 1);
	assert_int_equal(peers[0].flows, 100);
	assert_int_equal(peers[1].serviced, 0); /* not even connected to */
	check_exact(&s);
	stand_free(&s);
}

static void test_away_and_back(void **state)
{
	struct stand s;

	group_init(&s, &peer_connection, 2);
	stand_start(&s);
	peer_connect(&peers[0], true);
	peers[1].state = TRANSPORT_UP;
	put_and_pass(&s, 10);
	peer_connect(&peers[0], false);
	stand_put_tcp(&s, 10);
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[0].flows, 10);
	assert_int_equal(peers[1].flows, 10);
	assert_true(peers[1].parser.messages > 0);
	assert_int_equal(peers[1].parser.gaps, 0); /* a session of its own, from 0 */
	peer_connect(&peers[0], true);
	stand_pass(&s, HOLD_NS - 2 * NS_PER_S);
	put_and_pass(&s, 10);
	assert_int_equal(peers[1].flows, 20); /* not yet */
	stand_pass(&s, 3 * NS_PER_S);
	put_and_pass(&s, 10);
	assert_int_equal(peers[0].flows, 20);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_true(parse_find(&peers[0].parser, 512)); /* options, too */
	assert_int_equal(stand_statistics(&s, 0).switches, 2);
	check_exact(&s);
	stand_free(&s);
}

/* A primary that comes and goes within the hold time is not gone back to. */
static void test_a_flapping_primary_is_left_alone(void **state)
{
	struct stand s;

	group_init(&s, &peer_connection, 2);
	stand_start(&s);
	peers[1].state = TRANSPORT_UP;
	peer_connect(&peers[0], false);
	for (int i = 0; i < 10; i++) {
		peer_connect(&peers[0], true);
		stand_put_tcp(&s, 5);
		stand_pass(&s, HOLD_NS / 2);
		peer_connect(&peers[0], false);
		stand_pass(&s, NS_PER_S);
	}
	assert_in_range(stand_statistics(&s, 0).switches, 0, 1);
	check_exact(&s);
	stand_free(&s);
}

static void test_priority_and_nobody(void **state)
{
	struct stand s;

	group_init(&s, &peer_connection, 3);
	stand_start(&s);
	put_and_pass(&s, 50); /* nobody there: they wait */
	assert_int_equal(all_flows(), 0);
	for (int i = 0; i < 3; i++)
		peers[i].transport.errors++;
	stand_pass(&s, NS_PER_S);
	peer_connect(&peers[2], true);
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[2].flows, 50);
	peer_connect(&peers[1], true); /* better, but not the best: also after the hold time */
	stand_pass(&s, HOLD_NS + 2 * NS_PER_S);
	put_and_pass(&s, 7);
	assert_int_equal(peers[1].flows, 7);
	peer_connect(&peers[1], false);
	put_and_pass(&s, 7);
	assert_int_equal(peers[0].flows, 0);
	check_exact(&s);
	stand_free(&s);
}

/* A connection that ends in order may still confirm: nobody else gets what it has. */
static void test_an_ending_connection_is_waited_for(void **state)
{
	struct stand s;

	group_init(&s, &peer_connection, 2);
	stand_start(&s);
	peer_connect(&peers[0], true);
	peers[1].state = TRANSPORT_UP;
	put_and_pass(&s, 10);
	peers[0].state = TRANSPORT_ENDING;
	put_and_pass(&s, 10);
	assert_int_equal(peers[1].flows, 0);
	peer_connect(&peers[0], false);
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[1].flows, 10);
	check_exact(&s);
	stand_free(&s);
}

/* Over UDP a refusal is all that is ever heard. */
static void test_datagrams(void **state)
{
	struct stand s;

	group_init(&s, &peer_udp, 2);
	stand_start(&s);
	put_and_pass(&s, 10);
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[0].flows, 10);
	peers[0].transport.errors++;
	put_and_pass(&s, 10);
	assert_int_equal(peers[0].flows, 10);
	assert_true(parse_find(&peers[1].parser, 512)); /* templates and options first */
	assert_int_equal(peers[1].flows, 0);            /* … and a while to hear that they were refused */
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[1].flows, 10);
	stand_pass(&s, HOLD_NS); /* tried again: refused again, at the price of templates */
	assert_int_equal(stand_statistics(&s, 0).switches, 2);
	peers[0].transport.errors++;
	put_and_pass(&s, 10);
	stand_pass(&s, 3 * NS_PER_S);
	assert_int_equal(peers[0].flows, 10);
	assert_int_equal(peers[1].flows, 20);
	stand_pass(&s, HOLD_NS + 3 * NS_PER_S);
	put_and_pass(&s, 5);
	assert_int_equal(peers[0].flows, 15);
	assert_int_equal(peers[0].parser.gaps, 0); /* the same socket: the session goes on */
	check_exact(&s);
	stand_free(&s);
}

/* Both refuse: none is given up for the other again and again, and records wait. */
static void test_datagrams_to_nobody(void **state)
{
	struct stand s;

	group_init(&s, &peer_udp, 2);
	stand_start(&s);
	for (int i = 0; i < 100; i++) {
		peers[0].transport.errors++;
		peers[1].transport.errors++;
		stand_put_tcp(&s, 1);
		stand_pass(&s, NS_PER_S);
	}
	assert_int_equal(all_flows(), 0);
	assert_in_range(stand_statistics(&s, 0).switches, 0, 8);
	stand_pass(&s, 10 * NS_PER_S);
	check_exact(&s);
	stand_free(&s);
}

/* Mirrors beside a group: each gets everything once. */
static void test_group_beside_mirrors(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_add(&s, &peer_connection);
	stand_add(&s, &peer_connection);
	stand_add(&s, &peer_stream);
	s.options.group[1] = s.options.group[2] = 2;
	stand_start(&s);
	assert_int_equal(exporter_session_count(s.exporter), 3);
	assert_non_null(exporter_session_member(s.exporter, 1, 1));
	assert_null(exporter_session_member(s.exporter, 1, 2));
	assert_null(exporter_session_member(s.exporter, 0, 1));
	peer_connect(&peers[2], true);
	peers[1].transport.errors++;
	put_and_pass(&s, 20);
	assert_int_equal(peers[0].flows, 20);
	assert_int_equal(peers[1].flows, 0);
	assert_int_equal(peers[2].flows, 20);
	assert_int_equal(peers[3].flows, 20);
	stand_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_primary_gets_all),
		cmocka_unit_test(test_away_and_back),
		cmocka_unit_test(test_a_flapping_primary_is_left_alone),
		cmocka_unit_test(test_priority_and_nobody),
		cmocka_unit_test(test_an_ending_connection_is_waited_for),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_datagrams_to_nobody),
		cmocka_unit_test(test_group_beside_mirrors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
