/* The exporter as a whole: nothing accepted is lost silently, one collector's trouble is its own, files, and
 * real UDP sockets. */
#include "peer.h"

#include <arpa/inet.h>
#include <poll.h>

#include "base/cleanup.h"

struct peer peers[PEERS];

/* made = sent + not sent, whatever the collector does; reproducible disorder. */
static void test_invariant_made_is_sent_plus_not_sent(void **state)
{
	static const enum status answers[] = {OK, OK, AGAIN, ERR_SYSTEM, OK, AGAIN, AGAIN};
	uint64_t random = 42;
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_add(&s, &peer_udp);
	stand_add(&s, &peer_file);
	s.options.ring_octets = 1 << 16;
	s.options.template_refresh_messages = 7;
	stand_start(&s);
	for (int i = 0; i < 3000; i++) {
		for (uint32_t p = 0; p < 3; p++) {
			random = random * 6364136223846793005 + 1442695040888963407;
			peers[p].answer = p == 2 ? OK : answers[(random >> 33) % 7];
			peers[p].takes = (random >> 40) % 5;
			peers[p].limit = 464 + (random >> 45) % 1000;
			peers[p].generation += (random >> 50) % 17 == 0 && p < 2;
		}
		for (uint64_t n = (random >> 20) % 200; n > 0; n--) {
			const struct flow_record r =
				stand_record(s.made, (const uint8_t[]){6, 17, 1, 47}[n % 4], n & 1, n & 2);
			stand_put(&s, &r);
		}
		s.now += (int64_t)(random >> 36) % NS_PER_S;
		s.wall += (int64_t)(random >> 37) % NS_PER_S;
		stand_serve(&s);
	}
	peers[0].answer = OK;
	assert_int_equal(stand_finish(&s, NULL), OK); /* the second collector may stay as it is */
	stand_check_balance(&s);
	assert_true(stand_statistics(&s, 0).not_sent_flows > 0);
	assert_int_equal(stand_statistics(&s, 2).not_sent_flows, 0);
	assert_int_equal(peers[2].parser.gaps, 0);
	stand_free(&s);
}

/* A collector that never takes anything costs the others nothing, and memory does not grow. */
static void test_dead_collector_harms_nobody(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_add(&s, &peer_udp);
	s.options.ring_octets = 1 << 16;
	peers[1].answer = AGAIN;
	stand_start(&s);
	for (int i = 0; i < 200; i++) {
		stand_put_tcp(&s, 300);
		stand_serve(&s);
		s.now += NS_PER_S / 10;
	}
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, s.made);
	assert_int_equal(peers[1].flows, 0);
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 0);
	const struct session_statistics dead = stand_statistics(&s, 1);
	assert_in_range(dead.not_sent_flows, s.made - 1000, s.made); /* the newest wait in the ring */
	peers[1].answer = OK; /* it comes to life: what is left arrives, templates first */
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[1].flows + dead.not_sent_flows, s.made);
	assert_int_equal(peers[1].parser.gaps, dead.not_sent_flows);
	stand_free(&s);
}

/* No collector at all: records go nowhere and nothing fills up. */
static void test_no_collector(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	s.options.collector_count = 0;
	stand_start(&s);
	stand_put_tcp(&s, 200000);
	stand_serve(&s);
	assert_false(exporter_busy(s.exporter));
	assert_int_equal(stand_finish(&s, NULL), OK);
	stand_free(&s);
}

/* All flows of a large table end at once: a collector that takes them misses none, though nobody calls
 * service in between; one that takes nothing loses only its own. */
static void test_flush_of_many_flows(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_add(&s, &peer_udp);
	peers[1].answer = AGAIN;
	stand_start(&s);
	stand_put_tcp(&s, 200000);
	peers[1].answer = OK;
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].flows, 200000);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_in_range(peers[1].flows, 10000, 100000);
	stand_check_balance(&s);
	stand_free(&s);
}

/* One turn sends a bounded share and says that there is more. */
static void test_turns_are_bounded(void **state)
{
	struct stand s;
	int turns = 0;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	stand_put_tcp(&s, 10000);
	for (bool busy = true; busy && turns < 1000; turns++) {
		const uint64_t before = peers[0].parser.messages;

		stand_serve(&s);
		assert_in_range(peers[0].parser.messages - before, 0, 64);
		busy = exporter_busy(s.exporter);
	}
	assert_in_range(turns, 5, 100);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(peers[0].flows, 10000);
	stand_free(&s);
}

/* A thousand interfaces do not leave in one burst, and all arrive. */
static void test_interface_table_is_paced(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	for (uint32_t i = 0; i < 1000; i++) {
		struct observation_point *p = &s.points.point[s.points.count++];

		p->id = i + 1;
		p->ifindex = i < 990 ? i + 100 : 0; /* some were never seen */
		snprintf(p->name, sizeof p->name, "interface%u", i);
		strcpy(p->description, "wireguard");
	}
	stand_start(&s);
	for (int i = 0; i < 300 && peers[0].interfaces < 990; i++) {
		const uint64_t before = peers[0].parser.messages;

		stand_serve(&s);
		assert_in_range(peers[0].parser.messages - before, 0, 10);
		s.now += NS_PER_S / 50;
	}
	assert_int_equal(peers[0].interfaces, 990);
	assert_string_equal(peers[0].name, "interface989");
	strcpy(s.points.point[0].name, "renamed");
	exporter_interfaces_changed(s.exporter);
	stand_pass(&s, 2 * NS_PER_S);
	assert_int_equal(peers[0].interfaces, 2 * 990);
	stand_free(&s);
}

/* RFC 5655: a file begins with templates, each once; statistics close it. */
static void test_file_session(void **state)
{
	struct stand s;

	stand_init(&s, &peer_file);
	s.points.count = 1;
	s.points.point[0] = (struct observation_point){.id = 1, .ifindex = 3, .name = "wg0"};
	peers[0].limit = 32768;
	stand_start(&s);
	stand_serve(&s);
	assert_int_equal(peers[0].parser.template_records, 20 + 6);
	assert_int_equal(peers[0].parser.messages, 1);
	assert_int_equal(peers[0].interfaces, 1);
	assert_int_equal(peers[0].by_template[514], 0);
	for (int i = 0; i < 100; i++) {
		stand_put_tcp(&s, 1000);
		stand_pass(&s, 10 * NS_PER_S);
	}
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(peers[0].parser.template_records, 20 + 6);
	assert_int_equal(peers[0].by_template[514], 1);
	assert_int_equal(peers[0].value[42], 100000);
	assert_int_equal(peers[0].parser.gaps, 0);
	assert_true(peers[0].parser.largest > 30000);
	assert_int_equal(peers[0].flushed, 1);
	stand_check_balance(&s);
	stand_free(&s);
	assert_true(peers[0].closed);
}

/* An error that cost records of a file is the answer of the end. */
static void test_file_error_is_told_at_the_end(void **state)
{
	struct stand s;
	struct error err = {""};

	stand_init(&s, &peer_file);
	stand_start(&s);
	stand_serve(&s);
	peers[0].answer = ERR_SYSTEM;
	stand_put_tcp(&s, 10);
	stand_pass(&s, NS_PER_S);
	peers[0].answer = OK;
	assert_int_equal(stand_finish(&s, &err), ERR_SYSTEM);
	assert_string_equal(err.text, "peer takes nothing");
	stand_check_balance(&s);
	stand_free(&s);
}

/* A disk that stays full: the exporter neither spins nor grows, and says what it lost. */
static void test_file_stays_broken(void **state)
{
	struct stand s;
	struct error err = {""};

	stand_init(&s, &peer_file);
	s.options.ring_octets = 1 << 16;
	peers[0].answer = ERR_SYSTEM;
	stand_start(&s);
	stand_put_tcp(&s, 20000);
	stand_pass(&s, NS_PER_S);
	assert_false(exporter_busy(s.exporter));
	assert_int_equal(stand_finish(&s, &err), ERR_SYSTEM);
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 20000);
	stand_check_balance(&s);
	stand_free(&s);
}

/* The real file transport: messages one after another, as the standard wants them. */
static void test_file_on_disk(void **state)
{
	static uint8_t octets[1 << 20];
	char path[] = "/tmp/weir-test-export-XXXXXX";
	struct parser p = {0};
	struct stand s;
	size_t at = 0;

	close(mkstemp(path));
	stand_init(&s, &file_transport);
	strcpy(s.options.collector[0].host, path);
	stand_start(&s);
	stand_put_tcp(&s, 5000);
	stand_pass(&s, NS_PER_S);
	assert_int_equal(stand_finish(&s, NULL), OK);
	stand_free(&s);
	auto_file f = fopen(path, "rb");
	const size_t length = fread(octets, 1, sizeof octets, f);
	while (at < length) {
		const size_t message = (size_t)parse_number(octets + at + 2, 2);

		assert_true(at + message <= length);
		parse_message(&p, octets + at, message);
		at += message;
	}
	assert_int_equal(p.data_records - p.options_records, 5000);
	assert_int_equal(p.gaps, 0);
	unlink(path);
}

static int collector(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t length = sizeof a;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, length), 0);
	getsockname(fd, (struct sockaddr *)&a, &length);
	*port = ntohs(a.sin_port);
	return fd;
}

static void drain(int fd, struct parser *p)
{
	static uint8_t m[65536];

	for (;;) {
		const ssize_t n = recv(fd, m, sizeof m, 0);

		if (n < 0)
			return;
		parse_message(p, m, (size_t)n);
	}
}

/* RELIABILITY 2 class 17: a collector that is down, comes up and goes down again. The exporter goes on, and
 * the collector has templates with the first records after its return. (With no template the parser would
 * fail.) */
static void test_class17_collector_down_up_down(void **state)
{
	uint16_t port = 0;
	struct stand s;
	struct sockaddr_storage local, remote, before;

	close(collector(&port)); /* nobody there at first */
	stand_init(&s, &udp_transport);
	s.options.collector[0].port = port;
	strcpy(s.options.collector[0].host, "127.0.0.1");
	s.options.max_message = 1400;
	stand_start(&s);
	assert_true(exporter_session_addresses(s.exporter, 0, 0, &before, &remote));
	for (int round = 0; round < 10; round++) {
		struct parser p = {0};

		for (int i = 0; i < 30; i++) { /* three seconds of refusals */
			stand_put_tcp(&s, 5);
			stand_pass(&s, NS_PER_S / 10);
		}
		stand_pass(&s, 2 * NS_PER_S); /* the last refusal's refresh is behind us */
		auto_fd fd = collector(&port);
		for (int i = 0; i < 15; i++) {
			stand_put_tcp(&s, 5);
			stand_pass(&s, NS_PER_S / 10);
			uint8_t first[65536];
			/* What came before its template is unreadable, but for one refresh at most. */
			const ssize_t n = p.messages ? -1 : recv(fd, first, sizeof first, MSG_PEEK);
			if (p.messages || (n > 20 && parse_number(first + 16, 2) <= 3))
				drain(fd, &p);
			else
				recv(fd, first, sizeof first, 0);
		}
		stand_pass(&s, NS_PER_S);
		drain(fd, &p);
		assert_true(p.template_records >= 7);
		assert_true(p.data_records > p.options_records);
	}
	assert_true(exporter_session_addresses(s.exporter, 0, 0, &local, &remote));
	assert_memory_equal(&local, &before, sizeof(struct sockaddr_in));
	assert_true(stand_statistics(&s, 0).errors > 10);
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 0);
	assert_int_equal(stand_finish(&s, NULL), OK);
	stand_free(&s);
}

/* 77: over a real socket, a datagram is one whole message and fills what the path takes. */
static void test_77_udp_whole_messages(void **state)
{
	uint16_t port = 0;
	struct parser p = {0};
	struct stand s;
	auto_fd fd = collector(&port);

	stand_init(&s, &udp_transport);
	s.options.collector[0].port = port;
	strcpy(s.options.collector[0].host, "127.0.0.1");
	s.options.max_message = 1400;
	stand_start(&s);
	for (int i = 0; i < 20; i++) {
		stand_put_tcp(&s, 50);
		stand_pass(&s, NS_PER_S / 5);
		drain(fd, &p);
	}
	assert_int_equal(stand_finish(&s, NULL), OK);
	drain(fd, &p);
	assert_int_equal(p.data_records - p.options_records, 1000);
	assert_int_equal(p.gaps, 0);
	assert_in_range(p.largest, 1300, 1400);
	stand_free(&s);
}

/* What cannot be opened is said with the collector's name; what was opened before it is closed. */
static void test_open_fails(void **state)
{
	struct stand s;
	struct error err = {""};

	stand_init(&s, &peer_udp);
	stand_add(&s, &file_transport);
	strcpy(s.options.collector[1].host, "/nonexistent/x.ipfix");
	assert_int_equal(exporter_new(&s.exporter, &s.options, &s.points, NULL, &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "collector File//nonexistent/x.ipfix: "));
	assert_true(peers[0].closed);
}

/* The wait for a collector that takes nothing ends by itself. */
static void test_finish_gives_up(void **state)
{
	struct stand s;

	stand_init(&s, &peer_udp);
	stand_start(&s);
	peers[0].answer = AGAIN;
	stand_put_tcp(&s, 10);
	assert_int_equal(stand_finish(&s, NULL), OK);
	assert_int_equal(stand_statistics(&s, 0).not_sent_flows, 10);
	stand_check_balance(&s);
	stand_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invariant_made_is_sent_plus_not_sent),
		cmocka_unit_test(test_dead_collector_harms_nobody),
		cmocka_unit_test(test_no_collector),
		cmocka_unit_test(test_flush_of_many_flows),
		cmocka_unit_test(test_turns_are_bounded),
		cmocka_unit_test(test_interface_table_is_paced),
		cmocka_unit_test(test_file_session),
		cmocka_unit_test(test_file_error_is_told_at_the_end),
		cmocka_unit_test(test_file_stays_broken),
		cmocka_unit_test(test_file_on_disk),
		cmocka_unit_test(test_class17_collector_down_up_down),
		cmocka_unit_test(test_77_udp_whole_messages),
		cmocka_unit_test(test_open_fails),
		cmocka_unit_test(test_finish_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
