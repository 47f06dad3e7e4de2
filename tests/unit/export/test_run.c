/* Many messages in one call: what arrives is what was made, once, in order of its template, whatever the
 * transport answers in the middle of a window. */
#include "peer.h"

#include "export/run.h"

struct peer peers[PEERS];

struct calls {
	uint32_t many;        /* that a call may have; 1: one by one */
	uint64_t calls, most; /* with more than one message; messages of the largest */
	enum status answer;   /* of the next such call, once */
};

static struct calls calls;

static uint32_t peer_many(const struct transport *t)
{
	return calls.many;
}

static enum status peer_send_many(struct transport *t, struct span messages, size_t each, struct error *err)
{
	const struct peer *p = (const struct peer *)t;
	const enum status answer = calls.answer;
	const uint64_t count = (messages.length + each - 1) / each;

	assert_true(messages.length > each && messages.length <= RUN_OCTETS);
	calls.answer = OK;
	if (answer == ERR_UNSUPPORTED)
		calls.many = 1;
	if (answer != OK)
		return error_set(err, answer, "peer takes no such call");
	if (each > p->limit)
		return error_set(err, ERR_LIMIT, "peer: %zu octets", each);
	if (p->answer != OK && p->takes < count)
		return error_set(err, p->answer, "peer takes nothing");
	for (size_t at = 0; at < messages.length; at += each) {
		const size_t left = messages.length - at;

		assert_int_equal(peer_send(t, span_of(messages.data + at, left < each ? left : each), err),
				 OK);
	}
	assert_in_range(count, 2, calls.many);
	calls.calls++;
	calls.most = count > calls.most ? count : calls.most;
	return OK;
}

static const struct transport_type peer_segments = {
	.scheme = "Test",
	.default_port = 4739,
	.open = peer_open,
	.service = peer_service,
	.message_limit = peer_limit,
	.send = peer_send,
	.send_many = peer_send_many,
	.many = peer_many,
	.flush = peer_flush,
	.generation = peer_generation,
	.poll_fd = peer_fd,
	.addresses = peer_addresses,
	.close = peer_close,
};

/* Flow ids of a template only grow. */
struct order {
	uint64_t latest[2048];
	uint64_t flows;
};

static void look_at_order(void *arg, const struct parsed_record *r)
{
	struct order *order = (struct order *)((struct peer *)arg)->seen;

	if (r->template->scopes)
		return;
	const uint64_t id = 1 + parsed_number(r, 148);
	assert_true(id > order->latest[r->template->id]);
	order->latest[r->template->id] = id;
	order->flows++;
}

static void put_mixed(struct stand *s, uint64_t count)
{
	static const uint8_t protocols[] = {6, 17, 6, 1, 17, 47, 6};

	while (count-- > 0) {
		const uint64_t n = s->made;
		const struct flow_record r = stand_record(n, protocols[n % 7], n % 3 == 0, n % 5 == 0);

		stand_put(s, &r);
	}
}

/* As over a capture file, which goes as fast as it can. */
static void start(struct stand *s)
{
	stand_init(s, &peer_segments);
	calls = (struct calls){.many = 64};
	s->options.ring_octets = 1 << 20;
	s->options.packet_time = true;
	stand_start(s);
}

static void test_all_arrive_in_order(void **state)
{
	static struct order order;
	struct stand s;

	start(&s);
	order = (struct order){0};
	peers[0].seen = (uint64_t *)&order;
	peers[0].parser.on_record = look_at_order;
	put_mixed(&s, 100000);
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(order.flows, 100000);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_true(peers[0].parser.largest <= 1400);
	assert_in_range(calls.most, 10, 64);
	assert_int_equal(stand_statistics(&s, 0).flow_records, 100000);
	assert_int_equal(stand_statistics(&s, 0).octets, peers[0].parser.octets);
	assert_int_equal(stand_statistics(&s, 0).messages, peers[0].parser.messages);
	stand_free(&s);
}

/* Until nothing is left to send. */
static void serve_all(struct stand *s)
{
	do
		stand_serve(s);
	while (exporter_busy(s->exporter));
}

/* Few records go in mixed messages, and none waits longer for company; many of a live interface go in small
 * runs. */
static void test_live(void **state)
{
	struct stand s;

	stand_init(&s, &peer_segments);
	calls = (struct calls){.many = 64};
	stand_start(&s);
	put_mixed(&s, 100);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 100);
	assert_int_equal(calls.calls, 0);
	put_mixed(&s, 5000);
	serve_all(&s);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 5100);
	assert_in_range(calls.calls, 10, 100);
	assert_int_equal(calls.most, RUN_LIVE);
	calls.calls = 0;
	put_mixed(&s, 5000);
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].flows, 10100);
	assert_int_equal(calls.calls, 0);
	stand_free(&s);
}

/* made = sent + not sent, and nothing twice; reproducible disorder. */
static void test_disorder(void **state)
{
	static const enum status answers[] = {OK, OK, OK, AGAIN, ERR_SYSTEM, ERR_UNSUPPORTED, OK, OK};
	uint64_t random = 4711;
	struct stand s;

	start(&s);
	peers[0].seen = calloc(4000000, sizeof(uint64_t));
	assert_non_null(peers[0].seen);
	for (int i = 0; i < 600; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		calls.answer = answers[(random >> 33) % 8];
		calls.many = 1 + (random >> 50) % 64;
		peers[0].answer = (random >> 37) % 4 ? OK : AGAIN;
		peers[0].takes = (random >> 40) % 40;
		peers[0].limit = 464 + (random >> 45) % 1000;
		put_mixed(&s, (random >> 20) % 4000);
		s.now += (int64_t)(random >> 36) % NS_PER_S;
		s.wall += (int64_t)(random >> 37) % NS_PER_S;
		stand_serve(&s);
	}
	peers[0].answer = calls.answer = OK;
	assert_int_equal(stand_finish(&s, NULL), OK);
	stand_check_balance(&s);
	assert_true(calls.calls > 100);
	assert_true(stand_statistics(&s, 0).not_sent_flows > 0);
	for (uint64_t i = 0; i < s.made; i++)
		assert_in_range(peers[0].seen[i], 0, 1);
	free(peers[0].seen);
	stand_free(&s);
}

/* A session that is made anew goes on in the middle of a window. */
static void test_reload_in_a_window(void **state)
{
	struct error err = {""};
	struct stand s;

	start(&s);
	peers[0].seen = calloc(20000, sizeof(uint64_t));
	put_mixed(&s, 100);
	stand_pass(&s, NS_PER_S);
	put_mixed(&s, 5000);
	peers[0].answer = AGAIN;
	peers[0].takes = 50;
	stand_serve(&s);
	assert_in_range(peers[0].flows, 150, 4000);
	s.options.max_message = 1000;
	peers[0].limit = 1000;
	assert_int_equal(exporter_reload(s.exporter, &s.options, &err), OK);
	peers[0].answer = OK;
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].flows, s.made);
	for (uint64_t i = 0; i < s.made; i++)
		assert_int_equal(peers[0].seen[i], 1);
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 0);
	free(peers[0].seen);
	stand_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrive_in_order),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_disorder),
		cmocka_unit_test(test_reload_in_a_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
