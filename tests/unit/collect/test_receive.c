/* The receivers over loopback: what is sent is in the journal, with its sender; what is not IPFIX is counted
 * by reason; connections that misbehave end and leave the others alone (RELIABILITY class 16). */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "collect/receive.h"
#include "journal_support.h"

struct bench {
	char *store;
	struct journal *journal;
	struct receiver *receiver;
};

enum { UDP, TCP };

static struct bench begin(uint32_t workers, struct receiver_options options)
{
	struct bench b = {.store = test_store_new()};
	const struct journal_options journal = {.store = b.store, .workers = workers};
	struct error err = {""};

	options.listen[UDP] = (struct listen_address){listener_find("udp"), "127.0.0.1", 0};
	options.listen[TCP] = (struct listen_address){listener_find("Tcp"), "127.0.0.1", 0};
	options.listens = 2;
	if (journal_open(&b.journal, &journal, NULL, &err) != OK ||
	    receiver_start(&b.receiver, b.journal, &options, &err) != OK)
		fail_msg("%s", err.text);
	return b;
}

static void end(struct bench *b)
{
	receiver_free(b->receiver);
	journal_close(b->journal);
	test_store_free(b->store);
}

static int connect_to(const struct bench *b, uint32_t listener)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(receiver_port(b->receiver, listener)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1, fd = socket(AF_INET, listener == UDP ? SOCK_DGRAM : SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
	if (listener == TCP)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static uint16_t port_of_socket(int fd)
{
	struct sockaddr_in name;
	socklen_t length = sizeof name;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
	return ntohs(name.sin_port);
}

/* Wait until a counter is there; the test's own time limit is the only clock. */
static void await(const struct bench *b, uint32_t listener, enum listener_counter counter, uint64_t value)
{
	struct receiver_statistics s;

	do {
		poll(NULL, 0, 2);
		receiver_statistics_read(b->receiver, listener, &s);
	} while (s.count[counter] < value);
	assert_int_equal(s.count[counter], value);
}

static uint64_t counted(const struct bench *b, uint32_t listener, enum listener_counter counter)
{
	struct receiver_statistics s;

	receiver_statistics_read(b->receiver, listener, &s);
	return s.count[counter];
}

/* True when the other side has closed. */
static bool is_closed(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char octet;

	return poll(&p, 1, 0) == 1 && recv(fd, &octet, 1, MSG_DONTWAIT) <= 0;
}

static void send_all(int fd, const uint8_t *octets, size_t length)
{
	assert_int_equal(send(fd, octets, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Stop, and count what every worker's journal holds, accepted only; seen[] by number, checked. */
static uint32_t stop_and_read(struct bench *b, uint32_t *seen, uint32_t room, struct journal_session *last)
{
	uint32_t workers[JOURNAL_WORKERS], count, total = 0;
	struct error err;

	assert_int_equal(receiver_stop(b->receiver), OK);
	assert_int_equal(journal_list_workers(b->store, workers, &count, &err), OK);
	for (uint32_t i = 0; i < count; i++) {
		struct journal_reader *reader;
		struct journal_entry entry;
		uint8_t expected[128];

		assert_int_equal(journal_reader_open(&reader, b->store,
						     (struct journal_position){workers[i], 0, 0}, true, &err),
				 OK);
		while (journal_read(reader, &entry, &err) == OK) {
			const uint32_t number = get_be32(entry.octets.data + 8);
			assert_int_equal(entry.octets.length, numbered_message(expected, number));
			assert_memory_equal(entry.octets.data, expected, entry.octets.length);
			assert_true(entry.received.ns > 1700000000 * NS_PER_S);
			assert_true(number < room);
			seen[number]++;
			total++;
			*last = *entry.session;
		}
		assert_int_equal(journal_reader_statistics(reader).damaged, 0);
		journal_reader_close(reader);
	}
	return total;
}

static void datagrams_are_journalled(void **state)
{
	enum { COUNT = 5000, SENDERS = 20 };
	static uint32_t seen[COUNT];
	struct bench b = begin(2, (struct receiver_options){0});
	struct journal_session last;
	int fd[SENDERS];
	uint8_t message[128];

	memset(seen, 0, sizeof seen);
	for (int i = 0; i < SENDERS; i++)
		fd[i] = connect_to(&b, UDP);
	for (uint32_t i = 0; i < COUNT; i++) {
		send_all(fd[i % SENDERS], message, numbered_message(message, i));
		if (i % 500 == 0)
			poll(NULL, 0, 1);
	}
	/* Stopped at once: what the kernel holds is taken all the same. */
	assert_int_equal(stop_and_read(&b, seen, COUNT, &last), COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(counted(&b, UDP, RECEIVED_MESSAGES), COUNT);
	assert_int_equal(counted(&b, UDP, KERNEL_DROPS), 0);
	assert_int_equal(last.transport, JOURNAL_UDP);
	assert_int_equal(last.number, 0);
	assert_int_equal(last.local_port, receiver_port(b.receiver, UDP));
	for (int i = 0; i < SENDERS; i++)
		close(fd[i]);
	end(&b);
}

static void hostile_datagrams_are_counted(void **state)
{
	static const struct {
		const char *what;
		uint16_t version, length, size;
		enum listener_counter counter;
	} cases[] = {
		{"nothing", 0, 0, 0, REFUSED_SHORT},
		{"one octet", 10, 0, 1, REFUSED_SHORT},
		{"version alone", 10, 0, 2, REFUSED_SHORT},
		{"15 octets", 10, 15, 15, REFUSED_SHORT},
		{"NetFlow version 5", 5, 24, 24, REFUSED_NETFLOW_V5},
		{"NetFlow version 9", 9, 20, 20, REFUSED_NETFLOW_V9},
		{"version 0", 0, 16, 16, REFUSED_VERSION},
		{"version in the wrong byte order", 0x0a00, 16, 16, REFUSED_VERSION},
		{"Length 0", 10, 0, 16, REFUSED_LENGTH},
		{"Length 15", 10, 15, 16, REFUSED_LENGTH},
		{"Length too large", 10, 17, 16, REFUSED_LENGTH},
		{"Length too small", 10, 16, 20, REFUSED_LENGTH},
		{"Length 65535", 10, 65535, 100, REFUSED_LENGTH},
		{"a header is a message", 10, 16, 16, RECEIVED_MESSAGES},
		{"as large as UDP carries", 10, 65507, 65507, RECEIVED_MESSAGES},
	};
	struct bench b = begin(1, (struct receiver_options){0});
	const int fd = connect_to(&b, UDP);
	uint64_t expected[LISTENER_COUNTERS] = {0};
	static uint8_t octets[65536];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		print_message("%s\n", cases[i].what);
		put_be16(octets, cases[i].version);
		put_be16(octets + 2, cases[i].length);
		send_all(fd, octets, cases[i].size);
		await(&b, UDP, cases[i].counter, ++expected[cases[i].counter]);
	}
	assert_int_equal(counted(&b, UDP, RECEIVED_OCTETS), 16 + 65507);
	close(fd);
	end(&b);
}

/* More senders than the table of senders has room for: every message still names its own. */
static void many_senders(void **state)
{
	enum { COUNT = 12000 };
	struct bench b = begin(1, (struct receiver_options){0});
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err;
	uint8_t message[128];
	uint32_t read = 0;

	for (uint32_t i = 0; i < COUNT; i++) {
		/* A new loopback address each: 127.x.y.z; the message says which. */
		const struct sockaddr_in from = {.sin_family = AF_INET,
						 .sin_addr.s_addr = htonl(0x7f000000 + 256 + i % 9000)};
		const struct sockaddr_in to = {.sin_family = AF_INET,
					       .sin_port = htons(receiver_port(b.receiver, UDP)),
					       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		const int fd = socket(AF_INET, SOCK_DGRAM, 0);
		assert_int_equal(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
		const size_t length = numbered_message(message, i % 9000);
		assert_int_equal(sendto(fd, message, length, 0, (const struct sockaddr *)&to, sizeof to),
				 length);
		close(fd);
	}
	assert_int_equal(receiver_stop(b.receiver), OK);
	assert_int_equal(journal_reader_open(&reader, b.store, (struct journal_position){0}, true, &err), OK);
	while (journal_read(reader, &entry, &err) == OK) {
		const uint32_t number = get_be32(entry.octets.data + 8);
		assert_int_equal(get_be32(&entry.session->address.s6_addr[12]), 0x7f000000 + 256 + number);
		read++;
	}
	assert_int_equal(read, COUNT);
	journal_reader_close(reader);
	end(&b);
}

/* CONFORMANCE 80: framing by Length only, however TCP cuts the stream. */
static void framing(void **state)
{
	static const struct {
		const char *what;
		size_t piece;
	} cases[] = {{"an octet at a time", 1}, {"seven at a time", 7}, {"all in one", 100000}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum { COUNT = 40 };
		static uint32_t seen[COUNT];
		struct bench b = begin(1, (struct receiver_options){0});
		const int fd = connect_to(&b, TCP);
		struct journal_session last;
		uint8_t stream[COUNT * 128];
		size_t length = 0;

		print_message("%s\n", cases[i].what);
		memset(seen, 0, sizeof seen);
		for (uint32_t n = 0; n < COUNT; n++)
			length += numbered_message(stream + length, n);
		for (size_t at = 0; at < length; at += cases[i].piece)
			send_all(fd, stream + at,
				 length - at < cases[i].piece ? length - at : cases[i].piece);
		await(&b, TCP, RECEIVED_MESSAGES, COUNT);
		const uint16_t port = port_of_socket(fd);
		close(fd);
		await(&b, TCP, ENDED_BY_PEER, 1);
		assert_int_equal(stop_and_read(&b, seen, COUNT, &last), COUNT);
		assert_int_equal(last.transport, JOURNAL_TCP);
		assert_int_equal(last.port, port);
		assert_true(last.number > 0);
		assert_int_equal(counted(&b, TCP, CUT_SHORT), 0);
		end(&b);
	}
}

static void large_messages_over_tcp(void **state)
{
	struct bench b = begin(1, (struct receiver_options){0});
	const int fd = connect_to(&b, TCP);
	static uint8_t message[65535];

	put_be16(message, 10);
	put_be16(message + 2, sizeof message);
	for (int i = 0; i < 50; i++)
		send_all(fd, message, sizeof message);
	await(&b, TCP, RECEIVED_MESSAGES, 50);
	assert_int_equal(counted(&b, TCP, RECEIVED_OCTETS), 50 * sizeof message);
	close(fd);
	end(&b);
}

/* CONFORMANCE 69, 82: what is no IPFIX ends its own connection, and the listener goes on. */
static void malformed_streams_are_closed(void **state)
{
	static const struct {
		const char *what;
		uint8_t octets[8];
		size_t size;
		enum listener_counter counter;
	} cases[] = {
		{"HTTP", "GET / HT", 8, REFUSED_VERSION},
		{"NetFlow version 9", {0, 9, 0, 20}, 4, REFUSED_NETFLOW_V9},
		{"Length 15", {0, 10, 0, 15}, 4, REFUSED_LENGTH},
		{"Length 0", {0, 10, 0, 0}, 4, REFUSED_LENGTH},
	};
	struct bench b = begin(2, (struct receiver_options){0});
	const int honest = connect_to(&b, TCP);
	uint64_t expected[LISTENER_COUNTERS] = {0};
	uint8_t message[128];

	for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const int fd = connect_to(&b, TCP);

		print_message("%s\n", cases[i].what);
		send_all(fd, message, numbered_message(message, i)); /* a good one before */
		send_all(fd, cases[i].octets, cases[i].size);
		await(&b, TCP, cases[i].counter, ++expected[cases[i].counter]);
		await(&b, TCP, ENDED_MALFORMED, i + 1);
		while (!is_closed(fd))
			poll(NULL, 0, 2);
		close(fd);
		send_all(honest, message, numbered_message(message, i));
		await(&b, TCP, RECEIVED_MESSAGES, 2 * (i + 1));
	}
	close(honest);
	end(&b);
}

/* RELIABILITY class 16: half a message and then nothing; nothing at all; and one who is merely quiet. */
static void class_16_silent_peers_are_closed(void **state)
{
	struct bench b = begin(1, (struct receiver_options){.half_message_ns = 300 * NS_PER_MS,
							    .first_message_ns = 300 * NS_PER_MS});
	const int honest = connect_to(&b, TCP), silent = connect_to(&b, TCP), half = connect_to(&b, TCP);
	uint8_t message[128];
	const size_t length = numbered_message(message, 12);

	send_all(honest, message, length);
	send_all(half, message, length);
	send_all(half, message, length - 1);
	await(&b, TCP, ENDED_IDLE, 1);
	await(&b, TCP, ENDED_HALF_MESSAGE, 1);
	assert_true(is_closed(silent));
	assert_true(is_closed(half));
	assert_false(is_closed(honest));
	assert_int_equal(counted(&b, TCP, CUT_SHORT), 1);
	send_all(honest, message, length);
	await(&b, TCP, RECEIVED_MESSAGES, 3);
	close(honest);
	close(silent);
	close(half);
	end(&b);
}

/* RELIABILITY class 16: an octet now and then does not keep a message open. */
static void class_16_slow_senders_are_closed(void **state)
{
	struct bench b = begin(1, (struct receiver_options){.half_message_ns = 500 * NS_PER_MS});
	const int fd = connect_to(&b, TCP);
	uint8_t message[128];
	const size_t length = numbered_message(message, 12);

	for (size_t i = 0; i + 1 < length && !is_closed(fd); i++) {
		send(fd, message + i, 1, MSG_NOSIGNAL);
		poll(NULL, 0, 50);
	}
	await(&b, TCP, ENDED_HALF_MESSAGE, 1);
	assert_int_equal(counted(&b, TCP, RECEIVED_MESSAGES), 0);
	close(fd);
	end(&b);
}

/* RELIABILITY class 16: a quiet connection ends after the idle time. */
static void class_16_idle_sessions_end(void **state)
{
	struct bench b = begin(1, (struct receiver_options){.idle_ns = 300 * NS_PER_MS});
	const int fd = connect_to(&b, TCP);
	uint8_t message[128];

	send_all(fd, message, numbered_message(message, 1));
	await(&b, TCP, ENDED_IDLE, 1);
	assert_int_equal(counted(&b, TCP, CUT_SHORT), 0);
	close(fd);
	end(&b);
}

/* RELIABILITY class 16: limits in all and for one source; room comes back when a session ends. */
static void class_16_sessions_are_limited(void **state)
{
	static const struct {
		const char *what;
		uint32_t sessions, per_source, admitted;
		enum listener_counter counter;
	} cases[] = {
		{"in all", 3, 10, 3, SESSIONS_REFUSED_FULL},
		{"for a source", 10, 2, 2, SESSIONS_REFUSED_SOURCE},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct bench b =
			begin(2, (struct receiver_options){.sessions = cases[i].sessions,
							   .sessions_per_source = cases[i].per_source});
		int fd[6];
		uint8_t message[128];

		print_message("%s\n", cases[i].what);
		for (uint32_t n = 0; n < 6; n++) {
			fd[n] = connect_to(&b, TCP);
			if (n < cases[i].admitted)
				await(&b, TCP, SESSIONS_ACCEPTED, n + 1);
			else
				await(&b, TCP, cases[i].counter, n + 1 - cases[i].admitted);
		}
		close(fd[0]);
		await(&b, TCP, ENDED_BY_PEER, 1);
		fd[0] = connect_to(&b, TCP);
		send_all(fd[0], message, numbered_message(message, 1));
		await(&b, TCP, RECEIVED_MESSAGES, 1);
		for (uint32_t n = 0; n < 6; n++)
			close(fd[n]);
		end(&b);
	}
}

/* No descriptor is left for another connection: no spin, the rest is served, and it passes. */
static void out_of_descriptors(void **state)
{
	struct bench b = begin(1, (struct receiver_options){0});
	struct rlimit before, low;
	struct rusage use;
	uint8_t message[128];
	const int first = connect_to(&b, TCP), second = socket(AF_INET, SOCK_STREAM, 0);
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(receiver_port(b.receiver, TCP)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	send_all(first, message, numbered_message(message, 1));
	await(&b, TCP, RECEIVED_MESSAGES, 1);
	getrlimit(RLIMIT_NOFILE, &before);
	low = before;
	low.rlim_cur = 3; /* all that are open stay so */
	setrlimit(RLIMIT_NOFILE, &low);
	assert_int_equal(connect(second, (const struct sockaddr *)&to, sizeof to), 0);
	await(&b, TCP, ACCEPT_ERRORS, 1);
	send_all(first, message, numbered_message(message, 2));
	await(&b, TCP, RECEIVED_MESSAGES, 2);
	assert_true(counted(&b, TCP, ACCEPT_ERRORS) < 10);
	setrlimit(RLIMIT_NOFILE, &before);
	send_all(second, message, numbered_message(message, 3));
	await(&b, TCP, RECEIVED_MESSAGES, 3);
	getrusage(RUSAGE_SELF, &use);
	close(first);
	close(second);
	end(&b);
}

/* CONFORMANCE 81: what was sent before the end is taken, and the exporter sees the collector leave. */
static void stopping_takes_what_was_sent(void **state)
{
	static uint32_t seen[300];
	struct bench b = begin(2, (struct receiver_options){0});
	struct journal_session last;
	uint8_t message[128];
	int fd[3];

	memset(seen, 0, sizeof seen);
	for (uint32_t i = 0; i < 3; i++)
		fd[i] = connect_to(&b, TCP);
	await(&b, TCP, SESSIONS_ACCEPTED, 3);
	for (uint32_t i = 0; i < 300; i++)
		send_all(fd[i % 3], message, numbered_message(message, i));
	send_all(fd[0], message, 10); /* and a half one */
	assert_int_equal(stop_and_read(&b, seen, 300, &last), 300);
	assert_int_equal(counted(&b, TCP, ENDED_BY_STOP), 3);
	assert_int_equal(counted(&b, TCP, CUT_SHORT), 1);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(is_closed(fd[i]));
		close(fd[i]);
	}
	end(&b);
}

/* "*" is every address of both families; an IPv4 exporter is itself, mapped. */
static void every_address(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 0, NULL);
	struct bench b = {.store = store, .journal = journal};
	const struct receiver_options options = {
		.listen = {{listener_find("Udp"), "*", 0}, {listener_find("Tcp"), "", 0}}, .listens = 2};
	struct journal_reader *reader;
	struct journal_entry entry;
	struct error err;
	uint8_t message[128];

	assert_int_equal(receiver_start(&b.receiver, journal, &options, &err), OK);
	for (uint32_t listener = UDP; listener <= TCP; listener++) {
		const int fd = connect_to(&b, listener);
		send_all(fd, message, numbered_message(message, listener));
		await(&b, listener, RECEIVED_MESSAGES, 1);
		close(fd);
	}
	assert_int_equal(receiver_stop(b.receiver), OK);
	assert_int_equal(journal_reader_open(&reader, store, (struct journal_position){0}, true, &err), OK);
	for (uint32_t listener = UDP; listener <= TCP; listener++) {
		assert_int_equal(journal_read(reader, &entry, &err), OK);
		assert_true(IN6_IS_ADDR_V4MAPPED(&entry.session->address));
		assert_int_equal(entry.session->transport, listener == UDP ? JOURNAL_UDP : JOURNAL_TCP);
	}
	journal_reader_close(reader);
	end(&b);
}

static void addresses_that_are_none(void **state)
{
	char *store = test_store_new();
	struct journal *journal = open_journal(store, 0, NULL);
	struct receiver *receiver;
	struct error err;
	struct receiver_options options = {.listen = {{listener_find("Udp"), "300.1.1.1", 4739}},
					   .listens = 1};

	assert_null(listener_find("Quic"));
	assert_int_equal(listener_default_port(listener_find("TCP")), 4739);
	assert_int_equal(receiver_start(&receiver, journal, &options, &err), ERR_USAGE);
	assert_non_null(strstr(err.text, "300.1.1.1"));
	strcpy(options.listen[0].host, "192.0.2.1"); /* not an address of this host */
	assert_int_equal(receiver_start(&receiver, journal, &options, &err), ERR_SYSTEM);
	assert_non_null(strstr(err.text, "Udp/192.0.2.1:4739"));
	options.listens = RECEIVER_LISTENS + 1;
	assert_int_equal(receiver_start(&receiver, journal, &options, &err), ERR_LIMIT);
	journal_close(journal);
	test_store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_are_journalled),
		cmocka_unit_test(hostile_datagrams_are_counted),
		cmocka_unit_test(many_senders),
		cmocka_unit_test(framing),
		cmocka_unit_test(large_messages_over_tcp),
		cmocka_unit_test(malformed_streams_are_closed),
		cmocka_unit_test(class_16_silent_peers_are_closed),
		cmocka_unit_test(class_16_slow_senders_are_closed),
		cmocka_unit_test(class_16_idle_sessions_end),
		cmocka_unit_test(class_16_sessions_are_limited),
		cmocka_unit_test(out_of_descriptors),
		cmocka_unit_test(stopping_takes_what_was_sent),
		cmocka_unit_test(every_address),
		cmocka_unit_test(addresses_that_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
