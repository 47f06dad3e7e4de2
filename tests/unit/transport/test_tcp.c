/* TCP over real loopback sockets: a collector that reads by the octet, is slow, refuses, resets, closes. */
#include "listener.h"

#include <stdlib.h>

#include "base/cleanup.h"

static const struct transport_options quick = {.reconnect_ns = NS_PER_MS};

/* Messages that tell their number and length: what arrives can be checked octet by octet. */
static size_t make_message(uint8_t *out, uint32_t number, size_t length)
{
	put_be16(out, 10);
	put_be16(out + 2, (uint16_t)length);
	put_be32(out + 4, number);
	for (size_t i = 8; i < length; i++)
		out[i] = (uint8_t)(number * 31 + i);
	return length;
}

/* What the peer has, cut into messages by their length (RFC 7011 10.4.3). */
struct inbox {
	uint8_t octets[1 << 17];
	size_t length;
	uint32_t messages; /* whole ones so far; each is the next number */
};

static void take_octets(struct inbox *in)
{
	uint8_t expected[UINT16_MAX];
	size_t at = 0;

	while (in->length - at >= 8 && in->length - at >= get_be16(in->octets + at + 2)) {
		const size_t n = get_be16(in->octets + at + 2);

		make_message(expected, in->messages++, n);
		assert_memory_equal(in->octets + at, expected, n);
		at += n;
	}
	memmove(in->octets, in->octets + at, in->length - at);
	in->length -= at;
}

/* What is there now, `most` octets a call. -1: reset. 0: the end. 1: more may come. */
static int read_some(int peer, struct inbox *in, size_t most)
{
	for (;;) {
		const size_t room = sizeof in->octets - in->length;
		const ssize_t n = recv(peer, in->octets + in->length, most < room ? most : room, 0);

		if (n > 0)
			in->length += (size_t)n;
		take_octets(in);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return n == 0 ? 0 : -1;
		if (n < 0)
			return 1;
	}
}

static int read_to_end(int peer, struct inbox *in)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;
	int more;

	while ((more = read_some(peer, in, 65536)) > 0 && mono_now().ns < until)
		poll(NULL, 0, 1);
	return more;
}

static enum status send_number(struct transport *t, uint32_t number, size_t length)
{
	uint8_t message[UINT16_MAX];

	t->type->service(t);
	return t->type->send(t, span_of(message, make_message(message, number, length)), NULL);
}

/* 80: framing by length alone; messages of any size, read one octet at a time. */
static void test_80_octet_by_octet(void **state)
{
	static const size_t lengths[] = {8, 9, 1400, 65535, 16, 4096, 32768};
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	auto_fd peer = listener_accept(fd, t);

	wait_generation(t, 0);
	assert_int_equal(t->type->message_limit(t), 65535);
	for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		assert_int_equal(send_number(t, i, lengths[i]), OK);
		for (int n = 0; n < 1000 && in->messages <= i; n++) {
			t->type->service(t);
			read_some(peer, in, 1);
		}
		assert_int_equal(in->messages, i + 1);
	}
	assert_int_equal(in->length, 0);
	t->type->close(t);
	free(in);
}

/* A slow collector: AGAIN, the message stays the caller's, and nothing is lost, doubled or cut. */
static void test_slow_reader(void **state)
{
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 4096);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	auto_fd peer = listener_accept(fd, t);
	uint32_t sent = 0, refused = 0;

	wait_generation(t, 0);
	while (sent < 2000) {
		if (send_number(t, sent, 20000 + sent % 5000) == OK) {
			sent++;
			continue;
		}
		refused++;
		const struct delivery d = t->type->delivery(t);
		assert_true(d.confirmed < d.taken);
		assert_int_equal(read_some(peer, in, 16384), 1);
	}
	assert_true(refused > 10);
	for (int n = 0; n < 5000 && in->messages < sent; n++) {
		t->type->service(t);
		read_some(peer, in, 65536);
		poll(NULL, 0, in->messages < sent);
	}
	assert_int_equal(in->messages, sent);
	assert_int_equal(t->type->generation(t), 1);
	struct delivery d = t->type->delivery(t);
	for (int n = 0; n < 5000 && d.confirmed < d.taken;
	     n++) { /* the last acknowledgement takes its time */
		poll(NULL, 0, 1);
		d = t->type->delivery(t);
	}
	assert_int_equal(d.confirmed, d.taken);
	t->type->close(t);
	free(in);
}

/* 81: the exporter's end is a FIN behind the last whole message. */
static void test_81_fin_after_last_message(void **state)
{
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	auto_fd peer = listener_accept(fd, t);

	wait_generation(t, 0);
	assert_int_equal(write(peer, "what a collector should not say", 31), 31);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(send_number(t, i, 1000), OK);
	t->type->close(t);
	assert_int_equal(read_to_end(peer, in), 0);
	assert_int_equal(in->messages, 50);
	assert_int_equal(in->length, 0);
	free(in);
}

/* 81: when the rest of a message cannot be brought out, the end does not look like a good one. */
static void no_fin_in_a_message(bool finished)
{
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 4096);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	auto_fd peer = listener_accept(fd, t);
	const int small = 4096; /* less than a message */
	uint32_t sent = 0;

	wait_generation(t, 0);
	setsockopt(t->type->poll_fd(t), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	while (send_number(t, sent, 65535) == OK)
		sent++;
	if (finished)
		t->type->finish(t, NS_PER_S / 10);
	for (int i = 0; i < 10000 && finished && t->type->state(t) != TRANSPORT_DOWN; i++) {
		t->type->service(t);
		poll(NULL, 0, 1);
	}
	t->type->close(t);
	assert_int_equal(read_to_end(peer, in), -1);
	assert_true(in->messages < sent);
	free(in);
}

static void test_81_no_fin_in_a_message(void **state)
{
	no_fin_in_a_message(false);
	no_fin_in_a_message(true);
}

/* 81: a collector that closes its side but reads on gets the message under way whole, then our FIN. */
static void test_81_half_close(void **state)
{
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 4096);
	const struct transport_options slow = {.reconnect_ns = NS_PER_S / 5};
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &slow);
	auto_fd peer = listener_accept(fd, t);
	uint32_t sent = 0;
	int more = 1;

	wait_generation(t, 0);
	while (send_number(t, sent, 65535) == OK)
		sent++;
	shutdown(peer, SHUT_WR);
	for (int n = 0; n < 10000 && more > 0; n++) {
		t->type->service(t);
		assert_int_equal(t->type->send(t, span_of("x", 1), NULL), AGAIN);
		more = read_some(peer, in, 65536);
		poll(NULL, 0, 1);
	}
	assert_int_equal(more, 0);
	assert_int_equal(in->messages, sent);
	assert_int_equal(in->length, 0);
	wait_generation(t, 1); /* and it comes back */
	t->type->close(t);
	free(in);
}

/* Serve a transport that was finished until it is done. */
static struct delivery wait_finished(struct transport *t)
{
	const int64_t until = mono_now().ns + PATIENCE_NS;

	while (t->type->state(t) != TRANSPORT_DOWN) {
		assert_int_equal(t->type->state(t), TRANSPORT_ENDING);
		assert_int_equal(t->type->send(t, span_of("x", 1), NULL), AGAIN);
		if (mono_now().ns > until)
			fail_msg("the connection does not end");
		t->type->service(t);
		poll(NULL, 0, 1);
	}
	const struct delivery d = t->type->delivery(t);
	t->type->service(t); /* for good */
	assert_int_equal(t->type->state(t), TRANSPORT_DOWN);
	return d;
}

/* 81: our end is answered when the collector has read everything, and not before. */
static void test_81_finish_answered(void **state)
{
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 4096);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	int peer = listener_accept(fd, t);
	uint32_t sent = 0;

	wait_generation(t, 0);
	while (send_number(t, sent, 20000) == OK)
		sent++;
	t->type->finish(t, PATIENCE_NS);
	for (int i = 0; i < 50; i++) {
		t->type->service(t);
		assert_int_equal(t->type->state(t), TRANSPORT_ENDING);
	}
	for (int more = 1; more; poll(NULL, 0, 1)) { /* to our FIN; in its own time */
		t->type->service(t);
		more = read_some(peer, in, 65536);
		assert_in_range(more, 0, 1);
		assert_int_equal(t->type->state(t), TRANSPORT_ENDING);
	}
	assert_int_equal(in->messages, sent);
	close(peer);
	const struct delivery d = wait_finished(t);
	assert_int_equal(d.confirmed, d.taken);
	assert_int_equal(d.unread, 0);
	assert_false(d.left);
	assert_int_equal(t->errors, 0);
	t->type->close(t);
	free(in);
}

/* 81: a collector that dies after our end with something unread. */
static void test_81_finish_reset(void **state)
{
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	int peer = listener_accept(fd, t);
	uint8_t some[100];

	wait_generation(t, 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(send_number(t, i, 1000), OK);
	t->type->finish(t, PATIENCE_NS);
	for (int i = 0; i < 1000 && t->type->delivery(t).confirmed < 5000; i++) {
		t->type->service(t);
		poll(NULL, 0, 1);
	}
	assert_int_equal(recv(peer, some, sizeof some, 0), sizeof some);
	close(peer); /* as the kernel does for one that was killed: a reset, for there is more */
	const struct delivery d = wait_finished(t);
	assert_int_equal(d.taken, 5000);
	assert_in_range(d.unread, 4900, 5000);
	assert_false(d.left);
	assert_true(t->errors > 0);
	t->type->close(t);
}

/* 81: one that never closes its side is left after a while, however much it has read. */
static void test_81_finish_unanswered(void **state)
{
	struct inbox *in = calloc(1, sizeof *in);
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	auto_fd peer = listener_accept(fd, t);

	wait_generation(t, 0);
	assert_int_equal(send_number(t, 0, 1000), OK);
	assert_int_equal(read_some(peer, in, 1000), 1);
	t->type->finish(t, NS_PER_S / 10);
	const struct delivery d = wait_finished(t);
	assert_true(d.left);
	assert_in_range(d.unread, 1, 1000);
	t->type->close(t);
	assert_int_equal(read_to_end(peer, in), 0); /* in order, all the same */
	assert_int_equal(in->messages, 1);
	free(in);
}

/* 81: where nothing was sent nobody is waited for. */
static void test_81_finish_at_once(void **state)
{
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);

	t->type->finish(t, PATIENCE_NS);
	assert_int_equal(t->type->state(t), TRANSPORT_DOWN);
	t->type->close(t);
	t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	auto_fd peer = listener_accept(fd, t);
	wait_generation(t, 0);
	t->type->finish(t, PATIENCE_NS);
	assert_int_equal(t->type->state(t), TRANSPORT_DOWN);
	t->type->close(t);
	assert_int_equal(recv(peer, &(char){0}, 1, 0), 0);
}

/* 82: after a reset it connects again; delivery says what the peer's kernel had not acknowledged. */
static void test_82_reset(void **state)
{
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 4096);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);
	int peer = listener_accept(fd, t);
	uint32_t sent = 0;

	wait_generation(t, 0);
	while (send_number(t, sent, 30000) == OK)
		sent++;
	peer_reset(peer);
	for (int i = 0; i < 1000 && t->type->poll_fd(t) >= 0; i++)
		t->type->service(t);
	const struct delivery d = t->type->delivery(t);
	assert_int_equal(t->type->poll_fd(t), -1);
	assert_int_equal(d.taken, sent * 30000);
	assert_in_range(d.confirmed, 1, d.taken - 1);
	assert_int_equal(t->type->generation(t), 1);
	assert_true(t->errors > 0);
	peer = listener_accept(fd, t);
	wait_generation(t, 1);
	const struct delivery anew = t->type->delivery(t);
	assert_int_equal(anew.taken, 0);
	assert_int_equal(anew.confirmed, 0);
	assert_int_equal(send_number(t, 0, 100), OK);
	close(peer);
	t->type->close(t);
}

/* How many connections come while the transport is served for `ns`. */
static uint32_t count_tries(int fd, struct transport *t, int64_t ns)
{
	const int64_t until = mono_now().ns + ns;
	uint32_t tries = 0;

	while (mono_now().ns < until) {
		const int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (peer >= 0) {
			peer_reset(peer);
			tries++;
		}
		t->type->service(t);
		poll(NULL, 0, 2);
	}
	return tries;
}

/* 82: never more than one try a minute unless told otherwise. */
static void test_82_a_minute_by_default(void **state)
{
	static const struct transport_options standard = {0};
	const struct transport_options often = {.reconnect_ns = 50 * NS_PER_MS};
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &standard);

	assert_int_equal(count_tries(fd, t, NS_PER_S), 1);
	t->type->close(t);
	t = listener_transport(&tcp_transport, "127.0.0.1", port, &often);
	assert_in_range(count_tries(fd, t, NS_PER_S), 2, 21);
	t->type->close(t);
}

/* 82: refused for a while, then accepted; one line of log for one kind of trouble. */
static void test_82_refused_then_accepted(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	const struct logger log = {.out = out, .level = LOG_INFO};
	const struct transport_options logged = {.reconnect_ns = 5 * NS_PER_MS, .log = &log};
	uint16_t port = listener_free_port();
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &logged);

	for (int i = 0; i < 200; i++) {
		assert_int_equal(send_number(t, 0, 100), AGAIN);
		poll(NULL, 0, 1);
	}
	assert_int_equal(t->type->generation(t), 0);
	assert_true(t->errors > 5);
	auto_fd fd = listener_open(&port, 0);
	const int peer = listener_accept(fd, t);
	wait_generation(t, 0);
	fflush(out);
	const char *refused = strstr(text, "cannot connect: Connection refused");
	assert_non_null(refused);
	assert_null(strstr(refused + 20, "cannot connect"));
	assert_non_null(strstr(text, "connected"));
	close(peer);
	t->type->close(t);
	fclose(out);
	free(text);
}

static void test_no_address(void **state)
{
	struct transport *t = listener_transport(&tcp_transport, "collector.invalid", 4739, &quick);
	struct sockaddr_storage local, remote;

	assert_int_equal(send_number(t, 0, 100), AGAIN);
	for (int i = 0; i < 100; i++) {
		t->type->service(t);
		poll(NULL, 0, 1);
	}
	assert_int_equal(t->type->generation(t), 0);
	assert_false(t->type->addresses(t, &local, &remote));
	t->type->close(t);
}

/* A name: each of its addresses has its turn within one try ("localhost" may be ::1 first). */
static void test_name(void **state)
{
	static const struct transport_options standard = {0};
	struct sockaddr_storage local, remote;
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	struct transport *t = listener_transport(&tcp_transport, "localhost", port, &standard);
	const int peer = listener_accept(fd, t);

	wait_generation(t, 0);
	assert_true(t->type->addresses(t, &local, &remote));
	assert_int_equal(ntohs(((struct sockaddr_in *)&remote)->sin_port), port);
	close(peer);
	t->type->close(t);
}

/* 200 connections of every kind of end: no descriptor stays behind. */
static void test_82_flapping_leaks_nothing(void **state)
{
	uint16_t port = 0;
	auto_fd fd = listener_open(&port, 0);
	const uint32_t before = open_descriptors();
	struct transport *t = listener_transport(&tcp_transport, "127.0.0.1", port, &quick);

	for (uint32_t i = 0; i < 200; i++) {
		const int peer = listener_accept(fd, t);

		wait_generation(t, i);
		for (uint32_t n = 0; n < i % 4; n++)
			(void)!send_number(t, n, 1000);
		if (i % 3 == 0)
			peer_reset(peer);
		else if (i % 3 == 1)
			close(peer); /* a reset too when something is unread */
		else {
			shutdown(peer, SHUT_RDWR);
			close(peer);
		}
		for (int n = 0; n < 10000 && t->type->poll_fd(t) >= 0; n++) {
			t->type->service(t);
			poll(NULL, 0, n > 10);
		}
		assert_int_equal(t->type->poll_fd(t), -1);
		assert_int_equal(open_descriptors(), before);
	}
	t->type->close(t);
	assert_int_equal(open_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_80_octet_by_octet),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_81_fin_after_last_message),
		cmocka_unit_test(test_81_no_fin_in_a_message),
		cmocka_unit_test(test_81_half_close),
		cmocka_unit_test(test_81_finish_answered),
		cmocka_unit_test(test_81_finish_reset),
		cmocka_unit_test(test_81_finish_unanswered),
		cmocka_unit_test(test_81_finish_at_once),
		cmocka_unit_test(test_82_reset),
		cmocka_unit_test(test_82_a_minute_by_default),
		cmocka_unit_test(test_82_refused_then_accepted),
		cmocka_unit_test(test_82_flapping_leaks_nothing),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
