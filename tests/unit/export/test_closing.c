/* A collector that ends its side first, in the middle of the exporter's life: what it has not read is never
 * lost silently, and one that has read everything leaves no doubt. */
#include "collector.h"

#include <sys/ioctl.h>

struct peer peers[PEERS];

enum moment_of_end { AT_ONCE, ASKED, AFTER_OUR_END };

static const struct way {
	const char *what;
	bool half; /* closes its own direction first */
	bool reads;
	enum moment_of_end dies; /* or closes: its socket is gone then */
	bool finishing;          /* the exporter ends meanwhile */
	bool sure;
} ways[] = {
	{"reads everything and closes", .reads = true, .sure = true},
	{"reads everything, half closes, reads on and closes", true, true, ASKED, false, true},
	{"… while the exporter ends", true, true, ASKED, true, true},
	{"reads half of it and dies"},
	{"half closes, reads no more and dies", true, false, ASKED},
	{"… while the exporter ends", true, false, ASKED, true},
	{"half closes, reads no more and dies behind our end", true, false, AFTER_OUR_END},
	{"half closes and reads on to our end", true, true, AFTER_OUR_END},
};

static void put(struct stand *s, struct collector *c, uint32_t flows, bool reads)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	stand_put_tcp(s, flows);
	while (reads ? c->flows < s->made : stand_statistics(s, 0).flow_records < s->made) {
		if (mono_now().ns > until)
			fail_msg("records do not arrive");
		stand_pass(s, NS_PER_S);
		if (reads)
			drain(c);
		poll(NULL, 0, 1);
	}
}

static int waiting(const struct collector *c)
{
	int octets = 0;

	assert_int_equal(ioctl(c->connection, FIONREAD, &octets), 0);
	return octets;
}

static bool has_our_end(const struct collector *c)
{
	struct pollfd p = {.fd = c->connection, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1;
}

/* The collector's part, up to the moment when its socket is to go. */
static bool is_time(struct collector *c, const struct way *w, int before, uint64_t messages)
{
	if (w->reads && w->dies != AT_ONCE)
		drain(c);
	switch (w->dies) {
	case AT_ONCE: return true;
	case ASKED: return w->reads ? c->messages > messages : waiting(c) > before;
	case AFTER_OUR_END: return has_our_end(c);
	}
	return true;
}

static void end_first(struct stand *s, struct collector *c, const struct way *w)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;
	const int before = waiting(c);
	const uint64_t messages = c->messages;
	bool gone = false, over = !w->finishing;
	uint32_t asked = 0;

	if (w->half && c->ssl)
		SSL_shutdown(c->ssl);
	if (w->half)
		shutdown(c->connection, SHUT_WR);
	while (!gone || !over) {
		if (mono_now().ns > until)
			fail_msg("%s: there is no end", w->what);
		if (w->finishing && !over)
			over = exporter_finish_turn(s->exporter);
		else
			stand_pass(s, NS_PER_S / 10);
		if (gone && drain(c)) /* of the next connection */
			hang_up(c, false);
		/* Not at the question: what comes then is taken for the answer. */
		if (!gone && is_time(c, w, before, messages) && (w->reads || ++asked > 20)) {
			hang_up(c, false);
			gone = true;
		}
		poll(NULL, 0, 1);
	}
}

static void closes(const struct way *w, const struct transport_type *type, const char *folder)
{
	struct collector *c = collector_new(0);
	struct stand s;

	stand_to(&s, c);
	s.options.collector[0].type = type;
	client_options(&s.options.tls, folder, "probe");
	if (type->secure)
		c->context =
			server_context(TLS_server_method(), folder, "good", TLS1_2_VERSION, TLS1_3_VERSION);
	stand_start(&s);
	put(&s, c, 300, true);
	if (!w->reads)
		put(&s, c, 300, false);
	if (w->finishing)
		exporter_finish_begin(s.exporter, (struct mono_ns){s.now}, (struct wall_ns){s.wall});
	end_first(&s, c, w);
	if (w->finishing) {
		assert_int_equal(stand_finish(&s, NULL), OK);
	} else {
		stand_put_tcp(&s, 100);
		settle(&s, c);
		assert_int_equal(c->connections, 2);
	}
	const struct session_statistics end = stand_statistics(&s, 0);
	const uint64_t missing = count_seen(c, s.made, 0);
	check_made(&s);
	assert_int_equal(given_up(end), 0);
	assert_int_equal(missing, w->reads ? 0 : 300);
	assert_int_equal(count_seen(c, s.made, 1) + missing, s.made);
	if (w->sure)
		assert_int_equal(end.unsure_flows, 0);
	else
		assert_in_range(end.unsure_flows, missing ? missing : 1, 600);
	stand_free(&s);
	collector_free(c);
}

static void all_ways(const struct transport_type *type)
{
	char *folder = make_certificates();

	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		print_message("%s: %s\n", type->scheme, ways[i].what);
		closes(&ways[i], type, folder);
	}
	remove_certificates(folder);
}

/* 7, 81, 82. */
static void test_81_82_collector_ends_first(void **state)
{
	all_ways(&tcp_transport);
}

static void test_81_82_collector_ends_first_tls(void **state)
{
	all_ways(&tls_transport);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_81_82_collector_ends_first),
		cmocka_unit_test(test_81_82_collector_ends_first_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
